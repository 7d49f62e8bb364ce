"""The API of a VM: Firecracker's clients drive a machine from nothing to its end. curl is such a client."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time

import pytest

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


class Api:
    """A vmm that waits at its socket, and curl."""

    def __init__(self, vm, *options, kernel=None, **how):
        self.vm = vm
        self.path = vm.folder / 'api.sock'
        vm.start('--api-sock', self.path, *options, kernel=kernel,
                 **{'image': None, 'vsock': None, 'memory': None, 'cpus': None, **how})
        end = time.monotonic() + 60
        while not self.path.exists():
            assert time.monotonic() < end and vm.process.poll() is None, vm.process.stderr.read()
            time.sleep(0.02)

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
