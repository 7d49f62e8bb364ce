"""vmlet exec, shell, attach and what belongs to them, as a person at a terminal and as a program uses them."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest

PATIENCE = 120


class Terminal:
    """A command on a terminal of its own, whose keeper we are."""

    def __init__(self, *words, rows=40, cols=100, shell=False):
        self.keeper, terminal = pty.openpty()
        self.resize(rows, cols)
        self.name = os.ttyname(terminal)
        self.before = termios.tcgetattr(terminal)
        take = 'import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(sys.argv[1], sys.argv[1:])'
        command = ['sh', '-i'] if shell else [str(w) for w in words]
        self.process = subprocess.Popen(['/usr/bin/python3', '-c', take, *command], stdin=terminal, stdout=terminal, stderr=terminal,
                                        start_new_session=True, env={**os.environ, 'PS1': '$ ', 'TERM': 'vt100'})
        self.terminal, self.seen = terminal, b''

    def resize(self, rows, cols):
        fcntl.ioctl(self.keeper, termios.TIOCSWINSZ, struct.pack('HHHH', rows, cols, 0, 0))

    def type(self, text):
        os.write(self.keeper, text.encode())

    def wait_for(self, pattern):
        """Reads until the pattern has come, and takes it off. Return: the match."""
        end = time.monotonic() + PATIENCE
        while True:
            found = re.search(pattern.encode(), self.seen)
            if found:
                self.seen = self.seen[found.end():]
                return found
            assert time.monotonic() < end, (pattern, self.seen)
            if select.select([self.keeper], [], [], 1)[0]:
                self.seen += os.read(self.keeper, 65536)

    def is_as_before(self):
        return termios.tcgetattr(self.terminal) == self.before

    def end(self, status):
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None:          # what it still writes must have room
            assert time.monotonic() < end, self.seen
            if select.select([self.keeper], [], [], 0.05)[0]:
                self.seen += os.read(self.keeper, 65536)
        assert self.process.returncode == status, self.seen
        assert self.is_as_before()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.keeper)
        os.close(self.terminal)


@pytest.fixture
def terminal():
    made = []

    def make(*words, **how):
        made.append(Terminal(*words, **how))
        return made[-1]

    yield make
    for t in made:
        t.close()


@pytest.fixture
def box(vm):
    vm.boot()
    return vm


def vmlet(vm, *words, status=0, **how):
    how = {'stdin': subprocess.DEVNULL, **how} if 'input' not in how else how
    done = subprocess.run([str(vm.build / 'bin/vmlet'), *(str(w) for w in words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=PATIENCE, check=False, **how)
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done.stdout.decode(), done.stderr.decode()


def wait_until(what, message):
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, message
        time.sleep(0.2)


def test_statuses_and_environment(box, tmp_path):
    path = box.vsock_path
    vmlet(box, 'exec', path, 'sh', '-c', 'exit 7', status=7)
    vmlet(box, 'exec', path, '--', 'no-such', status=127)
    vmlet(box, 'exec', path, '/etc/passwd', status=126)
    vmlet(box, 'exec', '-u', 'nobody-there', path, 'true', status=125)
    vmlet(box, 'exec', path, 'sh', '-c', 'kill -9 $$', status=137)
    vmlet(box, 'exec', '--timeout', '500ms', path, 'sleep', '100', status=124)
    (tmp_path / 'env').write_text('# comment\nA=from file\nB=1\nHERE\n')
    out, _ = vmlet(box, 'exec', '--env-file', tmp_path / 'env', '-e', 'B=2', path, 'sh', '-c', 'echo "$A,$B,$HERE"',
                   env={'HERE': 'inherited', 'PATH': os.environ['PATH']})
    assert out == 'from file,2,inherited\n'
    out, _ = vmlet(box, 'exec', '--ulimit', 'nofile=100:200', '--ulimit', 'core=0', path, 'sh', '-c',
                   'ulimit -Sn; ulimit -Hn; ulimit -c')
    assert out.split() == ['100', '200', '0']


def test_terminal(box, terminal):
    t = terminal(box.build / 'bin/vmlet', 'exec', '-it', box.vsock_path, 'sh')
    t.wait_for('# ')
    assert not t.is_as_before()
    t.type('tty; stty size; echo $TERM; echo end\r')
    assert '/dev/pts/' in t.wait_for(r'tty;.*\r\n(.*)\r\nend\r\n'.replace('.*', '(?s:.*)')).group(0).decode()
    t.type('stty size; echo ti""me\r')
    t.wait_for(r'40 100\r\n')
    t.resize(25, 77)
    t.type('sleep 0.3; stty size\r')
    t.wait_for(r'25 77\r\n')
    t.type('echo $TERM\r')
    t.wait_for(r'vt100\r\n')
    t.type('sleep 1000\r')
    time.sleep(1)
    t.type('\x03')                                  # goes to the guest, not to vmlet
    t.wait_for('# ')
    t.type('exit 5\r')
    t.end(5)


def test_job_control_in_the_guest(box, terminal):
    t = terminal(box.build / 'bin/vmlet', 'shell', box.vsock_path)
    t.wait_for('# ')
    t.type('set -m; sleep 1000\r')
    time.sleep(1)
    t.type('\x1a')
    t.wait_for('topped')
    t.type('jobs\r')
    t.wait_for('sleep 1000')
    t.type('kill %1; pwd; id -un; exit\r')
    t.wait_for(r'/root\r\nroot\r\n')
    t.end(0)


def test_stopped_by_the_shell_here(box, terminal):
    """kill -TSTP gives the terminal back; fg takes it again."""
    t = terminal(shell=True)
    t.wait_for(r'\$ ')
    t.type(f'set -m; {box.build}/bin/vmlet exec -it {box.vsock_path} sh\r')
    t.wait_for('# ')
    tool = int(subprocess.check_output(['pgrep', '-n', '-x', 'vmlet']))
    os.kill(tool, signal.SIGTSTP)
    t.wait_for(r'topped(?s:.*)\$ ')
    t.type('echo he""re\r')
    t.wait_for('here')
    t.type('fg\r')
    t.type('echo the""re\r')
    t.wait_for('there')
    t.type('exit\r')
    t.wait_for(r'\$ ')
    t.type('exit\r')
    t.end(0)


def test_ended_by_signals(box, terminal):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        t = terminal(box.build / 'bin/vmlet', 'exec', '-it', box.vsock_path, 'sh', '-c', 'echo up; sleep 1234')
        t.wait_for('up')
        t.process.send_signal(number)
        t.end(128 + number)
    wait_until(lambda: 'sleep 1234' not in vmlet(box, 'top', box.vsock_path)[0], 'something was left')


def test_detach_and_attach(box, terminal):
    path = box.vsock_path
    t = terminal(box.build / 'bin/vmlet', 'exec', '-it', path, 'sh')
    t.wait_for('# ')
    t.type('n=kept; echo rea""dy\r')
    t.wait_for('ready')
    t.type('\x10\x11')
    proc = t.wait_for(r'left running: vmlet attach \S+ (\d+)').group(1).decode()
    t.end(0)
    again = terminal(box.build / 'bin/vmlet', 'attach', path, proc, rows=33, cols=44)
    again.wait_for('ready')                         # out of its ring
    again.type('echo $n; stty size; exit 9\r')
    again.wait_for(r'kept\r\n33 44\r\n')
    again.end(9)
    t = terminal(box.build / 'bin/vmlet', 'exec', '-it', '--detach-keys', 'x,y', path, 'cat')
    t.type('axb\r')
    t.wait_for('axb')
    t.type('xy')
    t.wait_for('left running')
    t.end(0)


def test_background(box):
    path = box.vsock_path
    out, _ = vmlet(box, 'exec', '-d', path, 'sh', '-c', 'echo begun; sleep 1; echo done; exit 4')
    proc = out.strip()
    assert vmlet(box, 'attach', path, proc, status=4)[0] == 'begun\ndone\n'
    vmlet(box, 'attach', path, proc, status=125)    # its end has been seen
    out, _ = vmlet(box, 'exec', '-d', path, 'sh', '-c', 'trap "echo got; exit 3" USR1; echo up > /run/up; while :; do sleep 0.1; done')
    proc = out.strip()
    wait_until(lambda: box.exec(['test', '-s', '/run/up'])[0] == 0, 'it did not start')
    listed = json.loads(vmlet(box, 'top', '--execs', '--json', path)[0])
    assert [str(p['proc']) for p in listed if p['detached'] and not p['ended']] == [proc]
    vmlet(box, 'signal', '-s', 'USR1', path, proc)
    assert vmlet(box, 'attach', path, status=3)[0] == 'got\n'
    out, _ = vmlet(box, 'exec', '-d', '--timeout', '300ms', path, 'sleep', '100')
    vmlet(box, 'attach', path, out.strip(), status=124)


def test_shell_line(box):
    path = box.vsock_path
    assert vmlet(box, 'exec', '--shell', path, 'cd /dev && pwd | cat; echo "$0" "$#"; exit 3', status=3)[0] == '/dev\n/bin/sh 0\n'
    for words in (['echo', 'two words'], []):
        _, err = vmlet(box, 'exec', '--shell', path, *words, status=125)
        assert err.count('\n') == 1 and ('--shell' in err or 'which command' in err), err


def test_what_is_left_running_dies_unless_kept(box):
    script = 'sleep 1000 >/dev/null 2>&1 & echo $!'
    for options, lives in (([], False), (['--keep'], True)):
        pid = vmlet(box, 'exec', *options, box.vsock_path, 'sh', '-c', script)[0].strip()
        assert (box.exec(['test', '-d', f'/proc/{pid}'])[0] == 0) == lives, options


def test_signals_are_passed_on(box):
    script = 'for s in INT TERM HUP QUIT USR1 USR2; do trap "echo got $s" $s; done; echo up; while :; do sleep 0.1; done'
    words = [box.build / 'bin/vmlet', 'exec', box.vsock_path, 'sh', '-c', script]
    with subprocess.Popen([str(w) for w in words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == 'up\n'
        for name in ('USR1', 'HUP', 'QUIT', 'INT', 'USR2', 'TERM'):
            process.send_signal(getattr(signal, f'SIG{name}'))
            assert process.stdout.readline() == f'got {name}\n'
        process.send_signal(signal.SIGINT)          # the third of INT and TERM ends the tool
        assert process.wait(PATIENCE) == 128 + signal.SIGINT


def test_top_and_stats(box):
    path = box.vsock_path
    proc = vmlet(box, 'exec', '-d', path, 'sh', '-c', 'sleep 4321 & wait')[0].strip()
    out, _ = vmlet(box, 'top', path)
    assert out.splitlines()[0].split() == ['PROC', 'PID', 'USER', 'STATE', 'CPU', 'MEMORY', 'STARTED', 'COMMAND']
    wait_until(lambda: any('sleep 4321' in line and line.split()[0] == proc and 'wait' not in line
                           for line in vmlet(box, 'top', path)[0].splitlines()), 'its child is not shown')
    assert vmlet(box, 'top', '-q', '--execs', path)[0].split() == [proc]
    stats = json.loads(vmlet(box, 'stats', '--json', path)[0])
    assert stats['memory_total_bytes'] > 64 << 20 and stats['processes'] >= 2 and stats['cpu_permille'] < 500
    assert 'MEMORY' in vmlet(box, 'stats', path)[0]
    vmlet(box, 'signal', '-as', 'KILL', path, proc)
    vmlet(box, 'attach', path, proc, status=137)


def test_port_forward(box):
    path = box.vsock_path
    vmlet(box, 'exec', '-d', path, 'python3', '-c', '''
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(65536):
            self.request.sendall(data)
class Unix(socketserver.ThreadingUnixStreamServer):
    request_queue_size = 64
class Tcp(socketserver.ThreadingTCPServer):
    request_queue_size = 64
import threading
threading.Thread(target=Unix("/run/echo", Echo).serve_forever).start()
Tcp(("127.0.0.1", 7), Echo).serve_forever()
''')
    wait_until(lambda: subprocess.run([str(box.build / 'bin/vmlet'), 'exec', str(path), 'test', '-S', '/run/echo'],
                                      check=False, stdin=subprocess.DEVNULL).returncode == 0, 'no listener')
    time.sleep(2)
    words = [str(box.build / 'bin/vmlet'), 'port-forward', '-q', str(path), '0:7', '0:/run/echo', '0:9']
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        ports = [int(process.stdout.readline().split(':')[1].split()[0]) for _ in range(3)]

        def talk(port, data):
            with socket.create_connection(('127.0.0.1', port)) as s:
                threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR))).start()
                back = b''
                while got := s.recv(65536):
                    back += got
                results.append(back == data)

        results, data = [], os.urandom(500_000)
        threads = [threading.Thread(target=talk, args=(ports[n % 2], data)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert results == [True] * 20
        with socket.create_connection(('127.0.0.1', ports[2])) as s:      # nobody listens there
            try:
                assert s.recv(1) == b''
            except ConnectionResetError:
                pass
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_shell_without_terminal(box):
    out, _ = vmlet(box, 'shell', box.vsock_path, input=b'pwd; id -un; echo $SHELL; exit 3\n', status=3)
    assert out.split()[:2] == ['/root', 'root']
    out, _ = vmlet(box, 'shell', '-w', '/tmp', box.vsock_path, input=b'pwd\n')
    assert out == '/tmp\n'
    _, err = vmlet(box, 'exec', '-it', box.vsock_path, 'true', status=125)
    assert 'no terminal' in err
