"""Clients that break the protocol, or just leave, in front of the agent of a real guest.

Hostile agents in front of the tool need no guest: tests/unit/cli/test_hostile.py.
"""
import os
import pathlib
import shutil
import socket
import struct
import tempfile
import time

import pytest

from conftest import Vm
from agent_files import LIST, PACK, READ, RECURSIVE, STAT, UNPACK, WATCH, WRITE, ALL
from agent_files import request as file
from agent_protocol import (ATTACH, CLOCK, CONNECT, CROWDED, DETACH, DONE, ENVIRONMENT, ERROR, EXEC, FILE, FREEZE, MALFORMED,
                            METRICS, PING, PROCESSES, RESIZE, SHUTDOWN, SIGNAL, STARTED, STDIN, STDOUT, SYNC, TELL, VERSION,
                            WELCOME, WITH_STDIN, Agent, Refused, connect, execute, frame, hello)

PATIENCE = 30
KEPT_GROUPS = 40            # control groups that the agent keeps open for later commands, and more

# One request of each kind that is right, and how long its payload may be at most.
REQUESTS = {
    'exec': (EXEC, execute(['sleep', '1000']), 262144),
    'exec-with-input': (EXEC, execute(['cat'], flags=WITH_STDIN), 262144),
    'stdin': (STDIN, b'x' * 100, 65536),
    'signal': (SIGNAL, struct.pack('<4I', 0, 1, 0, 0), 16),
    'resize': (RESIZE, struct.pack('<II', 0, 0), 8),
    'attach': (ATTACH, struct.pack('<II', 1, 0), 8),
    'processes': (PROCESSES, struct.pack('<I', 1), 4),
    'read': (FILE, file(READ, '/dev/zero', length=ALL), 12288),
    'write': (FILE, file(WRITE, '/tmp/faults/written'), 12288),
    'list': (FILE, file(LIST, '/', flags=RECURSIVE), 12288),
    'pack': (FILE, file(PACK, '/usr'), 12288),
    'unpack': (FILE, file(UNPACK, '/tmp/faults'), 12288),
    'watch': (FILE, file(WATCH, '/tmp/faults'), 12288),
    'metrics': (METRICS, b'', 0),
    'clock': (CLOCK, struct.pack('<Q', 10**18), 8),
    'sync': (SYNC, b'', 0),
    'freeze': (FREEZE, struct.pack('<I', 1), 4),
    'connect': (CONNECT, struct.pack('<II', 0, 7000) + b'\0', 4104),
    'environment': (ENVIRONMENT, struct.pack('<I', 1) + b'A=1\0', 262144),
    'ping': (PING, b'', 0),
}


