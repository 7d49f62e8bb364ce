"""A resolver of the world, with some lies, and a guest's questions by hand."""
import socket
import struct

import netns

A, CNAME, AAAA, MX, HTTPS = 1, 5, 28, 15, 65
GOOD = {A: netns.WORLD4, AAAA: netns.WORLD6}
asked = []


def name_of(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.')) + b'\0'


def record(name, kind, data, ttl=60):
    return name_of(name) + struct.pack('>HHIH', kind, 1, ttl, len(data)) + data


def address(name, kind, text, ttl=60):
    return record(name, kind, socket.inet_pton(socket.AF_INET if kind == A else socket.AF_INET6, text), ttl)


def question(ident, name, kind, flags=0x100):
    return struct.pack('>HHHHHH', ident, flags, 1, 0, 0, 0) + name_of(name) + struct.pack('>HH', kind, 1)


def read_question(data):
    """(id, name, type), lower case."""
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode().lower())
        at += 1 + data[at]
    return struct.unpack('>H', data[:2])[0], '.'.join(labels), struct.unpack('>H', data[at + 1:at + 3])[0]


def message(query, records, flags=0x8180):
    end = query.index(b'\0', 12) + 5
    return query[:2] + struct.pack('>HHHHH', flags, 1, len(records), 0, 0) + query[12:end] + b''.join(records)


def answers(query, tcp):
    """What is sent back, one message after the other."""
    _, name, kind = read_question(query)
    first = (name, kind) not in asked
    asked.append((name, kind))
    host = name.split('.')[0]
    good = [address(name, kind, GOOD[kind])] if kind in GOOD else []
    if host == 'chain':
        good = [record(name, CNAME, name_of('b.' + name)), record('b.' + name, CNAME, name_of('end.example.org'))]
        good += [address('end.example.org', kind, GOOD[kind])]
    elif host == 'rebind':
        good = [address(name, A, a) for a in ('10.9.9.9', '127.0.0.1', '169.254.169.254', netns.HOST4)] if kind == A else []
    elif host == 'beside':
        good = [address('good.example.com', A, netns.WORLD4)]
    elif host == 'mixed':
        good += [address(name, A, '192.168.1.1')]
    elif host == 'zero':
        good = [address(name, A, netns.WORLD4, 0)]
    elif host == 'none':
        return [message(query, [], 0x8183)]
    elif host == 'lost' and first:
        return []
    elif host == 'spoofed':
        other = struct.pack('>H', struct.unpack('>H', query[:2])[0] ^ 1) + query[2:]
        return [message(other, [address(name, A, '11.0.0.66')]), message(question(read_question(query)[0], 'x.example.com', A),
                                                                         [address('x.example.com', A, '11.0.0.66')]), message(query, good)]
    elif host == 'big' and not tcp:
        return [message(query, [], 0x8380)]
    elif host == 'huge':
        good = [address(name, A, f'11.0.1.{i % 250}') for i in range(200)]
        return [message(query, good)] if tcp else [message(query, [], 0x8380)]
    elif host == 'garbage':
        return [query[:12] + b'\xff' * 500]
    return [message(query, good)]


def serve():
    def udp(family, at):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((at, 53))
        while True:
            query, client = s.recvfrom(4096)
            for answer in answers(query, False):
                s.sendto(answer, client)

    def tcp(at):
        listener = socket.create_server((at, 53))
        while True:
            c, _ = listener.accept()
            with c:
                query = c.recv(4096)[2:]
                for answer in answers(query, True):
                    c.sendall(struct.pack('>H', len(answer)) + answer)

    netns.thread(udp, socket.AF_INET, netns.WORLD4)
    netns.thread(tcp, netns.WORLD4)


def ask(name, kind=A, tcp=False, server=netns.GATEWAY4):
    """What the guest's resolver library would do: (rcode, addresses)."""
    query = question(0x1234, name, kind)
    if tcp:
        with socket.create_connection((server, 53), 10) as s:
            s.sendall(struct.pack('>H', len(query)) + query)
            stream = s.makefile('rb')
            reply = stream.read(struct.unpack('>H', stream.read(2))[0])
    else:
        with socket.socket(socket.AF_INET6 if ':' in server else socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(10)
            s.sendto(query, (server, 53))
            reply, who = s.recvfrom(4096)
        assert who[:2] == (server, 53) and len(reply) <= 512
    ident, flags, _, count, _, _ = struct.unpack('>HHHHHH', reply[:12])
    assert ident == 0x1234 and flags & 0x8000
    at, found = len(query), []
    for _ in range(count):
        at += 2 if reply[at] >= 0xc0 else reply.index(b'\0', at) + 1 - at
        what, _, ttl, length = struct.unpack('>HHIH', reply[at:at + 10])
        assert what == kind and ttl >= 1
        found.append(socket.inet_ntop(socket.AF_INET if kind == A else socket.AF_INET6, reply[at + 10:at + 10 + length]))
        at += 10 + length
    return flags & 15, found
