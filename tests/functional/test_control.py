"""A running machine from outside: the control socket, pause, lifetime, and how it ended."""
import json
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import PATIENCE

COUNT = 'i=0; while :; do i=$((i+1)); echo count $i > /dev/console; sleep 0.02; done'


class Control:
    """A client of the control socket."""

    def __init__(self, vm):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(vm.folder / 'control'))
        self.file = self.socket.makefile('rb')

    def ask(self, line):
        """Return: what came after OK, or the words after ERR as a ValueError."""
        self.socket.sendall(line.encode() + b'\n')
        word, _, rest = self.file.readline().decode().rstrip('\n').partition(' ')
        if word != 'OK':
            raise ValueError(rest)
        return self.file.read(int(rest)).decode()

    def status(self):
        return json.loads(self.ask('status'))

    def event(self):
        return json.loads(self.file.readline())['event']

    def close(self):
        self.file.close()
        self.socket.close()


def boot(vm, *extra, **how):
    vm.boot('--control', vm.folder / 'control', '--exit-file', vm.folder / 'exit', *extra, **how)
    return Control(vm)


def in_background(vm, *argv):
    return subprocess.Popen([str(vm.build / 'bin/vmlet'), 'exec', str(vm.vsock_path), '--', *argv],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def counted(vm):
    return int(re.findall(r'count (\d+)\r?\n', vm.console())[-1])


@pytest.mark.parametrize('cpus', [1, 2])
def test_pause_stops_a_counting_guest_and_resume_lets_it_go_on(vm, cpus):
    control = boot(vm, cpus=cpus, memory='256M')
    counter = in_background(vm, '/bin/sh', '-c', COUNT)
    vm.wait_console('count 3')
    assert control.status()['state'] == 'running' and control.status()['ready']
    control.ask('pause')
    assert control.status()['state'] == 'paused'
    time.sleep(0.2)  # a character that was on its way
    before, cpu = counted(vm), control.status()['cpu_ns']
    # What comes from outside meanwhile waits.
    late = in_background(vm, 'echo', 'late')
    time.sleep(3)
    assert counted(vm) == before
    assert late.poll() is None
    assert control.status()['cpu_ns'] - cpu < 1e9
    control.ask('pause')
    control.ask('resume')
    control.ask('resume')
    assert late.communicate(timeout=PATIENCE) == (b'late\n', b'')
    vm.wait_console(f'count {before + 3}')
    counter.kill()
    counter.communicate()
    for _ in range(50):
        control.ask('pause')
        control.ask('resume')
    assert vm.exec(['true'])[0] == 0
    # Nothing in the guest barks about the time that was missing.
    assert not re.search('lockup|stall|blocked for more', vm.console())
    assert vm.stop()[0] == 0


def test_a_paused_machine_ends(new_vm):
    for end in ('stop', 'kill', signal.SIGTERM):
        vm = new_vm()
        control = boot(vm)
        control.ask('pause')
        if isinstance(end, str):
            control.ask(end)
        else:
            vm.process.send_signal(end)
        assert vm.wait()[0] == (13 if end == 'kill' else 0)
        assert not (vm.folder / 'control').exists()
        control.close()


def test_pause_while_the_disk_is_busy(vm):
    disk = vm.folder / 'disk'
    with open(disk, 'wb') as f:
        f.truncate(64 << 20)
    control = boot(vm, '--disk', disk, memory='256M')
    writer = in_background(vm, '/bin/sh', '-c',
                           'dd if=/dev/urandom of=/dev/vdb bs=1M count=32 conv=fsync 2>/dev/null && md5sum < /dev/vdb')
    while writer.poll() is None:
        control.ask('pause')
        time.sleep(0.05)
        control.ask('resume')
        time.sleep(0.2)
    assert writer.returncode == 0
    assert vm.stop()[0] == 0
    assert subprocess.run(['md5sum'], stdin=open(disk, 'rb'), stdout=subprocess.PIPE, check=True).stdout == \
        writer.stdout.read()


def test_metrics(vm):
    control = boot(vm, cpus=2)
    assert vm.exec(['true'])[0] == 0
    metrics = json.loads(control.ask('metrics'))
    assert sum(vcpu['exits']['mmio'] for vcpu in metrics['vcpus']) > 0      # any of them may run the guest's drivers
    assert [vcpu['kvm']['index'] for vcpu in metrics['vcpus']] == [0, 1]
    assert metrics['vcpus'][0]['kvm']['exits'] > 0
    assert set(metrics['devices']) >= {'blk0', 'vsock0', 'rng0'}
    assert metrics['devices']['vsock0']['connections'] >= 1
    assert metrics['loop']['rounds'] > 0 and metrics['log']['dropped'] == 0
    families, samples = {}, {}
    for line in control.ask('metrics prometheus').splitlines():
        if line.startswith('# TYPE '):
            _, _, name, kind = line.split()
            assert name not in families
            families[name] = kind
        elif not line.startswith('# HELP '):
            name, labels, value = re.fullmatch(r'(\w+)\{((?:\w+="[\w-]+",?)+)\} (\d+)', line).groups()
            assert families[name] == 'counter' and (name, labels) not in samples
            assert name == list(families)[-1], 'a family in two pieces'
            samples[name, labels] = int(value)
    assert samples['vmlet_exits_total', 'vcpu="0",kind="mmio"'] >= metrics['vcpus'][0]['exits']['mmio']
    assert samples['vmlet_device_total', 'device="blk0",counter="guest_errors"'] == 0
    assert samples['vmlet_kvm_total', 'vcpu="1",counter="exits"'] > 0
    assert vm.exec(['true'])[0] == 0
    assert vm.stop()[0] == 0


def test_events_tell_a_life(vm):
    vm.start('--control', vm.folder / 'control', '--boot-timeout', f'{PATIENCE}s')
    end = time.monotonic() + PATIENCE
    while not (vm.folder / 'control').exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    events, control = Control(vm), Control(vm)
    if not json.loads(events.ask('subscribe'))['ready']:
        assert events.event() == 'ready'
    control.ask('pause')
    control.ask('resume')
    control.ask('stop')
    assert [events.event() for _ in range(3)] == ['paused', 'resumed', 'stopping']
    assert events.file.readline() == b''
    assert vm.wait()[0] == 0


def exit_of(vm):
    told = vm.json('exit')
    assert abs(told['ended_ns'] / 1e9 - time.time()) < 100
    assert not (vm.folder / 'exit.new').exists()
    return told['status'], told['name'], told['reason']


def test_lifetime(vm):
    start = time.monotonic()
    boot(vm, '--lifetime', '15s')
    assert vm.wait()[0] == 0
    assert time.monotonic() - start >= 15
    assert exit_of(vm) == (0, 'powered-off', 'lifetime')


def test_exit_file_for_each_way_of_ending(new_vm):
    call = 'import ctypes; ctypes.CDLL(None).reboot(%s)'
    ways = {
        'powered-off': (0, ['python3', '-c', call % '0x4321fedc'], 'powered off'),
        'reboot': (10, ['python3', '-c', call % '0x1234567'], 'reboot'),
        'panic': (12, ['/bin/sh', '-c', 'echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger'], 'panicked'),
    }
    for name, (status, argv, words) in ways.items():
        vm = new_vm()
        boot(vm)
        vm.exec(argv)
        assert vm.wait()[0] == status
        assert exit_of(vm)[:2] == (status, name) and words in exit_of(vm)[2]
    vm = new_vm()
    boot(vm)
    vm.process.send_signal(signal.SIGTERM)
    vm.process.send_signal(signal.SIGTERM)
    vm.wait()
    assert exit_of(vm)[0] in (0, 13)
    vm = new_vm()
    control = boot(vm)
    control.ask('kill')
    assert vm.wait()[0] == 13
    assert exit_of(vm)[:2] == (13, 'ended')
    vm = new_vm()
    vm.run('--exit-file', vm.folder / 'exit', '--boot-timeout', '50ms')
    assert exit_of(vm)[:2] == (6, 'boot-timeout')


def test_exit_file_of_what_never_started(vm):
    bad = {3: ('input', {'kernel': '/nonexistent'}), 5: ('resources', {'memory': '512G'}), 2: ('usage', {'cpus': 300})}
    for status, (name, how) in bad.items():
        (vm.folder / 'exit').write_text('of an earlier run')
        assert vm.run('--exit-file', vm.folder / 'exit', **how)[0] == status
        assert exit_of(vm)[:2] == (status, name)


def test_a_killed_monitor_leaves_no_exit_file(vm):
    (vm.folder / 'exit').write_text('of an earlier run')
    boot(vm)
    vm.process.kill()
    assert vm.wait()[0] == -signal.SIGKILL
    assert not (vm.folder / 'exit').exists() and not (vm.folder / 'exit.new').exists()


def test_bad_clients_harm_nobody(vm):
    control = boot(vm)
    for garbage in (b'\0' * 5000, b'\xff' * 100, b'status', b'GET / HTTP/1.1\r\n\r\n', b'metrics\n' * 10000):
        bad = Control(vm)
        try:
            bad.socket.sendall(garbage)
        except (BrokenPipeError, ConnectionResetError):
            pass
        bad.close()
    lazy = [Control(vm) for _ in range(14)]
    for client in lazy:
        client.socket.setblocking(False)
        try:
            for _ in range(100000):
                client.socket.send(b'metrics\n' * 64)
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
    assert control.status()['state'] == 'running'
    assert vm.exec(['true'])[0] == 0
    for client in lazy:
        client.close()
    assert vm.stop()[0] == 0