@pytest.fixture(scope='module')
def guest(build, kernel, image):
    """One guest for all tests here: what one of them leaves behind, the others trip over."""
    vm = Vm(build, kernel, image, pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-')))
    vm.boot()
    with Agent(vm.vsock_path) as agent:
        assert agent.run(['mkdir', '/tmp/faults']).status == 0
    several = [Agent(vm.vsock_path) for _ in range(KEPT_GROUPS)]
    for agent in several:
        agent.start(['sleep', '1000'])
    for agent in several:
        agent.close()
    yield vm
    vm.end()
    shutil.rmtree(vm.folder)


def state(vm):
    """What must be the same after everything that a client can do."""
    with Agent(vm.vsock_path) as agent:
        end = time.monotonic() + PATIENCE
        while True:
            metrics = agent.metrics()
            own = [p for p in agent.processes(True)]
            if not metrics['execs'] and not own:
                break
            assert time.monotonic() < end, (metrics, own)
            time.sleep(0.1)
        return metrics


@pytest.fixture(autouse=True)
def nothing_stays(guest):
    before = state(guest)
    yield
    end = time.monotonic() + PATIENCE
    while (after := state(guest))['agent_descriptors'] > before['agent_descriptors']:
        assert time.monotonic() < end, (before, after)
        time.sleep(0.1)
    assert after['agent_memory_bytes'] < 1 << 20 and after['frozen'] == 0


def closed_with(agent, code):
    """The connection has ended with an ERROR of that code."""
    frames = agent.is_closed()
    errors = [Refused(f) for f in frames if f.kind == ERROR and f.request == 0]
    assert len(errors) == 1 and errors[0].code == code and frames[-1].kind == ERROR, frames


def open_streams(vm):
    """Something that CONNECT and ATTACH of the requests above find."""
    server = Agent(vm.vsock_path)
    server.start(['/usr/bin/python3', '-c', 'import socket, time; s = socket.create_server(("127.0.0.1", 7000)); print(flush=True); '
                  'k = []\nwhile True: k.append(s.accept())'])
    assert server.read().kind == STDOUT
    return server


@pytest.mark.parametrize('what', sorted(REQUESTS))
def test_a_frame_that_is_cut(guest, what):
    kind, payload, _ = REQUESTS[what]
    whole = frame(kind, payload)
    for at in sorted({1, 8, 15, 16, 17, len(whole) // 2, len(whole) - 1} & set(range(1, len(whole)))):
        s = connect(guest.vsock_path)
        s.sendall(hello() + whole[:at])
        s.close()
        with Agent(guest.vsock_path) as agent:      # cut, and then nothing for a while: others are served
            agent.socket.sendall(whole[:at])
            with Agent(guest.vsock_path) as other:
                other.ping()


@pytest.mark.parametrize('what', sorted(REQUESTS))
def test_a_frame_that_is_wrong(guest, what):
    kind, payload, most = REQUESTS[what]
    wrong = [frame(kind, payload, length=most + 1), frame(kind, payload, length=0xffffffff), frame(kind, payload, flags=0x8000),
             frame(kind, payload, reserved=1), frame(kind, payload, request=0), frame(kind | 0x80, payload), frame(0x7f, payload)]
    if payload and kind not in (STDIN, CLOCK, RESIZE):   # of which any bytes mean something
        wrong.append(frame(kind, b'\xff' * len(payload)))
    for bytes_ in wrong:
        with Agent(guest.vsock_path) as agent:
            agent.socket.sendall(bytes_)
            closed_with(agent, MALFORMED)
    with Agent(guest.vsock_path, greet=False) as agent:
        agent.socket.sendall(frame(kind, payload))      # right, but HELLO is missing
        closed_with(agent, MALFORMED)


@pytest.mark.parametrize('what', sorted(REQUESTS))
def test_a_client_that_leaves(guest, what):
    """In the middle of the request, its input, its answer; at once, later, or only with its sending half."""
    kind, payload, _ = REQUESTS[what]
    server = open_streams(guest) if kind == CONNECT else None
    if kind == ATTACH:
        with Agent(guest.vsock_path) as agent:
            number = struct.unpack_from('<I', agent.expect(STARTED, agent.start(['sleep', '1000'], flags=DETACH | TELL)))[0]
            payload = struct.pack('<II', number, 1)
    for pause, half, more in ((0, False, b''), (0.2, False, b''), (0.2, True, b''), (0.2, False, frame(STDIN, b'x' * 1000))):
        agent = Agent(guest.vsock_path)
        agent.send(kind, payload, request=1)
        if more and kind in (EXEC, FILE):
            agent.socket.sendall(more)
        time.sleep(pause)
        if half:
            agent.socket.shutdown(socket.SHUT_WR)
            time.sleep(0.1)
        agent.close()
    with Agent(guest.vsock_path) as agent:
        if kind == ATTACH:
            agent.ask(SIGNAL, struct.pack('<4I', number, 9, 0, 0))
            agent.send(ATTACH, struct.pack('<II', number, 0))
            while agent.read().kind not in (0x84, ERROR):
                pass
        agent.freeze(False)
        agent.environment('A')
        assert agent.run('ls -A /tmp/faults; rm -rf /tmp/faults/*').out in (b'', b'written\n'), 'half a file stays'
    if server:
        server.close()


@pytest.mark.parametrize('what', ['exec', 'read', 'list', 'pack', 'processes', 'connect'])
def test_a_client_that_does_not_read(guest, what):
    """It waits; nobody else does."""
    kind, payload, _ = REQUESTS[what]
    server = open_streams(guest) if kind == CONNECT else None
    slow = Agent(guest.vsock_path)
    if kind == EXEC:
        payload = execute(['cat', '/dev/zero'])
    slow.send(kind, payload, request=1)
    flood = Agent(guest.vsock_path)             # and one that asks and asks, and does not listen to the answers
    flood.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            flood.socket.sendall(frame(METRICS) * 100)
    with Agent(guest.vsock_path) as agent:
        before = agent.metrics()
        started = time.monotonic()
        for _ in range(10):
            agent.ping()
            assert agent.run(['echo', 'served']).out == b'served\n'
        assert time.monotonic() - started < PATIENCE
        after = agent.metrics()
        assert after['agent_memory_bytes'] < 1 << 20
        assert after['agent_descriptors'] <= before['agent_descriptors']
    slow.close()
    flood.close()
    if server:
        server.close()


def test_versions(guest):
    for low, high in ((2, 2), (2, 65535)):
        with Agent(guest.vsock_path, greet=False) as agent:
            agent.socket.sendall(hello(low, high))
            closed_with(agent, VERSION)
    for low, high in ((1, 2), (1, 65535)):
        with Agent(guest.vsock_path, greet=False) as agent:
            agent.socket.sendall(hello(low, high, capabilities=2**64 - 1))
            assert struct.unpack_from('<H', agent.expect(WELCOME, 0))[0] == 1
            agent.ping()
    for low, high in ((0, 1), (2, 1)):
        with Agent(guest.vsock_path, greet=False) as agent:
            agent.socket.sendall(hello(low, high))
            closed_with(agent, MALFORMED)
    with Agent(guest.vsock_path) as agent:
        agent.socket.sendall(hello())
        closed_with(agent, MALFORMED)


def test_garbage(guest):
    for seed in range(20):
        with Agent(guest.vsock_path, greet=seed % 2 == 0) as agent:
            try:
                agent.socket.sendall(os.urandom(100_000))
            except (BrokenPipeError, ConnectionResetError):
                continue
            agent.is_closed()


def test_as_many_as_there_may_be(guest):
    agents = [Agent(guest.vsock_path) for _ in range(192)]
    with Agent(guest.vsock_path, greet=False) as one_more:
        closed_with(one_more, CROWDED)
    for agent in agents:
        agent.ping()
    agents.pop().close()
    end = time.monotonic() + PATIENCE
    while True:
        try:
            Agent(guest.vsock_path).close()
            break
        except Refused as e:
            assert e.code == CROWDED and time.monotonic() < end
            time.sleep(0.1)
    for agent in agents:
        agent.close()


def test_many_requests_in_one_piece(guest):
    with Agent(guest.vsock_path) as agent:
        pieces = [frame(PING, request=n + 1) for n in range(3000)]
        agent.socket.sendall(b''.join(pieces))
        for n in range(3000):
            assert agent.read()[:2] == (DONE, n + 1)
        agent.send(FREEZE, struct.pack('<I', 0), request=5)
        agent.send(SYNC, request=6)
        agent.send(FILE, file(STAT, '/'), request=7)
        agent.send(METRICS, request=8)
        agent.send(EXEC, execute(['echo', 'x']), request=9)
        assert [agent.read().request for _ in range(6)] == [5, 6, 7, 8, 9, 9]


def test_shutdown_is_strict(guest):
    for payload in (struct.pack('<II', 2, 0), struct.pack('<II', 0, 3600001), b'', bytes(9)):
        with Agent(guest.vsock_path) as agent:
            agent.send(SHUTDOWN, payload)
            closed_with(agent, MALFORMED)
