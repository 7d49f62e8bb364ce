#!/usr/bin/python3
"""The tool against agents by a script: cut, oversized, out of order, silent, with names that lead elsewhere. No VM."""
import io
import os
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import unittest

VMLET = os.path.abspath(sys.argv.pop(1))
WELCOME, STDOUT, STDERR, EXIT, ERROR, DONE, WINDOW, STARTED, LOST = range(0x81, 0x8a)
PROCESS, DATA, STATUS, ENTRIES, EVENT, REPORT = range(0x8a, 0x90)
HELLO, EXEC, STDIN = 1, 2, 3
FOLDER, FILE = 0o040755, 0o100644


def frame(kind, payload=b'', request=1, flags=0, length=None):
    return struct.pack('<IHHII', len(payload) if length is None else length, kind, flags, request, 0) + payload


def welcome(version=1, capabilities=63, more=b''):
    return frame(WELCOME, struct.pack('<HHIQ', version, 0, 65536, capabilities) + bytes(16) + b'x\0\0' + more, 0)


def exits(status=0):
    return frame(EXIT, struct.pack('<IIIIQQQQQQ', 0, status, 0, 0, 1, 2, 3, 4, 5, 6))


def status(mode):
    body = struct.pack('<5I5Q', mode, 0, 0, 1, 0, 1, 2, 3, 4, 0) + b'x\0\0'
    return frame(STATUS, struct.pack('<I', len(body) + 4) + body)


def error(code=15, number=2, text=b'no', request=1):
    return frame(ERROR, struct.pack('<II', code, number) + text, request)


class Client:
    """One connection, from the agent's side."""

    def __init__(self, connection):
        self.connection, self.at = connection, b''

    def take(self, n):
        while len(self.at) < n:
            got = self.connection.recv(65536)
            if not got:
                raise ConnectionError
            self.at += got
        taken, self.at = self.at[:n], self.at[n:]
        return taken

    def read(self):
        """The next frame: type, payload."""
        length, kind, _, _, _ = struct.unpack('<IHHII', self.take(16))
        return kind, self.take(length)

    def greet(self):
        line = b''
        while not line.endswith(b'\n'):
            line += self.take(1)
        self.say(b'OK 1\n' + welcome())
        assert self.read()[0] == HELLO
        return self.read()

    def say(self, data):
        self.connection.sendall(data)


class Agent:
    """Serves connections in order, the n-th by the n-th script; the last serves all that follow."""

    def __init__(self, folder, *scripts):
        self.path, self.scripts = folder / 'agent', scripts
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(str(self.path))
        self.socket.listen(64)
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        n = 0
        while True:
            try:
                connection = self.socket.accept()[0]
            except OSError:
                return
            script = self.scripts[min(n, len(self.scripts) - 1)]
            n += 1
            threading.Thread(target=self.serve, args=(script, connection), daemon=True).start()

    def serve(self, script, connection):
        try:
            script(Client(connection))
        except OSError:
            pass
        finally:
            connection.close()

    def close(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def answers(*data, hold=False):
    """A script that says this to whatever is asked."""
    def script(client):
        client.greet()
        for piece in data:
            client.say(piece)
        while hold:
            client.take(1)
    return script


def tar(*members):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode='w') as stream:
        for name, kind, body in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(body)
            else:
                info.linkname = body
            stream.addfile(info, io.BytesIO(body) if kind == tarfile.REGTYPE else None)
    return out.getvalue()


