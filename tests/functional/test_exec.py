"""Commands in a guest: what they find there, their streams, their ends."""
import concurrent.futures
import hashlib
import os
import shutil
import signal
import subprocess
import threading
import time

import pytest


def sh(vm, script, *options, **how):
    return vm.exec(['/bin/sh', '-c', script], *options, **how)


def test_what_a_command_finds(vm):
    vm.boot()
    status, out, _ = sh(vm, 'cat /proc/mounts')
    mounts = {line.split()[1]: line.split()[2] for line in out.decode().splitlines()}
    assert status == 0
    for at, kind in {'/': 'overlay', '/proc': 'proc', '/sys': 'sysfs', '/dev': 'devtmpfs', '/dev/pts': 'devpts',
                     '/dev/shm': 'tmpfs', '/dev/mqueue': 'mqueue', '/run': 'tmpfs', '/sys/fs/cgroup': 'cgroup2'}.items():
        assert mounts[at] == kind
    checks = ['[ -c /dev/null ]', '[ -c /dev/ptmx ]', '[ "$(readlink /dev/fd)" = /proc/self/fd ]',
              '[ "$(stat -c %a /tmp)" = 1777 ]', '[ "$(stat -c %a /dev/shm)" = 1777 ]', 'touch /tmp/x /root/x /x',
              'grep -q 0x9 /sys/class/net/lo/flags', '[ "$(pwd)" = / ]', '[ "$HOME" = /root ]', '[ -n "$PATH" ]',
              '[ "$(ulimit -n)" = 1024 ]', '[ "$(cut -d" " -f6 /proc/$$/stat)" = $$ ]', '[ "$(umask)" = 0022 ]',
              '[ -n "$(cat /proc/sys/kernel/hostname)" ]']
    assert sh(vm, '; '.join(f'{check} || echo {n}' for n, check in enumerate(checks))) == (0, b'', b'')


def test_users_folders_and_variables(vm):
    vm.boot()
    assert vm.exec(['id', '-u'])[1] == b'0\n'
    assert sh(vm, 'id -u; id -g; echo $HOME', '-u', 'daemon') == (0, b'1\n1\n/usr/sbin\n', b'')
    assert sh(vm, 'id -u; id -g', '-u', '1234:56') == (0, b'1234\n56\n', b'')
    assert sh(vm, 'echo no > /x', '-u', '1234')[0] != 0
    assert vm.exec(['pwd'], '-w', '/usr') == (0, b'/usr\n', b'')
    assert sh(vm, 'echo "$A,$B"', '-e', 'A=1 2', '-e', 'B=') == (0, b'1 2,\n', b'')
    for options, word in ((['-u', 'nobody-is-called-so'], b'nobody-is-called-so'), (['-u', '0:no-group'], b'no-group'),
                          (['-w', '/no/such'], b'/no/such')):
        status, out, err = vm.exec(['true'], *options)
        assert (status, out) == (125, b'') and word in err and err.count(b'\n') == 1


def test_streams(vm):
    vm.boot()
    data = os.urandom(1_000_000)
    assert vm.exec(['cat'], stdin=data) == (0, data, b'')
    assert vm.exec(['sha256sum'], stdin=data)[1].split()[0].decode() == hashlib.sha256(data).hexdigest()
    assert vm.exec(['cat'], stdin=b'') == (0, b'', b'')
    assert vm.exec(['cat']) == (0, b'', b'')            # without -i there is nothing to read
    assert vm.exec(['head', '-c', '5'], stdin=data) == (0, data[:5], b'')
    status, out, err = sh(vm, 'head -c 1000000 /dev/zero; head -c 500000 /dev/zero | tr "\\0" x >&2; exit 5')
    assert (status, len(out), len(err)) == (5, 1_000_000, 500_000)
    assert set(out) == {0} and set(err) == {ord('x')}


def test_output_comes_as_it_is_written(vm):
    vm.boot()
    words = [vm.build / 'bin/vmlet', 'exec', vm.vsock_path, '--', 'sh', '-c', 'echo first; exec sleep 1000']
    with subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'first\n'
        process.kill()                                  # and with the client the command goes
    end = time.monotonic() + 30
    while sh(vm, 'cat /proc/[0-9]*/comm | grep -qx sleep')[0] == 0:
        assert time.monotonic() < end, 'the command outlived its client'


def test_ends(vm):
    vm.boot()
    assert [sh(vm, f'exit {n}')[0] for n in (0, 1, 125, 255)] == [0, 1, 125, 255]
    assert sh(vm, 'kill -9 $$')[0] == 128 + signal.SIGKILL
    assert sh(vm, 'kill -15 $$')[0] == 128 + signal.SIGTERM
    for argv, expected in ((['no-such-command'], 127), (['/no/such'], 127), (['/etc/passwd'], 126), (['/etc'], 126)):
        status, out, err = vm.exec(argv)
        assert (status, out) == (expected, b'') and argv[0].encode() in err and err.count(b'\n') == 1
    status, out, err = sh(vm, 'echo begun; sleep 1000', '--timeout', '1s')
    assert (status, out) == (124, b'begun\n') and b'time limit' in err
    # Neither a silent child nor one that never stops writing holds up the end.
    assert sh(vm, 'sleep 1000 & echo left') == (0, b'left\n', b'')
    assert sh(vm, 'yes & exit 3')[0] == 3


