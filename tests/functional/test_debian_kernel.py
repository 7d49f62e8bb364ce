"""A stock kernel: Debian's cloud kernel with an initrd by initramfs-tools finds its disks by ACPI."""
import pathlib
import shutil
import subprocess

import pytest

from conftest import ROOT, made_by

# Runs as init of the root disk; the machine is powered off the way ACPI says.
INIT = """#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys 2>/dev/null
echo "guest: $($b nproc) processors, $($b awk '/MemTotal/ { print $2 }' /proc/meminfo) KiB"
for disk in /sys/block/vd*; do echo "guest: ${disk##*/} has $($b cat $disk/size) sectors, ro=$($b cat $disk/ro)"; done
read -r words </dev/vdb && echo "guest: vdb says: $words"
echo "guest: clock $($b cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
case $($b cat /proc/cmdline) in
*then-reboot*) $b reboot -f ;;
*then-wait*)
    $b insmod /evdev.ko; $b insmod /button.ko
    until [ -e /dev/input/event0 ]; do $b sleep 0.1; done
    { $b sleep 1; echo "guest: waiting for the power button"; } &
    $b dd if=/dev/input/event0 of=/dev/null bs=24 count=1 2>/dev/null
    echo "guest: the power button was pressed"
    $b poweroff -f ;;
*) $b poweroff -f ;;
esac
"""


@pytest.fixture(scope='module')
def debian():
    return made_by('VMLET_DEBIAN', pathlib.Path(__file__).with_name('debian_kernel'))


@pytest.fixture(scope='module')
def disks(tmp_path_factory):
    folder = tmp_path_factory.mktemp('disks')
    tree = folder / 'tree'
    for name in ('bin', 'sbin', 'dev', 'proc', 'sys', 'run', 'tmp', 'etc'):
        (tree / name).mkdir(parents=True)
    shutil.copy('/bin/busybox', tree / 'bin/busybox')
    modules = pathlib.Path(subprocess.run([ROOT / 'lab/kernel'], check=True, stdout=subprocess.PIPE, text=True).stdout.strip())
    for name in ('evdev', 'button'):
        shutil.copy(next(modules.glob(f'lib/modules/*/kernel/drivers/*/{name}.ko')), tree)
    (tree / 'sbin/init').write_text(INIT)
    (tree / 'sbin/init').chmod(0o755)
    subprocess.run([shutil.which('mke2fs', path='/usr/sbin:/sbin:/usr/bin'), '-q', '-t', 'ext4', '-d', tree,
                    folder / 'root.img', '16M'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    (folder / 'second.img').write_bytes(b'hello from the host\n'.ljust(3 << 20, b'\0'))
    return folder


def run(vm, debian, disks, *extra, append='', memory='256M', **how):
    return vm.run('--initrd', debian / 'initrd.img', '--disk', f'{disks}/second.img,ro', '--append', f'quiet {append}',
                  *extra, kernel=debian / 'vmlinuz', image=f'{disks}/root.img', vsock=False, memory=memory, **how)


def test_finds_its_disks_and_powers_off(vm, debian, disks):
    status, _, err = run(vm, debian, disks, cpus=2)
    said = vm.console()
    assert status == 0, f'{err}\n{said[-3000:]}'
    assert 'guest: 2 processors' in said
    assert f'guest: vda has {(16 << 20) // 512} sectors, ro=1' in said
    assert f'guest: vdb has {(3 << 20) // 512} sectors, ro=1' in said
    assert 'guest: vdb says: hello from the host' in said
    assert 'guest: clock kvm-clock' in said


def test_reboot_has_its_status(vm, debian, disks):
    assert run(vm, debian, disks, append='then-reboot')[0] == 10


def test_signal_presses_the_power_button(vm, debian, disks):
    vm.start('--initrd', debian / 'initrd.img', '--disk', f'{disks}/second.img,ro', '--append', 'quiet then-wait',
             kernel=debian / 'vmlinuz', image=f'{disks}/root.img', vsock=False, memory='256M')
    vm.wait_console('guest: waiting for the power button')
    status, _, err = vm.stop()
    assert status == 0, f'{err}\n{vm.console()[-3000:]}'
    assert 'guest: the power button was pressed' in vm.console()


def test_too_little_memory_is_said(vm, debian, disks):
    status, _, err = run(vm, debian, disks, memory='32M')
    assert status == 3 and 'does not fit in the memory' in err


@pytest.mark.slow
def test_above_the_hole(vm, debian, disks):
    status, _, err = run(vm, debian, disks, '--overcommit', memory='5G')
    assert status == 0, f'{err}\n{vm.console()[-3000:]}'
    assert int(vm.console().split('processors, ')[1].split()[0]) > 4700 * 1024
