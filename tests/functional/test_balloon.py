"""Memory that the guest does not need is the host's again: by itself, and on demand."""
import json
import textwrap
import time

import pytest

from conftest import PATIENCE
from test_control import boot

MIB = 1 << 20


def rss(vm):
    """Bytes of the monitor and its guest in the host's memory."""
    with open(f'/proc/{vm.process.pid}/smaps_rollup', encoding='ascii') as file:
        return next(int(line.split()[1]) for line in file if line.startswith('Rss:')) * 1024


def python(vm, text, *args):
    status, out, err = vm.exec(['python3', '-c', textwrap.dedent(text), *args])
    assert status == 0, err.decode(errors='replace')
    return out.decode().strip()


def wait_until(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.2)


# The process writes to so many MiB, and ends.
USE = '''
    import mmap, sys
    m = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for at in range(0, len(m), 4096):
        m[at] = 1
    print('used')
'''


@pytest.mark.parametrize('memory, mib', [('128M', 48), ('256M', 64)])
def test_freed_memory_comes_back_by_itself(vm, memory, mib):
    """Nobody asks: the guest's kernel tells of what is free, two seconds after it became so."""
    vm.boot('--stats', vm.folder / 'stats', memory=memory)
    before = rss(vm)
    assert vm.exec(['dd', 'if=/dev/zero', 'of=/dev/shm/file', 'bs=1M', f'count={mib}'])[0] == 0
    used = rss(vm)
    assert used >= before + mib * MIB
    assert vm.exec(['rm', '/dev/shm/file'])[0] == 0
    # What shares its 2 MiB with something in use stays.
    wait_until(lambda: rss(vm) <= used - mib * MIB // 2, lambda: f'{before // MIB} {used // MIB} {rss(vm) // MIB}')
    # What came back can be used again, and is empty.
    assert python(vm, '''
        import mmap
        m = mmap.mmap(-1, 40 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        print(any(m[at] for at in range(0, len(m), 4096)))
    ''') == 'False'
    vm.stop()
    balloon = vm.json('stats')['devices']['balloon0']
    assert balloon['reports'] >= 1 and balloon['returned_bytes'] >= mib * MIB // 2
    assert balloon['guest_errors'] == balloon['host_errors'] == balloon['refused'] == 0


def test_memory_of_an_ended_process_comes_back(vm):
    """Its page tables, one page in each 2 MiB, are freed last and wait in the processor's list of free pages."""
    vm.boot(memory='256M')
    assert python(vm, USE, '100') == 'used'
    used = rss(vm)
    wait_until(lambda: rss(vm) <= used - 50 * MIB, lambda: f'{used // MIB} {rss(vm) // MIB}')
    vm.stop()


def state(control):
    return json.loads(control.ask('balloon'))


def total(vm):
    return int(vm.exec(['cat', '/proc/meminfo'])[1].split()[1]) * 1024


def test_inflate_and_deflate(vm):
    control = boot(vm, '--stats', vm.folder / 'stats', memory='256M')
    all_of_it = total(vm)
    assert vm.exec(['dd', 'if=/dev/zero', 'of=/dev/shm/file', 'bs=1M', 'count=120'])[0] == 0
    used = rss(vm)
    assert vm.exec(['rm', '/dev/shm/file'])[0] == 0
    control.ask('balloon 160M')
    wait_until(lambda: state(control)['actual_bytes'] == 160 * MIB, lambda: state(control))
    assert total(vm) == all_of_it - 160 * MIB
    assert rss(vm) < used - 90 * MIB
    control.ask('balloon 0')
    wait_until(lambda: state(control)['actual_bytes'] == 0, lambda: state(control))
    assert total(vm) == all_of_it
    python(vm, USE, '128')
    with pytest.raises(ValueError, match='no more memory'):
        control.ask('balloon 256M')
    vm.stop()
    balloon = vm.json('stats')['devices']['balloon0']
    assert balloon['inflated_pages'] >= 160 * MIB // 4096 and balloon['deflated_pages'] >= 160 * MIB // 4096
    assert balloon['guest_errors'] == balloon['host_errors'] == balloon['refused'] == 0


def test_from_the_start(vm):
    control = boot(vm, '--balloon', '64M', memory='256M')
    wait_until(lambda: state(control)['actual_bytes'] == 64 * MIB, lambda: state(control))
    assert state(control) == {'target_bytes': 64 * MIB, 'actual_bytes': 64 * MIB, 'deflate_on_oom': False, 'stats': {}}
    assert total(vm) < 192 * MIB


def test_off(vm):
    control = boot(vm, '--balloon', 'off')
    with pytest.raises(ValueError, match='no balloon'):
        control.ask('balloon')
    assert vm.exec(['sh', '-c', 'cat /sys/bus/virtio/devices/*/device'])[1].count(b'0x0005') == 0


def test_statistics(vm):
    control = boot(vm, '--balloon', 'stats=1s', memory='256M')
    wait_until(lambda: state(control)['stats'], lambda: state(control))
    stats = state(control)['stats']
    assert 200 * MIB < stats['total_memory'] < 256 * MIB
    assert {'swap_in', 'swap_out', 'major_faults', 'minor_faults', 'free_memory', 'total_memory', 'available_memory',
            'disk_caches'} <= stats.keys()
    assert vm.exec(['dd', 'if=/dev/zero', 'of=/dev/shm/file', 'bs=1M', 'count=64'])[0] == 0
    wait_until(lambda: state(control)['stats']['free_memory'] <= stats['free_memory'] - 60 * MIB,
               lambda: (stats, state(control)))
    # The next ones come in time, and pause stops them.
    control.ask('pause')
    time.sleep(2.5)
    control.ask('resume')
    assert vm.exec(['rm', '/dev/shm/file'])[0] == 0
    wait_until(lambda: state(control)['stats']['free_memory'] > stats['free_memory'] - 20 * MIB,
               lambda: (stats, state(control)))


def run_out_of_memory(vm):
    """As if no page could be found: that asks the balloon first, and (asked by hand) kills a process in any case."""
    assert vm.exec(['sh', '-c', 'echo f > /proc/sysrq-trigger'])[0] in (0, 137)


def test_out_of_memory(vm):
    """Without the feature the balloon stays as it is, and a process has to die."""
    control = boot(vm, '--balloon', '48M', memory='128M')
    wait_until(lambda: state(control)['actual_bytes'] == 48 * MIB, lambda: state(control))
    assert vm.exec(['python3', '-c', textwrap.dedent(USE), '72'])[0] != 0
    assert state(control)['actual_bytes'] == 48 * MIB


def test_deflate_on_oom(vm):
    """With it the guest takes pages back, a few at a time."""
    control = boot(vm, '--balloon', '48M,deflate-on-oom', memory='128M')
    wait_until(lambda: state(control)['actual_bytes'] == 48 * MIB, lambda: state(control))
    for n in range(1, 4):
        run_out_of_memory(vm)
        wait_until(lambda n=n: state(control)['actual_bytes'] == (48 - n) * MIB, lambda: state(control))
    assert state(control)['deflate_on_oom'] and state(control)['target_bytes'] == 48 * MIB


def test_driver_comes_and_goes(vm):
    """A reset with statistics held and pages in the balloon."""
    control = boot(vm, '--balloon', '32M,stats=1s', '--stats', vm.folder / 'stats', memory='256M')
    assert python(vm, '''
        import glob, os
        driver = '/sys/bus/virtio/drivers/virtio_balloon/'
        name = next(n for n in os.listdir(driver) if n.startswith('virtio'))
        for _ in range(3):
            open(driver + 'unbind', 'w').write(name)
            open(driver + 'bind', 'w').write(name)
        print('done')
    ''') == 'done'
    wait_until(lambda: state(control)['actual_bytes'] == 32 * MIB, lambda: state(control))
    wait_until(lambda: 'total_memory' in state(control)['stats'], lambda: state(control))
    vm.stop()
    assert vm.json('stats')['devices']['balloon0']['guest_errors'] == 0
