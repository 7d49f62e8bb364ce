"""Files and trees of a guest."""
import hashlib
import io
import os
import pathlib
import socket
import stat
import struct
import subprocess
import tarfile
import time

import pytest
from agent_files import (ALL, APPEND, CONTENTS, COPY, CREATED, EXCLUSIVE, FOLLOW, LIST, MKDIR, NO_OWNER, NUMERIC, PACK, PARENTS,
                         READ, RECURSIVE, REMOVE, RENAME, UNPACK, WATCH, WRITE, WRITTEN, Files, request)
from agent_protocol import FILE, NO_USER, STDIN, SYSTEM, Refused, frame


@pytest.fixture
def guest(vm):
    vm.boot()
    return vm


def refused(function, *args, **how):
    with pytest.raises(Refused) as caught:
        function(*args, **how)
    return caught.value


def sh(guest, script):
    with Files(guest.vsock_path) as f:
        end = f.run(script)
        assert end.status == 0, end.err
        return end.out.decode().strip()


def test_one_file_and_its_folder(guest):
    with Files(guest.vsock_path) as f:
        data = os.urandom(1_000_000)
        f.write('/tmp/a/b/file', data, flags=PARENTS, mode=0o640, uid=1, gid=2)
        assert f.read_file('/tmp/a/b/file') == data
        st = f.stat('tmp/a/b/file')                                     # relative means to the root
        assert (stat.S_IMODE(st.mode), st.uid, st.gid, st.size) == (0o640, 1, 2, 1_000_000)
        assert abs(st.mtime_ns / 1e9 - float(sh(guest, 'date +%s'))) < 30
        f.write('/tmp/a/b/file', b'more', flags=APPEND)
        assert f.read_file('/tmp/a/b/file', offset=999_999) == data[-1:] + b'more'
        f.file(RENAME, '/tmp/a/b/file', '/tmp/a/other')
        f.file(COPY, '/tmp/a', '/tmp/c', flags=RECURSIVE)
        names = [e.name for e in f.list('/tmp/c', flags=RECURSIVE)[0]]
        assert sorted(names) == [b'b', b'other']
        assert f.stat('/tmp/c/other').mode == f.stat('/tmp/a/other').mode
        f.file(REMOVE, '/tmp/a', flags=RECURSIVE)
        assert refused(f.stat, '/tmp/a').errno == 2
        assert refused(f.file, MKDIR, '/root/x', user='daemon').errno == 13
        assert refused(f.file, MKDIR, '/tmp/x', user='nobody-is-called-so').code == NO_USER
        assert refused(f.file, MKDIR, '/proc/x').code == SYSTEM
        # What the image holds and what was changed look the same, whatever lies beneath.
        assert f.read_file('/etc/passwd').startswith(b'root:')
        f.write('/etc/passwd', f.read_file('/etc/passwd') + b'new:x:77:88:::\n')
        f.write('/tmp/owned', b'', user='')
        # A folder of the image cannot be renamed by the overlay, nor one to another file system by anybody.
        folder = sh(guest, 'ls -d /etc/*/ | head -n 1').rstrip('/')
        tell = f'cd {folder}; find . -mindepth 1 | sort | xargs stat -c "%n %f %Y %s"'
        before = sh(guest, tell)
        f.file(RENAME, folder, '/etc/moved', flags=EXCLUSIVE)
        f.file(RENAME, '/etc/moved', '/dev/shm/moved')
        assert refused(f.stat, '/etc/moved').errno == 2
        f.file(RENAME, '/dev/shm/moved', folder)
        assert sh(guest, tell) == before
        sh(guest, 'mount -o remount,size=2M /dev/shm')
        assert refused(f.file, RENAME, '/usr', '/dev/shm/usr').errno == 28      # it does not fit
        assert sh(guest, 'ls -A /dev/shm; ls /usr/bin/id') == '/usr/bin/id'
        f.file(REMOVE, '/usr/bin', flags=RECURSIVE)
        assert refused(f.stat, '/usr/bin/id').errno == 2
        assert b'\nnew:' in f.read_file('/etc/passwd')


