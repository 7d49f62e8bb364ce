"""Memory from the smallest machine to one with RAM on both sides of the hole below 4 GiB."""
MIB = 1 << 20


def memory_total(vm):
    _, out, _ = vm.exec(['cat', '/proc/meminfo'])
    return int(out.split()[1]) * 1024


def test_smallest(vm):
    vm.boot(memory='32M')
    assert vm.exec(['/bin/echo', 'small']) == (0, b'small\n', b'')
    assert memory_total(vm) < 32 * MIB


def test_most_of_it_is_the_guests(vm):
    vm.boot(memory='256M')
    # What is missing is the kernel itself and its page structures.
    assert 256 * MIB - 24 * MIB < memory_total(vm) < 256 * MIB


def test_above_the_hole(vm):
    vm.boot('--overcommit', memory='5G')
    assert memory_total(vm) > 4800 * MIB
    _, out, _ = vm.exec(['cat', '/proc/iomem'])
    ram = [line.split(b' : ')[0] for line in out.splitlines() if line.endswith(b': System RAM')]
    assert b'00100000-bfffffff' in ram
    assert b'100000000-17fffffff' in ram
    # Linux hands out the highest memory first: what runs and what is read from the disk is up there.
    assert vm.exec(['python3', '-c', 'print(6 * 7)']) == (0, b'42\n', b'')


def test_three_gib_end_at_the_hole(vm):
    vm.boot('--overcommit', memory='3G')
    assert memory_total(vm) > 2900 * MIB
    _, out, _ = vm.exec(['cat', '/proc/iomem'])
    assert b'100000000' not in out
