#!/usr/bin/python3
"""Writes the seeds of fuzz_vsock_parse and fuzz_vsock: a good input each, one per limit, one per way to end.

Findings of the fuzzers are added to the same folders by hand; this script leaves them alone.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
HOST_PORT = 0x80  # of the first client; see likely_port()


def save(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def header(src=3, dst=2, guest_port=1024, host_port=0x40000000, length=0, kind=1, op=RW, flags=0, alloc=262144, fwd=0):
    return struct.pack('<QQIIIHHIII', src, dst, guest_port, host_port, length, kind, op, flags, alloc, fwd)


def packet(name, payload=0, **fields):
    save('vsock_parse', 'packet_' + name, b'\0' + header(**fields) + struct.pack('<Q', payload))


def line(name, text):
    save('vsock_parse', 'line_' + name, b'\1' + text)


def parsers():
    for op, name in enumerate(['invalid', 'request', 'response', 'rst', 'shutdown', 'rw', 'credit_update',
                               'credit_request', 'over']):
        packet('op_' + name, op=op, flags=3)
    packet('len_fits', 100, length=100)
    packet('len_over', 100, length=101)
    packet('len_max', 0xffffffff, length=0xffffffff)
    packet('type_seqpacket', kind=2, op=REQUEST)
    packet('type_bad_rst', kind=2, op=RST)
    packet('src_other', src=4)
    packet('src_high', src=3 | 1 << 32)
    packet('dst_other', dst=3)
    packet('flags_all', op=SHUTDOWN, flags=0xffffffff)
    save('vsock_parse', 'packet_short', b'\0' + b'\3' * 43)
    save('vsock_parse', 'empty', b'')
    line('good', b'CONNECT 1024\n')
    line('lower', b'connect 0\r\n')
    line('port_max', b'CONNECT 4294967294\n')
    line('port_over', b'CONNECT 4294967295\n')
    line('longest', b'CONNECT ' + b'0' * 23 + b'\n')
    line('too_long', b'CONNECT ' + b'0' * 24 + b'\n')
    line('no_port', b'CONNECT \n')
    line('no_newline', b'CONNECT 1')
    line('blanks', b' \t' * 15 + b'\n')
    line('rest', b'CONNECT 1 2\n')


# Steps of fuzz_vsock.c.

def send(op, guest=1, host=HOST_PORT, n=0, flags=0, alloc=0xffff, fwd=0):
    return struct.pack('<BBBBHHH', 0, op | flags << 4 | (0x40 if n else 0), guest, host, alloc, fwd, n) + kick(1)


def send_raw(hdr, n=0):
    return struct.pack('<BBBBHHH', 0, 0xc0, 0, 0, 0, 0, n) + hdr + kick(1)


def buffers(n):
    return b'\1\1' * n + kick(0)


def buffer_of(n):
    return struct.pack('<BBH', 1, 0, n) + kick(0)


def event_buffer():
    return b'\1\x81'


def kick(queue):
    return bytes([2, queue])


def poke(queue, at, data):
    return struct.pack('<BB', 3, queue) + data + struct.pack('<H', at)


def raw_desc(queue, i, addr, length, flags=0, following=0):
    return struct.pack('<BBHHBB', 4, i << 2 | queue, addr, length, flags, following)


RESET = b'\5\0'
ROUND = b'\x0b'


def connect(guest=1):
    return bytes([6, guest])


def write(n, which=1):
    return struct.pack('<BBH', 7, which, n)


def read(which=1):
    return bytes([8, which])


def end_writing(which=1):
    return bytes([9, 0x10 | which])


def end_reading(which=1):
    return bytes([9, which])


def close(which=1):
    return bytes([10, which])


OPEN = buffers(6) + connect() + send(RESPONSE)
# More than socket and credit hold is not sent: only so much of it fits.
FILL = b''.join(send(RW, n=0x3fff) for _ in range(40))


def device():
    def seed(name, *steps):
        save('vsock', name, b''.join(steps))

    seed('client_connects', OPEN, send(RW, n=100), read(), write(500), ROUND)
    seed('guest_connects', buffers(6), send(REQUEST, 5, 2), send(RW, 5, 2, n=9), write(9), ROUND, send(RST, 5, 2))
    seed('guest_refused', buffers(6), send(REQUEST, 5, 3))
    seed('client_refused', buffers(6), connect(), send(RST))
    seed('client_half_closes', OPEN, write(100), end_writing(), ROUND, ROUND, send(RW, n=10), send(SHUTDOWN, flags=3))
    seed('guest_half_closes', OPEN, send(SHUTDOWN, flags=2), write(100), ROUND, close(), ROUND, ROUND, send(RST))
    seed('guest_deaf', OPEN, send(SHUTDOWN, flags=1), write(10), ROUND, send(SHUTDOWN, flags=2))
    seed('client_deaf', OPEN, end_reading(), send(RW, n=100), ROUND, write(10), ROUND, end_writing(), ROUND, ROUND)
    seed('client_closes', OPEN, write(3000), close(), ROUND, ROUND, send(RW, n=10), send(RST))
    seed('client_leaves_while_asking', buffers(6), connect(), close(), ROUND)
    seed('credit_small', OPEN, send(CREDIT_UPDATE, alloc=10), write(100), ROUND, send(CREDIT_UPDATE, alloc=10, fwd=5))
    seed('credit_none', OPEN, send(CREDIT_UPDATE, alloc=0), write(100), ROUND, close(), ROUND)
    seed('credit_lie', OPEN, send(CREDIT_UPDATE, alloc=10, fwd=20), write(100), ROUND)
    seed('credit_asked', OPEN, send(RW, n=10), send(CREDIT_REQUEST))
    seed('burst', OPEN, write(0x3fff), ROUND, buffers(6), buffers(6), buffers(6))
    seed('slow_client', OPEN, FILL, read(), read(), ROUND, read(), ROUND)
    seed('slow_client_guest_closes', OPEN, FILL[:30 * 12], send(SHUTDOWN, flags=3), read() * 20, ROUND, read() * 20, ROUND)
    seed('slow_client_leaves', OPEN, FILL[:30 * 12], close(), ROUND, ROUND)
    seed('no_buffers', connect(), connect(2), send(RESPONSE), buffers(1), buffers(1), send(RESPONSE))
    seed('buffer_at_limit', buffer_of(45), send(RW))
    seed('buffer_too_small', buffer_of(44), send(RW))
    seed('header_too_short', raw_desc(1, 0, 0x100, 43), kick(1))
    seed('header_in_two', raw_desc(1, 0, 0x100, 20, 1, 1), kick(1))
    seed('stranger', buffers(6), send(RW), send(SHUTDOWN), send(RST))
    seed('request_twice', buffers(6), send(REQUEST, 5, 2), send(REQUEST, 5, 2))
    seed('response_twice', OPEN, send(RESPONSE))
    seed('type_unknown', OPEN, send_raw(header(guest_port=1, kind=7)))
    seed('len_beyond_chain', OPEN, send_raw(header(guest_port=1, length=1000), n=10))
    seed('cid_of_other', OPEN, send_raw(header(src=9)))
    seed('reset_open', event_buffer(), OPEN, FILL[:10 * 12], RESET, buffers(6), connect(2), ROUND)
    seed('index_wild', OPEN, poke(0, 16 * 8 + 2, b'\xff\xff\0\0'), write(10), ROUND)


if __name__ == '__main__':
    parsers()
    device()
