"""A sandbox's life by the tool: made, run, looked at, stopped, started again, removed."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

import pytest
from sandboxes import small_image, user          # noqa: F401  pylint: disable=unused-import


def test_run_rm(user):
    user.ok('ps')
    assert user('run', '--rm', '-m', '64M', user.image, 'echo', 'a b', 'c') == (0, 'a b c\n', '')
    assert user('run', '--rm', '-m', '64M', user.image, '--', 'sh', '-c', 'echo out; echo err >&2; exit 7') == (7, 'out\n', 'err\n')
    assert user('run', '--rm', '-m', '64M', '-i', user.image, 'cat', stdin=b'typed') == (0, 'typed', '')
    assert user('run', '--rm', '-m', '64M', user.image, 'sh', '-c', 'kill -9 $$')[0] == 137
    assert user('run', '--rm', '-m', '64M', '--shell', user.image, 'echo a | grep a && exit 7') == (7, 'a\n', '')
    for words in ([], ['echo', 'b']):
        assert '--shell' in user.fails('run', '--rm', '--shell', user.image, *words)
    assert user('run', '--rm', '-m', '64M', user.image, 'no-such')[0] == 127
    assert user('run', '--rm', '-m', '64M', user.image, '/etc/passwd')[0] == 126
    assert user.left() == [] and user.monitors() == []


def test_options_reach_the_guest(user):
    env_file = user.folder / 'env'
    env_file.write_text('FROM_FILE=1\n# a comment\n')
    out = user.ok('run', '--rm', '--cpus', '2', '-m', '128M', '-e', 'A=1 2', '--env-file', env_file, '-u', 'user', '-w', '/tmp',
                  '--hostname', 'box.example', user.image, 'sh', '-c', 'nproc; echo "$A,$FROM_FILE"; id -u; pwd; hostname; '
                  'grep MemTotal /proc/meminfo').split('\n')
    assert out[:5] == ['2', '1 2,1', '1000', '/tmp', 'box.example']
    assert 90_000 < int(out[5].split()[1]) < 128 * 1024


def test_detached_life(user):
    assert user.ok('ps', '-q') == ''
    name = user.start('--name', 'box', '--label', 'a=1', '--label', 'b', command=('sh', '-c', 'echo begun; exec sleep 1000'))
    assert re.fullmatch('[0-9a-f]{12}', name)
    assert user.ok('exec', 'box', 'echo', 'inside') == 'inside\n'
    assert user.ok('exec', name[:6], 'hostname') == 'box\n'
    state = user.state('box')
    assert (state['id'], state['name'], state['state'], state['rm']) == (name, 'box', 'running', False)
    assert state['command'] == ['sh', '-c', 'echo begun; exec sleep 1000'] and state['labels'] == ['a=1', 'b']
    table = user.ok('ps').splitlines()
    assert len(table) == 2 and name in table[1] and 'running for' in table[1]
    for filters, found in ((['name=bo'], True), (['name=y'], False), (['label=a'], True), (['label=a=2'], False),
                           (['label=b', 'status=running'], True), (['status=exited'], False)):
        assert (user.ok('ps', '-q', *(w for f in filters for w in ('--filter', f))).strip() == name) == found
    assert [s['id'] for s in json.loads(user.ok('ps', '--json'))] == [name]
    for path in (user.data / 'sandboxes' / name, user.run_folder / name):
        assert path.stat().st_mode & 0o777 == 0o700
    for socket in ('agent', 'control'):
        assert (user.run_folder / name / socket).stat().st_mode & 0o777 == 0o600
    assert 'runs' in user.fails('rm', 'box')
    assert user.ok('stop', '-t', '1', 'box') == 'box\n'
    assert user.ok('ps', '-q') == '' and user.ok('ps', '-aq').strip() == name
    assert user.state('box')['state'] == 'exited'
    assert user.ok('logs', 'box') == 'begun\n'
    assert user.ok('rm', 'box') == 'box\n'
    assert user.left() == [] and user.monitors() == []


def test_exit_without_a_watcher(user):
    box = user.start(command=('sh', '-c', 'echo one; echo two >&2; sleep 1; exit 3'))
    assert user.ok('wait', box) == '3\n'
    state = user.state(box)
    assert (state['state'], state['exit_code']) == ('exited', 3)
    status, out, err = user('logs', box)
    assert (status, out, err) == (0, 'one\n', 'two\n')
    assert re.match(r'\d{4}-\d\d-\d\dT\S+Z one\n', user.ok('logs', '-t', box))


def test_create_refuses_what_is_for_run(user):
    for option, word in (('-d', '--detach '), ('--detach-keys=ctrl-x', '--detach-keys'), ('--rm', '--rm')):
        assert f': {word}' in user.fails('create', option, user.image)
    assert user.left() == []


def test_start_again(user):
    box = user.ok('create', '-m', '64M', '--name', 'again', '--disk', '64M', user.image, 'sh', '-c',
                  'echo run >>/root/runs; cat /root/runs; sync').strip()
    assert user.state(box)['state'] == 'created'
    assert user('start', '-a', 'again')[:2] == (0, 'run\nagain\n')
    assert user('start', '-a', 'again')[:2] == (0, 'run\nrun\nagain\n')
    assert user.ok('logs', '--tail', '1', 'again') == 'run\n'
    assert user.ok('logs', 'again') == 'run\n' * 3
    disk = user.data / 'sandboxes' / box / 'disk.img'
    assert disk.stat().st_size == 64 << 20 and disk.stat().st_blocks * 512 < 24 << 20
    assert 'Power down' in user.ok('logs', '--console', 'again')
    user.ok('rm', 'again')
    assert user.left() == []


def test_logs_are_followed(user):
    box = user.start(command=('sh', '-c', 'for i in 1 2 3; do echo $i; sleep 1; done'))
    with user.popen('logs', '-f', box) as process:
        assert [process.line() for _ in range(3)] == [b'1\n', b'2\n', b'3\n']
        assert process.wait(60) == 0                            # it ends with the sandbox


def test_rm_in_the_background(user):
    box = user.start('--rm', command=('sleep', '1000'))
    assert not (user.data / 'sandboxes').exists() or not list((user.data / 'sandboxes').glob('[0-9a-f]*'))
    assert user.ok('exec', box, 'echo', 'x') == 'x\n'
    user.ok('stop', '-t', '1', box)
    assert user.left() == []
    box = user.start('--rm', '--name', 'short', command=('sleep', '1'))
    end = time.monotonic() + 60
    while user.monitors():
        assert time.monotonic() < end
        time.sleep(0.2)
    user.ok('ps')                                               # any later tool
    assert user.left() == []


def test_pause(user):
    box = user.start(command=('sleep', '1000'))
    user.ok('pause', box)
    assert user.state(box)['state'] == 'paused'
    user.ok('pause', box)
    assert 'paused' in user.fails('exec', box, 'true')
    user.ok('unpause', box)
    assert user.state(box)['state'] == 'running' and user.ok('exec', box, 'echo', 'x') == 'x\n'
    user.ok('pause', box)
    user.ok('stop', '-t', '1', box)                             # a paused one can be stopped
    assert user.state(box)['state'] == 'exited'


def test_stop_gives_the_time_it_was_asked_for(user):
    for seconds, expected in (('10', 'begun\nsurvived\n'), ('2', 'begun\n')):
        box = user.start(command=('sh', '-c', 'trap "sleep 7; echo survived; exit" TERM; echo begun; while :; do sleep 1; done'))
        with user.popen('logs', '-f', box) as log:
            assert log.line() == b'begun\n'
        user.ok('stop', '-t', seconds, box)
        assert user.ok('logs', box) == expected
        assert (state := user.state(box))['reason'] == 'the guest powered off', state


def test_lifetime(user):
    status, _, err = user('run', '--rm', '-m', '64M', '--lifetime', '2s', user.image, 'sleep', '1000')
    assert status == 124 and 'lifetime' in err and user.left() == [], err
    assert user('run', '-m', '64M', '--disk', 'none', '--lifetime', '2s', '--name', 'kept', user.image, 'sleep', '1000')[0] == 124
    assert user.ok('wait', 'kept') == '124\n'
    user.ok('rm', 'kept')
    box = user.start('--lifetime', '2s')
    assert user.ok('wait', box) == '124\n' and user.state(box)['reason'] == 'lifetime'


def test_signals_go_to_the_command(user):
    with user.popen('run', '--rm', '-m', '64M', user.image, 'sh', '-c', 'trap "echo got; exit 9" INT; echo ready; while :; do sleep 1; done') as p:
        assert p.line() == b'ready\n'
        p.send_signal(signal.SIGINT)
        assert p.line() == b'got\n' and p.wait(60) == 9
    assert user.left() == [] and user.monitors() == []


def test_interrupted_while_it_boots(user):
    for wait in (0.02, 0.1, 0.3):
        with user.popen('run', '--rm', '-m', '64M', user.image, 'sleep', '1000') as p:
            time.sleep(wait)
            p.send_signal(signal.SIGINT)
            assert p.wait(60) != 0
    user.ok('ps')
    time.sleep(0.5)
    assert user.monitors() == [] and [x for x in user.left() if '.new' not in x] == []


def test_limits(user):
    (user.folder / 'config/vmlet').mkdir(parents=True)
    config = user.folder / 'config/vmlet/config.toml'
    config.write_text('[limits]\nsandboxes = 2\nmemory = "256M"\ndisk = "200M"\n[defaults]\nmemory = "64M"\ndisk = "none"\n')
    first = user.ok('run', '-d', user.image).strip()
    assert user.state(first)['memory_bytes'] == 64 << 20 and user.state(first)['disk_bytes'] == 0
    assert '256 MiB' in user.fails('run', '-d', '-m', '256M', '--rm', user.image)
    second = user.ok('run', '-d', user.image).strip()
    assert 'as many as' in user.fails('run', '--rm', user.image, 'true')
    user.ok('kill', second)
    assert user('run', '--rm', user.image, 'true')[0] == 0
    user.ok('create', '--disk', '128M', user.image)
    assert '200 MiB' in user.fails('create', '--disk', '128M', user.image)
    config.write_text('[limits]\nsandboxes = many\n')
    assert 'config.toml:2' in user.fails('run', '--rm', user.image, 'true')
    assert len(user.ok('ps', '-aq').split()) == 3


def test_processor_limit_is_held_or_told(user):
    with user.popen('run', '--rm', '-m', '64M', '--cpus', '0.5', '-c', '512', user.image, 'sh', '-c', 'echo up; sleep 3') as p:
        assert p.line() == b'up\n'
        pid = user.monitors()[0]
        group = pathlib.Path(f'/proc/{pid}/cgroup').read_text()
        if not os.geteuid():
            folder = pathlib.Path('/sys/fs/cgroup' + re.search('0::(/vmlet/.*)', group)[1])
            assert {name: (folder / name).read_text().strip() for name in ('cpu.max', 'cpu.weight', 'memory.max')} == \
                {'cpu.max': '50000 100000', 'cpu.weight': '50', 'memory.max': str((64 + 128) << 20)}
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0, (out, err)
    if os.geteuid():
        assert b'not held' in err
    else:
        assert err == b'' and '0::/vmlet/' in group
        name = re.search('0::/vmlet/(.*)', group)[1]
        assert not pathlib.Path('/sys/fs/cgroup/vmlet', name).exists()


def test_disk_rate_is_held(user):
    """A bucket that is full at first, then 2 MiB a second; the file system writes a little of its own."""
    script = 'read a x </proc/uptime; dd if=/dev/zero of=/big bs=1M count=10 conv=fsync 2>/dev/null; read b x </proc/uptime; echo $a $b'
    took = []
    for rate in ([], ['--disk-rate', 'bw=2M']):
        before, after = map(float, user.ok('run', '--rm', '-m', '64M', '--disk', '64M', *rate, user.image, 'sh', '-c', script).split())
        took.append(after - before)
    assert took[1] > 3 and took[1] > took[0] + 2, took


@pytest.mark.parametrize('most', [20, 60])
def test_processes_are_limited(user, most):
    status, out, err = user('run', '--rm', '-m', '64M', '--pids-limit', most, user.image, 'sh', '-c',
                            'for i in $(seq 40); do sleep 100 & echo $i; done; echo all')
    if most > 40:
        assert (status, out.splitlines()[-1], err) == (0, 'all', '')
    else:
        assert status and "can't fork" in err and most - 5 < len(out.splitlines()) < most, (out, err)


def test_images(user):
    user.ok('images', 'add', 'small', user.image)
    user.ok('images', '--kernel', '--link', 'add', 'ours', user.kernel / 'vmlinux')
    listed = {e['name']: e for e in json.loads(user.ok('images', '--json'))}
    assert listed['small']['kind'] == 'image' and listed['ours']['linked']
    box = user.ok('create', '-m', '64M', '--disk', 'none', '--kernel', 'ours', 'small', 'echo', 'x').strip()
    assert 'was made from it' in user.fails('images', 'rm', 'small')
    assert user('start', '-a', box)[1] == f'x\n{box}\n'
    user.ok('rm', box)
    user.ok('images', 'rm', 'small')
    user.ok('images', 'rm', 'ours')
    user.ok('images', 'add', 'small', user.image)
    assert 'did you mean small' in user.fails('run', '--rm', 'smal', 'true')
    assert 'there already' in user.fails('images', 'add', 'small', user.image)
    for bad in ('../x', '.x', '', 'a' * 64):
        user.fails('images', 'add', bad, user.image)
    (user.folder / 'odd').write_bytes(bytes(1000))
    assert '512' in user.fails('images', 'add', 'odd', user.folder / 'odd')


def test_tty(user):
    script = subprocess.run(['script', '-qec', ' '.join(user.words('run', '--rm', '-it', '-m', '64M', user.image, 'tty')), '/dev/null'],
                            env=user.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=120, check=False)
    assert b'/dev/pts/' in script.stdout, script.stdout


def test_events(user):
    user.ok('ps', '-a')
    (user.folder / 'run/vmlet').mkdir(mode=0o700, exist_ok=True)
    with user.popen('events') as process:
        time.sleep(1)
        box = user.start('--name', 'box', command=('sleep', '2'))
        lines = [json.loads(process.line()) for _ in range(3)]     # the end, which nobody waits for, is seen at once
        assert [(e['event'], e['id'], e['name']) for e in lines] == [(w, box, 'box') for w in ('created', 'started', 'ended')]
        assert (lines[2]['exit_code'], lines[2]['reason']) == (0, '') or lines[2]['exit_code'] == 0
        user.ok('start', box)
        user.ok('pause', box)
        user.ok('unpause', box)
        user.ok('rm', '-f', box)
        assert [json.loads(process.line())['event'] for _ in range(5)] == \
            ['started', 'paused', 'resumed', 'ended', 'removed']
        other = user.start('--rm', command=('sleep', '1'))
        assert [json.loads(process.line())['event'] for _ in range(3)] == ['started', 'ended', 'removed']
        assert not (user.run_folder / other).exists()
        process.kill()
    past = [json.loads(line) for line in user.ok('events', '--past').splitlines()]
    assert len(past) == 11 and all(abs(e['time_ns'] / 1e9 - time.time()) < 600 for e in past)


def test_system(user):
    running, idle = user.start(), user.ok('create', '--disk', '64M', user.image).strip()
    use = {u['kind']: u for u in json.loads(user.ok('system', 'df', '--json'))}
    assert (use['sandboxes']['count'], use['sandboxes']['active'], use['disk templates']['count']) == (2, 1, 1)
    assert use['sandboxes']['reclaimable_bytes'] > 0 and 'RECLAIMABLE' in user.ok('system', 'df')
    assert 'say --force' in user.fails('system', 'prune')
    assert user.ok('system', 'prune', '-f').split() == [idle]
    assert user.ok('ps', '-aq').split() == [running]
    user.fails('system', 'other')


def test_version(user):
    told = json.loads(user.ok('version', '--json'))
    assert told['protocol'] == 1 and told['kernel'] == os.path.realpath(user.kernel / 'vmlinux')
    assert told['vmlet'] in user.ok('version') and told['vmlet'] in user.ok('--version')


def test_runtime_folder_is_gone(user):
    """As after a restart of the host."""
    box = user.start(command=('sleep', '1000'))
    user.ok('kill', box)
    shutil.rmtree(user.run_folder)
    assert user.state(box)['state'] == 'exited'
    user.ok('start', box)
    assert user.ok('exec', box, 'echo', 'x') == 'x\n'


def test_two_kinds_of_users(user):
    """Without root: all of it but the limits of processor time, and that is told."""
    if os.geteuid():
        return
    user.folder.chmod(0o755)
    kvm = os.stat('/dev/kvm')
    home = user.folder / 'other'
    home.mkdir()
    shutil.copy(user.image, home / 'img')
    shutil.copy(user.kernel / 'vmlinux', home)
    for path in (home, home / 'img', home / 'vmlinux'):
        os.chown(path, 1234, 1234)
    env = {'HOME': str(home), 'PATH': os.environ['PATH'], 'VMLET_KERNEL': str(home / 'vmlinux')}

    def run(*words):
        return subprocess.run(user.words(*words), env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              user=1234, group=1234, extra_groups=[kvm.st_gid], check=False, timeout=120)

    if run('version').returncode or not kvm.st_mode & 0o060:
        pytest.skip('a user can use neither the programs nor /dev/kvm here')
    try:
        done = run('run', '--rm', '-m', '64M', '--cpus', '0.5', home / 'img', 'echo', 'x')
        assert (done.returncode, done.stdout) == (0, b'x\n') and b'not held' in done.stderr, done
        assert os.stat('/tmp/vmlet-1234').st_mode & 0o777 == 0o700
        box = run('run', '-d', '-m', '64M', '--disk', 'none', home / 'img').stdout.decode().strip()
        assert (home / '.local/share/vmlet/sandboxes' / box).is_dir()
        assert run('exec', box, 'echo', 'x').stdout == b'x\n' and run('rm', '-f', box).returncode == 0
        os.chown('/tmp/vmlet-1234', 0, 0)
        done = run('run', '--rm', '-m', '64M', home / 'img', 'true')
        assert done.returncode == 125 and b'belongs to user 0' in done.stderr
    finally:
        shutil.rmtree('/tmp/vmlet-1234', ignore_errors=True)
