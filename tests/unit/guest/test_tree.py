#!/usr/bin/python3
"""Trees as streams, ours against GNU tar, bsdtar and Python's tarfile; and streams that lie."""
import ctypes
import io
import os
import pathlib
import random
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import unittest

TOOL = os.path.abspath(sys.argv.pop(1))
CONTENTS, FOLLOW, NUMERIC, NO_OWNER, PRIVILEGED = 1, 2, 4, 8, 16
ROOT = os.geteuid() == 0
NS = 1_600_000_000_123_456_789


def pack(path, flags=CONTENTS, *top):
    return subprocess.run([TOOL, 'pack', path, str(flags), *top], stdout=subprocess.PIPE, check=True).stdout


def unpack(data, folder, flags=PRIVILEGED, piece=65536, only=()):
    done = subprocess.run([TOOL, 'unpack', folder, str(flags), str(piece), *only], input=data, stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stderr.decode()


def describe(top):
    """All that a tree is, as a dictionary."""
    found, links = {}, {}
    for path in sorted(pathlib.Path(top).rglob('*')):
        st, name = path.lstat(), str(path.relative_to(top))
        what = [stat.filemode(st.st_mode), st.st_uid, st.st_gid, st.st_mtime_ns]
        if stat.S_ISREG(st.st_mode):
            data = path.read_bytes()
            what += [len(data), hash(data)]
            if st.st_nlink > 1:
                what.append(links.setdefault(st.st_ino, name))
        if stat.S_ISLNK(st.st_mode):
            what.append(os.readlink(path))
        else:
            what.append([(n, os.getxattr(path, n)) for n in sorted(os.listxattr(path)) if n.startswith('user.')])
        if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            what.append(st.st_rdev)
        found[name] = what
    return found


def has_xattrs(folder):
    try:
        os.setxattr(folder, 'user.test', b'1')
        os.removexattr(folder, 'user.test')
        return True
    except OSError:
        return False


def make_tree(top, seed=1):
    """A tree with something of everything."""
    rng = random.Random(seed)
    top = pathlib.Path(top)
    (top / 'sub/deeper').mkdir(parents=True)
    (top / 'empty').mkdir()
    (top / 'read-only').mkdir()
    for n in range(40):
        (top / rng.choice(['', 'sub', 'sub/deeper', 'read-only']) / f'file {n}').write_bytes(rng.randbytes(rng.choice((0, 1, 511, 512, 513, 70000))))
    (top / 'name-\n-\xff'.encode('latin-1').decode('utf-8', 'surrogateescape')).write_bytes(b'strange')
    (top / ('l' * 255)).write_bytes(b'long')
    long = top / ('d' * 120) / ('e' * 120)
    long.mkdir(parents=True)
    (long / ('f' * 120)).write_bytes(b'too long for ustar')
    (long / 'link').symlink_to('t' * 200)
    os.link(long / ('f' * 120), top / 'sub/hard')
    (top / 'sub/soft').symlink_to('../empty')
    (top / 'dangling').symlink_to('/no/such')
    os.mkfifo(top / 'fifo')
    with open(top / 'sparse', 'wb') as f:
        f.seek(1 << 20)
        f.write(b'middle')
        f.seek(3 << 20)
        f.write(b'end')
        f.truncate(5 << 20)
    with open(top / 'all-hole', 'wb') as f:
        f.truncate(10 << 20)
    (top / 'set-id').write_bytes(b'x')
    if ROOT:
        os.chown(top / 'set-id', 1, 2)
        os.chown(top / 'sub', 3_000_000, 4)
        os.chown(top / 'dangling', 5, 6, follow_symlinks=False)
        os.mknod(top / 'null', 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (top / 'set-id').chmod(0o6755)
    (top / 'empty').chmod(0o1777)
    (top / 'read-only').chmod(0o555)
    if has_xattrs(top):
        os.setxattr(top / 'set-id', 'user.a', b'with \0 and \n')
        os.setxattr(top / 'empty', 'user.b', b'')
    for n, path in enumerate(sorted(top.rglob('*'), reverse=True)):
        os.utime(path, ns=(NS, NS + n * 1_000_000_007), follow_symlinks=False)


class Folders(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-tree-'))
        self.source, self.target = self.folder / 'source', self.folder / 'target'
        self.source.mkdir()
        self.target.mkdir()

    def tearDown(self):
        shutil.rmtree(self.folder)

    def same(self, leave_out=()):
        a, b = describe(self.source), describe(self.target)
        for name in leave_out:
            a.pop(name, None), b.pop(name, None)
        self.assertEqual(sorted(a), sorted(b))
        for name, what in a.items():
            self.assertEqual(what, b[name], name)


class Ours(Folders):
    def test_there_and_back(self):
        make_tree(self.source)
        data = pack(self.source)
        for piece in (65536, 1000, 1):
            self.assertEqual(unpack(data, self.target, piece=piece), (0, 'skipped 0\n'))
            self.same()
            self.assertLess((self.target / 'sparse').stat().st_blocks * 512, 1 << 20)
            self.assertEqual((self.target / 'all-hole').stat().st_blocks, 0)
        self.assertLess(len(data), 4 << 20)             # no holes in it
        # Over what is there: everything is replaced.
        (self.target / 'sub/soft').unlink()
        (self.target / 'sub/soft').write_bytes(b'in the way')
        (self.target / 'dangling').unlink()
        (self.target / 'dangling').mkdir()
        status, err = unpack(data, self.target)
        self.assertEqual(status, 1)
        self.assertIn('dangling', err)                  # but a folder is not thrown away for a link
        (self.target / 'dangling').rmdir()
        self.assertEqual(unpack(data, self.target)[0], 0)
        self.same()

    def test_names(self):
        (self.source / 'a').mkdir()
        (self.source / 'a/f').write_bytes(b'x')
        (self.source / 'link').symlink_to('a')
        names = lambda path, flags=0: tarfile.open(fileobj=io.BytesIO(pack(path, flags))).getnames()
        self.assertEqual(names(self.source / 'a'), ['a', 'a/f'])
        self.assertEqual(names(f'{self.source}/a//'), ['a', 'a/f'])
        self.assertEqual(names(self.source / 'a', CONTENTS), ['f'])
        self.assertEqual(names(self.source / 'a/f'), ['f'])
        self.assertEqual(names(self.source / 'a/f', CONTENTS), ['f'])
        self.assertEqual(names(f'{self.source}/a/.'), ['.', './f'])
        self.assertEqual(names(f'{self.source}/a/..')[0], '.')
        self.assertEqual(names(self.source / 'link'), ['link'])
        self.assertEqual(names(self.source / 'link', FOLLOW), ['link', 'link/f'])
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(str(self.source / 'a/socket'))
            self.assertEqual(names(self.source / 'a'), ['a', 'a/f'])
        self.assertEqual(subprocess.run([TOOL, 'pack', self.source / 'no', '0'], stderr=subprocess.DEVNULL, check=False).returncode, 1)

    def test_top(self):
        make_tree(self.source)
        self.assertEqual(unpack(pack(self.source, 0, 'another'), self.folder, only=('another',))[0], 0)
        self.target.rmdir()
        (self.folder / 'another').rename(self.target)
        self.same()
        self.assertEqual(unpack(pack(self.source / 'set-id', 0, 'file'), self.folder)[0], 0)
        self.assertEqual((self.folder / 'file').read_bytes(), b'x')
        with tarfile.open(fileobj=io.BytesIO(pack(self.source, 0, ''))) as tar:
            self.assertEqual(tar.getnames()[0], 'source')

    def test_deep(self):
        os.chdir(self.source)
        for _ in range(400):                            # deeper than descriptors are kept
            os.mkdir('d' * 20)
            os.chdir('d' * 20)
        pathlib.Path('bottom').write_bytes(b'here')
        os.chdir('/')
        data = pack(self.source)
        self.assertEqual(unpack(data, self.target)[0], 0)
        os.chdir(self.target)
        for _ in range(400):
            os.chdir('d' * 20)
        self.assertEqual(pathlib.Path('bottom').read_bytes(), b'here')
        os.chdir('/')

    def test_many_links(self):
        for n in range(6000):                           # more than are kept: the others become files
            (self.source / f'a{n}').write_bytes(b'%d' % n)
            os.link(self.source / f'a{n}', self.source / f'b{n}')
        self.assertEqual(unpack(pack(self.source), self.target)[0], 0)
        linked = sum(p.stat().st_nlink == 2 for p in self.target.iterdir())
        self.assertEqual(linked, 2 * 4096)
        for n in range(6000):
            for name in (f'a{n}', f'b{n}'):
                self.assertEqual((self.target / name).read_bytes(), b'%d' % n)

    def test_owners(self):
        if not ROOT:
            self.skipTest('needs root')
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode='w') as tar:
            info = tarfile.TarInfo('f')
            info.uid, info.gid, info.uname, info.gname, info.mode = 1234, 5678, 'daemon', 'nobody-is-called-so', 0o4755
            tar.addfile(info)
        path = self.target / 'f'
        told = lambda: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o7777)
        for flags, expect in ((PRIVILEGED, (1, 5678, 0o4755)), (PRIVILEGED | NUMERIC, (1234, 5678, 0o4755)),
                              (PRIVILEGED | NO_OWNER, (0, 0, 0o755)), (NO_OWNER, (0, 0, 0o755)), (0, (1, 5678, 0o755))):
            self.assertEqual(unpack(stream.getvalue(), self.target, flags)[0], 0)
            self.assertEqual(told(), expect)


class Others(Folders):
    def test_gnu_tar_reads_ours(self):
        make_tree(self.source)
        subprocess.run(['tar', '-x', '--xattrs', '--same-owner', '-p', '-C', self.target], input=pack(self.source), check=True)
        self.same()
        self.assertEqual((self.target / 'all-hole').stat().st_blocks, 0)

    def test_we_read_gnu_tar(self):
        make_tree(self.source)
        for n, options in enumerate((['--format=pax', '--xattrs', '--sparse'], ['--format=pax', '--xattrs'],
                                     ['--format=pax', '--sparse', '--sparse-version=0.1', '--xattrs'],
                                     ['--format=pax', '--sparse', '--sparse-version=0.0', '--xattrs'])):
            target = self.target / str(n)
            target.mkdir()
            data = subprocess.run(['tar', '-c', *options, '-C', self.source, '.'], stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(unpack(data, target), (0, 'skipped 0\n'), options)
            a, b = describe(self.source), describe(target)
            self.assertEqual(a, b, options)

    def test_we_read_gnus_own_format(self):
        make_tree(self.source)
        holes = []
        with open(self.source / 'many-holes', 'wb') as f:
            for n in range(60):                         # more than a header and two blocks hold
                f.seek(n * 65536 * 2)
                f.write(b'%d' % n)
        for path in self.source.rglob('*'):
            os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
        data = subprocess.run(['tar', '-c', '--format=gnu', '--sparse', '-C', self.source, '.'], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(unpack(data, self.target), (0, 'skipped 0\n'), holes)
        for path in self.source.rglob('*'):
            if path.is_symlink():
                continue
            for name in os.listxattr(path):
                os.removexattr(path, name)
        self.same()

    def test_bsdtar(self):
        if not shutil.which('bsdtar'):
            self.skipTest('no bsdtar')
        make_tree(self.source)
        data = subprocess.run(['bsdtar', '-c', '--format=pax', '-f', '-', '-C', self.source, '.'], stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(unpack(data, self.target)[0], 0)
        self.same()
        again = self.folder / 'again'
        again.mkdir()
        subprocess.run(['bsdtar', '-x', '-p', '-f', '-', '-C', again], input=pack(self.source), check=True)
        self.assertEqual(describe(again), describe(self.source))

    def test_python_reads_ours(self):
        make_tree(self.source)
        with tarfile.open(fileobj=io.BytesIO(pack(self.source))) as tar:
            members = {m.name: m for m in tar.getmembers()}
            for path in self.source.rglob('*'):
                name, st = str(path.relative_to(self.source)), path.lstat()
                m = members.pop(name)
                self.assertEqual((m.mode, m.uid, m.gid), (st.st_mode & 0o7777, st.st_uid, st.st_gid) if not m.islnk() else (m.mode, m.uid, m.gid))
                if m.isreg():
                    self.assertEqual(tar.extractfile(m).read(), path.read_bytes())
            self.assertEqual(members, {})

    def test_we_read_python(self):
        make_tree(self.source)
        for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode='w', format=form) as tar:
                tar.add(self.source, '.')
            self.assertEqual(unpack(stream.getvalue(), self.target)[0], 0)
            for name, what in describe(self.source).items():
                self.assertEqual(what[:3], describe(self.target)[name][:3])

    def test_large_sizes(self):
        with open(self.source / 'huge', 'wb') as f:
            f.truncate(20 << 30)
            f.seek(15 << 30)
            f.write(b'data')
        data = pack(self.source)
        self.assertEqual(unpack(data, self.target)[0], 0)
        self.assertEqual((self.target / 'huge').stat().st_size, 20 << 30)
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            self.assertEqual(tar.getmembers()[0].size, 20 << 30)


def member(name, kind=tarfile.REGTYPE, data=b'', link='', pax=None, **more):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(data)
    info.pax_headers = pax or {}
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)


END = bytes(1024)


class Hostile(Folders):
    """Nothing appears outside of the folder, whatever the stream says."""

    def setUp(self):
        super().setUp()
        self.outside = self.folder / 'outside'
        self.outside.mkdir()
        (self.outside / 'secret').write_bytes(b'secret')
        self.before = describe(self.folder)

    def check(self, *members, flags=0, end=END, only=()):
        status, err = unpack(b''.join(members) + end, self.target, flags, only=only)
        after = {k: v for k, v in describe(self.folder).items() if not k.startswith('target')}
        before = {k: v for k, v in self.before.items() if not k.startswith('target')}
        self.assertEqual(before, after)
        self.assertEqual((self.outside / 'secret').stat().st_nlink, 1)
        return status, err

    def test_names_that_leave(self):
        for name in ('../outside/x', 'a/../../outside/x', '..', 'a/..', './../x'):
            for kind in (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE):
                self.assertEqual(self.check(member(name, kind, link='x'))[0], 2, name)
            self.assertEqual(self.check(member('x', pax={'path': name}))[0], 2)
            self.assertEqual(self.check(member('x'), member('y', tarfile.LNKTYPE, link=name))[0], 2)
        self.assertEqual(self.check(member(f'{self.outside}/x', data=b'inside'))[0], 0)
        self.assertEqual(pathlib.Path(f'{self.target}/{self.outside}/x').read_bytes(), b'inside')

    def test_not_what_was_asked_for(self):
        (self.target / 'mine').write_bytes(b'mine')
        for name in ('mine', 'onl', 'only2', 'onlyx/y', '.bashrc'):
            self.assertEqual(self.check(member(name, data=b'x'), only=('only',))[0], 2, name)
            self.assertEqual(self.check(member('only', tarfile.LNKTYPE, link=name), only=('only',))[0], 2, name)
        self.assertEqual((self.target / 'mine').read_bytes(), b'mine')
        self.assertEqual(self.check(member('only', tarfile.DIRTYPE, mode=0o700), member('./only/x', data=b'x'), member('/only/y'),
                                    only=('only',))[0], 0)
        self.assertEqual(sorted(p.name for p in self.target.rglob('*')), ['mine', 'only', 'x', 'y'])

    def test_through_links(self):
        for to in (str(self.outside), '../outside', '.', '/'):
            link = member('link', tarfile.SYMTYPE, link=to)
            self.assertEqual(self.check(link, member('link/x', data=b'x'))[0], 1)
            self.assertEqual(self.check(link, member('link/x/y', data=b'x'))[0], 1)
            self.assertEqual(self.check(link, member('link/x', tarfile.DIRTYPE))[0], 1)
            self.assertEqual(self.check(link, member('link/x', tarfile.SYMTYPE, link='y'))[0], 1)
            self.assertEqual(self.check(link, member('hard', tarfile.LNKTYPE, link='link/secret'))[0], 1)
            # a folder of that name takes the link's place
            self.assertEqual(self.check(link, member('link', tarfile.DIRTYPE, mode=0o700), member('link/x', data=b'x'))[0], 0)
            self.assertFalse((self.target / 'link').is_symlink())
            shutil.rmtree(self.target / 'link')
        # A file over a link to a file does not write through it; nor over a hard link to one.
        secret = self.outside / 'secret'
        self.assertEqual(self.check(member('s', tarfile.SYMTYPE, link=str(secret)), member('s', data=b'mine'))[0], 0)
        self.assertEqual((self.target / 's').read_bytes(), b'mine')
        (self.target / 'here').write_bytes(b'kept')
        self.assertEqual(self.check(member('h', tarfile.LNKTYPE, link='here'), member('h', data=b'mine'))[0], 0)
        self.assertEqual((self.target / 'here').read_bytes(), b'kept')
        # What is dressed late is looked up again beneath the folder.
        self.assertEqual(self.check(member('d', tarfile.DIRTYPE, mode=0o777, mtime=1), member('e', data=b''))[0], 0)
        self.assertEqual(self.check(member('l', tarfile.SYMTYPE, link=str(self.outside)), member('l2', tarfile.LNKTYPE, link='l'),
                                    member('l2/x', data=b'x'))[0], 1)

    def test_links_that_were_there(self):
        (self.target / 'was').symlink_to(self.outside)
        self.assertEqual(self.check(member('was/x', data=b'x'))[0], 1)
        self.assertEqual(self.check(member('a', tarfile.LNKTYPE, link='was/secret'))[0], 1)

    def test_devices_and_bits(self):
        status, err = self.check(member('null', tarfile.CHRTYPE, devmajor=1, devminor=3), member('sda', tarfile.BLKTYPE),
                                 member('su', data=b'x', mode=0o6755, uid=0))
        self.assertEqual((status, err), (0, 'skipped 2\n'))
        self.assertEqual([p.name for p in self.target.iterdir()], ['su'])
        self.assertEqual((self.target / 'su').stat().st_mode & 0o7777, 0o755)
        if ROOT:
            name = 'SCHILY.xattr.security.capability'
            self.check(member('cap', data=b'x', pax={name: '\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0'}))
            self.assertEqual([n for n in os.listxattr(self.target / 'cap') if n.startswith('security')], [])

    def test_malformed(self):
        good = member('x', data=b'y' * 1000)
        self.assertEqual(self.check(good, end=b'')[0], 2)               # no end
        self.assertEqual(self.check(good[:700], end=b'')[0], 2)         # cut
        self.assertFalse((self.target / 'x').exists() and (self.target / 'x').stat().st_size != 1000)
        self.assertEqual(self.check(b'no tar' * 200)[0], 2)
        self.assertEqual(self.check(good[:100] + b'\1' + good[101:])[0], 2)
        pax = lambda text: member('x', b'x', text)
        for text in (b'99 path=x\n', b'0 a=b\n', b'9 path=x', b'x', b'8 path=\n', b'7 =abc\n', b'999999999999999999999 a=b\n'):
            self.assertEqual(self.check(pax(text), good)[0], 2, text)
        self.assertEqual(self.check(member('x', b'x', bytes(1 << 18) + b'x'), good)[0], 2)
        self.assertEqual(self.check(member('x', b'L', b'n' * 16385), good)[0], 2)
        self.assertEqual(self.check(member('x', pax={'path': 'a\0b'}))[0], 2)

    def test_sparse_maps_that_lie(self):
        base = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 's'}
        maps = {'2\n5\n5\n0\n5\n': '100', '1\n0\n600\n': '100', '1\n9223372036854775807\n1\n': '9223372036854775807',
                '70000\n': '10', '1\n': '10', '': '10', 'x\n': '10', '1\n-1\n1\n': '10', '1\n0\n1000\n': '1000', '0\n': '0'}
        for text, size in maps.items():
            data = text.encode() + bytes(-len(text) % 512) + b'd' * 512
            status, _ = self.check(member('x', data=data, pax={**base, 'GNU.sparse.realsize': size}))
            self.assertEqual(status, 0 if text == '0\n' else 2, text)
        for text in ('1', '5,5,0,5', 'a,b', '1,,2'):
            status, _ = self.check(member('x', data=b'd' * 512, pax={'GNU.sparse.map': text, 'GNU.sparse.size': '100', 'GNU.sparse.name': 's'}))
            self.assertEqual(status, 0 if text == '1' else 2, text)

    def test_random_streams(self):
        """Members of few names and all kinds in any order: they meet each other in every way."""
        rng = random.Random(7)
        names = ['a', 'b', 'a/b', 'b/a', 'a/b/c', '/a', './b', 'a//b', str(self.outside), 'a/secret']
        links = names + ['..', '../outside', str(self.outside), '../outside/secret', '/', '.']
        kinds = [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.SYMTYPE]
        for _ in range(150):
            members = [member(rng.choice(names), rng.choice(kinds), link=rng.choice(links), mode=rng.choice((0o777, 0, 0o6777)))
                       for _ in range(rng.randrange(1, 12))]
            self.check(*members, flags=rng.choice((0, NO_OWNER, PRIVILEGED, NUMERIC)))
            if rng.random() < 0.3:
                subprocess.run(['rm', '-rf', self.target], check=True)
                self.target.mkdir()


if __name__ == '__main__':
    os.umask(0o022)
    unittest.main()
