"""vsock in a real guest: bytes both ways beside many other connections, all ways to end, strangers."""
import os
import pathlib
import random
import select
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import zlib

import pytest

from conftest import PATIENCE, Vm

PORT = 5000
MIB = 1 << 20

SERVER = (pathlib.Path(__file__).parent / 'vsock_guest.py').read_text()


def block():
    return random.Random(7).randbytes((1 << 18) + 1)


class Guest:
    """A guest with the server in it."""

    def __init__(self, vm):
        self.vm = vm
        vm.boot('--stats', vm.folder / 'stats', memory='256M')
        self.server = subprocess.Popen(
            [vm.build / 'bin/vmlet', 'exec', vm.vsock_path, '--', 'python3', '-c', SERVER, str(PORT)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.server.stdout], [], [], PATIENCE)
        assert ready and self.server.stdout.readline() == b'listening\n'

    def connect(self, port=PORT):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        s.connect(str(self.vm.vsock_path))
        s.sendall(b'CONNECT %d\n' % port)
        return s

    def ask(self, what):
        """A connection to the server, its first line said."""
        s = self.connect()
        answer = b''
        while not answer.endswith(b'\n'):
            c = s.recv(1)
            assert c, 'the guest refused'
            answer += c
        assert answer.startswith(b'OK '), answer
        s.sendall(what.encode() + b'\n')
        return s

    def fds(self):
        return len(os.listdir(f'/proc/{self.vm.process.pid}/fd'))

    def stop(self):
        """Return: the device's counters."""
        self.server.kill()
        self.server.communicate()
        assert self.vm.stop() == (0, '', '')
        return self.vm.json('stats')['devices']['vsock0']


@pytest.fixture(scope='module')
def guest(build, kernel, image):
    """One for all tests: whatever they did, at the end the device has nothing to complain about."""
    vm = Vm(build, kernel, image, pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-')))
    try:
        g = Guest(vm)
        yield g
        stats = g.stop()
        assert {name: stats[name] for name in ('guest_errors', 'bad_packets', 'rst_lost', 'timeouts')} == \
            {'guest_errors': 0, 'bad_packets': 0, 'rst_lost': 0, 'timeouts': 0}
    finally:
        vm.end()
        shutil.rmtree(vm.folder)


def read_all(s):
    got = b''
    while part := s.recv(1 << 16):
        got += part
    return got


def to_guest(guest, n):
    s, b, crc, left = guest.ask(f'sink {n}'), memoryview(block()), 0, n
    while left:
        part = b[:left]
        s.sendall(part)
        crc = zlib.crc32(part, crc)
        left -= len(part)
    assert read_all(s) == b'0 %d\n' % crc
    s.close()


def from_guest(guest, n):
    s, b, at, left = guest.ask(f'source {n}'), block(), 0, n
    room = memoryview(bytearray(1 << 18))
    while left:
        got = s.recv_into(room)
        assert got, f'{left} bytes are missing'
        done = 0
        while done < got:
            part = min(got - done, len(b) - at)
            assert room[done:done + part] == b[at:at + part], f'wrong bytes about {n - left}'
            done += part
            at = (at + part) % len(b)
        left -= got
    assert left == 0 and s.recv(1) == b''
    s.close()


class Others:
    """Connections that say a word and want it back, again and again, while something else goes on."""

    def __init__(self, guest, n):
        self.sockets = [guest.ask('echo') for _ in range(n)]
        self.rounds, self.over, self.failed = 0, threading.Event(), None
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while not self.over.is_set() or not self.rounds:
                words = [b'%d of %d' % (self.rounds, i) for i in range(len(self.sockets))]
                for s, word in zip(self.sockets, words):
                    s.sendall(word)
                for s, word in zip(self.sockets, words):
                    assert s.recv(len(word), socket.MSG_WAITALL) == word
                self.rounds += 1
                self.over.wait(1)
        except Exception as e:
            self.failed = e

    def stop(self):
        self.over.set()
        self.thread.join(PATIENCE)
        assert not self.failed, self.failed
        assert self.rounds
        for s in self.sockets:
            s.shutdown(socket.SHUT_WR)
            assert read_all(s) == b''
            s.close()


@pytest.mark.parametrize('mib', [64, pytest.param(1024, marks=pytest.mark.slow)])
def test_no_byte_is_lost_beside_a_hundred_others(guest, mib):
    others = Others(guest, 100)
    to_guest(guest, mib * MIB)
    from_guest(guest, mib * MIB)
    # Both ways at once.
    part = threading.Thread(target=to_guest, args=(guest, mib * MIB // 8))
    part.start()
    from_guest(guest, mib * MIB // 8)
    part.join()
    others.stop()


def test_ends(guest):
    before = guest.fds()
    # The client ends its direction first.
    s = guest.ask('echo')
    s.sendall(b'x' * 100000)
    s.shutdown(socket.SHUT_WR)
    assert read_all(s) == b'x' * 100000
    s.close()
    # The guest ends first; what it said before is there, however late it is read.
    s = guest.ask(f'source {MIB}')
    time.sleep(1)
    assert len(read_all(s)) == MIB
    s.close()
    # The client goes in the middle of it, either way.
    for what in ('source 10000000', 'sink 10000000', 'hold'):
        s = guest.ask(what)
        s.send(b'y' * 1000)
        s.close()
    # Nobody listens on that port.
    s = guest.connect(9)
    assert read_all(s) == b''
    s.close()
    # No such thing as that.
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(str(guest.vm.vsock_path))
    s.sendall(b'HELLO\n')
    assert read_all(s) == b''
    s.close()
    # The device forgets them all.
    end = time.monotonic() + PATIENCE
    while guest.fds() != before:
        assert time.monotonic() < end, f'{before} descriptors before, {guest.fds()} now'
        time.sleep(0.1)
    to_guest(guest, MIB)


def test_guest_connects_to_the_host(guest):
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f'{guest.vm.vsock_path}_80')
    listener.listen()
    listener.settimeout(PATIENCE)
    s = guest.ask('dial 80')
    server, _ = listener.accept()
    assert read_all(server) == b'from the guest'
    server.sendall(b'from the host')
    server.close()
    assert read_all(s) == b'from the host\n'
    s.close()
    listener.close()
    # Nobody listens any more, or never did.
    for port in (80, 81):
        s = guest.ask(f'dial {port}')
        assert read_all(s) == b'ConnectionResetError\n'
        s.close()


def test_slow_reader_stops_nobody(guest):
    slow = guest.ask(f'source {4 * MIB}')
    to_guest(guest, MIB)
    from_guest(guest, MIB)
    assert len(read_all(slow)) == 4 * MIB
    slow.close()


def test_client_before_the_guest(vm):
    vm.start()
    end = time.monotonic() + PATIENCE
    answer = b''
    while not answer:
        assert time.monotonic() < end, 'the agent never answered'
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        try:
            s.connect(str(vm.vsock_path))
            s.sendall(b'CONNECT 1024\n')
            answer = s.recv(3)
        except (FileNotFoundError, ConnectionError):
            time.sleep(0.05)
    assert answer == b'OK '
    s.close()
    assert vm.stop()[0] == 0
    assert not vm.vsock_path.exists()
