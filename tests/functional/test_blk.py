"""Disks as a guest sees them: sizes, serials, content both ways, flush, discard, zeroes, a driver that comes and goes."""
import contextlib
import hashlib
import os
import subprocess
import textwrap

import pytest

MIB = 1 << 20
BLKDISCARD, BLKZEROOUT = 0x1277, 0x127f


def make_disk(path, mib, fill=None):
    with open(path, 'wb') as file:
        file.truncate(mib * MIB)
        if fill is not None:
            file.write(fill)
    return path


def python(vm, text, *args):
    """Runs Python in the guest, as root. Return: what it printed."""
    status, out, err = vm.exec(['python3', '-c', textwrap.dedent(text), *args])
    assert status == 0, err.decode(errors='replace')
    return out.decode().strip()


def end_and_count(vm):
    """Return: the counters of each disk of a machine that was started with --stats."""
    status, _, err = vm.stop()
    assert status in (0, 13), err
    return vm.json('stats')['devices']


@contextlib.contextmanager
def ext4(folder):
    """A file system that knows O_DIRECT: what the lab starts from may not."""
    image, point = folder / 'ext4', folder / 'mnt'
    point.mkdir()
    with open(image, 'wb') as file:
        file.truncate(128 * MIB)
    try:
        subprocess.run(['mkfs.ext4', '-q', image], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['mount', '-o', 'loop', image, point], check=True, stderr=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f'no loop device here: {error}')
    try:
        yield point
    finally:
        subprocess.run(['umount', '-l', point], check=False)


READ_ALL = '''
    import hashlib, sys
    with open(sys.argv[1], 'rb', buffering=0) as disk:
        digest = hashlib.sha256()
        while data := disk.read(1 << 20):
            digest.update(data)
    print(digest.hexdigest())
'''

# The last MiB, past the guest's page cache.
READ_SMALL = '''
    import hashlib, mmap, os, sys
    disk, page = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 4096)
    end = os.lseek(disk, 0, os.SEEK_END)
    digest = hashlib.sha256()
    for at in range(end - 256 * 4096, end, 4096):
        assert os.preadv(disk, [page], at) == 4096
        digest.update(page)
    print(digest.hexdigest())
'''

WRITE = '''
    import os, sys
    disk = os.open(sys.argv[1], os.O_RDWR)
    for i in range(64):
        os.pwrite(disk, bytes([i + 1]) * 4096, i * 65536)
    os.fsync(disk)
    print(sum(os.pread(disk, 4096, i * 65536)[7] == i + 1 for i in range(64)))
'''


def written(path):
    with open(path, 'rb') as file:
        data = file.read(64 * 65536)
    return all(data[i * 65536:i * 65536 + 4096] == bytes([i + 1]) * 4096 for i in range(64))


def test_disks(vm):
    content = os.urandom(8 * MIB)
    b = make_disk(vm.folder / 'b', 8, content)
    c = make_disk(vm.folder / 'c', 16)
    vm.boot('--disk', f'{b},ro,serial=disk-b', '--disk', f'{c},serial=12345678901234567890',
            '--stats', vm.folder / 'stats', image=True)
    assert python(vm, '''
        for name in ('vdb', 'vdc'):
            print(*(open(f'/sys/block/{name}/{what}').read().strip() for what in ('size', 'ro', 'serial')))
    ''').splitlines() == ['16384 1 disk-b', '32768 0 12345678901234567890']
    assert python(vm, READ_ALL, '/dev/vdb') == hashlib.sha256(content).hexdigest()
    assert python(vm, WRITE, '/dev/vdc') == '64'
    assert written(c)           # fsync came back: the host has it
    status, _, _ = vm.exec(['dd', 'if=/dev/zero', 'of=/dev/vdb', 'bs=4096', 'count=1'])
    assert status != 0
    devices = end_and_count(vm)
    assert b.read_bytes() == content
    assert devices['blk2']['flushes'] >= 1
    assert devices['blk2']['written_bytes'] >= 64 * 4096
    assert devices['blk1']['merges'] + devices['blk1']['reads'] > 0
    for name in ('blk0', 'blk1', 'blk2'):
        assert devices[name]['guest_errors'] == devices[name]['host_errors'] == 0


