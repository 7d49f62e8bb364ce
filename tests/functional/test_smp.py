"""Several vCPUs: all come up, all work, and CPUID tells a topology that the kernel believes."""
import pytest

# Pins itself to each processor in turn and computes there.
WORK = """
import os
seen = set()
for cpu in sorted(os.sched_getaffinity(0)):
    os.sched_setaffinity(0, {cpu})
    seen.add((cpu, sum(range(1000))))
print(len(seen), os.cpu_count())
"""


@pytest.mark.parametrize('cpus', [2, pytest.param(16, id='as-many-as-promised')])
def test_all_come_up(vm, cpus):
    vm.boot(cpus=cpus, memory='256M')
    assert vm.exec(['python3', '-c', WORK])[:2] == (0, f'{cpus} {cpus}\n'.encode())
    _, out, _ = vm.exec(['cat', '/proc/cpuinfo'])
    fields = [line.split(b':')[1].strip() for line in out.splitlines() if line.startswith((b'apicid', b'cpu cores'))]
    assert sorted(map(int, fields[1::2])) == list(range(cpus))
    assert set(fields[::2]) == {str(cpus).encode()}, 'one package'
    assert vm.stop()[0] == 0


def test_one_alone(vm):
    vm.boot(cpus=1)
    assert vm.exec(['python3', '-c', WORK])[:2] == (0, b'1 1\n')


def test_reboot_with_several(vm):
    vm.boot(cpus=4)
    vm.exec(['python3', '-c', 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'])
    assert vm.wait()[0] == 10
