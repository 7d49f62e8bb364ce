"""The guest as a machine: what it uses, its clock, its disk of changes, connections into it, and its end."""
import hashlib
import os
import struct
import subprocess
import time

import pytest

from agent_protocol import BUSY, CLOCK, PATIENCE, PING, STDOUT, STOPPING, SYNC, STARTED, SYSTEM, TELL, Agent, Closed, Refused



def sh(vm, script, *options, **how):
    return vm.exec(['/bin/sh', '-c', script], *options, **how)


def make_upper(vm, size='64M'):
    disk = vm.folder / 'upper'
    subprocess.run(['/sbin/mkfs.ext4', '-q', disk, size], check=True)
    return disk


def check_clean(disk):
    """The file system needs no repair, and not even its journal was used."""
    checked = subprocess.run(['/sbin/e2fsck', '-fn', disk], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    assert checked.returncode == 0 and b'recovering' not in checked.stdout, checked.stdout
    state = subprocess.run(['/sbin/dumpe2fs', '-h', disk], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True)
    assert b'needs_recovery' not in state.stdout


def test_changes_on_a_disk(vm):
    disk = make_upper(vm)
    options = ('--disk', f'{disk},serial=upper')
    vm.boot(*options)
    assert sh(vm, 'cat /proc/mounts | grep " / "')[1].split()[2] == b'overlay'
    assert sh(vm, 'echo kept > /etc/kept; rm /etc/passwd; mkdir /data; df -k / | tail -1')[0] == 0
    # It goes on over an orderly end: nothing is left to repair, though a command held files open for writing.
    writer = subprocess.Popen([vm.build / 'bin/vmlet', 'exec', vm.vsock_path, 'sh', '-c', 'exec > /data/open; echo; echo >&2; sleep 1000'],
                              stderr=subprocess.PIPE)
    assert writer.stderr.readline() == b'\n'
    assert vm.stop()[0] == 0
    writer.communicate()
    check_clean(disk)
    vm.boot(*options)
    assert sh(vm, 'cat /etc/kept; test -e /etc/passwd || echo gone; ls /data') == (0, b'kept\ngone\nopen\n', b'')
    # And over the monitor's sudden death: what was synced is there, the journal mends the rest.
    assert sh(vm, 'echo synced > /data/synced; sync; for i in $(seq 200); do echo $i > /data/$i; done')[0] == 0
    vm.process.kill()
    vm.wait()
    vm.boot(*options)
    assert sh(vm, 'cat /data/synced /etc/kept') == (0, b'synced\nkept\n', b'')
    assert sh(vm, 'echo more > /data/synced')[0] == 0
    assert vm.stop()[0] == 0
    check_clean(disk)


def test_sync(vm):
    """Over the monitor's sudden death there is what SYNC answered for, and not what came after it."""
    options = ('--disk', f'{make_upper(vm)},serial=upper')
    vm.boot(*options)
    # The kernel itself writes back nothing: who syncs nothing loses both.
    assert sh(vm, 'mkdir /data && sync && echo 0 > /proc/sys/vm/dirty_writeback_centisecs && '
                  'head -c 300000 /dev/urandom > /data/before')[0] == 0
    digest = sh(vm, 'sha256sum < /data/before')[1]
    with Agent(vm.vsock_path) as agent:
        agent.ask(SYNC)
        assert sh(vm, 'head -c 300000 /dev/urandom > /data/after')[0] == 0
        vm.process.kill()
        vm.wait()
    vm.boot(*options)
    assert sh(vm, 'sha256sum < /data/before')[1] == digest
    assert sh(vm, 'cat /data/after 2>/dev/null | wc -c')[1] == b'0\n'
    assert vm.stop()[0] == 0


def test_a_broken_disk_of_changes(vm):
    disk = vm.folder / 'upper'
    for content, mode, word in ((b'', 'serial=upper', 'no ext4'), (b'ext4', 'ro,serial=upper', 'written'),
                                (b'damaged', 'serial=upper', 'e2fsck')):
        disk.write_bytes(bytes(1 << 20))
        if content:
            make_upper(vm)
        if content == b'damaged':
            with open(disk, 'r+b') as f:
                f.seek(2048)                # the group descriptors
                f.write(b'\xff' * 4096)
        vm.boot('--disk', f'{disk},{mode}')
        status, out, err = vm.exec(['true'])
        assert (status, out) == (125, b'') and err.count(b'\n') == 1
        assert b'writable disk /dev/vdb' in err and word.encode() in err, err
        with Agent(vm.vsock_path) as agent:
            agent.ask(PING)                 # it still answers, and can be shut down
        assert vm.stop()[0] == 0


def test_hostname(vm):
    vm.boot('--append', 'vmlet.hostname=box-1')
    assert vm.exec(['cat', '/proc/sys/kernel/hostname']) == (0, b'box-1\n', b'')


def until(condition, what):
    end = time.monotonic() + PATIENCE / 4
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_metrics(vm):
    vm.boot(cpus=2)
    with Agent(vm.vsock_path) as agent:
        before = agent.metrics()
        assert before['cpus'] == 2 and before['execs'] == 0 and before['frozen'] == 0
        assert 100 << 20 < before['memory_total_bytes'] < 128 << 20
        assert 0 < before['memory_free_bytes'] <= before['memory_total_bytes']
        assert 0 < before['agent_memory_bytes'] < 1 << 20 and 3 <= before['agent_descriptors'] < 16
        assert before['uptime_ms'] < 1000 * PATIENCE and before['disk_read_bytes'] > 0
        assert agent.run('head -c 20000000 /dev/zero > /tmp/x; dd if=/dev/vda of=/dev/null bs=1M count=32 2> /dev/null').status == 0
        request = agent.start(['sleep', '1000'])
        after = agent.metrics()             # also while a command runs on the connection
        assert after['execs'] == 1 and agent.ping() == 1
        assert after['memory_free_bytes'] < before['memory_free_bytes'] - 15_000_000
        assert after['root_free_bytes'] < before['root_free_bytes'] - 15_000_000
        assert after['disk_read_bytes'] > before['disk_read_bytes'] + (8 << 20)
        for name in ('uptime_ms', 'cpu_user_us', 'cpu_system_us', 'cpu_idle_us'):
            assert after[name] >= before[name]
        assert after['uptime_ms'] > before['uptime_ms'] and request


def test_clock(vm):
    vm.boot()
    with Agent(vm.vsock_path) as agent:
        for seconds in (1_000_000_000, 4_000_000_000):
            agent.ask(CLOCK, struct.pack('<Q', seconds * 10**9))
            assert 0 <= int(agent.run(['date', '+%s']).out) - seconds < 60
        assert agent.refused(CLOCK, struct.pack('<Q', 2**64 - 1)).code == SYSTEM


def test_environment(vm):
    vm.boot()
    with Agent(vm.vsock_path) as one, Agent(vm.vsock_path) as other:
        one.environment('A=1', 'PATH=/usr/bin:/bin', 'B=x y')
        assert other.run('echo "$A $B $PATH"').out == b'1 x y /usr/bin:/bin\n'
        assert other.run('echo $A', env=['A=2']).out == b'2\n'
        other.environment('A', 'B=')
        assert one.run('echo "${A-no}${B-no}"').out == b'no\n'


def test_processes(vm):
    vm.boot()
    with Agent(vm.vsock_path) as agent, Agent(vm.vsock_path) as other:
        agent.start(['/bin/sh', '-c', 'sleep 1111 & sleep 2222 & exec sleep 3333'], user='daemon', flags=TELL)
        started = struct.unpack_from('<I', agent.expect(STARTED))[0]
        # A program that has only begun counts no page yet: the kernel adds them up in batches.
        until(lambda: sum(p.command.startswith('sleep ') and p.state == 'S' for p in other.processes(True)) == 3,
              'the commands do not run')
        found = {p.command: p for p in other.processes(True)}
        assert set(found) == {'sleep 1111', 'sleep 2222', 'sleep 3333'}     # neither the agent nor the kernel's own
        main = found['sleep 3333']
        assert main.parent == 1 and found['sleep 1111'].parent == main.pid
        for p in found.values():
            assert p.number == started and p.user == 'daemon' and p.user_id == 1 and p.state == 'S' and p.memory > 0
            assert abs(p.started_ns / 1e9 - time.time()) < 2 * PATIENCE and p.cpu_us < PATIENCE * 10**6
        # In several frames.
        words = ': ' + 'x' * 900
        agent.socket.close()
        agent = Agent(vm.vsock_path)
        agent.start(['/bin/sh', '-c', f'for i in $(seq 40); do sh -c "sleep 1000; {words}" & done; wait'])
        until(lambda: sum(words in p.command for p in other.processes(True)) == 41, 'not all run')
        agent.close()


SERVER = r'''
import hashlib, os, socket, sys
family, where = (socket.AF_UNIX, sys.argv[1].replace("@", "\0")) if not sys.argv[1].isdigit() else (socket.AF_INET, ("127.0.0.1", int(sys.argv[1])))
s = socket.socket(family)
s.bind(where)
s.listen(16)
print("listening", flush=True)
while True:
    c = s.accept()[0]
    verb = c.recv(1)
    if verb == b"e":                    # tells the checksum of all that comes, after its end
        h = hashlib.sha256()
        while part := c.recv(65536):
            h.update(part)
        c.sendall(h.hexdigest().encode())
    elif verb == b"s":                  # says something, ends, and takes what comes then
        c.sendall(b"x" * 3000000)
        c.shutdown(socket.SHUT_WR)
        n = 0
        while part := c.recv(65536):
            n += len(part)
        print(n, flush=True)
    elif verb == b"h":                  # takes nothing
        globals().setdefault("kept", []).append(c)
        continue
    c.close()
'''


def serve(vm, where):
    """A listener in the guest. Return: the connection that its command runs on."""
    agent = Agent(vm.vsock_path)
    agent.start(['/usr/bin/python3', '-c', SERVER, where])
    assert agent.read().payload == b'listening\n'
    return agent


def read_all(s):
    data = b''
    while part := s.recv(1 << 16):
        data += part
    return data


@pytest.mark.parametrize('where', ['7000', '/tmp/socket', '@socket'])
def test_connections_into_the_guest(vm, where):
    vm.boot()
    address, port = ('', int(where)) if where.isdigit() else (where, 0)
    data = os.urandom(1 << 20) * 4
    with Agent(vm.vsock_path) as agent:
        assert agent.run(['true']).status == 0
        before = agent.metrics()
    server = serve(vm, where)
    # What the client ends first goes on in the other direction.
    with Agent(vm.vsock_path) as agent:
        s = agent.connect(address, port)
        s.sendall(b'e' + data)
        s.shutdown(1)
        assert read_all(s) == hashlib.sha256(data).hexdigest().encode()
    # And what the listener ends first.
    with Agent(vm.vsock_path) as agent:
        s = agent.connect(address, port)
        s.sendall(b's')
        assert read_all(s) == b'x' * 3_000_000
        s.sendall(data)
    assert server.read().payload == b'%d\n' % len(data)
    # A client that leaves a listener which takes nothing: at once, or at the listener's end if it left much.
    with Agent(vm.vsock_path) as agent:
        held = agent.metrics()['agent_descriptors']
    for fill in (False, True):
        with Agent(vm.vsock_path) as agent:
            s = agent.connect(address, port)
            s.sendall(b'h')
            s.settimeout(2)
            try:
                while fill:
                    s.sendall(data)
            except TimeoutError:
                pass
        with Agent(vm.vsock_path) as agent:
            until(lambda: agent.metrics()['agent_descriptors'] <= held + fill, 'the agent still holds a connection')
    server.close()
    with Agent(vm.vsock_path) as agent:
        until(lambda: agent.metrics()['agent_descriptors'] <= before['agent_descriptors'], 'the agent still holds a connection')
        # Nobody listens there.
        with pytest.raises(Refused) as refused:
            agent.connect('127.0.0.1', 9)
        assert refused.value.code == SYSTEM and refused.value.errno == 111 and '127.0.0.1, port 9' in refused.value.text
        with pytest.raises(Closed):
            agent.read()


def test_freeze(vm):
    vm.boot()
    with Agent(vm.vsock_path) as agent, Agent(vm.vsock_path) as other:
        other.freeze()                      # nothing was started yet: nothing has to stop
        other.freeze(False)
        agent.start(['/bin/sh', '-c', 'while :; do echo x; done'])
        agent.read()
        other.freeze()
        assert other.metrics()['frozen'] == 1 and other.ping() == 1
        agent.socket.settimeout(3)
        with pytest.raises(TimeoutError):   # what was written before still comes
            while True:
                agent.read()
        before = other.metrics()['cpu_user_us']
        time.sleep(1)
        assert other.metrics()['cpu_user_us'] - before < 500_000
        assert all(p.cpu_us for p in other.processes(True))
        with pytest.raises(Refused) as refused:
            other.run(['true'])
        assert refused.value.code == BUSY and 'frozen' in refused.value.text
        other.ask(SYNC)                     # what is not about processes goes on
        other.freeze(False)
        agent.socket.settimeout(PATIENCE)
        while agent.read().kind != STDOUT:
            pass
        assert other.run(['true']).status == 0
        # What is frozen can be killed, by its client's leaving.
        other.freeze()
    agent.close()
    with Agent(vm.vsock_path) as agent:
        until(lambda: agent.ping() == 0, 'the frozen command lives')
        agent.freeze(False)
        # And the end of the machine does not wait for it.
        agent.start(['/bin/sh', '-c', 'trap "echo ended; exit 0" TERM; echo begun; while :; do sleep 0.1; done'])
        assert agent.read().payload == b'begun\n'
        with Agent(vm.vsock_path) as other:
            other.freeze()
            other.shutdown(60000)
            end = [f.payload for f in agent.is_closed() if f.kind == STDOUT]
            assert end == [b'ended\n']      # it was let go on, and told
    assert vm.wait()[0] == 0


def test_shutdown(vm):
    """In order, and not held up: by connections into the guest, stuck children, or those who do not listen."""
    vm.boot()
    server = serve(vm, '7000')
    relays = [Agent(vm.vsock_path) for _ in range(3)]
    for agent in relays:
        agent.connect('', 7000).sendall(b'h')
    watch = Agent(vm.vsock_path)
    watch.start(['/bin/sh', '-c', 'trap "" TERM; echo deaf; while :; do sleep 1; done'])
    watch.read()
    with Agent(vm.vsock_path) as agent:
        started = time.monotonic()
        agent.shutdown(3000)
        assert agent.refused(SYNC).code == STOPPING
        assert vm.wait()[0] == 0
        assert 3 <= time.monotonic() - started < 3 + PATIENCE / 4
    for agent in (server, watch, *relays):
        agent.close()


def test_it_answers_under_load(vm):
    """PING says that the agent is there, whatever commands and disks have to do."""
    vm.boot(cpus=2)
    busy = [Agent(vm.vsock_path) for _ in range(100)]
    for agent in busy:
        agent.start(['/bin/sh', '-c', 'while :; do :; done'])
    writers = [Agent(vm.vsock_path) for _ in range(4)]
    for agent in writers:
        agent.start(['/bin/sh', '-c', 'while :; do dd if=/dev/zero of=/tmp/$$ bs=1M count=4 2> /dev/null; sync; done'])
    with Agent(vm.vsock_path) as agent:
        until(lambda: agent.ping() == 104, 'not all run')
        times = []
        for _ in range(20):
            start = time.monotonic()
            assert agent.ping() == 104
            times.append(time.monotonic() - start)
            time.sleep(0.1)
        print(sorted(times))
        assert sorted(times)[10] < 0.5 and max(times) < 5, times
        agent.ask(SYNC)
    for agent in busy + writers:
        agent.close()
    with Agent(vm.vsock_path) as agent:
        until(lambda: agent.ping() == 0, 'some still run')
