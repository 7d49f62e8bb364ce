"""Sandboxes among faults: tools killed anywhere, two at once, full and read-only disks, damaged files, dead monitors."""
import concurrent.futures
import json
import os
import select
import shutil
import signal
import subprocess
import time

import pytest
from sandboxes import PATIENCE, small_image, user          # noqa: F401  pylint: disable=unused-import


def settle(user):
    """What the next tools find and repair, once nobody can still be at work."""
    for base in (user.data / 'sandboxes', user.run_folder):
        for path in base.glob('.[nt]*-*') if base.exists() else ():
            os.utime(path, (0, 0))
    user.ok('ps')
    user.ok('ps')


def consistent(user):
    """Every sandbox that is listed can be looked at and removed, and then nothing is left."""
    settle(user)
    for box in json.loads(user.ok('ps', '-a', '--json')):
        assert 'problem' not in box, box
        assert box['state'] in ('created', 'starting', 'running', 'exited', 'killed', 'failed'), box
        user.ok('rm', '-f', box['id'])
    settle(user)
    assert user.left() == [] and user.monitors() == []


@pytest.mark.parametrize('options', [['run', '--rm'], ['run', '-d'], ['run', '-d', '--rm'], ['create']])
def test_tool_killed_at_any_point(user, options):
    words = user.words(*options, '-m', '64M', '--disk', 'none', '--name', 'box', user.image, 'sleep', '1')
    began = time.monotonic()
    assert subprocess.run(words, env=user.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode == 0
    took = time.monotonic() - began
    user('wait', 'box')
    user('rm', '-f', 'box')
    for n in range(5):
        with subprocess.Popen(words, env=user.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as process:
            time.sleep(took * n / 5)
            process.kill()
        consistent(user)


@pytest.mark.slow
@pytest.mark.parametrize('call', ['mkdir', 'openat', 'write', 'rename', 'symlinkat', 'fsync', 'fcntl', 'clone3', 'read', 'connect'])
def test_tool_killed_at_a_call(user, call):
    if not shutil.which('strace'):
        pytest.skip('strace is missing')
    user.ok('ps')
    for count in range(1, 5):
        for options in (['run', '--rm'], ['create', '--disk', '64M']):
            subprocess.run(['strace', '-qq', '-o', '/dev/null', '-e', f'inject={call}:signal=KILL:when={count}',
                            *user.words(*options, '-m', '64M', '--name', 'box', user.image, 'true')],
                           env=user.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            consistent(user)


def test_two_starts_at_once(user):
    box = user.ok('create', '-m', '64M', '--disk', 'none', user.image).strip()
    for _ in range(3):
        both = [user.popen('start', box) for _ in range(2)]
        ends = sorted((p.wait(60), *p.communicate()) for p in both)
        assert [e[0] for e in ends] == [0, 125], ends
        assert b'runs already' in ends[1][2]
        assert len(user.monitors()) == 1
        user.ok('kill', box)
    assert user('kill', box)[0] == 0 and user('stop', box)[0] == 0          # it is down already


def test_many_tools_at_once(user):
    user.ok('ps')
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda n: user('create', '--disk', '64M', '--name', f'box{n % 10}', user.image), range(20)))
    good = [out.strip() for status, out, _ in made if status == 0]
    assert len(good) == 10 and len(set(good)) == 10, made
    assert all('in use' in err for status, _, err in made if status)
    assert sorted(user.ok('ps', '-aq').split()) == sorted(good)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        removed = list(pool.map(lambda n: user('rm', good[n % 10]), range(20)))
    assert sum(status == 0 for status, _, _ in removed) >= 10
    consistent(user)


def test_names(user):
    user.ok('create', '--disk', 'none', '--name', 'a' * 63, user.image)
    for name in ('', 'a' * 64, '-x', '.x', 'a/b', 'a b', 'ä', '../x', 'a\nb', 'abcdefabcdef', '$(id)'):
        assert 'name' in user.fails('create', f'--name={name}', user.image)
    assert 'in use' in user.fails('create', '--name', 'a' * 63, user.image)
    user.ok('create', '--disk', 'none', '--name', 'foo', user.image)
    for command in ('start', 'stop', 'kill', 'rm', 'inspect', 'logs', 'wait', 'pause', 'exec'):
        err = user.fails(command, 'fo', *(['true'] if command == 'exec' else []))
        assert "sandbox 'fo' not found; did you mean foo?" in err
        assert 'not found' in user.fails(command, 'nothing-like-it', *(['true'] if command == 'exec' else []))
    assert 'is a folder' in user.fails('create', '/tmp')
    assert "'no/such'" in user.fails('run', '--rm', 'no/such', 'true')
    assert 'not found' in user.fails('run', '--rm', 'no-such-image', 'true')
    assert 'which command' in user.fails('run', user.image)
    for options in (['--cpus', '0'], ['--cpus', 'x'], ['-m', '1M'], ['-m', '2T'], ['--disk', '0'], ['--disk', 'x'], ['-l', '=x'], ['--cpu-shares', '1'],
                    ['--env-file', '/no/such'], ['--lifetime', '5'], ['--disk-rate', 'x'], ['--disk-rate', 'bw=1M,ro'],
                    ['--disk-rate', 'iops=5,'], ['--disk-rate', 'bw=0']):
        user.fails('create', *options, user.image)
    user.ok('create', '--disk', '64M', '--disk-rate', 'bw=20M,iops=500', user.image)
    assert 'no terminal' in user.fails('run', '-it', user.image)
    assert 'paused' in user.fails('ps', '--filter', 'status=foo')
    assert 'did you mean run?' in user.fails('rnu') and 'did you mean run?' in user.fails('help', 'rnu')
    assert user.ok('help', 'run') == user.ok('run', '--help')
    with open('/dev/full', 'wb') as full:
        tool = user.popen('ps', stdout=full)
        assert 'vmlet: cannot write' in tool.communicate()[1].decode() and tool.returncode == 125


def test_what_has_killed_it(user):
    user.start('--name', 'box')
    status, _, err = user('exec', 'box', 'sh', '-c', 'grep x /dev/zero; exit 4')
    assert status == 4 and 'ran out of memory: its kernel killed a process of the command' in err, err
    user.ok('kill', 'box')
    assert user.ok('wait', 'box') == '137\n'


def test_full_disk(user):
    """A data folder on a tiny file system: words, and nothing half-done."""
    user.data.mkdir(parents=True)
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k,nr_inodes=100', 'tmpfs', user.data], check=False).returncode:
        pytest.skip('needs mount')
    try:
        (user.data / 'filler').write_bytes(b'')
        user.fails('create', '--disk', '64M', '--name', 'box', user.image)
        with open(user.data / 'filler', 'wb', buffering=0) as f:
            with pytest.raises(OSError):
                while True:
                    f.write(b'x' * 4096)
        user.fails('create', '--disk', 'none', '--name', 'box', user.image)
        (user.data / 'filler').unlink()
        box = user.ok('create', '--disk', 'none', '-m', '64M', '--name', 'box', user.image, 'true').strip()
        user.ok('rm', box)
        assert user.left() == []
        assert user('run', '--rm', '-m', '64M', user.image, 'echo', 'x') == (0, 'x\n', '')
    finally:
        subprocess.run(['umount', user.data], check=True)


def test_read_only_folder(user):
    box = user.ok('create', '--disk', 'none', '-m', '64M', '--name', 'box', user.image).strip()
    if subprocess.run(['mount', '--bind', '-o', 'ro', user.data, user.data], check=False).returncode or \
            subprocess.run(['mount', '-o', 'remount,bind,ro', user.data], check=False).returncode:
        pytest.skip('needs mount')
    try:
        assert 'ead-only' in user.fails('create', '--disk', 'none', user.image)
        assert 'ead-only' in user.fails('start', 'box')
        assert 'ead-only' in user.fails('rm', 'box')
        assert user.ok('ps', '-aq').strip() == box
        assert user('run', '--rm', '-m', '64M', user.image, 'echo', 'x') == (0, 'x\n', '')
    finally:
        subprocess.run(['umount', user.data], check=True)
    consistent(user)


@pytest.mark.parametrize('name', ['config.json', 'state.json', 'exit.json'])
def test_file_cut_at_every_length(user, name):
    box = user.start(command=('true',))
    user.ok('wait', box)
    path = user.data / 'sandboxes' / box / name
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, max(1, len(whole) // 10)):
        path.write_bytes(whole[:length])
        state = user.state(box)
        assert state['id'] == box
        listed = user.ok('ps', '-a')
        assert box in listed
        if name == 'config.json':
            assert 'problem' in state and 'damaged' in listed
            assert user.fails('start', box).count(box) >= 1
        elif name == 'exit.json':
            assert 'damaged' in state['reason'] and state['state'] == 'killed'
    path.write_bytes(b'\xff\x00' * 50)
    assert box in user.ok('ps', '-a')
    path.write_bytes(whole[:len(whole) // 2])
    user.ok('rm', box)
    assert user.left() == []


def test_socket_path_too_long(user):
    long = user.folder / ('long/' * 30)
    long.mkdir(mode=0o700, parents=True)
    user.env['XDG_RUNTIME_DIR'] = str(long)
    assert len(str(long)) > 108
    assert user('run', '--rm', '-m', '64M', user.image, 'echo', 'x') == (0, 'x\n', '')
    box = user.start(command=('sleep', '1000'))
    assert user.ok('exec', box, 'echo', 'x') == 'x\n'
    assert user.state(box)['state'] == 'running'
    user.ok('stop', '-t', '1', box)
    user.ok('rm', box)


def test_missing_runtime_folder(user):
    del user.env['XDG_RUNTIME_DIR']
    assert user('run', '--rm', '-m', '64M', user.image, 'echo', 'x') == (0, 'x\n', '')
    user.env['XDG_RUNTIME_DIR'] = str(user.folder / 'run')
    user.run_folder.mkdir(exist_ok=True)
    user.run_folder.chmod(0o755)
    assert 'chmod 700' in user.fails('run', '--rm', '-m', '64M', user.image, 'true')
    user.run_folder.rmdir()
    user.run_folder.symlink_to('/tmp')
    assert 'not a folder' in user.fails('run', '--rm', '-m', '64M', user.image, 'true')


def test_monitor_killed(user):
    box = user.start(command=('sleep', '1000'))
    os.kill(user.monitors()[0], signal.SIGKILL)
    state = user.wait_state(box, 'killed')
    assert 'killed' in state['reason'] and f'logs --monitor {box}' in state['reason'] and state['exit_code'] == 125
    assert user.ok('wait', box) == '125\n'
    assert 'killed' in user.ok('ps', '-a')
    user.ok('start', box)                                       # and it can be started again
    assert user.state(box)['state'] == 'running'
    with user.popen('run', '--rm', '-m', '64M', user.image, 'sh', '-c', 'echo up; sleep 1000') as process:
        assert process.line() == b'up\n'
        os.kill(max(user.monitors()), signal.SIGKILL)
        assert process.wait(60) == 125 and process.stderr.read().count(b'\n') == 1
    user.ok('rm', '-f', box)
    assert user.left() == []


@pytest.mark.parametrize('name', ['SIGSEGV', 'SIGABRT'])
def test_monitor_crashed(user, name):
    box = user.start(command=('sleep', '1000'))
    os.kill(user.monitors()[0], getattr(signal, name))
    state = user.wait_state(box, 'failed')
    assert state['reason'] == f'crashed: signal {getattr(signal, name).value} ({name})' and state['exit_code'] == 125
    assert user.ok('wait', box) == '125\n' and name in user.ok('ps', '-a')
    assert not any((user.data / 'sandboxes' / box).glob('*.new'))
    user.ok('start', box)
    assert user.state(box)['state'] == 'running'


def test_monitor_stopped(user):
    """One that does not answer is told, and can be ended."""
    box = user.start(command=('sleep', '1000'))
    os.kill(user.monitors()[0], signal.SIGSTOP)
    assert 'does not answer' in user.state(box)['reason']
    user.ok('rm', '-f', box, timeout=60)
    assert user.left() == [] and user.monitors() == []


def test_guest_panics(user):
    box = user.start(command=('sh', '-c', 'echo c > /proc/sysrq-trigger; sleep 1000'))
    user.ok('wait', box)
    state = user.state(box)
    if state['state'] == 'running':
        pytest.skip('this kernel has no sysrq')
    assert state['state'] == 'failed' and 'panic' in state['reason'], state


def test_monitor_cannot_start(user):
    bad = user.folder / 'bad.img'
    bad.write_bytes(b'x' * 1024)
    user.fails('run', '--rm', '-m', '64M', bad, 'true')
    kernel = user.folder / 'kernel'
    kernel.write_bytes(b'no kernel')
    err = user.fails('run', '--rm', '-m', '64M', '--kernel', kernel, user.image, 'true')
    assert 'kernel' in err
    consistent(user)


def test_a_machine_without_its_command_is_ended(user):
    """A tool that is killed between the boot and the command leaves a machine that nothing would end: the next one does."""
    with user.popen('run', '--rm', '-m', '64M', user.image, 'sleep', '1000') as process:
        while not user.monitors():
            time.sleep(0.005)
        process.kill()
    settle(user)
    deadline = time.monotonic() + 60
    while user.monitors():
        assert time.monotonic() < deadline
        settle(user)
    assert user.left() == []


def test_newer_tool_beside_an_older_monitor(user):
    """A monitor that knows no control words but answers with ERR."""
    box = user.start(command=('sleep', '1000'))
    control = user.run_folder / box / 'control'
    control.unlink()
    state = user.state(box)                                     # nobody there: it runs, more is not known
    assert state['state'] == 'starting' and state['reason']
    assert user.ok('exec', box, 'echo', 'x') == 'x\n'


@pytest.mark.slow
def test_machine_that_does_not_power_off(user):
    """Its agent has told the end of the command, and the machine stands still: the tool does not wait for ever."""
    with user.popen('run', '-m', '64M', '--disk', 'none', '--name', 'box', user.image, 'sh', '-c',
                    'while ! test -e /go; do sleep 0.1; done; echo bye; exit 3') as tool:
        while user('exec', '-d', 'box', 'sh', '-c', 'trap "" TERM; touch /go; while :; do sleep 1; done')[0]:
            time.sleep(0.2)
        assert tool.line() == b'bye\n'
        time.sleep(0.5)                 # of the second that the other command has to end
        for pid in user.monitors():
            os.kill(pid, signal.SIGSTOP)
        out, err = tool.communicate(timeout=PATIENCE)
    assert (tool.returncode, out, err.count(b'\n')) == (3, b'', 1) and b'does not power off' in err
    assert user.monitors() == []


def test_tools_with_other_folders(user):
    """For whom the data folder or the runtime folder is elsewhere: what it does not know and what lives stays."""
    kept = user.start('--name', 'kept', command=('sleep', '1000'))
    user.start('--rm', '--name', 'gone', command=('sleep', '1000'))
    time.sleep(11)                                              # nothing is taken for young
    for variable in ('XDG_DATA_HOME', 'XDG_RUNTIME_DIR'):
        there = {**user.env, variable: str(user.folder / 'elsewhere')}
        (user.folder / 'elsewhere').mkdir(mode=0o700, exist_ok=True)
        assert user('ps', env=there)[0] == 0
        assert user('system', 'prune', '-f', env=there)[0] == 0
    for name in ('kept', 'gone'):
        assert user.ok('exec', name, 'echo', 'x') == 'x\n'
    user.ok('kill', 'kept', 'gone')
    assert user.ok('ps', '-aq').split() == [kept]
    consistent(user)


def ends(user):
    return [(e['exit_code'], e['reason']) for e in map(json.loads, user.ok('events', '--past').splitlines()) if e['event'] == 'ended']


@pytest.mark.parametrize('repair', [['ps'], ['system', 'prune', '-f'], ['rm', '-f', 'box']])
def test_who_watches_has_the_last_word(user, repair):
    """Tools that look at a --rm sandbox that has just ended leave its end to the one that watches it."""
    with user.popen('run', '--rm', '-m', '64M', '--name', 'box', '--lifetime', '4s', user.image, 'sh', '-c',
                    'echo up; sleep 1000') as tool:
        assert tool.line() == b'up\n'
        tool.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + 60
        while user.monitors():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with user.popen(*repair) as other:
            if repair[0] == 'rm':
                time.sleep(1)                                   # it has found it, and waits for the tool
            else:
                assert other.wait(60) == 0
            tool.send_signal(signal.SIGCONT)
            assert other.wait(60) == 0
        assert tool.wait(60) == 124
    assert ends(user) == [(124, 'sandbox box: its lifetime is over')]
    assert user.left() == []


@pytest.mark.parametrize('options', [[], ['-d']])
def test_end_of_a_temporary_one_is_waited_for(user, options):
    with user.popen('run', '--rm', *options, '-m', '64M', '--name', 'box', user.image, 'sh', '-c', 'echo up; sleep 3; exit 3') as tool:
        tool.line()
        with user.popen('events') as events, user.popen('wait', 'box') as first, user.popen('wait', 'box') as second:
            for waiter in (first, second):
                assert (waiter.wait(60), waiter.stdout.read(), waiter.stderr.read()) == (0, b'3\n', b'')
            assert tool.wait(60) == (0 if options else 3)
            events.kill()
    user.ok('ps')
    [(code, _)] = ends(user)
    assert code == 3 and user.left() == []


def test_a_temporary_one_is_its_tools(user):
    """It has ended, and the tool that is to tell its end is held up: nobody else removes it but by force."""
    with user.popen('run', '--rm', '-m', '64M', '--name', 'box', user.image, 'sh', '-c', 'echo up; sleep 1000') as tool:
        tool.line()
        os.kill(tool.pid, signal.SIGSTOP)
        for pid in user.monitors():
            os.kill(pid, signal.SIGKILL)
        while user.monitors():
            time.sleep(0.1)
        assert 'is to remove it' in user.fails('rm', 'box')
        user.ok('system', 'prune', '--force')
        assert user.left()
        os.kill(tool.pid, signal.SIGCONT)
        assert tool.wait(PATIENCE) == 125
    assert len(ends(user)) == 1 and user.left() == []


def test_disk_of_a_temporary_one(user):
    """It is not in the runtime folder, which is the host's memory, and goes with its sandbox however that ends."""
    for how in ('ends', 'killed', 'host restarts'):
        box = user.start('--rm', '--disk', '64M', command=('sleep', '1000'))
        user.ok('exec', box, 'dd', 'if=/dev/zero', 'of=/big', 'bs=1M', 'count=20')
        assert (user.data / f'sandboxes/.tmp-{box}/disk.img').exists()
        assert not list(user.run_folder.rglob('disk.img'))
        assert sum(p.stat().st_blocks * 512 for p in user.run_folder.rglob('*')) < 2 << 20
        if how == 'ends':
            user.ok('stop', '-t', '1', box)
        for pid in user.monitors():
            os.kill(pid, signal.SIGKILL)
        if how == 'host restarts':
            shutil.rmtree(user.run_folder)
        while user.monitors():
            time.sleep(0.1)
        consistent(user)


def test_nothing_is_inherited(user):
    """A script's lock or pipe is not held by a sandbox that outlives it."""
    ours, theirs = os.pipe()
    with user.popen('run', '-d', '-m', '64M', '--disk', 'none', user.image, pass_fds=(theirs,)) as tool:
        os.close(theirs)
        assert tool.wait(PATIENCE) == 0
    assert select.select([ours], [], [], 5)[0] and os.read(ours, 1) == b''
    os.close(ours)


def health_becomes(user, box, words):
    end = time.monotonic() + PATIENCE
    while (found := user.state(box))['agent'] not in words:
        assert time.monotonic() < end, found
        time.sleep(0.2)


def test_a_stuck_sandbox_is_told_from_a_paused_one(user):
    box = user.start(command=('sleep', '1000'))
    health_becomes(user, box, ('ready',))
    user.ok('pause', box)
    assert user.state(box)['agent'] == 'paused'
    user.ok('unpause', box)
    [monitor] = user.monitors()
    os.kill(monitor, signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert user.state(box)['agent'] == 'stuck'
        assert time.monotonic() - began < 10
    finally:
        os.kill(monitor, signal.SIGCONT)
    health_becomes(user, box, ('ready',))
    user.ok('kill', box)
    assert user.state(box)['agent'] is None


def test_a_guest_that_freezes_its_agent(user):
    """The monitor answers, and the agent does not: root in the guest can do that."""
    freeze = 'cd /sys/fs/cgroup; busybox mkdir ice; echo 1 > ice/cgroup.procs; echo 1 > ice/cgroup.freeze; sleep 1000'
    box = user.start(command=('sh', '-c', freeze))
    health_becomes(user, box, ('stuck',))
    assert user.state(box)['state'] == 'running'
    assert 'running' in user.ok('ps')
    assert 'does not answer' in user.fails('cp', f'{box}:/etc/passwd', user.folder)
    user.ok('kill', box)
    assert user.ok('wait', box) == '137\n'


@pytest.mark.slow
def test_a_command_in_a_stuck_sandbox_ends(user):
    stuck = user.start('--name', 'stuck', command=('sleep', '1000'))
    [monitor] = user.monitors()
    paused = user.start('--name', 'paused', command=('sleep', '1000'))
    script = 'echo begun; sleep 150; echo ended'
    with user.popen('exec', stuck, 'sh', '-c', script) as first, user.popen('exec', 'paused', 'sh', '-c', script) as second:
        assert first.line() == second.line() == b'begun\n'
        user.ok('pause', paused)
        os.kill(monitor, signal.SIGSTOP)
        try:
            assert first.wait(180) == 125
        finally:
            os.kill(monitor, signal.SIGCONT)
        assert f'the agent of {stuck} has not answered for 90 s'.encode() in first.stderr.read()
        assert second.poll() is None
        time.sleep(30)                        # the other one was doubted at the same time, or a bit later
        assert second.poll() is None
        user.ok('unpause', paused)
        assert second.line(300) == b'ended\n'
