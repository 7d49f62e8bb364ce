#!/usr/bin/python3
"""FILE against the engine on this machine: every operation, its errors, and clients that leave."""
import errno
import io
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'functional'))
from agent_files import *               # noqa: E402
from agent_protocol import MALFORMED, SYSTEM, Closed, frame, execute, EXEC, BUSY, EXIT   # noqa: E402

TOOL = os.path.abspath(sys.argv.pop(1))
ROOT = os.geteuid() == 0
# In memory where that can be: each WRITE waits for the disk.
MEMORY = '/dev/shm' if os.access('/dev/shm', os.W_OK) else None


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        cls.path, cls.pid = cls.engine.stdout.readline().strip(), int(cls.engine.stdout.readline())

    @classmethod
    def tearDownClass(cls):
        cls.engine.communicate()

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-file-', dir=MEMORY))
        self.f = self.open()

    def tearDown(self):
        self.f.close()
        subprocess.run(['rm', '-rf', self.dir], check=True)

    def again(self):
        """Another connection, after one that was ended."""
        self.f.close()
        self.f = self.open()

    def open(self):
        s = socket.socket(socket.AF_UNIX)
        s.connect(self.path)
        return Files(s, timeout=60)

    def fails(self, number, function, *args, **how):
        with self.assertRaises(Refused) as caught:
            function(*args, **how)
        self.assertEqual((caught.exception.code, errno.errorcode.get(caught.exception.errno)), (SYSTEM, errno.errorcode[number]))
        return caught.exception.text

    def at(self, *names):
        return str(self.dir.joinpath(*names))

    def left(self):
        return sorted(str(p.relative_to(self.dir)) for p in self.dir.rglob('*'))

    # One file

    def test_stat(self):
        (self.dir / 'f').write_bytes(b'12345')
        (self.dir / 'l').symlink_to('f')
        st, real = self.f.stat(self.at('f')), (self.dir / 'f').stat()
        self.assertEqual((st.mode, st.uid, st.gid, st.links, st.size, st.mtime_ns, st.inode),
                         (real.st_mode, real.st_uid, real.st_gid, 1, 5, real.st_mtime_ns, real.st_ino))
        self.assertEqual((st.name, st.target), (self.at('f').encode(), b''))
        st = self.f.stat(self.at('l'))
        self.assertTrue(stat.S_ISLNK(st.mode))
        self.assertEqual(st.target, b'f')
        self.assertEqual(self.f.stat(self.at('l'), flags=FOLLOW).size, 5)
        self.assertEqual(self.f.stat('/dev/null').device, os.makedev(1, 3))
        self.assertIn(self.at('no'), self.fails(errno.ENOENT, self.f.stat, self.at('no')))
        self.fails(errno.ENOTDIR, self.f.stat, self.at('f/x'))
        self.fails(errno.ENAMETOOLONG, self.f.stat, self.at('x' * 256))
        self.fails(errno.ENOENT, self.f.stat, '')

    def test_read(self):
        data = os.urandom(300_000)
        (self.dir / 'f').write_bytes(data)
        self.assertEqual(self.f.read_file(self.at('f')), data)
        self.assertEqual(self.f.read_file(self.at('f'), offset=1000, length=70_000), data[1000:71_000])
        self.assertEqual(self.f.read_file(self.at('f'), offset=299_999), data[-1:])
        self.assertEqual(self.f.read_file(self.at('f'), offset=300_000), b'')
        self.assertEqual(self.f.read_file(self.at('f'), length=0), b'')
        self.assertIn(b'cpu', self.f.read_file('/proc/stat'))
        self.fails(errno.EISDIR, self.f.read_file, self.at())
        self.fails(errno.ENOENT, self.f.read_file, self.at('no'))
        self.fails(errno.EINVAL, self.f.read_file, self.at('f'), offset=1 << 63)

    def test_write(self):
        data = os.urandom(200_000)
        self.f.write(self.at('f'), data)
        st = (self.dir / 'f').stat()
        self.assertEqual(((self.dir / 'f').read_bytes(), stat.S_IMODE(st.st_mode)), (data, 0o644))
        (self.dir / 'f').chmod(0o4750)
        if ROOT:
            os.chown(self.dir / 'f', 3, 4)
            (self.dir / 'f').chmod(0o4750)
        self.f.write(self.at('f'), b'')                         # it keeps its mode and owner
        new = (self.dir / 'f').stat()
        self.assertEqual((new.st_size, stat.S_IMODE(new.st_mode)), (0, 0o4750))
        self.assertNotEqual(new.st_ino, st.st_ino)
        if ROOT:
            self.assertEqual((new.st_uid, new.st_gid), (3, 4))
            self.f.write(self.at('f'), b'x', mode=0o600, uid=5, gid=6)
            new = (self.dir / 'f').stat()
            self.assertEqual((new.st_uid, new.st_gid, stat.S_IMODE(new.st_mode)), (5, 6, 0o600))
        self.fails(errno.ENOENT, self.f.write, self.at('a/b/f'), b'x')
        self.again()
        self.f.write(self.at('a/b/f'), b'x', flags=PARENTS)
        self.assertEqual(self.f.read_file(self.at('a/b/f')), b'x')
        for path, number in ((self.at('f'), errno.EEXIST), (self.at('a'), errno.EEXIST)):
            self.fails(number, self.f.write, path, b'y' * 100_000, flags=EXCLUSIVE)
            self.again()
        self.fails(errno.EISDIR, self.f.write, self.at('a'), b'y')
        self.again()
        self.fails(errno.EINVAL, self.f.write, '/dev/null', b'y')
        self.again()
        self.f.write(self.at('new'), b'y', flags=EXCLUSIVE)
        (self.dir / 'link').symlink_to('new')
        self.f.write(self.at('link'), b'instead')               # the link is what is replaced
        self.assertEqual(((self.dir / 'link').is_symlink(), (self.dir / 'new').read_bytes()), (False, b'y'))
        self.assertEqual(self.left(), ['a', 'a/b', 'a/b/f', 'f', 'link', 'new'])

    def test_append(self):
        self.f.write(self.at('f'), b'one', flags=APPEND)
        self.f.write(self.at('f'), b'two', flags=APPEND)
        self.assertEqual((self.dir / 'f').read_bytes(), b'onetwo')
        self.fails(errno.EEXIST, self.f.write, self.at('f'), b'three', flags=APPEND | EXCLUSIVE)
        self.again()
        self.f.write('/dev/null', b'gone', flags=APPEND)
        self.f.write(self.at('x/y'), b'1', flags=APPEND | PARENTS)
        self.assertEqual(self.left(), ['f', 'x', 'x/y'])

    def test_full_disk(self):
        if not os.path.exists('/dev/full'):
            self.skipTest('no /dev/full')
        self.fails(errno.ENOSPC, self.f.write, '/dev/full', b'x' * 1_000_000, flags=APPEND)
        self.again()
        if not ROOT:
            return
        (self.dir / 'small').mkdir()
        if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1M', 'small', self.dir / 'small'], check=False).returncode:
            return
        try:
            self.fails(errno.ENOSPC, self.f.write, self.at('small/f'), b'x' * 5_000_000)
            self.assertEqual(os.listdir(self.dir / 'small'), [])
            self.again()
            stream = io.BytesIO()
            with tarfile.open(fileobj=stream, mode='w') as tar:
                info = tarfile.TarInfo('big')
                info.size = 5_000_000
                tar.addfile(info, io.BytesIO(bytes(5_000_000)))
            self.fails(errno.ENOSPC, self.f.unpack, self.at('small'), stream.getvalue())
            self.assertEqual(os.listdir(self.dir / 'small'), [])
        finally:
            subprocess.run(['umount', self.dir / 'small'], check=True)
            self.again()

    def test_client_leaves_while_it_writes(self):
        for how in (b'', b'half' * 1000, b'x' * 65520):
            f = self.open()
            number = f.send(FILE, request(WRITE, self.at('f')))
            if how:
                f.socket.sendall(frame(STDIN, how, number))
            end = time.monotonic() + 10
            while not self.left() and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(len(self.left()), 1)               # the temporary is there
            f.close()
            while self.left() and time.monotonic() < end:
                time.sleep(0.01)
            self.assertEqual(self.left(), [])
        f = self.open()
        number = f.send(FILE, request(WRITE, self.at('f')))
        f.socket.sendall(frame(STDIN, b'x' * 1000, number)[:500])     # in the middle of a frame
        f.close()
        end = time.monotonic() + 10
        while self.left() and time.monotonic() < end:
            time.sleep(0.01)
        self.assertEqual(self.left(), [])

    def test_frames_that_may_not_follow(self):
        for wrong in (frame(STDIN, b'x', 99), frame(FILE, request(STAT, '/'), 1), frame(0x7f), frame(STDIN, b'x', 1, flags=2)):
            f = self.open()
            self.assertEqual(f.send(FILE, request(WRITE, self.at('f'))), 1)
            f.socket.sendall(frame(STDIN, b'good', 1) + wrong)
            last = f.is_closed()[-1]
            self.assertEqual((last.kind, last.request, last.payload[0]), (ERROR, 0, MALFORMED))
            self.assertEqual(self.left(), [])
            f.close()
        # All in one piece, with what belongs to nobody behind it.
        f = self.open()
        f.socket.sendall(frame(FILE, request(WRITE, self.at('f')), 1) + frame(STDIN, b'a', 1) + frame(STDIN, b'b', 1, STDIN_END))
        f.expect(DONE, 1)
        self.assertEqual((self.dir / 'f').read_bytes(), b'ab')
        f.close()
        f = self.open()
        f.send(EXEC, execute(['sleep', '100']))
        f.send(FILE, request(STAT, '/'))
        self.assertEqual(f.read().payload[0], BUSY)
        f.close()

    # Names

    def test_folders_and_links(self):
        self.f.file(MKDIR, self.at('d'))
        self.assertEqual(stat.S_IMODE((self.dir / 'd').stat().st_mode), 0o755)
        self.f.file(MKDIR, self.at('t'), mode=0o1777)
        self.assertEqual(stat.S_IMODE((self.dir / 't').stat().st_mode), 0o1777)
        self.fails(errno.EEXIST, self.f.file, MKDIR, self.at('d'))
        self.fails(errno.ENOENT, self.f.file, MKDIR, self.at('a/b'))
        self.f.file(MKDIR, self.at('a/b/c/'), flags=PARENTS)
        self.f.file(MKDIR, self.at('a/b/c'), flags=PARENTS)
        self.f.file(SYMLINK, self.at('l'), 'a/b')
        self.assertEqual(os.readlink(self.at('l')), 'a/b')
        self.fails(errno.EEXIST, self.f.file, SYMLINK, self.at('l'), 'x')
        self.f.write(self.at('f'), b'f')
        self.fails(errno.EEXIST, self.f.file, MKDIR, self.at('f'), flags=PARENTS)
        self.f.file(RENAME, self.at('f'), self.at('g'))
        self.f.write(self.at('f'), b'new')
        self.fails(errno.EEXIST, self.f.file, RENAME, self.at('f'), self.at('g'), flags=EXCLUSIVE)
        self.f.file(RENAME, self.at('f'), self.at('g'))
        self.assertEqual((self.dir / 'g').read_bytes(), b'new')
        self.f.file(RENAME, self.at('g'), self.at('h'), flags=EXCLUSIVE)
        other = tempfile.mkdtemp(dir='/var/tmp')                # another file system, most likely
        (self.dir / 'a/b/x').write_bytes(b'x')
        self.f.file(RENAME, self.at('a'), f'{other}/a')
        self.assertEqual((os.path.exists(self.at('a')), pathlib.Path(f'{other}/a/b/x').read_bytes()), (False, b'x'))
        self.f.file(MKDIR, self.at('a/full'), flags=PARENTS)
        self.fails(errno.ENOTEMPTY, self.f.file, RENAME, f'{other}/a', self.at('a'))
        self.fails(errno.EEXIST, self.f.file, RENAME, f'{other}/a', self.at('a'), flags=EXCLUSIVE)
        self.f.file(REMOVE, self.at('a/full'))
        self.f.file(RENAME, f'{other}/a', self.at('a'))
        self.assertEqual(((self.dir / 'a/b/x').read_bytes(), os.listdir(other)), (b'x', []))
        os.rmdir(other)
        self.assertIn(' to ', self.fails(errno.ENOENT, self.f.file, RENAME, self.at('f'), self.at('g')))

    def other_file_system(self):
        """A folder on one, in memory where it may be mounted."""
        other = pathlib.Path(tempfile.mkdtemp(dir='/var/tmp'))
        self.addCleanup(subprocess.run, ['rm', '-rf', other], check=True)
        if not subprocess.run(['mount', '-t', 'tmpfs', 'other', other], check=False, stderr=subprocess.DEVNULL).returncode:
            self.addCleanup(subprocess.run, ['umount', other], check=True)
        if other.stat().st_dev == self.dir.stat().st_dev:
            self.skipTest('no other file system')
        return other

    def test_rename_across_file_systems(self):
        """What may be at the target, and what becomes of it, is as in rename(2), which this machine's own shows."""
        def make(top):
            shutil.rmtree(top, ignore_errors=True)
            for name in ('full', 'aim', 'empty'):
                (top / name).mkdir(parents=True)
            (top / 'full/x').write_bytes(b'x')
            (top / 'aim/kept').write_bytes(b'kept')
            (top / 'f').write_bytes(b'f')
            os.mkfifo(top / 'p')
            (top / 'l').symlink_to('aim')

        def tell(top):
            return {str(p.relative_to(top)): (stat.S_IFMT(p.lstat().st_mode), os.readlink(p) if p.is_symlink() else
                                              p.read_bytes() if p.is_file() else None) for p in top.rglob('*')}

        other = self.other_file_system()
        names = ('full', 'empty', 'f', 'p', 'l', 'none')
        for one, two, flags in ((a, b, flags) for a in names for b in names for flags in (0, EXCLUSIVE)):
            with self.subTest(one=one, two=two, flags=flags):
                for top in (self.dir / 'from', other / 'to', self.dir / 'a', self.dir / 'b'):
                    make(top)
                real = 0
                try:
                    if flags and two != 'none' and one != 'none':
                        raise FileExistsError(errno.EEXIST, '')
                    os.rename(self.dir / 'a' / one, self.dir / 'b' / two)
                except OSError as e:
                    real = e.errno
                got = 0
                try:
                    self.f.file(RENAME, self.at('from', one), str(other / 'to' / two), flags=flags)
                except Refused as e:
                    got = e.errno
                self.assertEqual(got, real)
                self.assertEqual((tell(self.dir / 'from'), tell(other / 'to')), (tell(self.dir / 'a'), tell(self.dir / 'b')))

    def test_rename_through_another_mount(self):
        """To the kernel it is another file system; the file is the same, and stays."""
        for name in ('data', 'bound'):
            (self.dir / name).mkdir()
        (self.dir / 'data/f').write_bytes(b'f')
        bound = self.at('bound')
        if subprocess.run(['mount', '--bind', self.at('data'), bound], check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest('needs mount')
        try:
            self.f.file(RENAME, self.at('data', 'f'), f'{bound}/f')
            with self.assertRaises(Refused) as refused:
                self.f.file(RENAME, self.at('data', 'f'), f'{bound}/f', flags=EXCLUSIVE)
            self.assertEqual(refused.exception.errno, errno.EEXIST)
            self.assertEqual((self.dir / 'data/f').read_bytes(), b'f')
            self.f.file(RENAME, self.at('data', 'f'), f'{bound}/g')
            self.assertEqual([p.name for p in (self.dir / 'data').iterdir()], ['g'])
        finally:
            subprocess.run(['umount', '--lazy', bound], check=True)        # a worker may still be about to close it

    def test_rename_from_where_nothing_may_go(self):
        """What was at the target is still there."""
        other = self.other_file_system()
        (self.dir / 'ro').mkdir()
        (self.dir / 'ro/f').write_bytes(b'new')
        (other / 'f').write_bytes(b'old')
        if subprocess.run(['mount', '--bind', '-o', 'ro', self.at('ro'), self.at('ro')], check=False, stderr=subprocess.DEVNULL).returncode or \
                subprocess.run(['mount', '-o', 'remount,bind,ro', self.at('ro')], check=False, stderr=subprocess.DEVNULL).returncode:
            self.skipTest('needs mount')
        try:
            with self.assertRaises(Refused) as refused:
                self.f.file(RENAME, self.at('ro', 'f'), str(other / 'f'))
            self.assertEqual(refused.exception.errno, errno.EROFS)
            self.assertEqual((other / 'f').read_bytes(), b'old')
        finally:
            subprocess.run(['umount', self.at('ro')], check=True)

    def test_rename_what_does_not_move(self):
        """A disk that is full, and one that is mounted in the folder: all is as it was."""
        other = self.other_file_system()
        if not ROOT or subprocess.run(['mount', '-o', 'remount,size=1M', other], check=False).returncode:
            self.skipTest('cannot mount')
        (self.dir / 'big/deep').mkdir(parents=True)
        (self.dir / 'big/f').write_bytes(bytes(3_000_000))
        (other / 'big').mkdir()
        self.fails(errno.ENOSPC, self.f.file, RENAME, self.at('big'), f'{other}/big')
        self.fails(errno.ENOSPC, self.f.file, RENAME, self.at('big/f'), f'{other}/f')
        self.assertEqual(list(other.rglob('*')), [other / 'big'])
        subprocess.run(['mount', '-t', 'tmpfs', 'inner', self.dir / 'big/deep'], check=True)
        try:
            (self.dir / 'big/f').unlink()
            (self.dir / 'big/deep/x').touch()
            self.fails(errno.EBUSY, self.f.file, RENAME, self.at('big'), f'{other}/big')
            self.fails(errno.EINVAL, self.f.file, RENAME, self.at('big'), self.at('big/deep/y'))
            self.assertEqual((self.left(), list(other.rglob('*'))), (['big', 'big/deep', 'big/deep/x'], [other / 'big']))
        finally:
            subprocess.run(['umount', self.dir / 'big/deep'], check=True)

    def test_client_leaves_while_a_folder_moves(self):
        other = self.other_file_system()
        for n in range(3000):
            (self.dir / f'd/{n}').mkdir(parents=True)
            (self.dir / f'd/{n}/f').touch()
        f = self.open()
        f.send(FILE, request(RENAME, self.at('d'), f'{other}/d'))
        end = time.monotonic() + 20
        while not list(other.iterdir()) and time.monotonic() < end:
            time.sleep(0.001)
        f.close()
        end = time.monotonic() + 20
        while list(other.iterdir()) not in ([], [other / 'd']) and time.monotonic() < end:
            time.sleep(0.01)
        # Most likely the first; the other, when it was faster.
        if list(other.iterdir()):
            self.assertEqual(len(list(other.rglob('*'))), 6001)
        else:
            self.assertEqual(len(self.left()), 6001)

    def test_list(self):
        for name in ('a', 'b', 'sub/c', 'sub/deep/d', 'strange \n\xff'):
            path = pathlib.Path(os.fsdecode(os.fsencode(self.at()) + b'/' + name.encode('latin-1')))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        (self.dir / 'link').symlink_to('sub')
        names = lambda *a, **how: sorted(e.name for e in self.f.list(*a, **how)[0])
        self.assertEqual(names(self.at()), [b'a', b'b', b'link', b'strange \n\xff', b'sub'])
        self.assertEqual(names(self.at('link')), [b'c', b'deep'])
        everything = [b'a', b'b', b'link', b'strange \n\xff', b'sub', b'sub/c', b'sub/deep', b'sub/deep/d']
        self.assertEqual(names(self.at(), flags=RECURSIVE), everything)
        self.assertEqual(names(self.at(), flags=RECURSIVE, depth=2), everything[:-1])
        self.assertEqual(names(self.at(), flags=RECURSIVE, depth=1), everything[:5])
        found = {e.name: e for e in self.f.list(self.at(), flags=RECURSIVE)[0]}
        self.assertEqual((found[b'link'].target, found[b'sub/c'].size), (b'sub', 5))
        order = [e.name for e in self.f.list(self.at(), flags=RECURSIVE)[0]]
        self.assertLess(order.index(b'sub'), order.index(b'sub/c'))
        paged, offset = [], 0
        for _ in range(20):
            page, offset = self.f.list(self.at(), flags=RECURSIVE, offset=offset, length=3)
            paged += [e.name for e in page]
            self.assertLessEqual(len(page), 3)
            if not offset:
                break
        self.assertEqual(paged, order)
        self.assertEqual(self.f.list(self.at(), length=5)[1], 0)         # all of it, to the very last
        self.fails(errno.ENOTDIR, self.f.list, self.at('a'))
        self.fails(errno.ENOENT, self.f.list, self.at('no'))

    def test_list_many(self):
        for n in range(2000):
            (self.dir / f'{n:05}-{"x" * 100}').touch()
        found, _ = self.f.list(self.at())
        self.assertEqual(len({e.name for e in found}), 2000)

    def test_remove(self):
        (self.dir / 'd/e').mkdir(parents=True)
        (self.dir / 'd/e/f').touch()
        (self.dir / 'keep').mkdir()
        (self.dir / 'keep/f').touch()
        (self.dir / 'd/l').symlink_to('../keep')
        (self.dir / 'l').symlink_to('keep')
        self.fails(errno.ENOTEMPTY, self.f.file, REMOVE, self.at('d'))
        self.f.file(REMOVE, self.at('d/e/f'))
        self.f.file(REMOVE, self.at('d/e'))
        self.f.file(REMOVE, self.at('l/'), flags=RECURSIVE)             # the link, not what it leads to
        self.f.file(REMOVE, self.at('d'), flags=RECURSIVE)
        self.assertEqual(self.left(), ['keep', 'keep/f'])
        self.fails(errno.ENOENT, self.f.file, REMOVE, self.at('d'), flags=RECURSIVE)

    def test_remove_deep(self):
        os.chdir(self.dir)
        os.mkdir('deep')
        os.chdir('deep')
        for _ in range(4500):                                           # deeper than is walked at once
            os.mkdir('d')
            os.chdir('d')
        os.chdir('/')
        self.fails(errno.ENAMETOOLONG, self.f.file, CHMOD, self.at('deep'), flags=RECURSIVE, mode=0o700)
        self.f.file(REMOVE, self.at('deep'), flags=RECURSIVE)
        self.assertEqual(self.left(), [])

    def test_remove_what_changes(self):
        (self.dir / 'busy').mkdir()
        maker = subprocess.Popen(['sh', '-c', 'i=0; while [ $i -lt 3000 ]; do mkdir -p busy/$((i % 7)); : > busy/$((i % 7))/$i; i=$((i + 1)); done'],
                                 cwd=self.dir, stderr=subprocess.DEVNULL)
        for _ in range(5):
            self.f.file(REMOVE, self.at('busy'), flags=RECURSIVE)
            os.makedirs(self.dir / 'busy', exist_ok=True)
        maker.wait()
        self.f.file(REMOVE, self.at('busy'), flags=RECURSIVE)
        self.assertEqual(self.left(), [])

    def test_modes_and_owners(self):
        (self.dir / 'd/e').mkdir(parents=True)
        (self.dir / 'd/f').touch()
        (self.dir / 'd/l').symlink_to('/no/such')
        self.f.file(CHMOD, self.at('d/f'), mode=0o640)
        self.assertEqual(stat.S_IMODE((self.dir / 'd/f').stat().st_mode), 0o640)
        self.f.file(CHMOD, self.at('d'), mode=0o700, flags=RECURSIVE)
        for name in ('d', 'd/e', 'd/f'):
            self.assertEqual(stat.S_IMODE((self.dir / name).stat().st_mode), 0o700)
        self.fails(errno.EINVAL, self.f.file, CHMOD, self.at('d'))
        if not ROOT:
            return
        self.f.file(CHOWN, self.at('d'), uid=7, flags=RECURSIVE)
        for name in ('d', 'd/e', 'd/f', 'd/l'):
            st = (self.dir / name).lstat()
            self.assertEqual((st.st_uid, st.st_gid), (7, 0))
        (self.dir / 'top').symlink_to('d')
        self.f.file(CHOWN, self.at('top'), gid=9, flags=RECURSIVE | FOLLOW)
        self.assertEqual([(self.dir / n).lstat().st_gid for n in ('top', 'd', 'd/e', 'd/l')], [0, 9, 9, 9])
        self.f.file(CHOWN, self.at('top'), gid=8)
        self.assertEqual([(self.dir / n).lstat().st_gid for n in ('top', 'd')], [8, 9])

    def test_as_somebody(self):
        if not ROOT:
            self.skipTest('needs root')
        self.dir.chmod(0o755)
        self.fails(errno.EACCES, self.f.file, MKDIR, self.at('d'), user='daemon')
        self.fails(errno.EACCES, self.f.read_file, '/etc/shadow', user='1234:5678')
        self.f.file(MKDIR, self.at('d'), mode=0o777)
        self.f.write(self.at('d/f'), b'x', user='1234:5678')
        st = (self.dir / 'd/f').stat()
        self.assertEqual((st.st_uid, st.st_gid), (1234, 5678))
        self.f.unpack(self.at('d/t'), self.f.pack(self.at('d/f')), user='daemon', flags=PARENTS)
        self.assertEqual((self.dir / 'd/t/f').stat().st_uid, 1)

    # Trees

    def make_tree(self, name):
        top = self.dir / name
        (top / 'sub').mkdir(parents=True)
        (top / 'sub/f').write_bytes(os.urandom(200_000))
        os.link(top / 'sub/f', top / 'hard')
        (top / 'soft').symlink_to('sub/f')
        with open(top / 'sparse', 'wb') as f:
            f.seek(1 << 20)
            f.write(b'x')
            f.truncate(1 << 22)
        (top / 'sub').chmod(0o750)
        for path in (top / 'sub/f', top / 'sub', top):
            os.utime(path, ns=(1, 1_600_000_000_987_654_321))
        return top

    def tell(self, top):
        return {str(p.relative_to(top)): (p.lstat().st_mode, p.lstat().st_mtime_ns, p.lstat().st_nlink, p.lstat().st_blocks)
                for p in [top, *top.rglob('*')]}

    def test_trees_there_and_back(self):
        top = self.make_tree('top')
        data = self.f.pack(self.at('top'))
        self.f.unpack(self.at('x/y'), data, flags=PARENTS)
        self.assertEqual(self.tell(self.dir / 'x/y/top'), self.tell(top))
        self.fails(errno.ENOENT, self.f.unpack, self.at('no'), data)
        self.again()
        self.assertIn('too early', self.fails(errno.EBADMSG, self.f.unpack, self.at('x'), data[:1000]))
        self.again()
        self.assertIn('not a tar', self.fails(errno.EBADMSG, self.f.unpack, self.at('x'), b'x' * 100_000))
        self.again()
        self.fails(errno.ENOENT, self.f.pack, self.at('no'))
        self.assertEqual(self.f.stat('/').name, b'/')               # the connection goes on after a refused PACK

    def test_copy(self):
        top = self.make_tree('top')
        self.fails(errno.EISDIR, self.f.file, COPY, self.at('top'), self.at('copy'))
        self.f.file(COPY, self.at('top'), self.at('copy'), flags=RECURSIVE)
        self.assertEqual(self.tell(self.dir / 'copy'), self.tell(top))
        self.assertEqual((self.dir / 'copy/sub/f').read_bytes(), (top / 'sub/f').read_bytes())
        self.fails(errno.EEXIST, self.f.file, COPY, self.at('top'), self.at('copy'), flags=RECURSIVE | EXCLUSIVE)
        for inside in ('top/new', 'top/sub', 'top'):
            self.fails(errno.EINVAL, self.f.file, COPY, self.at('top'), self.at(inside), flags=RECURSIVE)
        self.assertFalse((top / 'new').exists())
        self.f.file(COPY, self.at('top/sparse'), self.at('s'))
        one, two = (top / 'sparse').stat(), (self.dir / 's').stat()
        self.assertEqual((one.st_size, one.st_blocks, one.st_mtime_ns), (two.st_size, two.st_blocks, two.st_mtime_ns))
        self.assertEqual((self.dir / 's').read_bytes(), (top / 'sparse').read_bytes())
        self.fails(errno.EEXIST, self.f.file, COPY, self.at('top/hard'), self.at('s'), flags=EXCLUSIVE)
        self.f.file(COPY, self.at('top/hard'), self.at('s'))
        self.assertEqual((self.dir / 's').stat().st_size, 200_000)
        self.f.file(COPY, self.at('top/soft'), self.at('l'))
        self.assertEqual(os.readlink(self.dir / 'l'), 'sub/f')
        os.mkfifo(self.dir / 'p', 0o600)
        self.f.file(COPY, self.at('p'), self.at('q'))
        self.assertTrue(stat.S_ISFIFO((self.dir / 'q').stat().st_mode))

    def test_copy_what_is_no_file(self):
        """What it replaces is there until the copy is."""
        os.mkfifo(self.dir / 'p', 0o640)
        (self.dir / 'l').symlink_to('p')
        (self.dir / 'f').write_bytes(b'kept')
        (self.dir / 'd').mkdir()
        for name in ('p', 'l'):
            self.fails(errno.EEXIST, self.f.file, COPY, self.at(name), self.at('f'), flags=EXCLUSIVE)
            self.fails(errno.EISDIR, self.f.file, COPY, self.at(name), self.at('d'))
            self.fails(errno.ENOENT, self.f.file, COPY, self.at(name), self.at('no/f'))
        if ROOT:
            self.dir.chmod(0o777)
            os.chown(self.dir / 'f', 1234, 5678)
            self.fails(errno.EPERM, self.f.file, COPY, '/dev/null', self.at('f'), user='1234:5678')
        self.assertEqual(((self.dir / 'f').read_bytes(), self.left()), (b'kept', ['d', 'f', 'l', 'p']))
        self.f.file(COPY, self.at('p'), self.at('f'))
        self.assertEqual(((self.dir / 'f').lstat().st_mode, (self.dir / 'f').lstat().st_mtime_ns),
                         (stat.S_IFIFO | 0o640, (self.dir / 'p').lstat().st_mtime_ns))
        self.f.file(COPY, self.at('l'), self.at('f'))
        self.assertEqual((os.readlink(self.dir / 'f'), self.left()), ('p', ['d', 'f', 'l', 'p']))

    # Changes

    def test_watch(self):
        w = self.open()
        following = w.watch(self.at())
        (self.dir / 'f').write_bytes(b'x')
        self.assertEqual(following(), (CREATED, 0, 0, b'f'))
        self.assertEqual(following(), (WRITTEN, 0, 0, b'f'))
        (self.dir / 'f').rename(self.dir / 'g')
        before, after = following(), following()
        self.assertEqual((before[0], before[3], after[0], after[3]), (RENAMED_FROM, b'f', RENAMED_TO, b'g'))
        self.assertTrue(before[1] and before[1] == after[1])
        (self.dir / 'g').chmod(0o600)
        self.assertEqual(following(), (ATTRIBUTES, 0, 0, b'g'))
        (self.dir / 'g').unlink()
        self.assertEqual(following(), (REMOVED, 0, 0, b'g'))
        (self.dir / 'd').mkdir()
        self.assertEqual(following(), (CREATED, 0, 1, b'd'))
        (self.dir / 'd/not-told').touch()
        (self.dir / 'd').rename(self.dir / 'e')
        self.assertEqual(following()[3], b'd')
        w.close()
        self.fails(errno.ENOENT, self.f.file, WATCH, self.at('no'))

    def test_watch_a_file(self):
        (self.dir / 'f').touch()
        w = self.open()
        following = w.watch(self.at('f'))
        (self.dir / 'f').write_bytes(b'x')
        self.assertEqual(following(), (WRITTEN, 0, 0, b''))
        w.close()

    def test_watch_a_tree(self):
        (self.dir / 'a/b').mkdir(parents=True)
        w = self.open()
        following = w.watch(self.at(), flags=RECURSIVE)
        until = lambda *what: next(e for e in iter(following, None) if (e[0], e[3]) == what)
        (self.dir / 'a/b/f').touch()
        until(CREATED, b'a/b/f')
        (self.dir / 'a/new/deep').mkdir(parents=True)
        until(CREATED, b'a/new/deep')
        time.sleep(0.2)
        (self.dir / 'a/new/deep/f').write_bytes(b'x')
        until(WRITTEN, b'a/new/deep/f')
        (self.dir / 'a/new').rename(self.dir / 'moved')
        until(RENAMED_TO, b'moved')
        time.sleep(0.2)
        (self.dir / 'moved/deep/f').write_bytes(b'y')
        until(WRITTEN, b'moved/deep/f')
        (self.dir / 'moved/deep/f').unlink()
        (self.dir / 'moved/deep').rmdir()
        until(REMOVED, b'moved/deep/f')
        until(REMOVED, b'moved/deep')
        outside = tempfile.mkdtemp(dir=MEMORY)
        (self.dir / 'moved').rename(f'{outside}/moved')
        until(RENAMED_FROM, b'moved')
        time.sleep(0.2)
        pathlib.Path(f'{outside}/moved/x').touch()
        (self.dir / 'last').touch()
        self.assertEqual(following(), (CREATED, 0, 0, b'last'))         # nothing of what left the tree
        shutil.rmtree(outside)
        w.close()

    def test_watch_too_much(self):
        w = self.open()
        following = w.watch(self.at(), flags=RECURSIVE)
        for n in range(9000):
            (self.dir / f'{n}').mkdir()
        until = lambda kind: next(e for e in iter(following, None) if e[0] == kind)
        until(OVERFLOW)
        w.close()

    # The engine

    def test_nothing_is_left_of_clients_that_leave(self):
        fds = len(os.listdir(f'/proc/{self.pid}/fd'))
        (self.dir / 'big').write_bytes(bytes(10_000_000))
        stuck = [self.open() for _ in range(6)]
        stuck[0].send(FILE, request(READ, self.at('big'), length=ALL))      # nobody reads it
        stuck[1].send(FILE, request(PACK, self.at()))
        stuck[2].send(FILE, request(WATCH, self.at()))
        stuck[3].send(FILE, request(UNPACK, self.at()))
        os.mkfifo(self.dir / 'p')
        stuck[4].send(FILE, request(READ, self.at('p'), length=ALL))        # nobody writes it
        stuck[5].send(FILE, request(WRITE, self.at('big')))
        self.assertEqual(self.f.stat('/').name, b'/')                       # the others go on
        for f in stuck:
            f.close()
        end = time.monotonic() + 10
        children = lambda: pathlib.Path(f'/proc/{self.pid}/task/{self.pid}/children').read_text().split()
        while (len(os.listdir(f'/proc/{self.pid}/fd')) > fds or children()) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual((len(os.listdir(f'/proc/{self.pid}/fd')), children()), (fds, []))
        self.assertEqual(self.left(), ['big', 'p'])


if __name__ == '__main__':
    os.umask(0o022)
    unittest.main()