class Hostile(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-hostile-'))
        self.agents = []

    def tearDown(self):
        for agent in self.agents:
            agent.close()
        shutil.rmtree(self.folder)

    def agent(self, *scripts):
        (self.folder / 'agent').unlink(missing_ok=True)
        self.agents.append(Agent(self.folder, *scripts))

    def vmlet(self, *words, **how):
        how = {'stdin': subprocess.DEVNULL, **how} if 'input' not in how else how
        done = subprocess.run([VMLET, *(w.replace('BOX', str(self.folder / 'agent')) for w in words)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False, timeout=50, cwd=self.folder, **how)
        return done.returncode, done.stdout, done.stderr

    def refused(self, script, *words):
        self.agent(script)
        status, _, err = self.vmlet(*words)
        self.assertEqual((status, err.count(b'\n')), (125, 1), err)
        self.assertNotIn(b'\033', err)
        return err

    def test_frames(self):
        x = frame(STDOUT, b'x')
        for bad in (frame(STDOUT, length=65537), frame(STDOUT, length=0xffffffff), frame(STDOUT), frame(0x05), frame(0xff),
                    frame(STDOUT, b'x', request=2), frame(STDOUT, b'x', request=0), frame(STDOUT, b'x', flags=1), welcome(),
                    frame(DONE), frame(DATA, b'x'), frame(WINDOW, b'\1\0\0\0'), frame(STARTED, bytes(16)), frame(LOST, bytes(8)),
                    frame(EXIT, bytes(39)), frame(EXIT, struct.pack('<10I', 0, 256, *[0] * 8)), frame(ERROR, bytes(8)),
                    frame(PROCESS), frame(REPORT), error(request=2), x[:10], x[:-1], b''):
            err = self.refused(answers(bad), 'exec', 'BOX', 'true')
            self.assertIn(b'agent', err)

    def test_words_of_the_guest(self):
        err = self.refused(answers(error(9, 0, b'\033]0;x\007\xe2\x80\xae\n\xff')), 'exec', 'BOX', 'true')
        self.assertEqual(err.split(b'exec: ')[1], b'?]0;x????\n')
        self.agent(answers(error(7, 2, b'sh')))
        self.assertEqual(self.vmlet('exec', 'BOX', 'sh')[0], 127)
        self.agent(answers(error(8, 13, b'sh')))
        self.assertEqual(self.vmlet('exec', 'BOX', 'sh')[0], 126)
        self.assertIn(b'older', self.refused(answers(error(5, 0, b'')), 'top', 'BOX'))

    def test_other_versions(self):
        def says(*data):
            def script(client):
                line = b''
                while not line.endswith(b'\n'):
                    line += client.take(1)
                client.say(b'OK 1\n')
                for piece in data:
                    client.say(piece)
                client.take(1 << 20)
            return script
        self.assertIn(b'version', self.refused(says(welcome(version=2)), 'exec', 'BOX', 'true'))
        words = b'the agent speaks version 2 of the protocol only'
        self.assertIn(words, self.refused(says(error(2, 0, words, request=0)), 'exec', 'BOX', 'true'))
        # A later one of this version says more at the ends of its answers, and can more.
        self.agent(says(welcome(capabilities=2**64 - 1, more=b'later'), frame(STDOUT, b'x'), frame(EXIT, exits()[16:] + bytes(400))))
        self.assertEqual(self.vmlet('exec', 'BOX', 'true'), (0, b'x', b''))
        # An older one runs plain commands still.
        self.agent(says(welcome(capabilities=3), frame(STDOUT, b'x'), frame(EXIT, exits()[16:56])))
        self.assertEqual(self.vmlet('exec', 'BOX', 'true'), (0, b'x', b''))

    def test_statuses(self):
        self.agent(answers(frame(STDOUT, b'out\n'), frame(STDERR, b'err\n'), exits(3)))
        self.assertEqual(self.vmlet('exec', 'BOX', 'x'), (3, b'out\n', b'err\n'))
        self.agent(answers(frame(STARTED, struct.pack('<4I', 7, 400, 2, 0)), hold=True))
        self.assertEqual(self.vmlet('exec', '-d', 'BOX', 'x'), (0, b'7\n', b''))
        err = self.refused(answers(exits(0)), 'exec', '-d', 'BOX', 'x')
        self.assertIn(b'order', err)

    def test_silent(self):
        def silent(client):
            client.take(10000)
        (self.folder / 'second').mkdir()
        self.agent(silent)
        self.agents.append(Agent(self.folder / 'second', answers(hold=True)))
        began = time.monotonic()
        first, second = (subprocess.Popen([VMLET, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE) for words in
                         (('exec', self.folder / 'agent', 'true'), ('top', self.folder / 'second/agent')))
        for process, said in ((first, b'does not answer'), (second, b'stopped answering')):
            _, err = process.communicate(timeout=40)
            self.assertEqual((process.returncode, err.count(b'\n')), (125, 1))
            self.assertIn(said, err)
        self.assertLess(time.monotonic() - began, 20)

    def test_flood_into_a_closed_pipe(self):
        def flood(client):
            client.greet()
            while True:
                client.say(frame(STDOUT, b'x' * 65536))
        self.agent(flood)
        with subprocess.Popen([VMLET, 'exec', self.folder / 'agent', 'yes'], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            def kib():
                status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
                return int(next(line.split()[1] for line in status.splitlines() if line.startswith('VmRSS')))
            process.stdout.read(1000000)
            before = kib()
            process.stdout.read(10000000)
            time.sleep(0.5)                     # nobody reads meanwhile
            self.assertLess(kib() - before, 1024)
            process.stdout.close()
            process.wait(10)
            self.assertNotEqual(process.returncode, 0)

    def test_input_that_is_not_taken(self):
        def script(client):
            client.greet()
            total = 0
            while total < 65536:
                kind, payload = client.read()
                assert kind == STDIN
                total += len(payload)
            client.connection.settimeout(0.5)
            try:
                client.read()
                client.say(frame(STDERR, b'more than the window'))
            except TimeoutError:
                client.say(exits(0))
        self.agent(script)
        self.assertEqual(self.vmlet('exec', '-i', 'BOX', 'cat', input=bytes(1000000)), (0, b'', b''))

    def cp_out(self, mode, stream, to='out'):
        data = [frame(DATA, stream[at:at + 65536]) for at in range(0, len(stream), 65536)]
        self.agent(answers(status(mode)), answers(*data, frame(DONE)))
        return self.vmlet('cp', '-q', 'BOX:/x/asked', to)

    def test_trees_that_lead_elsewhere(self):
        file = tarfile.REGTYPE
        (self.folder / 'secret').write_text('secret')
        (self.folder / 'out').mkdir()
        for members in ([('../secret', file, b'x')], [('.bashrc', file, b'x')], [('asked/../../secret', file, b'x')],
                        [(f'{self.folder}/secret', file, b'x')], [('asked', tarfile.SYMTYPE, '..'), ('asked/secret', file, b'x')],
                        [('asked', tarfile.LNKTYPE, '../secret')], [('secret', file, b'x')], [('asked\0', file, b'x'), ('b', file, b'x')]):
            status, out, err = self.cp_out(FOLDER, tar(*members))
            self.assertEqual((status, out, err.count(b'\n')), (125, b'', 1), (members, err))
            self.assertEqual((self.folder / 'secret').read_text(), 'secret')
            self.assertFalse(set(os.listdir(self.folder)) - {'agent', 'out', 'secret'})
            self.assertFalse(set(os.listdir(self.folder / 'out')) - {'asked'})
        self.assertEqual(self.cp_out(FOLDER, tar(('asked', file, b'yes')))[0], 0)
        self.assertEqual((self.folder / 'out/asked').read_text(), 'yes')

    def test_streams_that_end_early(self):
        stream = tar(('asked', tarfile.REGTYPE, b'x' * 100000))
        for cut in (0, 100, 512, 70000, len(stream) // 1024 * 512):
            status, _, err = self.cp_out(FILE, stream[:cut], 'file')
            self.assertEqual((status, err.count(b'\n')), (125, 1), (cut, err))
        status, _, err = self.cp_out(FILE, b'no tar' * 1000, 'file')
        self.assertEqual((status, err.count(b'\n')), (125, 1), err)
        self.agent(answers(status_of := frame(STATUS, bytes(70))))
        self.assertEqual(self.vmlet('cp', 'BOX:/x', 'y')[0], 125, status_of)
        self.agent(answers(frame(DONE)))
        self.assertEqual(self.vmlet('cp', 'BOX:/x', 'y')[0], 125)

    def test_lists(self):
        record = struct.pack('<5IB7x3Q', 1, 2, 3, 0, 0, ord('S'), 4, 5, 6) + b'ro\033ot\0sleep\n1\0'
        record = struct.pack('<I', len(record) + 4) + record
        self.agent(answers(frame(PROCESS, record * 3), frame(PROCESS), frame(DONE)))
        status, out, err = self.vmlet('top', 'BOX')
        self.assertEqual((status, err, out.count(b'\n')), (0, b'', 4))
        self.assertIn(b'ro?ot', out)
        status, out, _ = self.vmlet('top', '--json', 'BOX')
        self.assertEqual((status, out.count(b'"user":"ro\\u001bot"')), (0, 3))
        for bad in (record[:-1], struct.pack('<I', 0) + record[4:], struct.pack('<I', 0xffffffff) + record[4:]):
            self.refused(answers(frame(PROCESS, bad), frame(DONE)), 'top', 'BOX')
        report = b'uptime_ms 18446744073709551615\ncpu_user_us 18446744073709551615\nmemory_total_bytes 1\nmemory_available_bytes 2\n'
        self.agent(answers(frame(REPORT, report)))
        self.assertEqual(self.vmlet('stats', 'BOX')[0], 0)
        self.refused(answers(frame(REPORT, b'uptime_ms')), 'stats', 'BOX')

    def test_lists_without_end(self):
        record = struct.pack('<5IB7x3Q', 1, 2, 3, 0, 0, ord('S'), 4, 5, 6) + b'root\0sleep\0'
        many = frame(PROCESS, (struct.pack('<I', len(record) + 4) + record) * 500)
        self.agent(answers(many * 120, frame(DONE)))
        status, out, err = self.vmlet('top', 'BOX')        # in far less than its square
        self.assertEqual((status, err, out.count(b'\n')), (0, b'', 60001))
        err = self.refused(answers(many * 132, frame(DONE)), 'top', 'BOX')
        self.assertIn(b'more than 65536 processes', err)

    def test_vm_that_goes_while_ports_are_led_into_it(self):
        release = threading.Event()

        def guard(client):
            client.greet()
            client.say(frame(DONE, struct.pack('<I', 0)))
            release.wait(20)
        self.agent(guard, answers(error(15, 111, b'refused')))
        with subprocess.Popen([VMLET, 'port-forward', self.folder / 'agent', '0:80'], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as process:
            line = process.stdout.readline().decode()
            port = int(line.split(':')[1].split()[0])
            with socket.create_connection(('127.0.0.1', port)) as client:
                self.assertEqual(client.recv(10), b'')
            release.set()
            _, err = process.communicate(timeout=20)
            self.assertEqual(process.returncode, 125)
            self.assertIn(b'refused', err)
            self.assertIn(b'the VM ended', err)


if __name__ == '__main__':
    unittest.main()
