#!/usr/bin/python3
"""Writes the seeds of fuzz_hello_parse, fuzz_http_parse and fuzz_dns_parse: good ones, and one per limit. Those that begin
with real- are what curl, openssl s_client and dig sent to a socket of this machine; this file does not write them."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / 'corpus'


def save(target, seeds):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


def u16(n):
    return struct.pack('>H', n)


def counted(data):
    return u16(len(data)) + data


def sni(*names):
    return u16(0) + counted(counted(b''.join(b'\0' + counted(name) for name in names)))


def message(extensions=None, session=b''):
    body = b'\3\3' + b'r' * 32 + bytes([len(session)]) + session + counted(b'\x13\x01') + b'\1\0'
    body += b'' if extensions is None else counted(extensions)
    return b'\1' + struct.pack('>I', len(body))[1:] + body


def records(data, size=1 << 14):
    return b''.join(b'\x16\3\1' + counted(data[i:i + size]) for i in range(0, len(data), size))


def hellos():
    name, longest = b'www.example.com', b'.'.join([b'a' * 63] * 3 + [b'b' * 61])
    pad = lambda n: u16(21) + counted(b'\0' * n)  # noqa: E731
    # HELLO_MAX is the message with its four bytes: what is there without padding is taken off.
    room = (16 << 10) - len(message(sni(name) + pad(0)))
    save('hello_parse', {
        'name': records(message(sni(name))), 'pieces': records(message(sni(name)), 7), 'bytes': records(message(sni(name)), 1),
        'cut': records(message(sni(name)))[:60], 'none': records(message()), 'no-extensions': records(message(b'')),
        'two-names': records(message(sni(name, b'b.example'))), 'twice': records(message(sni(name) + sni(name))),
        'no-name': records(message(sni())), 'address': records(message(sni(b'93.184.216.34'))), 'dot': records(message(sni(name + b'.'))),
        'nul': records(message(sni(b'www.example.com\0.org'))), 'name-253': records(message(sni(longest))),
        'name-254': records(message(sni(longest + b'b'))), 'session-32': records(message(sni(name), b's' * 32)),
        'session-33': records(message(sni(name), b's' * 33)), 'ech': records(message(sni(name) + u16(0xfe0d) + counted(b'\0' * 40))),
        'ech-alone': records(message(u16(0xfe0d) + counted(b''))), 'esni': records(message(u16(0xffce) + counted(b'x'))),
        'grease': records(message(u16(0x0a0a) + counted(b'') + sni(name))), 'alert': b'\x15\3\1\0\2\1\0' + records(message(sni(name))),
        'empty-record': b'\x16\3\1\0\0' + records(message(sni(name))), 'long-record': b'\x16\3\1\x40\1' + b'\1' * 50,
        'longest': records(message(sni(name) + pad(room - 64))), 'longer': records(message(sni(name) + pad(room + 1))),
        'ssl2': b'\x80\x2e\1\3\1\0\x15\0\0\0\x10' + b'c' * 37, 'version-2': b'\x16\2\0\0\5' + b'\1' * 5, 'not-tls': b'SSH-2.0-x\r\n', 'empty': b'',
    })


def heads():
    get, host, end = b'GET / HTTP/1.1\r\n', b'Host: www.example.com\r\n', b'\r\n'
    filled = lambda n: get + host + b'X: ' + b'x' * (n - len(get + host) - 7) + b'\r\n\r\n'  # noqa: E731
    save('http_parse', {
        'get': get + host + end, 'cut': get + host, 'port': get + b'Host: www.example.com:8080\r\n\r\n', 'none': get + end,
        'two': get + host + host + end, 'empty-host': get + b'Host:\r\n\r\n', 'folded': get + host + b' x\r\n\r\n',
        'space': get + b'Host : a.example\r\n\r\n', 'lf': b'GET / HTTP/1.1\nHost: a.example\n\n', 'ip6': get + b'Host: [2001:db8::1]:80\r\n\r\n',
        'ip4': get + b'Host: 93.184.216.34\r\n\r\n', 'number': get + b'Host: 127.1\r\n\r\n', 'absolute': b'GET http://www.example.com/ HTTP/1.1\r\n' + host + end,
        'differ': b'GET http://b.example/ HTTP/1.1\r\n' + host + end, 'user': b'GET http://www.example.com@b.example/ HTTP/1.1\r\n\r\n',
        'connect': b'CONNECT www.example.com:443 HTTP/1.1\r\n\r\n', 'connect-no-port': b'CONNECT www.example.com HTTP/1.1\r\n\r\n',
        'h2': b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'options': b'OPTIONS * HTTP/1.1\r\n' + host + end, 'old': b'GET /\r\n', '1.0': b'GET / HTTP/1.0\r\n\r\n',
        'empty-lines': b'\r\n\r\n' + get + host + end, 'nul': get + b'Host: a\0b\r\n\r\n', 'smtp': b'EHLO a.example\r\n',
        'git': b'0032git-upload-pack /project.git\0host=example.com\0', 'longest': filled(16 << 10), 'longer': filled((16 << 10) + 1), 'empty': b'',
    })


def wire(name):
    return b''.join(bytes([len(label)]) + label for label in name.split(b'.')) + b'\0'


def dns(questions, answers=(), flags=0x100, more=(), counts=None):
    counts = counts or (len(questions), len(answers), 0, len(more))
    return struct.pack('>6H', 0x1234, flags, *counts) + b''.join(questions) + b''.join(answers) + b''.join(more)


def ask(name, kind=1, cls=1):
    return wire(name) + struct.pack('>HH', kind, cls)


def record(owner, kind, data, ttl=60, cls=1):
    return owner + struct.pack('>HHIH', kind, cls, ttl, len(data)) + data


def even(data, odd=False):
    """The fuzz target asks for AAAA where the length is odd: an additional record of nobody's makes it so."""
    return data if len(data) % 2 == odd else data + b'\0'


