"""The main job: a kernel boots, a command runs inside, its output and exit status come back."""
import os
import signal
import stat

import pytest


@pytest.mark.parametrize('name', ['vmlinux', 'bzImage'])
def test_a_command_runs_and_its_status_comes_back(vm, name):
    vm.boot(kernel=name)
    assert vm.exec(['/bin/sh', '-c', 'echo out; echo err >&2; exit 42']) == (42, b'out\n', b'err\n')


def test_python_runs(vm):
    vm.boot(memory='256M')
    assert vm.exec(['python3', '-c', 'print(sum(range(1000)))']) == (0, b'499500\n', b'')


def test_timeline_names_all_stages_in_order(vm):
    vm.boot('--timeline', vm.folder / 'timeline')
    assert vm.stop()[0] == 0
    times = vm.json('timeline')
    order = ['monitor_start', 'vm_created', 'first_instruction', 'kernel', 'init', 'agent_ready']
    assert list(times) == order
    assert [times[stage] for stage in order] == sorted(times.values())


def test_ready_is_told_once(vm):
    vm.start('--ready-fd', 1)
    assert vm.process.stdout.read(6) == b'ready\n'
    again = "import os; f = os.open('/dev/port', os.O_WRONLY); [os.pwrite(f, b' ', 0x602) for _ in range(1000)]"
    assert vm.exec(['python3', '-c', again])[0] == 0
    assert vm.stop() == (0, '', '')


def test_counters_are_written(vm):
    vm.boot('--stats', vm.folder / 'stats', cpus=2)
    assert vm.exec(['true'])[0] == 0
    assert vm.stop()[0] == 0
    stats = vm.json('stats')
    assert sum(vcpu['exits']['mmio'] for vcpu in stats['vcpus']) > 0      # which of them boots is the kernel's choice
    assert [vcpu['kvm']['index'] for vcpu in stats['vcpus']] == [0, 1]
    assert stats['devices']['blk0']['guest_errors'] == 0
    assert set(stats['devices']) >= {'blk0', 'vsock0', 'rng0'}


@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGINT])
def test_signal_shuts_the_guest_down_cleanly(vm, sig):
    vm.boot()
    assert vm.stop(sig) == (0, '', '')
    assert not vm.vsock_path.exists()


def test_kill_leaves_nothing_that_stops_the_next_start(vm, image):
    vm.boot(image=f'{image},ro')
    vm.process.kill()
    assert vm.wait()[0] == -signal.SIGKILL
    vm.boot(image=f'{image},ro')
    assert vm.exec(['true'])[0] == 0


def test_power_off_ends_with_0(vm):
    vm.boot()
    vm.exec(['python3', '-c', 'import ctypes; ctypes.CDLL(None).reboot(0x4321fedc)'])
    assert vm.wait() == (0, '', '')


def test_reboot_has_its_status(vm):
    vm.boot()
    vm.exec(['python3', '-c', 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'])
    status, _, err = vm.wait()
    assert status == 10 and 'reboot' in err


def test_panic_has_its_status_and_its_words(vm):
    vm.boot()
    vm.exec(['/bin/sh', '-c', 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger'])
    status, _, err = vm.wait()
    assert status == 12 and 'panic' in err
    assert 'Kernel panic' in vm.console()


def test_triple_fault_has_its_status(vm):
    vm.boot('--append', 'reboot=t')
    vm.exec(['python3', '-c', 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'])
    status, _, err = vm.wait()
    assert status == 11 and 'triple fault' in err


def test_guest_that_never_boots_ends_in_time(vm):
    status, _, err = vm.run('--boot-timeout', '1s', '--append', 'init=/nonexistent rdinit=/nonexistent panic=0')
    assert status in (6, 12)
    status, _, err = vm.run('--boot-timeout', '50ms')
    assert status == 6 and '--boot-timeout' in err


def test_image_is_not_changed_unless_asked(vm, image):
    before = os.stat(image).st_mtime_ns
    vm.boot()
    assert vm.exec(['/bin/sh', '-c', 'echo kept > /etc/kept; cat /etc/kept'])[1] == b'kept\n'
    assert vm.stop()[0] == 0
    assert os.stat(image).st_mtime_ns == before


def test_writable_image_keeps_its_changes(vm, image):
    copy = vm.folder / 'copy.img'
    copy.write_bytes(image.read_bytes())
    for expected in (b'', b'kept\n'):
        vm.boot(image=f'{copy},rw')
        assert vm.exec(['/bin/sh', '-c', 'cat /kept 2>/dev/null; echo kept > /kept'])[1] == expected
        assert vm.stop()[0] == 0


def test_console_on_standard_output(vm):
    vm.boot(serial='stdio')
    assert vm.exec(['/bin/sh', '-c', 'echo hello > /dev/console'])[0] == 0
    status, out, _ = vm.stop()
    assert status == 0 and 'hello' in out


def test_socket_is_the_owners_alone(vm):
    vm.boot()
    assert stat.S_IMODE(os.stat(vm.vsock_path).st_mode) == 0o600


def test_configuration_file(vm, kernel, image):
    config = vm.folder / 'vm.json'
    config.write_text(f'{{"kernel": "{kernel}/vmlinux", "image": "{image}", "memory": "128M", "cpus": 1}}')
    vm.boot('--config', config, kernel=None, image=None, memory=None, cpus=None)
    assert vm.exec(['true'])[0] == 0
