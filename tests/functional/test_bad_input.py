"""Bad input: one line that says what and what to do, the documented status, nothing left behind."""
import os
import subprocess

import pytest


def refused(vm, status, words, *extra, **how):
    """The vmm ends with @status and one line that holds @words; the machine's folder is as it was."""
    before = sorted(os.listdir(vm.folder))
    got, out, err = vm.run(*extra, **{'serial': 'off', **how})
    assert got == status, err
    assert not out and err.count('\n') == 1 and err.startswith('vmm: '), err
    for word in words:
        assert word in err
    assert sorted(os.listdir(vm.folder)) == before


@pytest.mark.parametrize('words, extra', [
    (['--kernl', 'did you mean --kernel'], ['--kernl', 'x']),
    (['--frobnicate', '--help'], ['--frobnicate']),
    (['512Q', 'size'], ['--memory', '512Q']),
    (['out of range', '32'], ['--memory', '16M']),
    (['out of range'], ['--memory', '2000G', '--memory', '2048G']),
    (['0 vCPUs', '--cpus'], ['--cpus', '0']),
    (['256 vCPUs', '--cpus'], ['--cpus', '256']),
    (['30', 'unit'], ['--boot-timeout', '30']),
    (['reserved'], ['--guest-cid', '2']),
    (['given twice'], ['--image', 'x', '--image', 'y']),
    (['unknown setting'], ['--disk', 'x,snapshot']),
    (['is missing'], ['--memory']),
    (['takes no value'], ['--overcommit=yes']),
    (['unexpected'], ['stray']),
    (['not open'], ['--ready-fd', '77']),
])
def test_options(vm, words, extra):
    refused(vm, 2, words, *extra, image=None)


def test_no_kernel(vm):
    refused(vm, 2, ['--kernel'], kernel=None)


@pytest.mark.parametrize('content, words', [
    (None, ['no such file']),
    (b'', ['empty']),
    (b'\x7fELF', []),
    (b'#!/bin/sh\n' * 500, []),
    (b'\x1f\x8b' + b'\0' * 5000, ['compressed']),
    (b'\x7fELF\x01\x01\x01' + b'\0' * 4096, []),
], ids=['missing', 'empty', 'cut', 'script', 'gzip', '32-bit'])
def test_kernel(vm, content, words):
    path = vm.folder / 'kernel'
    if content is not None:
        path.write_bytes(content)
    refused(vm, 3, ['kernel', *words], kernel=path)


@pytest.mark.parametrize('name', ['vmlinux', 'bzImage'])
@pytest.mark.parametrize('part', [0.01, 0.5, 0.9])
def test_truncated_kernel(vm, kernel, name, part):
    path = vm.folder / 'kernel'
    whole = (kernel / name).read_bytes()
    path.write_bytes(whole[:int(len(whole) * part)])
    refused(vm, 3, ['kernel'], kernel=path)


def test_directory_as_kernel_and_image(vm):
    refused(vm, 3, ['is a directory'], kernel=vm.folder)
    refused(vm, 3, ['is a directory'], image=vm.folder)


def test_missing_image(vm):
    refused(vm, 3, ['image', 'no such file'], image=vm.folder / 'none.img')


@pytest.mark.parametrize('size, words', [(0, ['empty']), (1, ['not a multiple of 512']), (513, ['not a multiple of 512'])])
def test_image_size(vm, size, words):
    path = vm.folder / 'x.img'
    path.write_bytes(b'x' * size)
    refused(vm, 3, words, image=path)


def test_image_locked_by_another_machine(new_vm):
    first, second = new_vm(), new_vm()
    path = first.folder / 'disk.img'
    path.write_bytes(b'\0' * (1 << 20))
    first.boot('--disk', path)
    refused(second, 3, ['in use by another VM'], '--disk', path)
    refused(second, 3, ['in use by another VM'], '--disk', f'{path},ro')
    assert first.stop()[0] == 0
    second.boot('--disk', path)