def test_trees(guest):
    """Through GNU tar in the guest, both ways: owners, links, holes, attributes, names and times."""
    sh(guest, 'mkdir -p /tmp/t/sub/empty; cd /tmp/t; echo x > f; ln f sub/hard; ln -s ../f sub/soft; chmod 4755 f; chown 3:4 f; '
              'mkfifo p; mknod null c 1 3; truncate -s 3G sparse; echo end | dd of=sparse bs=1 seek=1G conv=notrunc 2>/dev/null; '
              'touch -d @1500000000.123456789 sub/soft f sub/empty sub; chmod 1700 sub')
    with Files(guest.vsock_path) as f:
        stream = f.pack('/tmp/t', flags=CONTENTS)
        assert len(stream) < 1 << 20
        with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
            members = {m.name: m for m in tar}
        assert members['f'].uid == 3 and members['f'].uname == sh(guest, 'stat -c %U /tmp/t/f')
        assert members['f'].pax_headers['mtime'] == '1500000000.123456789'
        assert members['sub/hard'].islnk() or members['f'].islnk()
        assert members['sparse'].size == 3 << 30 and members['null'].ischr() and members['p'].isfifo()
        f.unpack('/tmp/u', stream, flags=PARENTS)
        tell = 'cd %s; find . -mindepth 1 | sort | xargs stat -c "%%n %%f %%u %%g %%h %%s %%Y %%t %%T"; cat sub/soft; stat -c %%b sparse'
        assert sh(guest, tell % '/tmp/u') == sh(guest, tell % '/tmp/t')
        f.unpack('/tmp/v', stream, flags=PARENTS | NO_OWNER, uid=9, gid=10)
        assert sh(guest, 'stat -c "%u %g %a" /tmp/v/f') == '9 10 755'
        # A link in the tree leads nowhere.
        assert refused(f.unpack, '/tmp/w', one_file('l/x', link=('l', '/etc')), flags=PARENTS).code == SYSTEM
        assert sh(guest, 'ls /tmp/w') == 'l'


def one_file(name, link):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as tar:
        info = tarfile.TarInfo(link[0])
        info.type, info.linkname = tarfile.SYMTYPE, link[1]
        tar.addfile(info)
        tar.addfile(tarfile.TarInfo(name))
    return out.getvalue()


def test_full_disk_and_clients_that_leave(guest):
    sh(guest, 'mkdir /tmp/small; mount -t tmpfs -o size=2m small /tmp/small')
    with Files(guest.vsock_path) as f:
        e = refused(f.write, '/tmp/small/f', (bytes(65520) for _ in range(200)))
        assert e.errno == 28 and '/tmp/small/f' in e.text
        assert sh(guest, 'ls -A /tmp/small') == ''
    count = 'ls /proc/1/fd | wc -l'
    before = sh(guest, count)
    for what, path in ((READ, '/dev/zero'), (PACK, '/usr'), (WATCH, '/tmp'), (UNPACK, '/tmp'), (WRITE, '/tmp/half'), (WRITE, '/tmp/half')):
        f = Files(guest.vsock_path)
        number = f.send(FILE, request(what, path, length=ALL if what == READ else 0))
        if what == WRITE:
            f.socket.sendall(frame(STDIN, bytes(65520), number))
        f.close()
    end = time.monotonic() + 60
    while sh(guest, count) != before or sh(guest, 'ls -A /tmp | grep -v small; true') or sh(guest, 'pgrep -P 1 -x vmlet-agent; true'):
        assert time.monotonic() < end, sh(guest, 'ls -lA /tmp; ls -l /proc/1/fd; ps aux')
        time.sleep(0.2)


def test_watch(guest):
    with Files(guest.vsock_path) as f:
        f.file(MKDIR, '/tmp/w')
        following = f.watch('/tmp/w', flags=RECURSIVE)
        sh(guest, 'mkdir -p /tmp/w/a/b; sleep 1; echo x > /tmp/w/a/b/f')
        seen = [following()[0::3]]
        while seen[-1] != (WRITTEN, b'a/b/f'):
            seen.append(following()[0::3])
        assert (CREATED, b'a') in seen and (CREATED, b'a/b') in seen


@pytest.mark.slow
def test_larger_than_all_memory(new_vm):
    """256 MiB through a guest of 96 MiB, onto a disk and back; neither end keeps it. (bench/files: 1 GiB.)"""
    vm = new_vm()
    disk = vm.folder / 'disk'
    with open(disk, 'wb') as d:
        d.truncate(2 << 30)
    subprocess.run(['mkfs.ext4', '-q', '-E', 'nodiscard,lazy_itable_init=1', disk], check=True)
    vm.boot('--disk', disk, memory='96M')
    sh(vm, 'mkdir /tmp/d; mount /dev/vdb /tmp/d')
    block, total = os.urandom(1 << 20), 256 << 20
    sent, received = hashlib.sha256(), hashlib.sha256()

    def parts():
        for n in range(total // len(block)):
            part = struct.pack('<Q', n) + block[8:]
            sent.update(part)
            yield part
    with Files(vm.vsock_path, timeout=1000) as f:
        f.write('/tmp/d/big', parts())
        assert f.stat('/tmp/d/big').size == total
        for part in f.pieces(READ, '/tmp/d/big', length=ALL):
            received.update(part)
        assert received.digest() == sent.digest()
        received = hashlib.sha256()
        size = sum(len(p) for p in f.pieces(PACK, '/tmp/d/big'))
        assert total < size < total + 65536
    assert int(sh(vm, "awk '/RssAnon/ { print $2 }' /proc/1/status")) < 1024
