"""What a hostile guest does. Runs in the guest: a line of JSON, [function, arguments...], is a call, and so is its answer."""
import errno
import json
import os
import random
import socket
import ssl
import struct
import sys
import traceback

A, AAAA, TXT, HTTPS, SVCB, ANY = 1, 28, 16, 65, 64, 255
GUEST, GATEWAY, GUEST6, GATEWAY6 = '10.0.2.15', '10.0.2.2', 'fd00:0:0:2::15', 'fd00:0:0:2::2'
GUEST_MAC, GATEWAY_MAC = bytes.fromhex('02766d6c7402'), bytes.fromhex('02766d6c7401')
kept = {}


def failure(e):
    return errno.errorcode.get(e.errno, str(e)) if isinstance(e, OSError) and e.errno else type(e).__name__


def context():
    made = ssl.create_default_context()
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


def hello(name, encrypted):
    """A real hello of TLS, with the extension of an encrypted one added or not."""
    sent, got = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context().wrap_bio(got, sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    data = bytearray(sent.read())
    if encrypted:
        extra = struct.pack('>HH', 0xfe0d, 200) + bytes(200)
        at = 43 + 1 + data[43]
        at += 2 + int.from_bytes(data[at:at + 2], 'big')
        at += 1 + data[at]
        for start, size in ((at, 2), (6, 3), (3, 2)):
            value = int.from_bytes(data[start:start + size], 'big') + len(extra)
            data[start:start + size] = value.to_bytes(size, 'big')
        data += extra
    return bytes(data)


def talk(address, port, say):
    """What the server says until it ends, or the name of the error."""
    try:
        with socket.create_connection((address, port), 30) as s:
            s.sendall(say.encode('latin1'))
            return b''.join(iter(lambda: s.recv(65536), b'')).decode('latin1')
    except OSError as e:
        return failure(e)


def http(address, host, port=80):
    return talk(address, port, f'GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n').rpartition('\r\n\r\n')[2]


def greet(address, name, encrypted, port=443):
    """The first byte of a TLS server's answer to a hello: 22 is a handshake."""
    try:
        with socket.create_connection((address, port), 30) as s:
            s.sendall(hello(name, encrypted))
            got = s.recv(1)
            return got[0] if got else 'closed'
    except OSError as e:
        return failure(e)


def https(address, name, authority):
    """The page, from a server that can prove its name."""
    how = ssl.create_default_context(cadata=authority)
    try:
        with socket.create_connection((address, 443), 30) as plain, how.wrap_socket(plain, server_hostname=name) as s:
            s.sendall(f'GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n'.encode())
            return b''.join(iter(lambda: s.recv(65536), b'')).decode().rpartition('\r\n\r\n')[2]
    except OSError as e:
        return failure(e)


def datagram(address, port, text='x', wait=3):
    with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(wait)
        try:
            s.connect((address, port))
            s.send(text.encode('latin1'))
            return s.recv(65536).decode('latin1')
        except OSError as e:
            return failure(e)


def name_of(text):
    return b''.join(bytes([len(label)]) + label.encode() for label in text.split('.')) + b'\0'


def question(name, kind, ident=0x1234):
    return struct.pack('>HHHHHH', ident, 0x100, 1, 0, 0, 0) + name_of(name) + struct.pack('>HH', kind, 1)


def resolve(name, kind=A, tcp=False, server=GATEWAY, wait=20):
    """[rcode, addresses, least lifetime]"""
    query = question(name, kind)
    try:
        if tcp:
            with socket.create_connection((server, 53), wait) as s:
                s.sendall(struct.pack('>H', len(query)) + query)
                stream = s.makefile('rb')
                reply = stream.read(struct.unpack('>H', stream.read(2))[0])
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(wait)
                s.connect((server, 53))
                s.send(query)
                reply = s.recv(4096)
    except OSError as e:
        return [failure(e), [], 0]
    count, at, found, least = struct.unpack('>H', reply[6:8])[0], len(query), [], 1 << 32
    for _ in range(count):
        at += 2 if reply[at] >= 0xc0 else reply.index(b'\0', at) + 1 - at
        what, _, ttl, length = struct.unpack('>HHIH', reply[at:at + 10])
        found.append(socket.inet_ntop(socket.AF_INET if what == A else socket.AF_INET6, reply[at + 10:at + 10 + length]))
        at, least = at + 10 + length, min(least, ttl)
    return [reply[3] & 15, sorted(set(found)), least if count else 0]


def resolve_all(names, kind=A):
    return [resolve(name, kind)[0] for name in names]


def checksum(data):
    data += b'\0' * (len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ip4(src, dst, proto, body, fragment=0, ident=7):
    head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(body), ident, fragment, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst))
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + body


def ip6(src, dst, proto, body):
    return struct.pack('>IHBB', 6 << 28, len(body), proto, 64) + socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + body


def with_sum(src, dst, proto, body, at):
    family = socket.AF_INET6 if ':' in src else socket.AF_INET
    pseudo = socket.inet_pton(family, src) + socket.inet_pton(family, dst) + struct.pack('>II', len(body), proto)
    return body[:at] + struct.pack('>H', checksum(pseudo + body)) + body[at + 2:]


def udp(src, dst, ports, data):
    return with_sum(src, dst, 17, struct.pack('>HHHH', *ports, 8 + len(data), 0) + data, 6)


def syn(src, dst, ports, options=b''):
    words = (20 + len(options)) // 4
    return with_sum(src, dst, 6, struct.pack('>HHIIBBHHH', *ports, random.getrandbits(32), 0, words << 4, 2, 65535, 0, 0) + options, 16)


