"""Limits of disks: what passes in a second, in bytes and in requests. The guest waits, and sees no error."""
import re
import textwrap

import pytest

from test_control import boot

MIB = 1 << 20


def make_disk(path, mib):
    with open(path, 'wb') as file:
        file.truncate(mib * MIB)
    return path


# Reads, past the page cache, so many pieces of so many bytes, one after the other or as one reader of several.
READ = '''
    import mmap, os, sys, time
    path, size, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    write = len(sys.argv) > 4
    disk, piece = os.open(path, (os.O_RDWR if write else os.O_RDONLY) | os.O_DIRECT), mmap.mmap(-1, size)
    began = time.monotonic()
    for i in range(n):
        assert (os.pwritev if write else os.preadv)(disk, [piece], i * size) == size
    print(time.monotonic() - began)
'''


def read_for(vm, path, size, n, *write):
    """Seconds, by the guest's clock."""
    status, out, err = vm.exec(['python3', '-c', textwrap.dedent(READ), path, str(size), str(n), *write])
    assert status == 0, err.decode(errors='replace')
    return float(out)


def check_rate(seconds, amount, rate):
    """A full bucket at first, then as it fills: within 15 %, and a little for a busy host."""
    want = (amount - rate) / rate
    assert want * 0.95 < seconds < want * 1.15 + 0.5, f'{seconds:.2f} s instead of {want:.2f} s'


@pytest.mark.parametrize('write', [[], ['write']])
def test_bandwidth(vm, write):
    vm.boot('--disk', f'{make_disk(vm.folder / "b", 32)},bw=4M', '--stats', vm.folder / 'stats')
    check_rate(read_for(vm, '/dev/vdb', 65536, 14 * 16, *write), 14, 4)
    assert not re.search('I/O error|hung', vm.exec(['dmesg'])[1].decode())
    vm.stop()
    disk = vm.json('stats')['devices']['blk1']
    assert disk['host_errors'] == disk['refused'] == disk['guest_errors'] == 0
    # A timer is set when something waits, and goes off when it may pass.
    assert 0 < disk['throttled'] <= 14 * 16 + 50


def test_requests(vm):
    vm.boot('--disk', f'{make_disk(vm.folder / "b", 8)},iops=40')
    check_rate(read_for(vm, '/dev/vdb', 4096, 140), 140, 40)


def test_requests_larger_than_a_second(vm):
    vm.boot('--disk', f'{make_disk(vm.folder / "b", 8)},bw=256K')
    # One of 1 MiB goes at once, and those that follow pay for it; nobody waits for the last one's debt.
    assert read_for(vm, '/dev/vdb', MIB, 3) > (3 * 4 - 1 - 4) * 0.95


def test_limits_change_at_run_time(vm):
    control = boot(vm, '--disk', make_disk(vm.folder / 'b', 64))
    free = read_for(vm, '/dev/vdb', 65536, 160)
    control.ask('rate 1 2M 0')
    check_rate(read_for(vm, '/dev/vdb', 65536, 8 * 16), 8, 2)
    control.ask('rate 1 0 30')
    check_rate(read_for(vm, '/dev/vdb', 4096, 90), 90, 30)
    control.ask('rate 1 0 0')
    assert read_for(vm, '/dev/vdb', 65536, 160) < max(4 * free, 1)
    with pytest.raises(ValueError, match='no such disk'):
        control.ask('rate 2 0 0')


def test_root_disk(vm):
    """The image too: a boot needs some requests, and then it is slow, not broken."""
    vm.boot('--stats', vm.folder / 'stats', image=f'{vm.image},iops=10')
    assert vm.exec(['python3', '-c', 'print(6 * 7)'])[1] == b'42\n'
    vm.stop()
    assert vm.json('stats')['devices']['blk0']['throttled'] > 0


def test_driver_comes_and_goes_while_it_waits(vm):
    """A reset with requests that wait for their tokens."""
    vm.boot('--disk', f'{make_disk(vm.folder / "b", 8)},iops=10', '--stats', vm.folder / 'stats')
    assert vm.exec(['python3', '-c', textwrap.dedent('''
        import glob, os, subprocess, time
        name = os.path.basename(os.path.dirname(glob.glob('/sys/bus/virtio/devices/virtio*/block/vdb')[0][:-len('/vdb')]))
        driver = '/sys/bus/virtio/drivers/virtio_blk/'
        reader = subprocess.Popen(['dd', 'if=/dev/vdb', 'of=/dev/null', 'bs=4k', 'count=40', 'iflag=direct'],
                                  stderr=subprocess.DEVNULL)
        time.sleep(1)
        open(driver + 'unbind', 'w').write(name)
        reader.wait()
        open(driver + 'bind', 'w').write(name)
        while not os.path.exists('/dev/vdb'):
            time.sleep(0.01)
        print(len(open('/dev/vdb', 'rb').read(4096)))
    ''')])[:2] == (0, b'4096\n')
    vm.stop()
    assert vm.json('stats')['devices']['blk1']['guest_errors'] == 0