def test_many(vm):
    vm.boot()
    descriptors = []
    for _ in range(2):              # the first time it opens what it keeps for the next
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(sh, vm, f'echo {n}; exit {n % 7}') for n in range(32)]
            for n, job in enumerate(jobs):
                assert job.result() == (n % 7, b'%d\n' % n, b'')
        descriptors.append(int(sh(vm, 'ls /proc/1/fd | wc -l')[1]))
    assert descriptors[1] <= descriptors[0] + 7 and descriptors[1] < 100
    status, out, _ = sh(vm, 'grep -E "^Rss(Anon|Shmem)" /proc/1/status')
    assert status == 0 and sum(int(line.split()[1]) for line in out.splitlines()) <= 1024, 'the agent grew'


def test_changes_stay_in_memory(vm):
    vm.boot()
    assert sh(vm, 'echo changed > /etc/vmlet-was-here; sync; cat /etc/vmlet-was-here') == (0, b'changed\n', b'')
    assert vm.stop()[0] == 0
    vm.boot()
    assert sh(vm, 'test -e /etc/vmlet-was-here')[0] == 1


def busybox_tree(folder):
    """A root with nothing but busybox: images of it are made in no time."""
    tree = folder / 'tree'
    for name in ('bin', 'etc', 'mnt'):
        (tree / name).mkdir(parents=True)
    shutil.copy('/bin/busybox', tree / 'bin')
    for name in ('sh', 'cat', 'touch', 'mount', 'mkdir', 'sleep', 'stat'):
        (tree / 'bin' / name).symlink_to('busybox')
    return tree


def make_ext4(folder, name, *options):
    image = folder / name
    subprocess.run(['/sbin/mkfs.ext4', '-q', *options, image, '16M'], check=True)
    return image


def test_writable_images_are_left_clean(vm):
    root = make_ext4(vm.folder, 'root', '-d', busybox_tree(vm.folder))
    data = make_ext4(vm.folder, 'data')
    vm.boot('--disk', data, image=f'{root},rw')
    assert sh(vm, 'cat /proc/mounts | grep " / "')[1].split()[2] == b'ext4'
    assert sh(vm, 'echo kept > /kept && mkdir "/mnt/a b" && mount /dev/vdb "/mnt/a b" && touch "/mnt/a b/kept"') \
        == (0, b'', b'')
    assert sh(vm, 'sleep 1000 & touch /tmp/new; stat -c %a /tmp') == (0, b'1777\n', b'')   # there was no /tmp
    assert vm.stop()[0] == 0
    for image, kept in ((root, '/kept'), (data, '/kept')):
        checked = subprocess.run(['/sbin/e2fsck', '-fn', image], stdout=subprocess.PIPE, check=False)
        assert checked.returncode == 0 and b'recovering' not in checked.stdout, checked.stdout
        listed = subprocess.run(['/sbin/debugfs', '-R', f'stat {kept}', image], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, check=True)
        assert b'Type: regular' in listed.stdout
        state = subprocess.run(['/sbin/dumpe2fs', '-h', image], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
        assert b'needs_recovery' not in state.stdout


def test_root_on_erofs(vm):
    if not shutil.which('mkfs.erofs'):
        pytest.skip('mkfs.erofs is missing: install the Debian package erofs-utils')
    image = vm.folder / 'root'
    subprocess.run(['mkfs.erofs', image, busybox_tree(vm.folder)], check=True, stdout=subprocess.DEVNULL)
    vm.boot(image=image)
    assert sh(vm, 'echo changed > /etc/file; cat /etc/file') == (0, b'changed\n', b'')


def test_image_without_a_file_system(vm):
    disk = vm.folder / 'disk'
    disk.write_bytes(bytes(1 << 20))
    vm.boot(image=disk)
    status, out, err = vm.exec(['true'])
    assert (status, out) == (125, b'') and b'no file system' in err and err.count(b'\n') == 1
    assert 'no file system' in vm.console()
    assert vm.stop()[0] == 0                            # it can still be shut down


def test_vm_dies_in_the_middle(vm):
    vm.boot()
    threading.Timer(1, vm.process.kill).start()
    status, out, err = sh(vm, 'sleep 1000')
    assert (status, out) == (125, b'') and b'the VM ended' in err and err.count(b'\n') == 1
    status, _, err = sh(vm, 'true')
    assert status == 125 and b'nobody listens' in err
