"""Direct I/O where the disk below has larger sectors than 512 bytes."""
import subprocess

import pytest


def test_disk_of_large_sectors(vm):
    path = vm.folder / 'x.img'
    path.write_bytes(b'\0' * (8 << 20))
    made = subprocess.run(['losetup', '-b', '4096', '-f', '--show', path], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        pytest.skip('no loop device can be made')
    device = made.stdout.strip()
    try:
        vm.boot('--disk', f'{device},direct')
        assert vm.exec(['cat', '/sys/block/vdb/queue/logical_block_size']) == (0, b'4096\n', b'')
        copy = 'dd if=/dev/urandom of=x bs=4k count=8 && dd if=x of=/dev/vdb && cmp -n 32768 x /dev/vdb'
        assert vm.exec(['sh', '-ec', f'cd /tmp; {copy}'])[0] == 0
        assert vm.stop()[0] == 0
    finally:
        vm.end()
        subprocess.run(['losetup', '-d', device], check=True)
    assert path.read_bytes()[:32768] != b'\0' * 32768
