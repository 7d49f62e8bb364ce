"""FILE over the agent's raw protocol: for tests of files and trees, in guests and against the engine alone.

    with Files(vm.vsock_path) as f:
        f.write('/tmp/x', b'data', mode=0o600)
        assert f.stat('/tmp/x').size == 4
        f.unpack('/tmp/tree', f.pack('/etc'))
"""
import struct
import threading
import typing

from agent_protocol import DATA, DONE, ENTRIES, ERROR, EVENT, FILE, STATUS, STDIN, STDIN_END, Agent, Refused, frame, strings

(STAT, LIST, READ, WRITE, MKDIR, REMOVE, RENAME, COPY, SYMLINK, CHMOD, CHOWN, PACK, UNPACK, WATCH) = range(1, 15)
FOLLOW, RECURSIVE, PARENTS, APPEND, EXCLUSIVE, NUMERIC, NO_OWNER, CONTENTS = (1 << n for n in range(8))
(READY, CREATED, WRITTEN, REMOVED, RENAMED_FROM, RENAMED_TO, ATTRIBUTES, OVERFLOW) = range(8)
KEEP, ALL, PIECE = 0xffffffff, 2**64 - 1, 65520


class Status(typing.NamedTuple):
    mode: int
    uid: int
    gid: int
    links: int
    size: int
    disk: int
    mtime_ns: int
    inode: int
    device: int
    name: bytes
    target: bytes


def request(what, path, to='', flags=0, mode=KEEP, uid=KEEP, gid=KEEP, depth=0, offset=0, length=0, user=''):
    """The payload of FILE."""
    return struct.pack('<6I3Q', what, flags, mode, uid, gid, depth, offset, length, 0) + strings(user, path, to)


def records(payload):
    at = 0
    while at < len(payload):
        size, mode, uid, gid, links, _, *numbers = struct.unpack_from('<6I5Q', payload, at)
        name, target = payload[at + 64:at + size].split(b'\0')[:2]
        yield Status(mode, uid, gid, links, *numbers, name, target)
        at += size


class Files(Agent):
    def file(self, what, path, *to, answer=DONE, **how):
        return self.ask(FILE, request(what, path, *to, **how), answer)

    def stat(self, path, **how):
        return next(records(self.file(STAT, path, answer=STATUS, **how)))

    def list(self, path, **how):
        """Return: the entries, and the offset to ask for next."""
        self.send(FILE, request(LIST, path, **how))
        found = []
        while (f := self.read()).kind == ENTRIES:
            found += records(f.payload)
        if f.kind == ERROR:
            raise Refused(f)
        assert f.kind == DONE, f
        return found, struct.unpack('<Q', f.payload)[0]

    def pieces(self, what, path, **how):
        """The DATA of a READ or PACK as it comes."""
        self.send(FILE, request(what, path, **how))
        while (f := self.read()).kind == DATA:
            yield f.payload
        if f.kind == ERROR:
            raise Refused(f)
        assert f.kind == DONE, f

    def read_file(self, path, **how):
        return b''.join(self.pieces(READ, path, **{'length': ALL, **how}))

    def pack(self, path, **how):
        return b''.join(self.pieces(PACK, path, **how))

    def feed(self, what, path, data, **how):
        """WRITE or UNPACK, of bytes or of an iterable of them. What is refused meanwhile is raised."""
        number = self.send(FILE, request(what, path, **how))

        def send():
            try:
                for part in [data] if isinstance(data, (bytes, bytearray)) else data:
                    for at in range(0, len(part), PIECE):
                        self.socket.sendall(frame(STDIN, part[at:at + PIECE], number))
                self.socket.sendall(frame(STDIN, b'', number, STDIN_END))
            except (BrokenPipeError, ConnectionResetError):
                pass                                    # why is being read
        sender = threading.Thread(target=send)
        sender.start()
        try:
            return self.expect(DONE, number)
        finally:
            sender.join()

    def write(self, path, data, **how):
        self.feed(WRITE, path, data, **how)

    def unpack(self, path, data, **how):
        self.feed(UNPACK, path, data, **how)

    def watch(self, path, **how):
        """Return: a function that gives the next event: kind, cookie, is a folder, name."""
        self.send(FILE, request(WATCH, path, **how))

        def following():
            payload = self.expect(EVENT)
            return (*struct.unpack_from('<III', payload), payload[12:payload.index(b'\0', 12)])
        assert following() == (READY, 0, 0, b'')
        return following