def test_direct(vm):
    with ext4(vm.folder) as point:
        content = os.urandom(8 * MIB)
        b = make_disk(point / 'b', 8, content)
        c = make_disk(point / 'c', 16)
        vm.boot('--disk', f'{b},ro,direct', '--disk', f'{c},direct', '--stats', vm.folder / 'stats')
        assert python(vm, READ_ALL, '/dev/vdb') == hashlib.sha256(content).hexdigest()
        assert python(vm, WRITE, '/dev/vdc') == '64'
        assert written(c)
        assert python(vm, READ_SMALL, '/dev/vdb') == hashlib.sha256(content[-256 * 4096:]).hexdigest()
        devices = end_and_count(vm)
        assert devices['blk1']['host_errors'] == devices['blk2']['host_errors'] == 0
        # Only what is too large for the loop goes to the worker.
        assert devices['blk1']['reads'] - devices['blk1']['worker_trips'] >= 256


def test_discard_and_zeroes(vm):
    with ext4(vm.folder) as point:
        b = make_disk(point / 'b', 8, b'\xff' * (8 * MIB))
        vm.boot('--disk', b, '--stats', vm.folder / 'stats')
        before = os.stat(b).st_blocks
        python(vm, f'''
            import fcntl, os, struct
            disk = os.open('/dev/vdb', os.O_RDWR)
            fcntl.ioctl(disk, {BLKDISCARD}, struct.pack('=QQ', 0, 4 << 20))
            fcntl.ioctl(disk, {BLKZEROOUT}, struct.pack('=QQ', 6 << 20, 1 << 20))
            os.fsync(disk)
        ''')
        data = b.read_bytes()
        assert data[:4 * MIB] == bytes(4 * MIB)
        assert data[4 * MIB:6 * MIB] == b'\xff' * (2 * MIB)
        assert data[6 * MIB:7 * MIB] == bytes(MIB)
        assert data[7 * MIB:] == b'\xff' * MIB
        os.sync()
        assert os.stat(b).st_blocks <= before - 4 * MIB // 512
        devices = end_and_count(vm)
        assert devices['blk1']['discards'] >= 1
        assert devices['blk1']['write_zeroes'] >= 1


def test_driver_comes_and_goes(vm):
    """The driver lets go of a disk that is being read, and takes it again: a reset with reads in flight."""
    b = make_disk(vm.folder / 'b', 32, os.urandom(MIB))
    vm.boot('--disk', b, '--stats', vm.folder / 'stats')
    assert python(vm, '''
        import glob, hashlib, os, subprocess, time
        name = os.path.basename(os.path.dirname(glob.glob('/sys/bus/virtio/devices/virtio*/block/vdb')[0][:-len('/vdb')]))
        driver = '/sys/bus/virtio/drivers/virtio_blk/'
        for _ in range(5):
            readers = [subprocess.Popen(['dd', 'if=/dev/vdb', 'of=/dev/null', 'bs=64k', 'iflag=direct'],
                                        stderr=subprocess.DEVNULL) for _ in range(2)]
            time.sleep(0.01)
            open(driver + 'unbind', 'w').write(name)
            for reader in readers:
                reader.wait()
            open(driver + 'bind', 'w').write(name)
            while not os.path.exists('/dev/vdb'):
                time.sleep(0.01)
        print(hashlib.sha256(open('/dev/vdb', 'rb').read(1 << 20)).hexdigest())
    ''') == hashlib.sha256(b.read_bytes()[:MIB]).hexdigest()
    assert end_and_count(vm)['blk1']['guest_errors'] == 0


@pytest.mark.slow
def test_many_disks(vm):
    disks = [make_disk(vm.folder / f'd{i}', 1, bytes([i]) * 4096) for i in range(15)]     # and the root: 16
    vm.boot(*(word for disk in disks for word in ('--disk', disk)))
    assert python(vm, '''
        for name in 'bcdefghijklmnop':
            print(open(f'/dev/vd{name}', 'rb').read(4096)[0], end=' ')
    ''') == ' '.join(str(i) for i in range(15))


def test_odd_size_is_refused(vm):
    odd = vm.folder / 'odd'
    odd.write_bytes(b'x' * 1000)
    status, _, err = vm.run('--disk', odd)
    assert status == 3
    assert '512' in err and len(err.strip().splitlines()) == 1
