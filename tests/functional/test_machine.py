"""The guest as a machine: what it uses, its clock, its disk of changes, connections into it, and its end."""
import subprocess

from agent_protocol import PING, Agent


def sh(vm, script, *options, **how):
    return vm.exec(['/bin/sh', '-c', script], *options, **how)


def make_upper(vm, size='64M'):
    disk = vm.folder / 'upper'
    subprocess.run(['/sbin/mkfs.ext4', '-q', disk, size], check=True)
    return disk


def check_clean(disk):
    """The file system needs no repair, and not even its journal was used."""
    checked = subprocess.run(['/sbin/e2fsck', '-fn', disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert checked.returncode == 0 and b'recovering' not in checked.stdout, checked.stdout
    state = subprocess.run(['/sbin/dumpe2fs', '-h', disk], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert b'needs_recovery' not in state.stdout


def test_changes_on_a_disk(vm):
    disk = make_upper(vm)
    options = ('--disk', f'{disk},serial=upper')
    vm.boot(*options)
    assert sh(vm, 'cat /proc/mounts | grep " / "')[1].split()[2] == b'overlay'
    assert sh(vm, 'echo kept > /etc/kept; rm /etc/passwd; mkdir /data; df -k / | tail -1')[0] == 0
    # It goes on over an orderly end: nothing is left to repair, though a command held files open for writing.
    assert sh(vm, 'sleep 1000 > /data/open & exit 0')[0] == 0
    assert vm.stop()[0] == 0
    check_clean(disk)
    vm.boot(*options)
    assert sh(vm, 'cat /etc/kept; test -e /etc/passwd || echo gone; ls /data') == (0, b'kept\ngone\nopen\n', b'')
    # And over the monitor's sudden death: what was synced is there, the journal mends the rest.
    assert sh(vm, 'echo synced > /data/synced; sync; for i in $(seq 200); do echo $i > /data/$i; done')[0] == 0
    vm.process.kill()
    vm.wait()
    vm.boot(*options)
    assert sh(vm, 'cat /data/synced /etc/kept') == (0, b'synced\nkept\n', b'')
    assert sh(vm, 'echo more > /data/synced')[0] == 0
    assert vm.stop()[0] == 0
    check_clean(disk)


def test_a_broken_disk_of_changes(vm):
    disk = vm.folder / 'upper'
    for content, mode, word in ((b'', 'serial=upper', 'no ext4'), (b'ext4', 'ro,serial=upper', 'written'),
                                (b'damaged', 'serial=upper', 'e2fsck')):
        disk.write_bytes(bytes(1 << 20))
        if content:
            make_upper(vm)
        if content == b'damaged':
            with open(disk, 'r+b') as f:
                f.seek(2048)                # the group descriptors
                f.write(b'\xff' * 4096)
        vm.boot('--disk', f'{disk},{mode}')
        status, out, err = vm.exec(['true'])
        assert (status, out) == (125, b'') and err.count(b'\n') == 1
        assert b'writable disk /dev/vdb' in err and word.encode() in err, err
        with Agent(vm.vsock_path) as agent:
            agent.ask(PING)                 # it still answers, and can be shut down
        assert vm.stop()[0] == 0


def test_hostname(vm):
    vm.boot('--append', 'vmlet.hostname=box-1')
    assert vm.exec(['cat', '/proc/sys/kernel/hostname']) == (0, b'box-1\n', b'')
