"""A client of the agent's raw protocol (docs/protocol.md), for tests that say to the agent what no tool would.

    with Agent(vm.vsock_path) as a:          # connected, HELLO said, WELCOME read: a.welcome
        a.send(PING, request=7)              # any frame, also wrong ones: flags=, length=, reserved=, raw=
        assert a.read() == Frame(DONE, 7, b'\\0\\0\\0\\0')
        end = a.run(['echo', 'hi'])          # EXEC until its EXIT: end.out, end.err, end.status
"""
import socket
import struct
import typing

(HELLO, EXEC, STDIN, SHUTDOWN, PING, SIGNAL, RESIZE, ATTACH, PROCESSES, FILE, METRICS, CLOCK, FREEZE, SYNC, CONNECT,
 ENVIRONMENT) = range(0x01, 0x11)
(WELCOME, STDOUT, STDERR, EXIT, ERROR, DONE, WINDOW, STARTED, LOST, PROCESS, DATA, STATUS, ENTRIES, EVENT,
 REPORT) = range(0x81, 0x90)
(MALFORMED, VERSION, CROWDED, BUSY, UNSUPPORTED, NO_ROOT, NOT_FOUND, NOT_EXECUTABLE, NO_USER, CWD, NO_CONTAINER,
 RESOURCES, STOPPING, NO_PROCESS, SYSTEM) = range(1, 16)
# flags of EXEC
WITH_STDIN, DETACH, TELL, KEEP, LOG, MAIN = (1 << n for n in range(6))
STDIN_END = 1
HEADER = struct.Struct('<IHHII')
PATIENCE = 120


class Closed(Exception):
    """The agent, or the monitor in front of it, has closed the connection."""


class Refused(Exception):
    """An ERROR frame."""

    def __init__(self, frame):
        self.request, (self.code, self.errno) = frame.request, struct.unpack_from('<II', frame.payload)
        self.text = frame.payload[8:].decode(errors='replace')
        super().__init__(f'error {self.code} ({self.errno}): {self.text}')


class Frame(typing.NamedTuple):
    kind: int
    request: int
    payload: bytes
    flags: int = 0


class End(typing.NamedTuple):
    """How a command ended, and what it wrote."""
    status: int             # exit status, or minus the signal
    out: bytes
    err: bytes
    flags: int
    user_us: int
    system_us: int
    memory_kib: int
    started: typing.Optional[tuple]     # number, process id, flags
    elapsed_us: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Process(typing.NamedTuple):
    number: int
    pid: int
    parent: int
    user_id: int
    flags: int
    state: str
    started_ns: int
    cpu_us: int
    memory: int
    user: str
    command: str


def frame(kind, payload=b'', request=1, flags=0, length=None, reserved=0):
    """The bytes of a frame; length= for one that lies."""
    return HEADER.pack(len(payload) if length is None else length, kind, flags, request, reserved) + payload


def hello(low=1, high=1, capabilities=0):
    return frame(HELLO, struct.pack('<HHIQ', low, high, 0, capabilities), 0)


def strings(*items):
    return b''.join((i.encode() if isinstance(i, str) else i) + b'\0' for i in items)


def option(kind, data):
    return struct.pack('<HH', kind, len(data)) + data


def execute(argv, env=(), cwd='', user='', flags=0, options=b''):
    """The payload of EXEC."""
    return struct.pack('<6I', flags, 0, len(argv), len(env), len(options), 0) + options + strings(cwd, user, *argv, *env)


