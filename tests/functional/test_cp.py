"""vmlet cp: files and trees into a guest and out of it."""
import hashlib
import io
import os
import pathlib
import random
import stat
import subprocess
import tarfile

import pytest


def cp(vm, *words, status=0, stdin=None):
    """Runs vmlet cp; words that begin with ':' are paths in the guest. Return: (stdout, stderr)."""
    words = [str(w) if not str(w).startswith(':') else f'{vm.vsock_path}{w}' for w in words]
    done = subprocess.run([vm.build / 'bin/vmlet', 'cp', *words], input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=1800)
    assert done.returncode == status, done.stderr
    return done.stdout, done.stderr


def sh(vm, script):
    status, out, err = vm.exec(['/bin/sh', '-c', script])
    assert status == 0, err
    return out.decode()


@pytest.fixture
def box(vm):
    vm.boot()
    return vm


def make_tree(top):
    (top / 'sub/deep').mkdir(parents=True)
    (top / 'empty').mkdir()
    (top / 'file').write_bytes(b'x' * 100_000)
    (top / 'sub/deep/script').write_text('#!/bin/sh\n')
    (top / 'sub/deep/script').chmod(0o750)
    (top / 'sub/link').symlink_to('../file')
    os.link(top / 'file', top / 'sub/hard')
    (top / 'name with\nnewline').write_text('strange')
    with open(top / 'sparse', 'wb') as f:
        f.truncate(50 << 20)
        f.seek(20 << 20)
        f.write(b'middle')
    os.utime(top / 'file', ns=(0, 1_500_000_000_123_456_789))


def describe(top):
    found = {}
    for path in sorted(top.rglob('*')):
        st = path.lstat()
        kind = stat.S_IFMT(st.st_mode)
        body = os.readlink(path) if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ''
        found[str(path.relative_to(top))] = kind, stat.S_IMODE(st.st_mode), st.st_mtime_ns if kind == stat.S_IFREG else 0, body
    return found


def test_tree_there_and_back(box, tmp_path):
    make_tree(tmp_path / 'tree')
    cp(box, tmp_path / 'tree', ':/srv')
    assert sh(box, 'cd /srv/tree; stat -c %a sub/deep/script; readlink sub/link; stat -c %h file; stat -c %U file; '
                   'stat -c %y file | cut -c1-29; [ $(stat -c %b sparse) -lt 1000 ] && echo sparse') == \
        '750\n../file\n2\nroot\n2017-07-14 02:40:00.123456789\nsparse\n'
    cp(box, ':/srv/tree', tmp_path / 'back')
    assert describe(tmp_path / 'tree') == describe(tmp_path / 'back')
    assert (tmp_path / 'back/sparse').stat().st_blocks < 1000
    assert (tmp_path / 'back/file').stat().st_ino == (tmp_path / 'back/sub/hard').stat().st_ino


def test_where_it_goes(box, tmp_path):
    make_tree(tmp_path / 'tree')
    (tmp_path / 'one').write_text('one')
    sh(box, 'mkdir /d /d2')
    cp(box, tmp_path / 'one', ':/d')
    cp(box, tmp_path / 'one', ':/d/two')
    cp(box, tmp_path / 'one', ':/d/two')                # over itself
    cp(box, str(tmp_path / 'tree') + '/.', ':/d2')
    cp(box, tmp_path / 'tree', ':/d/new')
    cp(box, tmp_path / 'tree', ':/d/new')               # into the folder that is there now
    assert sh(box, 'cd /d; cat one two; echo; ls new/tree/file /d2/file').split() == ['oneone', '/d2/file', 'new/tree/file']
    for words, said in (((tmp_path / 'one', ':/d/no/'), b'no such folder'), ((tmp_path / 'one', ':/no/such/x'), b'No such file'),
                        ((tmp_path / 'tree', ':/d/one'), b'cannot be copied over'), ((tmp_path / 'none', ':/d'), b'none'),
                        ((':/no/such', tmp_path), b'No such file'), ((tmp_path, tmp_path), b'must be in a sandbox'),
                        ((':/d', ':/e'), b'from one sandbox to another'), ((tmp_path,), b'from where to where')):
        out, err = cp(box, *words, status=125)
        assert said.lower() in err.lower() and err.count(b'\n') == 1, err
    os.chdir(tmp_path)
    cp(box, ':/d/one', '.')
    cp(box, ':d/two', 'three')
    assert (tmp_path / 'one').read_text() == (tmp_path / 'three').read_text() == 'one'
    cp(box, ':/d2/.', tmp_path / 'tree/empty')
    assert (tmp_path / 'tree/empty/sub/deep/script').exists()


