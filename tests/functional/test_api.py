"""The API of a VM: Firecracker's clients drive a machine from nothing to its end. curl is such a client."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import ROOT, made_by

# Runs as init of the root disk, on a kernel that was given no initrd.
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
echo "guest: words $($b cat /proc/cmdline)"
echo "guest: $($b nproc) processors, $($b awk '/MemTotal/ { print $2 }' /proc/meminfo) KiB"
for disk in /sys/block/vd*; do echo "guest: ${disk##*/} has $($b cat $disk/size) sectors, ro=$($b cat $disk/ro)"; done
i=0
while [ ! -e /stop ]; do
    echo "guest: tick $i"
    i=$((i + 1))
    [ "$($b dd if=/dev/vdb bs=512 count=1 iflag=direct 2>/dev/null | $b head -c 4)" = stop ] && break
    $b sleep 0.1
done
$b reboot -f
"""


@pytest.fixture(scope='module')
def disk(tmp_path_factory):
    folder = tmp_path_factory.mktemp('disks')
    tree = folder / 'tree'
    for name in ('bin', 'sbin', 'dev', 'proc', 'sys'):
        (tree / name).mkdir(parents=True)
    shutil.copy('/bin/busybox', tree / 'bin/busybox')
    (tree / 'sbin/init').write_text(INIT)
    (tree / 'sbin/init').chmod(0o755)
    subprocess.run([shutil.which('mke2fs', path='/usr/sbin:/sbin:/usr/bin'), '-q', '-t', 'ext4', '-d', tree,
                    folder / 'root.img', '16M'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return folder / 'root.img'


@pytest.fixture(scope='module')
def debian():
    return made_by('VMLET_DEBIAN', pathlib.Path(__file__).with_name('debian_kernel'))


class Api:
    """A vmm that waits at its socket, and curl."""

    def __init__(self, vm, *options, kernel=None, at='api.sock', **how):
        self.vm = vm
        self.path = vm.folder / at
        vm.start('--api-sock', self.path, *options, kernel=kernel,
                 **{'image': None, 'vsock': None, 'memory': None, 'cpus': None, **how})
        end = time.monotonic() + 60
        while not self.is_there():      # a dead one's file may be
            assert time.monotonic() < end and vm.process.poll() is None, vm.process.stderr.read()
            time.sleep(0.02)

    def is_there(self):
        with socket.socket(socket.AF_UNIX) as s:
            return not s.connect_ex(str(self.path))

    def curl(self, *words, data=None):
        done = subprocess.run(['curl', '-sS', '--unix-socket', self.path, '-w', '\n%{http_code}', *words],
                              input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        assert not done.returncode, done.stderr
        text, _, status = done.stdout.decode().rpartition('\n')
        return int(status), json.loads(text) if text else None

    def get(self, path):
        status, body = self.curl(f'http://localhost{path}')
        assert status == 200, body
        return body

    def send(self, method, path, body):
        return self.curl('-X', method, f'http://localhost{path}', '--data-binary', '@-',
                         data=body if isinstance(body, bytes) else json.dumps(body).encode())

    def put(self, path, **body):
        status, answer = self.send('PUT', path, body)
        assert status == 204 and answer is None, answer

    def patch(self, path, **body):
        status, answer = self.send('PATCH', path, body)
        assert status == 204 and answer is None, answer

    def refused(self, method, path, body, *words):
        status, answer = self.send(method, path, body)
        assert status == 400 and list(answer) == ['fault_message'], (status, answer)
        for word in words:
            assert word in answer['fault_message']


def wait_tick(vm):
    """Waits for one more tick of the guest."""
    had = vm.console().count('guest: tick')
    vm.wait_console(f'guest: tick {had + 1}\n')


def test_getting_started(vm, disk):
    """The sequence of Firecracker's guide, as its reader types it; the guest reboots, which ends the VM."""
    root, second = vm.folder / 'root.img', vm.folder / 'second.img'
    shutil.copy(disk, root)
    second.write_bytes(b'go on'.ljust(1 << 20, b'\0'))
    api = Api(vm)
    assert api.get('/') == {'id': 'anonymous-instance', 'state': 'Not started', 'app_name': 'vmlet',
                            'vmm_version': api.get('/version')['firecracker_version']}
    (vm.folder / 'log').touch()
    api.put('/logger', log_path=str(vm.folder / 'log'), level='Debug', show_level=True, show_log_origin=True)
    api.put('/metrics', metrics_path=str(vm.folder / 'metrics'))
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'),
            boot_args='console=ttyS0 reboot=k panic=1 pci=off')
    api.put('/drives/second', drive_id='second', path_on_host=str(second), is_root_device=False, is_read_only=True)
    api.put('/drives/rootfs', drive_id='rootfs', path_on_host='./root.img', is_root_device=True, is_read_only=False)
    api.put('/machine-config', vcpu_count=2, mem_size_mib=192)
    api.put('/vsock', guest_cid=7, uds_path='./v.sock')
    api.put('/entropy')
    api.put('/actions', action_type='InstanceStart')
    assert api.get('/')['state'] == 'Running'
    api.refused('PUT', '/actions', {'action_type': 'InstanceStart'}, 'after starting')
    api.refused('PUT', '/machine-config', {'vcpu_count': 1, 'mem_size_mib': 128}, 'after starting')
    wait_tick(vm)
    said = vm.console()
    assert 'guest: 2 processors' in said
    assert f'guest: vda has {(16 << 20) // 512} sectors, ro=0' in said
    assert f'guest: vdb has {(1 << 20) // 512} sectors, ro=1' in said
    words = said.split('guest: words ')[1].splitlines()[0].split()
    assert words[-4:] == ['console=ttyS0', 'reboot=k', 'panic=1', 'pci=off'] and words.count('console=ttyS0') == 1
    assert 'root=/dev/vda' in words and 'rw' in words
    assert (vm.folder / 'v.sock').is_socket()

    api.patch('/vm', state='Paused')
    assert api.get('/')['state'] == 'Paused'
    had = vm.console()
    time.sleep(1)
    assert vm.console() == had
    api.patch('/vm', state='Resumed')
    wait_tick(vm)

    api.put('/actions', action_type='FlushMetrics')
    lines = (vm.folder / 'metrics').read_text().splitlines()
    assert len(lines) == 1 and json.loads(lines[0])['devices']
    config = api.get('/vm/config')
    assert config['machine-config']['vcpu_count'] == 2
    assert [d['drive_id'] for d in config['drives']] == ['second', 'rootfs']
    assert config['vsock']['guest_cid'] == 7 and config['entropy'] == {}

    with open(second, 'r+b') as f:
        f.write(b'stop')
    status, _, err = vm.wait()
    assert status == 0, err
    log = (vm.folder / 'log').read_text()
    assert 'debug' in log and 'api/vm/server.c:' in log and 'PUT /actions: 204' in log
    assert len((vm.folder / 'metrics').read_text().splitlines()) == 2
    assert not api.path.exists() and not (vm.folder / 'v.sock').exists()


def test_page(vm, disk):
    """docs/api.md, typed as it stands."""
    blocks = (ROOT / 'docs/api.md').read_text().split('```sh\n')[1:]
    terminal, start, use = (block.split('```')[0] for block in blocks)
    shutil.copy(disk, vm.folder / 'rootfs.ext4')
    (vm.folder / 'vmlinux').symlink_to(vm.kernel / 'vmlinux')
    assert terminal == 'vmm --api-sock vm.sock\n'
    api = Api(vm, at='vm.sock')
    said = subprocess.run(['sh', '-ec', start], cwd=vm.folder, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert said == b''
    wait_tick(vm)
    said = subprocess.run(['sh', '-ec', use], cwd=vm.folder, stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert b'"state":"Running"' in said and b'"boot-source":' in said
    assert said.count(b'fault_message') == 1 and b'would hear' in said      # this guest has no agent
    assert api.get('/')['state'] == 'Running'
    assert vm.stop()[0] == 13


def sectors(vm, disk):
    return int(vm.exec(['cat', f'/sys/block/{disk}/size'])[1])


def wait_for(true, what):
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_drives_of_a_running_vm(vm):
    """Another file behind a drive, the same one grown, other limits."""
    files = [vm.folder / name for name in ('one', 'two')]
    for i, path in enumerate(files):
        path.write_bytes(bytes([65 + i]) * (1 << 20))
    api = Api(vm)
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'), initrd_path='agent')
    api.put('/drives/image', drive_id='image', path_on_host=str(vm.image), is_root_device=True, is_read_only=True)
    api.put('/drives/data', drive_id='data', path_on_host=str(files[0]), is_root_device=False)
    api.put('/vsock', guest_cid=3, uds_path=str(vm.vsock_path))
    api.refused('PATCH', '/drives/data', {'drive_id': 'data'}, 'before starting')
    api.put('/actions', action_type='InstanceStart')
    first = ['dd', 'if=/dev/vdb', 'bs=512', 'count=1', 'iflag=direct', 'status=none']
    assert vm.exec(first)[1] == b'A' * 512
    api.patch('/drives/data', drive_id='data', path_on_host=str(files[1]))
    assert vm.exec(first)[1] == b'B' * 512
    os.truncate(files[1], 2 << 20)
    api.patch('/drives/data', drive_id='data', path_on_host=str(files[1]))
    wait_for(lambda: sectors(vm, 'vdb') == 4096, 'the drive did not grow')
    api.refused('PATCH', '/drives/data', {'drive_id': 'data', 'path_on_host': '/nowhere'}, 'no such file')
    api.refused('PATCH', '/drives/other', {'drive_id': 'other'}, 'no drive')
    api.refused('PATCH', '/drives/data', {'drive_id': 'image'}, 'does not match')
    api.patch('/drives/data', drive_id='data', rate_limiter={'bandwidth': {'size': 1 << 20, 'refill_time': 10000}})
    api.patch('/drives/data', drive_id='data', rate_limiter={'ops': {'size': 1000, 'refill_time': 1000}})
    drive = api.get('/vm/config')['drives'][1]
    assert drive['path_on_host'] == str(files[1]) and set(drive['rate_limiter']) == {'bandwidth', 'ops'}
    began = time.monotonic()
    assert vm.exec(['dd', 'if=/dev/vdb', 'of=/dev/null', 'bs=64k', 'iflag=direct', 'status=none'])[0] == 0
    assert time.monotonic() - began > 5
    api.put('/actions', action_type='SendCtrlAltDel')
    assert vm.wait()[0] == 0


def test_balloon(vm):
    api = Api(vm)
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'), initrd_path='agent')
    api.put('/drives/image', drive_id='image', path_on_host=str(vm.image), is_root_device=True, is_read_only=True)
    api.put('/vsock', guest_cid=3, uds_path=str(vm.vsock_path))
    api.put('/balloon', amount_mib=16, deflate_on_oom=True, stats_polling_interval_s=1)
    api.put('/actions', action_type='InstanceStart')
    assert vm.exec(['true'])[0] == 0
    wait_for(lambda: api.get('/balloon/statistics')['actual_mib'] == 16, 'the balloon was not filled')
    api.patch('/balloon', amount_mib=8)
    assert api.get('/balloon')['amount_mib'] == 8
    wait_for(lambda: api.get('/balloon/statistics')['actual_mib'] == 8, 'the balloon was not emptied')
    wait_for(lambda: 'total_memory' in api.get('/balloon/statistics'), 'no statistics')
    told = api.get('/balloon/statistics')
    assert 0 < told['free_memory'] < told['total_memory'] < 128 << 20
    api.patch('/balloon/statistics', stats_polling_interval_s=60)
    api.refused('PATCH', '/balloon/statistics', {'stats_polling_interval_s': 0}, 'switched')
    api.refused('PATCH', '/balloon', {'amount_mib': 128}, 'too large')
    api.put('/actions', action_type='SendCtrlAltDel')
    assert vm.wait()[0] == 0


def test_what_is_refused_may_be_mended(vm, disk):
    """A start that fails leaves a VM that can be described better, and nothing behind."""
    bad = vm.folder / 'bad.img'
    bad.write_bytes(b'x' * 513)
    api = Api(vm, '--id', 'box')
    assert api.get('/')['id'] == 'box'
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'), boot_args='console=ttyS0')
    api.put('/vsock', guest_cid=3, uds_path='v.sock')
    api.put('/drives/a', drive_id='a', path_on_host=str(bad), is_root_device=True)
    api.refused('PUT', '/actions', {'action_type': 'InstanceStart'}, 'not a multiple of 512')
    assert api.get('/')['state'] == 'Not started' and not (vm.folder / 'v.sock').exists()
    api.put('/boot-source', kernel_image_path=str(bad))
    api.put('/drives/a', drive_id='a', path_on_host=str(disk), is_root_device=True, is_read_only=True)
    api.refused('PUT', '/actions', {'action_type': 'InstanceStart'}, 'kernel')
    assert not (vm.folder / 'v.sock').exists()
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'), boot_args='console=ttyS0')
    api.put('/actions', action_type='InstanceStart')
    wait_tick(vm)
    assert (vm.folder / 'v.sock').exists()
    api.refused('PUT', '/actions', {'action_type': 'FlushMetrics'}, 'PUT /metrics')
    api.refused('PUT', '/actions', {'action_type': 'SendCtrlAltDel'}, 'would hear')
    assert vm.stop()[0] == 13
    assert not (vm.folder / 'v.sock').exists() and not api.path.exists()


def test_agent(vm):
    """The guest with our agent, asked by the API: ready, used through vsock, paused, shut down."""
    api = Api(vm)
    api.put('/boot-source', kernel_image_path=str(vm.kernel / 'vmlinux'), initrd_path='agent')
    api.put('/drives/image', drive_id='image', path_on_host=str(vm.image), is_root_device=True, is_read_only=True)
    api.put('/vsock', guest_cid=3, uds_path=str(vm.vsock_path))
    api.put('/actions', action_type='InstanceStart')
    assert vm.exec(['echo', 'hi'])[:2] == (0, b'hi\n')
    api.patch('/vm', state='Paused')
    with pytest.raises(subprocess.TimeoutExpired):
        vm.exec(['echo', 'late'], timeout=3)
    api.patch('/vm', state='Resumed')
    assert vm.exec(['echo', 'again'])[:2] == (0, b'again\n')
    api.put('/actions', action_type='SendCtrlAltDel')
    status, _, err = vm.wait()
    assert status == 0, err


def test_machine_of_the_command_line(vm):
    """With --kernel it starts at once, and the API knows what it is."""
    api = Api(vm, kernel='vmlinux', image=True, vsock=True, memory='192M', cpus=1)
    config = api.get('/vm/config')
    assert config['machine-config']['mem_size_mib'] == 192
    assert config['drives'][0] == {'drive_id': 'disk0', 'is_root_device': True, 'is_read_only': True, 'path_on_host': str(vm.image)}
    assert vm.exec(['true'])[0] == 0
    assert api.get('/')['state'] == 'Running'
    api.refused('PUT', '/boot-source', {'kernel_image_path': '/dev/null'}, 'after starting')
    api.put('/actions', action_type='SendCtrlAltDel')
    assert vm.wait()[0] == 0


def test_stock_kernel(vm, debian, disk):
    """Debian's kernel finds its disks by ACPI, and its power button."""
    api = Api(vm, '--grace', '1s')
    api.put('/boot-source', kernel_image_path=str(debian / 'vmlinuz'), initrd_path=str(debian / 'initrd.img'),
            boot_args='console=ttyS0 quiet')
    api.put('/machine-config', vcpu_count=1, mem_size_mib=256)
    root = vm.folder / 'root.img'
    shutil.copy(disk, root)
    api.put('/drives/root', drive_id='root', path_on_host=str(root), is_root_device=True)
    api.put('/actions', action_type='InstanceStart')
    wait_tick(vm)
    assert 'guest: vda has' in vm.console() and 'ro=0' in vm.console()
    api.patch('/vm', state='Paused')
    api.patch('/vm', state='Resumed')
    wait_tick(vm)
    api.put('/actions', action_type='SendCtrlAltDel')
    assert vm.stop()[0] in (0, 13)      # this guest's init does not listen to the button


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(str(path))
    return s


def read_answer(s):
    text = b''
    while b'\r\n\r\n' not in text:
        more = s.recv(65536)
        assert more, text
        text += more
    head, _, body = text.partition(b'\r\n\r\n')
    lengths = [line for line in head.split(b'\r\n') if line.lower().startswith(b'content-length:')]
    length = int(lengths[0].split(b':')[1]) if lengths else 0
    while len(body) < length:
        more = s.recv(65536)
        assert more
        body += more
    return int(head.split()[1]), body[:length], body[length:]


def refusal(s, text):
    """The status of the answer to what is no request; None when the connection was just closed."""
    try:
        s.sendall(text)
        head = s.recv(65536)
    except (BrokenPipeError, ConnectionResetError):
        return None
    return int(head.split()[1]) if head else None


def open_files(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def test_hostile_clients(vm):
    """Whatever a client does, the others are served, and nothing is left of it."""
    api = Api(vm)
    pid = vm.process.pid
    api.get('/')
    files = open_files(pid)
    whole = b'PUT /vsock HTTP/1.1\r\nHost: x\r\nContent-Length: 33\r\n\r\n{"guest_cid":3,"uds_path":"./v"} '
    for end in range(0, len(whole) - 1, 7):             # gone in the middle of every part
        with connect(api.path) as s:
            s.sendall(whole[:end])
    with connect(api.path) as s:                        # slowly
        for i in range(len(whole)):
            s.sendall(whole[i:i + 1])
        assert read_answer(s)[0] == 204
    with connect(api.path) as s:                        # several in one go
        s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n' * 3 + whole)
        text = b''
        while text.count(b'HTTP/1.1 ') < 4:
            text += s.recv(65536)
        assert text.count(b'200 OK') == 3 and text.count(b'204') == 1
    for text, statuses in ((b'GET / HTTP/1.1\r\nHost: x\r\nX: ' + b'a' * 100000 + b'\r\n\r\n', (400, 413, 431, 500)),
                           (b'GET /' + b'a' * 100000 + b' HTTP/1.1\r\nHost: x\r\n\r\n', (400, 413, 414, 431, 500)),
                           (b'nonsense\r\n\r\n', (400,)), (b'GET / HTTP/9.9\r\n\r\n', (400, 505)),
                           (b'PUT /vsock HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n', (400, 413)),
                           (b'PUT /vsock HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n', (400, 413)),
                           (b'PUT /vsock HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n', (400,))):
        with connect(api.path) as s:
            assert refusal(s, text) in (None, *statuses), text[:60]
    for _ in range(3):
        crowd = [connect(api.path) for _ in range(40)]  # more than are served; each says a little
        for s in crowd:
            s.sendall(whole[:20])
        for s in crowd[:25]:
            s.close()
        assert api.get('/')['state'] == 'Not started'
        assert open_files(pid) <= files + 16
        for s in crowd:
            s.close()
    with connect(api.path) as s:                        # reads nothing of what it asked for
        s.setblocking(False)
        try:
            for _ in range(100000):
                s.send(b'GET /vm/config HTTP/1.1\r\nHost: x\r\n\r\n')
        except BlockingIOError:
            pass
        assert api.get('/')['state'] == 'Not started'
    end = time.monotonic() + 60
    while open_files(pid) > files:
        assert time.monotonic() < end
        time.sleep(0.05)
    status = pathlib.Path(f'/proc/{pid}/status').read_text()
    assert int(status.split('VmRSS:')[1].split()[0]) < (512 << 10 if 'libasan' in pathlib.Path(f'/proc/{pid}/maps').read_text() else 16 << 10)


def test_sockets(vm, new_vm):
    """0600, one owner, a dead one replaced."""
    api = Api(vm)
    assert api.path.stat().st_mode & 0o777 == 0o600
    other = new_vm()
    status, _, err = other.run('--api-sock', api.path, kernel=None, image=None, vsock=None)
    assert status == 3 and 'API socket' in err and 'in use' in err
    vm.process.kill()
    vm.wait()
    assert api.path.exists()
    again = Api(vm)
    assert again.get('/')['state'] == 'Not started'
    assert vm.stop(signal.SIGINT)[0] == 13 and not api.path.exists()


def switches(pid):
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        text = pathlib.Path(f'/proc/{pid}/task/{task}/status').read_text()
        total += int(text.split('\nvoluntary_ctxt_switches:')[1].split()[0])
    return total


def test_idle_costs_nothing(vm):
    """Neither the server nor a client that only holds its connection wakes the monitor."""
    api = Api(vm)
    with connect(api.path) as s:
        s.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        assert read_answer(s)[0] == 200
        time.sleep(1)
        before = switches(vm.process.pid)
        time.sleep(10)
        assert switches(vm.process.pid) - before <= 1


@pytest.mark.slow
def test_client_that_stops_is_dropped(vm):
    """After a minute, with one wake-up for it; one that goes on is kept."""
    api = Api(vm)
    with connect(api.path) as s:
        s.settimeout(90)
        s.sendall(b'PUT /vsock HTTP/1.1\r\nHost: x\r\nContent-Le')
        time.sleep(1)
        before, began = switches(vm.process.pid), time.monotonic()
        while True:
            answer = s.recv(65536)
            if not answer:
                break
        assert 50 < time.monotonic() - began < 75
        assert switches(vm.process.pid) - before <= 4
    assert api.get('/')['state'] == 'Not started'
