"""Files that a guest fills: its console, and what its agent tells the monitor for good."""
import os
import pathlib
import resource
import struct
import time

import pytest

import agent_protocol as ap
from agent_protocol import Agent
from conftest import PATIENCE
from test_control import Control, boot

LIMIT = 256 << 10
STDOUT, STDERR, EXIT = 0x82, 0x83, 0x84

# A stand-in for the agent: sends frames to the monitor, then waits until it has them all.
SENDER = '''
import errno, os, socket, struct, sys
def frame(kind, payload):
    return struct.pack('<IHHII', len(payload), kind, 0, 1, 0) + payload
def connect():
    s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    s.settimeout(100)
    for port in range(1023, 0, -1):
        try:
            s.bind((socket.VMADDR_CID_ANY, port))
            break
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise
    s.connect((2, 1026))
    return s
def finish(s):
    s.shutdown(socket.SHUT_WR)
    while s.recv(100):
        pass
'''


def send(vm, code):
    status, out, err = vm.exec(['python3', '-c', SENDER + code])
    assert status == 0, err
    return out


def records(path):
    """Return: [(kind, bytes)] with neighbours of a kind joined."""
    data, at, found, last = path.read_bytes(), 0, [], 0
    while at < len(data):
        when, kind, length = struct.unpack_from('<QB3xI', data, at)
        assert length and at + 16 + length <= len(data), 'a record is cut'
        assert abs(when / 1e9 - time.time()) < 600 and when >= last
        last = when
        text = data[at + 16:at + 16 + length]
        at += 16 + length
        if found and found[-1][0] == kind:
            found[-1][1].extend(text)
        else:
            found.append((kind, bytearray(text)))
    return [(kind, bytes(text)) for kind, text in found]


def test_output_is_kept_and_the_exit_is_told(vm):
    out = vm.folder / 'out'
    boot(vm, '--output', out, memory='256M')
    send(vm, '''
s = connect()
s.sendall(frame(0x82, b'one\\n') + frame(0x83, b'two\\n') + frame(0x82, b'three\\n'))
s.sendall(frame(0x84, struct.pack('<IIIIQQQ', 1, 9, 2, 0, 1, 2, 3)))
finish(s)
''')
    assert records(out) == [(1, b'one\n'), (2, b'two\n'), (1, b'three\n')]
    assert vm.stop()[0] == 0
    told = vm.json('exit')['main']
    assert (told['kind'], told['value'], told['oom']) == ('signalled', 9, True)
    assert (told['utime_us'], told['maxrss_kib']) == (1, 3)
    # The next run goes on in the same file.
    boot(vm, '--output', out, memory='256M')
    send(vm, "s = connect(); s.sendall(frame(0x82, b'again')); finish(s)")
    assert records(out)[-1] == (1, b'three\nagain')
    assert vm.stop()[0] == 0
    assert vm.json('exit')['main'] is None


def test_what_was_sent_right_before_the_end_is_there(vm):
    out = vm.folder / 'out'
    boot(vm, '--output', out, memory='256M')
    vm.exec(['python3', '-c', SENDER + '''
import ctypes
s = connect()
s.sendall(frame(0x82, b'x' * 60000) + frame(0x84, struct.pack('<IIIIQQQ', 0, 7, 0, 0, 1, 2, 3)))
ctypes.CDLL(None).reboot(0x4321fedc)
'''])
    assert vm.wait()[0] == 0
    assert vm.json('exit')['main']['value'] == 7
    assert records(out) == [(1, b'x' * 60000)]


def test_flood_of_output_has_its_cap_and_stops_nobody(vm):
    out = vm.folder / 'out'
    control = boot(vm, '--output', out, '--log-limit', str(LIMIT), memory='256M')
    before = heap_kib(vm)
    send(vm, f'''
s = connect()
for i in range(128):
    s.sendall(frame(0x82 + i % 2, b'%08d' % i + b'x' * {(64 << 10) - 8}))
for i in range(2000):
    s.sendall(frame(0x82, b'y'))
s.sendall(frame(0x82, b'last'))
finish(s)
''')
    assert control.status()['state'] == 'running'
    newer, older = out, vm.folder / 'out.1'
    assert max(os.path.getsize(newer), os.path.getsize(older)) <= LIMIT // 2
    assert records(newer)[-1][1].endswith(b'yyylast') and records(older)
    assert heap_kib(vm) - before < 512
    assert vm.stop()[0] == 0


def heap_kib(vm):
    """Of the monitor alone: what it allocates is in its heap, the guest's memory elsewhere."""
    total, counts = 0, False
    for line in (pathlib.Path('/proc') / str(vm.process.pid) / 'smaps').read_text().splitlines():
        words = line.split()
        if '-' in words[0] and not words[0].endswith(':'):
            counts = words[-1] == '[heap]'
        elif counts and words[0].startswith('Private_'):
            total += int(words[1])
    return total