def ether(kind, body, mac=GUEST_MAC):
    return GATEWAY_MAC + mac + struct.pack('>H', kind) + body


def wire():
    if 'wire' not in kept:
        kept['wire'] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        kept['wire'].bind(([n for n in os.listdir('/sys/class/net') if n.startswith('eth')][0], 0))
    return kept['wire']


def forge(address, address6, port):
    """Datagrams that only their source tells from good ones; then a good one."""
    for src in ('10.0.2.16', GATEWAY, '127.0.0.1', '93.184.216.35', '0.0.0.0', '255.255.255.255', '192.168.77.1', '224.0.0.1'):
        wire().send(ether(0x800, ip4(src, address, 17, udp(src, address, (1000, port), b'forged'))))
    for src in (GATEWAY6, '::1', '2606:2800:220:1::35', 'fe80::2', 'ff02::1', '::ffff:10.0.2.15'):
        wire().send(ether(0x86dd, ip6(src, address6, 17, udp(src, address6, (1000, port), b'forged'))))
    for mac in ('02766d6c7403', '02766d6c7401', 'ffffffffffff', '000000000000'):
        wire().send(ether(0x800, ip4(GUEST, address, 17, udp(GUEST, address, (1000, port), b'forged')), bytes.fromhex(mac)))
    wire().send(ether(0x800, ip4(GUEST, address, 17, udp(GUEST, address, (1001, port), b'honest'))))


def fragments(address, port):
    """A datagram in two pieces, one whose second piece overlaps, and pieces without a beginning or an end."""
    whole = udp(GUEST, address, (1000, port), b'fragment' * 64)
    for ident, pieces in enumerate((((0, 1, 256), (256, 0, 520)), ((0, 1, 256), (8, 0, 520)), ((256, 0, 520),), ((0, 1, 8),)), 100):
        for start, more, end in pieces:
            wire().send(ether(0x800, ip4(GUEST, address, 17, whole[start:end], more << 13 | start // 8, ident)))
    for i in range(2000):
        wire().send(ether(0x800, ip4(GUEST, address, 17, whole[:256], 1 << 13, i)))


def lie(name, address):
    """Answers of a resolver, forged, to whoever may listen: the gateway's own ports, and itself by its name."""
    answer = struct.pack('>HHHHHH', 0x1234, 0x8180, 1, 1, 0, 0) + question(name, A)[12:] + \
        name_of(name) + struct.pack('>HHIH', A, 1, 600, 4) + socket.inet_aton(address)
    for src in (GUEST, GATEWAY, '127.0.0.1', '127.0.0.53'):
        for port in (53, *range(32768, 33268)):
            wire().send(ether(0x800, ip4(src, GATEWAY, 17, udp(src, GATEWAY, (53, port), answer))))


def flood(address, port, n):
    for i in range(n):
        wire().send(ether(0x800, ip4(GUEST, address, 6, syn(GUEST, address, (1024 + i, port)))))


def ping(address, size=56, wait=5):
    """Whether the same bytes come back."""
    data = bytes(random.getrandbits(8) for _ in range(size))
    body = struct.pack('>BBHHH', 8, 0, 0, 77, 1) + data
    body = body[:2] + struct.pack('>H', checksum(body)) + body[4:]
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as s:
        s.settimeout(wait)
        s.sendto(body, (address, 0))
        try:
            while True:
                got = s.recv(65536)
                if got[20] == 0 and got[24:26] == body[4:6]:
                    return got[28:] == data
                if got[20] == 3:
                    return 'unreachable'
        except OSError as e:
            return failure(e)


def garbage(address, total=65536):
    """So much of it as each protocol."""
    dice, size = random.Random(1), 1024

    def some(n=size):
        return dice.randbytes(n)

    def text(n):
        return some(n).decode('latin1')

    for _ in range(total // size):
        for kind in (0x800, 0x806, 0x86dd, dice.getrandbits(16)):
            wire().send(ether(kind, some()))
        for proto in (1, 6, 17, 58, dice.getrandbits(8)):
            wire().send(ether(0x800, ip4(GUEST, address, proto, some())))
            wire().send(ether(0x86dd, ip6(GUEST6, GATEWAY6, proto, some())))
        for proto in (0, 43, 44, 60):
            wire().send(ether(0x86dd, ip6(GUEST6, GATEWAY6, proto, some())))
        wire().send(ether(0x800, ip4(GUEST, address, 6, syn(GUEST, address, (dice.randrange(1, 65536), 80), some(40)))))
        for port in (53, 67, 68, 5353):
            wire().send(ether(0x800, ip4(GUEST, GATEWAY, 17, udp(GUEST, GATEWAY, (1000, port), some()))))
        wire().send(ether(0x800, ip4(GUEST, GATEWAY, 17, udp(GUEST, GATEWAY, (1000, 53), question('x', A)[:12] + some()))))
    return [talk(address, 443, '\x16\x03\x01\x40\x00\x01' + text(total)), talk(address, 80, 'GET ' + text(total)),
            talk(address, 80, 'GET / HTTP/1.1\r\n' + 'X: y\r\n' * (total // 6)), talk(GATEWAY, 53, text(total))]


def main():
    print(json.dumps('ready'), flush=True)
    for line in sys.stdin:
        what, *how = json.loads(line)
        try:
            answer = globals()[what](*how)
        except Exception:          # of whatever kind: the test that called says so, and the next one goes on
            answer = traceback.format_exc()
        print(json.dumps(answer), flush=True)


main()
