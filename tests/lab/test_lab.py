"""The lab itself: a command in it behaves as one on this machine, and nothing stays behind."""
import importlib.util
import json
import os
import pathlib
import pty
import re
import select
import signal
import subprocess
import termios
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RUN = ROOT / 'lab/run'

spec = importlib.util.spec_from_file_location('pump', ROOT / 'lab/pump.py')
pump = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pump)


@pytest.fixture(scope='session', autouse=True)
def kernel():
    """Its kernel is fetched once, with a line that is no part of a command's output."""
    subprocess.run([ROOT / 'lab/kernel'], check=True, stdout=subprocess.DEVNULL)


def lab(*words, data=b'', **how):
    done = subprocess.run([RUN, *words], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                          timeout=300, **how)
    return done.returncode, done.stdout, done.stderr


def test_streams_and_status():
    data = bytes(range(256)) * 8192
    status, out, err = lab('--', 'sh', '-c', 'cat; echo "to stderr" >&2; echo again >/dev/stderr; exit 77', data=data)
    assert (status, err) == (77, b'to stderr\nagain\n')
    assert out == data


def test_variables_folder_and_kvm(tmp_path):
    script = 'cp /proc/self/environ "$LAB_OUT/e"; test -c /dev/kvm && test -w /dev/kvm && touch "$LAB_RAM/x" && pwd'
    status, out, err = lab('-e', 'GREETING', '-e', 'UNSET', '-o', tmp_path, '--', 'sh', '-c', script,
                           env={**os.environ, 'GREETING': "it's\n$HOME"}, cwd=ROOT / 'tests')
    assert (status, err) == (0, b'')
    assert out == os.fsencode(ROOT / 'tests') + b'\n'
    variables = (tmp_path / 'e').read_bytes().split(b'\0')
    assert b"GREETING=it's\n$HOME" in variables
    assert not any(v.startswith(b'UNSET=') for v in variables)


def test_user_divides_his_cgroup():
    script = '''set -e; id -un; cd /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); mkdir part; echo $$ >part/cgroup.procs
        echo "+memory +pids" >cgroup.subtree_control; cat part/cgroup.controllers; test -w "$XDG_RUNTIME_DIR"'''
    status, out, err = lab('-u', 'nobody', '--', 'bash', '-c', script, cwd='/')
    assert (status, err) == (0, b'')
    assert out == b'nobody\nmemory pids\n'


def test_what_is_left_running_is_ended():
    status, out, _ = lab('--', 'sh', '-c', 'sleep 1000 & echo started')
    assert (status, out) == (0, b'started\n')


def test_time_limit():
    status, out, err = lab('-t', '2', '--', 'sh', '-c', 'echo begun; sleep 1000')
    assert (status, out) == (124, b'begun\n')
    assert b'did not end within 2 s' in err


def of_session(leader):
    """The command lines of the processes that lab/run and its children are."""
    found = []
    for path in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if int((path / 'stat').read_text(errors='replace').split(')')[-1].split()[3]) == leader:
                found.append((path / 'cmdline').read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGINT])
def test_nothing_stays_after_a_signal(sig):
    with subprocess.Popen([RUN, '--', 'sh', '-c', 'echo up; sleep 1000'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True) as run:
        assert run.stdout.readline() == b'up\n'
        folder = pathlib.Path(os.fsdecode(re.search(rb'/tmp/vmlet-lab\.\w+', b'\n'.join(of_session(run.pid)))[0]))
        assert folder.is_dir()
        os.killpg(run.pid, sig)
        assert run.wait(30) == 128 + sig
    assert not folder.exists()
    end = time.monotonic() + 10
    while rest := of_session(run.pid):
        assert time.monotonic() < end, rest
        time.sleep(0.1)


def test_busy_counts_a_ready_command(tmp_path):
    busy = pathlib.Path(os.environ.get('VMLET_BUILD', ROOT / 'build')) / 'lab/busy'
    status, _, err = lab('-i', '-o', tmp_path, '--', 'sh', '-c',
                         '"$0" -n 3 -j -r sh -c \'echo ready >&$1; sleep 1000\' - {} >"$LAB_OUT/runs"', busy)
    assert (status, err) == (0, b'')
    runs = [json.loads(line) for line in (tmp_path / 'runs').read_text().splitlines()]
    assert [r['run'] for r in runs] == [0, 1, 2]
    assert all(r['ready'] and 100_000 < r['busy_ns'] < 20_000_000 for r in runs)


@pytest.mark.parametrize('words, message', [
    (['-o', '/nowhere', '--', 'true'], b'no such folder'),
    (['-u', 'nobody-at-all', '--', 'true'], b'no such user'),
    (['-m', 'much', '--', 'true'], b'is not a number'),
    (['-e', 'no-name', '--', 'true'], b'not the name of a variable'),
])
def test_mistakes(words, message):
    status, out, err = lab(*words)
    assert (status, out) == (125, b'')
    assert message in err and err.count(b'\n') == 1


@pytest.mark.parametrize('data, kept', [
    (b'', 0), (b'abc', 0), (b'abcM', 1), (b'MAR', 3), (b'MARKMA', 2), (b'MM', 1), (b'RK', 0),
])
def test_only_the_beginning_of_the_mark_waits(data, kept):
    assert pump.kept_back(data, b'MARK') == kept


def test_a_shell_for_people():
    """./quickstart --shell is a shell on a terminal, wherever guests can run, and leaves the terminal as it was."""
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(ROOT)
        os.execv('./quickstart', ['./quickstart', '--shell'])
    before = termios.tcgetattr(terminal)
    typed = [(b'(vmlet)', b'vmlet --version; test -t 0 && echo is-a-termi""nal\n'), (b'is-a-terminal', b'exit 3\n')]
    shown, end = b'', time.monotonic() + 120
    while time.monotonic() < end:
        if select.select([terminal], [], [], 1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
        if typed and typed[0][0] in shown:
            os.write(terminal, typed.pop(0)[1])
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    after = termios.tcgetattr(terminal)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3, shown.decode(errors='replace')
    assert b'vmlet 0.' in shown and after == before