def test_bad_senders_harm_nobody(vm):
    out = vm.folder / 'out'
    boot(vm, '--output', out, '--log', vm.folder / 'log', memory='256M')
    got = send(vm, '''
for garbage in (bytes(16), b'\\xff' * 100000, frame(0x84, b'x' * 39), frame(0x87, b'1234'), frame(0x82, b'x' * 65537),
                struct.pack('<IHHII', 10, 0x82, 0, 1, 1) + b'0123456789'):
    s = connect()
    try:
        s.sendall(garbage)
        assert s.recv(1) == b''
    except (BrokenPipeError, ConnectionResetError):
        pass
    s.close()
# The one that is there is the only one; it may go in the middle of a frame.
s = connect()
s.sendall(frame(0x82, b'first ') + frame(0x82, b'cut off')[:18])
try:
    other = connect()
    other.settimeout(100)
    print(other.recv(1))
except ConnectionResetError:
    print('refused')
s.close()
for attempt in range(1000):
    try:
        s = connect()
        break
    except ConnectionResetError:
        pass
s.sendall(frame(0x82, b' last'))
finish(s)
''')
    assert got == b'refused\n'
    text = b''.join(part for _, part in records(out))
    assert text.endswith(b'first cu last')
    assert b'no output' in (vm.folder / 'log').read_bytes()
    assert vm.stop() == (0, '', '')


def test_who_may_not_use_a_low_port_is_refused(vm):
    out = vm.folder / 'out'
    boot(vm, '--output', out, memory='256M')
    got = send(vm, '''
s = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
s.bind((socket.VMADDR_CID_ANY, 1030))
for s in s, socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
    try:
        s.connect((2, 1026))
    except ConnectionResetError:
        print('refused')
os.setuid(65534)
try:
    connect()
except PermissionError:
    print('not allowed')
''')
    assert got == b'refused\nrefused\nnot allowed\n'
    # The agent's own connection is taken, and nobody took its place.
    with Agent(vm.vsock_path) as a:
        request = a.start(['/bin/sh', '-c', 'echo of the agent; exit 5'], flags=ap.LOG)
        assert a.finish(request).status == 5
    end = time.monotonic() + PATIENCE
    while records(out) != [(1, b'of the agent\n')]:
        assert time.monotonic() < end
        time.sleep(0.1)
    assert vm.stop()[0] == 0
    assert vm.json('exit')['main']['value'] == 5


def test_nobody_answers_there_without_an_output_file(vm):
    vm.boot(memory='256M')
    got = send(vm, '''
try:
    connect()
except ConnectionResetError:
    print('refused')
''')
    assert got == b'refused\n'


def test_flood_of_console_has_its_cap(vm):
    control = boot(vm, '--log-limit', str(LIMIT))
    vm.exec(['/bin/sh', '-c', 'i=0; while [ $i -lt 12 ]; do i=$((i+1)); head -c 32768 /dev/zero | tr "\\0" x > /dev/console; done; '
             'echo; echo the end > /dev/console'], timeout=5 * PATIENCE)
    vm.wait_console('the end')
    newer, older = vm.console_path, vm.folder / 'console.1'
    assert max(os.path.getsize(newer), os.path.getsize(older)) <= LIMIT // 2
    assert os.path.getsize(older) > LIMIT // 2 - 4096
    assert control.status()['state'] == 'running'
    assert vm.stop()[0] == 0


def test_files_that_cannot_grow_end_nobody(vm):
    out = vm.folder / 'out'
    control = boot(vm, '--output', out, memory='256M')
    resource.prlimit(vm.process.pid, resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
    send(vm, "s = connect(); [s.sendall(frame(0x82, b'x' * 1000)) for _ in range(200)]; finish(s)")
    vm.exec(['/bin/sh', '-c', 'head -c 100000 /dev/zero | tr "\\0" x > /dev/console'])
    assert control.status()['state'] == 'running'
    assert os.path.getsize(out) <= 64 << 10 and os.path.getsize(vm.console_path) <= 64 << 10
    assert records(out)[0][1].startswith(b'xxx')
    resource.prlimit(vm.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    send(vm, "s = connect(); s.sendall(frame(0x83, b'again')); finish(s)")
    assert records(out)[-1] == (2, b'again')
    status, _, err = vm.stop()
    assert status == 0 and 'bytes of the console could not' in err and 'bytes of the output could not' in err


def test_log_limit_is_checked(vm):
    status, _, err = vm.run('--log-limit', '255K')
    assert status == 2 and '--log-limit' in err
    status, _, err = vm.run('--output', '/dev/null')
    assert status == 3 and 'plain file' in err
    status, _, err = vm.run('--log', '/nonexistent/log')
    assert status == 3 and '/nonexistent' in err