def test_streams_owners_links(box, tmp_path):
    sh(box, 'mkdir /d; echo x > /d/f; chown 12:34 /d/f; ln -s f /d/l; mknod /d/null c 1 3; cp /d/f /d/su; chmod 4755 /d/su')
    data, _ = cp(box, ':/d', '-')
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert sorted(tar.getnames()) == ['d', 'd/f', 'd/l', 'd/null', 'd/su'] and tar.getmember('d/f').uid == 12
    sh(box, 'mkdir /e')
    cp(box, '-a', '-', ':/e', stdin=data)
    assert sh(box, 'stat -c %u:%g /e/d/f') == '12:34\n'
    cp(box, ':/d', tmp_path)
    assert (tmp_path / 'd/f').stat().st_uid == os.geteuid() and not (tmp_path / 'd/null').exists()
    assert (tmp_path / 'd/su').stat().st_mode & 0o7000 == 0
    cp(box, '-L', ':/d/l', tmp_path / 'followed')
    cp(box, ':/d/l', tmp_path / 'link')
    assert (tmp_path / 'followed').read_text() == 'x\n' and os.readlink(tmp_path / 'link') == 'f'
    if os.geteuid() == 0:
        cp(box, '-a', ':/d/f', tmp_path / 'owned')
        assert (tmp_path / 'owned').stat().st_uid == 12
    _, err = cp(box, '-', ':/e', stdin=b'no tar at all' * 100, status=125)
    assert err.count(b'\n') == 1
    _, err = cp(box, '-', ':/e', stdin=data[:2000], status=125)
    assert err.count(b'\n') == 1
    _, err = cp(box, '-', ':/no/such', stdin=data, status=125)
    assert b'o such' in err


def test_full_disks(box, tmp_path):
    with open(tmp_path / 'big', 'wb') as f:
        f.write(os.urandom(1 << 20) * 64)
    sh(box, 'mkdir /small; mount -t tmpfs -o size=1M none /small')
    _, err = cp(box, tmp_path / 'big', ':/small', status=125)
    assert b'o space' in err
    if os.geteuid() == 0:
        (tmp_path / 'small').mkdir()
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=1M', 'none', tmp_path / 'small'], check=True)
        sh(box, 'head -c 4000000 /dev/urandom > /big')
        _, err = cp(box, ':/big', tmp_path / 'small', status=125)
        subprocess.run(['umount', tmp_path / 'small'], check=True)
        assert b'o space' in err and err.count(b'\n') == 1


def peak_kib(pid):
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith('VmHWM')))


def blocks(n):
    """A file of n MiB, each of its own; compared as they are, since a checksum takes long on an emulated processor."""
    piece = random.Random(1).randbytes((1 << 20) - 8)
    for number in range(n):
        yield number.to_bytes(8, 'little') + piece


@pytest.mark.parametrize('mib', [48, pytest.param(1024, marks=pytest.mark.long)])
def test_large_file(vm, tmp_path, mib):
    """1 GiB, larger than the guest's memory and the tool's: it lands on a disk of the guest."""
    disk = tmp_path / 'disk'
    with open(disk, 'wb') as f:
        f.truncate(mib * 3 << 19)
    subprocess.run(['/sbin/mkfs.ext4', '-q', disk], check=True)
    vm.boot('--disk', disk)
    sh(vm, 'mkdir /data; mount /dev/vdb /data')
    with open(tmp_path / 'big', 'wb') as f:
        f.writelines(blocks(mib))
    cp(vm, '-q', tmp_path / 'big', ':/data')
    (tmp_path / 'big').unlink()
    with subprocess.Popen([vm.build / 'bin/vmlet', 'cp', '-q', f'{vm.vsock_path}:/data/big', tmp_path]) as process:
        highest = 0
        while process.poll() is None:
            try:
                if os.readlink(f'/proc/{process.pid}/exe').endswith('/vmlet'):  # not before its exec
                    highest = max(highest, peak_kib(process.pid))
                process.wait(0.1)
            except (subprocess.TimeoutExpired, FileNotFoundError, StopIteration):
                continue
        assert process.returncode == 0 and 0 < highest < 8192, highest
    with open(tmp_path / 'big', 'rb') as f:
        assert all(f.read(1 << 20) == block for block in blocks(mib)) and not f.read(1)
