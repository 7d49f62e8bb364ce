"""Boot after boot: none fails, and nothing of them stays behind. VMLET_SOAK says how many (20)."""
import os
import pathlib
import signal

import pytest

BOOTS = int(os.environ.get('VMLET_SOAK', '20'))
PROC = pathlib.Path('/proc')
# The first boots load modules of the host's kernel and fill its caches.
WARM_UP = 2


def processes():
    """Names of all processes of programs: (pid, name). The kernel's own come and go."""
    found = set()
    for folder in PROC.glob('[0-9]*'):
        try:
            if os.readlink(folder / 'exe'):
                found.add((folder.name, (folder / 'comm').read_text().strip()))
        except OSError:
            continue
    return found


def users_of_kvm():
    counts = [path.read_text() for path in pathlib.Path('/sys/module').glob('kvm_*/refcnt')]
    return sum(map(int, counts))


def left(vm):
    """What a boot could leave behind: descriptors of ours, files, processes, virtual machines."""
    return {
        'descriptors': len(list((PROC / 'self/fd').iterdir())),
        'files': sorted(p.name for p in vm.folder.iterdir()),
        'shared memory': sorted(p.name for p in pathlib.Path('/dev/shm').iterdir()),
        'processes': processes() if 'LAB' in os.environ else None,
        'virtual machines': users_of_kvm() if 'LAB' in os.environ else None,
    }


def open_files():
    return int((PROC / 'sys/fs/file-nr').read_text().split()[0])


def boot_once(vm, turn):
    """One life. Every fourth is ended hard, as by a host that runs out of memory: the next must start all the same."""
    vm.boot(image=False, memory='64M', serial='off')
    if turn % 4 == 3:
        vm.process.kill()
        assert vm.wait()[0] == -signal.SIGKILL
        vm.vsock_path.unlink(missing_ok=True)
    else:
        assert vm.stop() == (0, '', '')


@pytest.mark.skipif(BOOTS < 1, reason='VMLET_SOAK=0')
def test_boots_in_a_row_leave_nothing(vm):
    for turn in range(WARM_UP):
        boot_once(vm, turn)
    before, files = left(vm), open_files()
    for turn in range(BOOTS):
        boot_once(vm, turn)
    assert left(vm) == before
    # The kernel counts these for all processes, and frees some later: a leak of one a boot shows all the same.
    assert 'LAB' not in os.environ or open_files() < files + max(BOOTS / 2, 10)
