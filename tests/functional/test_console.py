"""The console on a terminal: raw while the machine runs, keys reach the guest, restored on every way out."""
import json
import os
import pty
import select
import signal
import subprocess
import termios
import threading
import time

import pytest

PATIENCE = 60


class Terminal:
    """A vmm with its console on a pseudo-terminal of its own."""

    def __init__(self, vm):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.said = b''

        def own_terminal():
            os.setsid()
            os.close(os.open(os.ttyname(0), os.O_RDWR))
            os.tcsetpgrp(0, os.getpid())

        # A sanitizer would make an exit of its own out of a signal.
        env = {**os.environ, 'ASAN_OPTIONS': os.environ.get('ASAN_OPTIONS', '') + ':handle_segv=0'}
        self.process = subprocess.Popen(vm.command('--exit-file', vm.folder / 'exit', serial='stdio'), stdin=self.slave, stdout=self.slave,
                                        stderr=subprocess.PIPE, preexec_fn=own_terminal, cwd=vm.folder, env=env)

    def wait_raw(self):
        end = time.monotonic() + PATIENCE
        while termios.tcgetattr(self.slave)[3] & termios.ICANON:
            assert time.monotonic() < end and self.process.poll() is None
            time.sleep(0.02)

    def drain(self):
        while select.select([self.master], [], [], 0)[0]:
            self.said += os.read(self.master, 4096)

    def wait(self):
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < end
            self.drain()
            time.sleep(0.02)
        return self.process.returncode

    def is_restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        self.process.kill()
        self.process.communicate()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal(vm):
    made = Terminal(vm)
    made.wait_raw()
    yield made
    made.close()


def test_escape_ends_and_restores(terminal):
    os.write(terminal.master, b'\x01x')
    assert terminal.wait() == 13
    assert terminal.is_restored()


@pytest.mark.parametrize('sig', [signal.SIGTERM, signal.SIGABRT, signal.SIGSEGV])
def test_signals_restore(vm, terminal, sig):
    """And a crash is told all the same."""
    terminal.process.send_signal(sig)
    status = terminal.wait()
    assert terminal.is_restored()
    if sig != signal.SIGTERM:
        assert status == -sig and sig.name in json.loads((vm.folder / 'exit').read_text())['reason']


def test_keys_reach_the_guest(vm, terminal):
    typed = []
    reader = threading.Thread(target=lambda: typed.append(
        vm.exec(['sh', '-c', 'stty -F /dev/ttyS0 -echo; echo listening; head -n 2 /dev/ttyS0'])))
    reader.start()
    end = time.monotonic() + PATIENCE
    while reader.is_alive() and time.monotonic() < end:
        os.write(terminal.master, b'key \x01ax\r')
        reader.join(0.5)
        terminal.drain()
    status, out, err = typed[0]
    assert status == 0, err
    # Of a line that was typed while nobody had it open, the beginning is lost: the second is whole.
    assert out.startswith(b'listening\n') and b'key \x01x\n' in out
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait() == 0
    assert terminal.is_restored()
