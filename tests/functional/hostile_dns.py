"""A resolver that lies, at 127.0.0.1: the first label of a name says how. Runs as threads of the test."""
import contextlib
import socket
import struct
import threading

A, CNAME, AAAA = 1, 5, 28


def name_of(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.')) + b'\0'


def record(name, kind, data, ttl=60):
    return name_of(name) + struct.pack('>HHIH', kind, 1, ttl, len(data)) + data


def message(query, records, flags=0x8180, ident=None, asked=None):
    end = query.index(b'\0', 12) + 5
    return (query[:2] if ident is None else ident) + struct.pack('>HHHHH', flags, 1, len(records), 0, 0) + \
        (query[12:end] if asked is None else asked + query[end - 4:end]) + b''.join(records)


def lies(query, name, good, tcp):
    """Messages that are sent back. @good: the address that is right."""
    right = record(name, A, socket.inet_aton(good))
    wrong = record(name, A, socket.inet_aton('93.184.216.99'))
    host = name.split('.')[0]
    pointer = struct.pack('>HHHHIH', 0xc000 | len(query), A, 1, 0, 60, 4)
    if host == 'huge':
        return [message(query, [right] * 1500)] if tcp else [message(query, [], 0x8380)]
    if host == 'truncated':
        return [message(query, [right])] if tcp else [message(query, [wrong], 0x8380)]
    if host == 'endless':
        return [message(query, [], 0x8380)]
    if host == 'wrongid':
        return [message(query, [wrong], ident=bytes([query[0] ^ 1, query[1]])), message(query, [right])]
    if host == 'wrongquestion':
        return [message(query, [wrong], asked=name_of('x.example.org')), message(query, [right])]
    if host == 'beside':
        return [message(query, [record('one.example.org', A, socket.inet_aton('93.184.216.99'))])]
    if host == 'loop':
        return [message(query, [pointer + b'abcd'])]
    if host == 'circle':
        return [message(query, [record(name, CNAME, name_of('b.' + name)), record('b.' + name, CNAME, name_of(name))])]
    if host == 'long':
        chain = [name] + [f'c{i}.{name}' for i in range(20)]
        return [message(query, [record(a, CNAME, name_of(b)) for a, b in zip(chain, chain[1:])] + [record(chain[-1], A, right[-4:])])]
    if host == 'zero':
        return [message(query, [record(name, A, socket.inet_aton(good), 0)])]
    if host == 'garbage':
        return [query[:2] + b'\x81\x80' + b'\xff' * 500]
    if host == 'short':
        return [query[:5], b'', message(query, [right])[:-2]]
    return [message(query, [right])]


class Resolver:
    def __init__(self, good):
        self.good, self.asked = good, []
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(('127.0.0.1', 53))
        self.tcp = socket.create_server(('127.0.0.1', 53))
        for serve in (self.serve_udp, self.serve_tcp):
            threading.Thread(target=serve, daemon=True).start()

    def answers(self, query, tcp):
        at, labels = 12, []
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
            at += 1 + query[at]
        self.asked.append(('.'.join(labels), struct.unpack('>H', query[at + 1:at + 3])[0], tcp))
        return lies(query, '.'.join(labels), self.good, tcp)

    def serve_udp(self):
        while True:
            query, client = self.udp.recvfrom(4096)
            if client == self.udp.getsockname():
                return
            for answer in self.answers(query, False):
                self.udp.sendto(answer, client)

    def serve_tcp(self):
        while True:
            c, _ = self.tcp.accept()
            with c:
                query = c.recv(4096)
                if not query:
                    return
                for answer in self.answers(query[2:], True):
                    c.sendall(struct.pack('>H', len(answer) & 0xffff) + answer[:65535])

    def end(self):
        self.udp.sendto(b'', self.udp.getsockname())
        socket.create_connection(('127.0.0.1', 53)).close()


@contextlib.contextmanager
def resolver(good):
    made = Resolver(good)
    try:
        yield made
    finally:
        made.end()
        made.udp.close()
        made.tcp.close()