def connect(path, port=1024, timeout=PATIENCE):
    """A socket that the monitor has connected to a port of the guest."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    try:
        s.connect(str(path))
        s.sendall(b'CONNECT %d\n' % port)
        line = b''
        while not line.endswith(b'\n'):
            c = s.recv(1)
            if not c:
                raise Closed(f'nobody listens on port {port} of the guest')
            line += c
    except BaseException:
        s.close()
        raise
    assert line.startswith(b'OK '), line
    return s


class Agent:
    def __init__(self, path_or_socket, greet=True, timeout=PATIENCE):
        taken = isinstance(path_or_socket, socket.socket)
        self.socket = path_or_socket if taken else connect(path_or_socket, timeout=timeout)
        self.socket.settimeout(timeout)
        self.next_request, self.welcome = 0, None
        if greet:
            self.socket.sendall(hello())
            self.welcome = self.expect(WELCOME, 0)
            self.window = struct.unpack_from('<I', self.welcome, 4)[0]
            self.capabilities = struct.unpack_from('<Q', self.welcome, 8)[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def new_request(self):
        self.next_request += 1
        return self.next_request

    def send(self, kind, payload=b'', request=None, **how):
        """Return: the id of the request."""
        request = self.new_request() if request is None else request
        self.socket.sendall(frame(kind, payload, request, **how))
        return request

    def receive(self, n):
        data = bytearray()
        while len(data) < n:
            try:
                part = self.socket.recv(n - len(data))
            except (ConnectionResetError, BrokenPipeError) as e:
                raise Closed('reset') from e
            if not part:
                raise Closed(f'{len(data)} of {n} bytes')
            data += part
        return bytes(data)

    def read(self):
        """The next frame, whatever it is."""
        length, kind, flags, request, reserved = HEADER.unpack(self.receive(HEADER.size))
        assert reserved == 0 and length <= 1 << 18, (length, kind, flags, request, reserved)
        return Frame(kind, request, self.receive(length), flags)

    def expect(self, kind, request=None):
        """The payload of the next frame, which must be of that kind; an ERROR is raised."""
        f = self.read()
        if f.kind == ERROR and kind != ERROR:
            raise Refused(f)
        assert f.kind == kind and request in (None, f.request), f
        return f.payload

    def ask(self, kind, payload=b'', answer=DONE):
        """One request with one answer. Return: its payload."""
        return self.expect(answer, self.send(kind, payload))

    def refused(self, kind, payload=b'', **how):
        """One request that fails. Return: the Refused."""
        self.send(kind, payload, **how)
        f = self.read()
        assert f.kind == ERROR, f
        return Refused(f)

    def is_closed(self):
        """Reads to the end of the connection. Return: what still came, as frames."""
        frames = []
        while True:
            try:
                frames.append(self.read())
            except Closed:
                return frames

    # Commands

    def start(self, argv, **how):
        """EXEC. Return: its request."""
        return self.send(EXEC, execute(argv, **how))

    def finish(self, request):
        """Reads to the EXIT of a command."""
        out, started = {STDOUT: bytearray(), STDERR: bytearray()}, None
        while True:
            f = self.read()
            if f.kind == ERROR:
                raise Refused(f)
            assert f.request == request, f
            if f.kind in out:
                out[f.kind] += f.payload
            elif f.kind == STARTED:
                started = struct.unpack_from('<III', f.payload)
            elif f.kind == EXIT:
                how, value, flags, _, *numbers = struct.unpack_from('<IIIIQQQ', f.payload)
                more = struct.unpack_from(f'<{min(3, (len(f.payload) - 40) // 8)}Q', f.payload, 40)
                return End(-value if how else value, bytes(out[STDOUT]), bytes(out[STDERR]), flags, *numbers, started, *more)
            else:
                assert f.kind == WINDOW, f

    def run(self, argv, stdin=None, **how):
        """EXEC to its end. stdin: at most a window of bytes."""
        if isinstance(argv, str):
            argv = ['/bin/sh', '-c', argv]
        if stdin is not None:
            assert len(stdin) <= self.window
            how['flags'] = how.get('flags', 0) | WITH_STDIN
        request = self.start(argv, **how)
        if stdin is not None:
            self.send(STDIN, stdin, request, flags=STDIN_END)
        return self.finish(request)

    # The machine

    def ping(self):
        """Return: the number of commands that run."""
        return struct.unpack_from('<I', self.ask(PING))[0]

    def metrics(self):
        lines = self.ask(METRICS, answer=REPORT).decode().splitlines()
        return {name: int(value) for name, value in (line.split(' ') for line in lines)}

    def processes(self, everything=False):
        request, found = self.send(PROCESSES, struct.pack('<I', everything)), []
        while (f := self.read()).kind == PROCESS:
            assert f.request == request
            at = 0
            while at < len(f.payload):
                size, *numbers, state, started, cpu, memory = struct.unpack_from('<6IB7x3Q', f.payload, at)
                user, command, *_ = f.payload[at + 56:at + size].split(b'\0')
                found.append(Process(*numbers, chr(state), started, cpu, memory, user.decode(), command.decode()))
                at += size
        if f.kind == ERROR:
            raise Refused(f)
        assert f.kind == DONE, f
        return found

    def freeze(self, yes=True):
        self.ask(FREEZE, struct.pack('<I', yes))

    def environment(self, *items):
        self.ask(ENVIRONMENT, struct.pack('<I', len(items)) + strings(*items))

    def shutdown(self, grace_ms=10000, how=0):
        self.ask(SHUTDOWN, struct.pack('<II', how, grace_ms))

    def connect(self, address='', port=0):
        """CONNECT. Return: the socket, now a stream to who listens there (a Unix socket's name without a port)."""
        self.ask(CONNECT, struct.pack('<II', 0 if port else 1, port) + strings(address))
        return self.socket
