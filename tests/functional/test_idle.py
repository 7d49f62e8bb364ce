"""A sandbox that does nothing costs nothing."""
import json
import pathlib
import time

from test_control import Control, boot

SECONDS = 12


def threads(vm):
    """Return: name -> (voluntary switches, CPU time in ns)."""
    found = {}
    for task in pathlib.Path(f'/proc/{vm.process.pid}/task').iterdir():
        name = (task / 'comm').read_text().strip()
        status = dict(line.split(':', 1) for line in (task / 'status').read_text().splitlines())
        found[name] = int(status['voluntary_ctxt_switches']), int((task / 'schedstat').read_text().split()[0])
    return found


def requests(control):
    """What the guest's kernel asked for by itself: it stirs its entropy, ever more rarely."""
    return json.loads(control.ask('metrics'))['devices']['rng0']['requests']


def test_an_idle_sandbox_wakes_nobody(vm):
    disk = vm.folder / 'disk'
    with open(disk, 'wb') as f:
        f.truncate(16 << 20)
    control = boot(vm, '--output', vm.folder / 'out', '--log', vm.folder / 'log', '--lifetime', '1h', '--disk', disk)
    Control(vm).ask('subscribe')
    assert vm.exec(['true'])[0] == 0
    # What follows a boot and a command, and the deadlines of connections, are over by then.
    time.sleep(12)
    asked = requests(control)
    time.sleep(1)
    before = threads(vm)
    time.sleep(SECONDS)
    after = threads(vm)
    asked = requests(control) - asked
    woken = {name: after[name][0] - before[name][0] for name in after}
    busy = {name: (after[name][1] - before[name][1]) / (SECONDS * 1e9) for name in after}
    assert set(after) == set(before)
    for name in after:
        if not name.startswith('vcpu'):
            assert woken[name] <= 1 + asked, f'{name} woke up {woken[name]} times in {SECONDS} s'
            assert busy[name] < 0.001, f'{name} used {busy[name]:.3%} of a processor'
        else:
            # The guest's own kernel, on a processor that is itself emulated.
            assert woken[name] <= SECONDS * 1.5, f'{name} woke up {woken[name]} times in {SECONDS} s'
            assert busy[name] < 0.01, f'{name} used {busy[name]:.3%} of a processor'
    print(woken, busy)
    assert vm.stop()[0] == 0