def test_mounted_block_device(vm):
    path, place = vm.folder / 'x.img', vm.folder / 'mnt'
    path.write_bytes(b'\0' * (4 << 20))
    place.mkdir()
    subprocess.run(['mkfs.ext4', '-q', path], check=True)
    if subprocess.run(['mount', '-o', 'loop', path, place], check=False).returncode:
        pytest.skip('no loop device can be mounted')
    try:
        device = subprocess.run(['findmnt', '-n', '-o', 'SOURCE', place], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        refused(vm, 3, ['in use by this host'], '--disk', device)
        vm.boot('--disk', f'{device},ro')
    finally:
        vm.end()
        subprocess.run(['umount', place], check=True)


def test_image_not_permitted(vm, build):
    path = vm.folder / 'x.img'
    path.write_bytes(b'\0' * 512)
    path.chmod(0)
    if os.geteuid() == 0:
        vm.folder.chmod(0o755)
        done = subprocess.run(['setpriv', '--reuid', '65534', '--clear-groups', *vm.command(image=path, serial='off')],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 3 and 'no permission' in done.stderr
    else:
        refused(vm, 3, ['no permission'], image=path)


def test_closed_standard_descriptors_are_no_image(vm):
    """More vCPUs than processors are worth a warning, which must not land in the third file that is opened."""
    path, no_kernel = vm.folder / 'x.img', vm.folder / 'kernel'
    path.write_bytes(b'\0' * 512)
    no_kernel.write_bytes(b'x' * 8192)
    words = vm.command('--initrd', no_kernel, '--disk', path, kernel=no_kernel, image=None, vsock=None, serial='off', cpus=64)
    done = subprocess.run(['sh', '-c', 'exec "$@" <&- >&- 2>&-', 'sh', *words], check=False)
    assert done.returncode == 3
    assert path.read_bytes() == b'\0' * 512


def test_too_much_memory(vm):
    refused(vm, 5, ['--overcommit'], memory='512G')


def test_broken_configuration(vm):
    path = vm.folder / 'vm.json'
    for text, status, words in [('{', 2, ['not JSON']), ('[]', 2, ['not a JSON object']), ('{"kernl": "x"}', 2, ['did you mean']),
                                ('{"cpus": 1.5}', 2, ['cpus']), ('{"help": true}', 2, ['no place'])]:
        path.write_text(text)
        refused(vm, status, words, '--config', path)
    refused(vm, 3, ['cannot read'], '--config', vm.folder / 'none.json')


def test_socket_that_cannot_be(vm):
    refused(vm, 3, [], '--vsock', vm.folder / ('x' * 120), vsock=None)
    refused(vm, 3, [], '--vsock', vm.folder / 'none' / 'vsock', vsock=None)


def test_no_kvm(vm, build):
    words = ' '.join(vm.command(serial='off'))
    done = subprocess.run(['unshare', '-m', 'sh', '-c', f'mount --bind /dev/null /dev/kvm; {words}'],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 4 and 'kvm' in done.stderr
    probe = subprocess.run(['unshare', '-m', 'sh', '-c', f'mount -t tmpfs none /dev; {build}/bin/vmm --probe'],
                           stdout=subprocess.PIPE, text=True, check=False)
    assert probe.returncode == 4 and 'missing' in probe.stdout


def test_probe_says_usable(build):
    done = subprocess.run([build / 'bin/vmm', '--probe'], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith('kvm: usable')


def test_image_without_a_file_system(vm):
    path = vm.folder / 'x.img'
    path.write_bytes(b'\x5a' * (1 << 20))
    vm.boot(image=path)
    status, out, err = vm.exec(['true'])
    assert status == 125 and not out and b'no file system' in err
    status, out, err = vm.stop()
    assert status == 0 and err.count('\n') == 1 and 'x.img' in err and 'vmlet exec' in err