def messages():
    name, here = b'www.example.com', b'\xc0\x0c'
    opt = lambda size: b'\0' + struct.pack('>HHIH', 41, size, 0, 0)  # noqa: E731
    longest = b'.'.join([b'a' * 63] * 3 + [b'b' * 61])
    answer = lambda *records, **k: dns([ask(name)], records, 0x8180, **k)  # noqa: E731
    chain = lambda n: [record(here if not i else wire(b'c%d.example' % i), 5, wire(b'c%d.example' % (i + 1))) for i in range(n)] + [  # noqa: E731
        record(wire(b'c%d.example' % n), 1, b'\x5d\xb8\xd8\x22')]
    a = record(here, 1, b'\x5d\xb8\xd8\x22')
    save('dns_parse', {
        'question': dns([ask(name)]), 'edns': dns([ask(name, 28)], more=[opt(1232)]), 'edns-512': dns([ask(name)], more=[opt(512)]),
        'edns-two': dns([ask(name)], more=[opt(512), opt(512)]), 'case': dns([ask(b'WwW.eXample.COM')]), 'https': dns([ask(name, 65)]),
        'two': dns([ask(name), ask(name)]), 'none': dns([]), 'chaos': dns([ask(b'version.bind', 16, 3)]), 'opcode': dns([ask(name)], flags=0x2900),
        'nul': dns([ask(b'a\0b.example')]), 'dot': dns([b'\3a.b\7example\0' + b'\0\1\0\1']), 'root': dns([b'\0\0\1\0\1']),
        'longest': dns([ask(longest)]), 'longer': dns([ask(longest + b'b')]), 'label-64': dns([b'\x40' + b'a' * 64 + b'\0\0\1\0\1']),
        'pointer': dns([here + b'\0\1\0\1']), 'short': b'\x12\x34\1\0', 'rest': dns([ask(name)]) + b'x',
        'answer': even(answer(a)), 'chain-8': even(answer(*chain(8))), 'chain-9': even(answer(*chain(9))),
        'circle': even(answer(record(here, 5, wire(name)))), 'loop': even(answer(record(b'\xc0\x21', 1, b'1234'))),
        'forward': even(answer(record(b'\xc0\xff', 1, b'1234'))), 'truncated': even(dns([ask(name)], flags=0x8380)),
        'nxdomain': even(dns([ask(name)], flags=0x8183)), 'other': even(dns([ask(b'b.example')], [a], 0x8180)), 'short-address': even(answer(record(here, 1, b'123'))),
        'addresses-32': even(answer(*[a] * 32)), 'addresses-33': even(answer(*[a] * 33)), 'records-256': even(answer(*[record(here, 16, b'x')] * 255, a)),
        'records-257': even(answer(*[record(here, 16, b'x')] * 256, a)), 'count': even(answer(a, counts=(1, 9, 0, 0))), 'ttl-negative': even(answer(record(here, 1, b'1234', 1 << 31))),
        'aaaa': even(dns([ask(name, 28)], [record(here, 28, b'\x26' + b'\0' * 15)], 0x8180), True), 'empty': b'',
    })


if __name__ == '__main__':
    hellos()
    heads()
    messages()
