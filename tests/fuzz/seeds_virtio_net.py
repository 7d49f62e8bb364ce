#!/usr/bin/python3
"""Writes the seeds of fuzz_net_parse and fuzz_net: a good input each, and one per limit."""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
CSUM, TSO4, TSO6, ECN, NEXT, WRITE = 1, 1 << 11, 1 << 12, 1 << 13, 1, 2
ALL = CSUM | TSO4 | TSO6 | ECN
V4, V6, ECN_BIT = 1, 4, 0x80


def save(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def head(flags=0, gso=0, hdr_len=0, size=0, start=0, offset=0):
    return struct.pack('<BBHHHHH', flags, gso, hdr_len, size, start, offset, 0)


def v4(options=0, tcp=20, vlan=b'', proto=6):
    eth = b'\2' * 12 + vlan + b'\x08\0'
    ip = bytes([0x45 + options // 4]) + b'\0' * 8 + bytes([proto]) + b'\0' * 10 + b'\1' * options
    return eth + ip + b'\0' * 12 + bytes([tcp // 4 << 4]) + b'\0' * 7 + b'\1' * (tcp - 20)


def v6(extra=0, next_header=6):
    return b'\2' * 12 + b'\x86\xdd' + b'\x60' + b'\0' * 5 + bytes([next_header]) + b'\0' * 33 + b'\0' * extra + \
        b'\0' * 12 + b'\x50' + b'\0' * 7


def parse(name, net, frame, features=ALL, pad=138, more=0):
    save('net_parse', name, struct.pack('<QI', features, more) + net + frame.ljust(pad, b'x'))


def parses():
    plain, cut = head(), head(1, V4, 0, 1448, 34, 16)
    parse('plain', plain, b'', pad=14)
    parse('short', plain, b'', pad=13)
    parse('longest', plain, b'', more=65593 - 138)
    parse('too_long', plain, b'', more=65594 - 138)
    parse('csum', head(1, start=34, offset=16), v4())
    parse('csum_at_end', head(1, start=34, offset=102), v4())
    parse('csum_beyond', head(1, start=34, offset=103), v4())
    parse('csum_in_ethernet', head(1, start=13, offset=16), v4())
    parse('csum_not_negotiated', head(1, start=34, offset=16), v4(), 0)
    parse('csum_largest', head(1, start=65535, offset=65535), v4(), more=65000)
    parse('tso4', cut, v4())
    parse('tso4_ecn', head(1, V4 | ECN_BIT, 0, 1448, 34, 16), v4())
    parse('tso4_ecn_not_negotiated', head(1, V4 | ECN_BIT, 0, 1448, 34, 16), v4(), CSUM | TSO4)
    parse('tso4_not_negotiated', cut, v4(), CSUM)
    parse('tso4_no_csum', head(0, V4, 0, 1448, 34, 16), v4())
    parse('tso4_size_at_limit', head(1, V4, 0, 48, 34, 16), v4())
    parse('tso4_size_below', head(1, V4, 0, 47, 34, 16), v4())
    parse('tso4_options', head(1, V4, 0, 1448, 74, 16), v4(options=40, tcp=60), more=10)
    parse('tso4_vlan', head(1, V4, 0, 1448, 38, 16), v4(vlan=b'\x81\0\0\1'))
    parse('tso4_vlan_options', head(1, V4, 0, 1448, 78, 16), v4(40, 60, b'\x81\0\0\1'), more=1)
    parse('tso4_udp', cut, v4(proto=17))
    parse('tso4_elsewhere', head(1, V4, 0, 1448, 36, 16), v4())
    parse('tso4_offset', head(1, V4, 0, 1448, 34, 6), v4())
    parse('tso4_tcp_short', cut, v4()[:46] + b'\x40' + b'\0' * 20)
    parse('tso4_no_payload', cut, v4(), pad=54)
    parse('tso4_one_byte', cut, v4(), pad=55)
    parse('tso4_of_v6', cut, v6())
    parse('tso6', head(1, V6, 0, 1428, 54, 16), v6())
    parse('tso6_extension', head(1, V6, 0, 1428, 62, 16), v6(8, 0))
    parse('tso6_udp', head(1, V6, 0, 1428, 54, 16), v6(0, 17))
    parse('tso6_far', head(1, V6, 0, 1428, 119, 16), v6(), more=9)
    parse('ufo', head(1, 3, 0, 1428, 34, 6), v4(proto=17))
    parse('uso', head(1, 5, 0, 1428, 34, 6), v4(proto=17))
    parse('ctrl', plain, b'\4\0\7\0', pad=4)
    parse('ctrl_beyond', plain, b'\4\0\x08\0', pad=4)
    parse('ctrl_none', plain, b'\4\0\0\0', pad=4)
    parse('ctrl_short', plain, b'\4\0\1', pad=3)
    parse('ctrl_other', plain, b'\4\1\1\0', pad=4)


def desc(addr, length, flags=0, nxt=0):
    return struct.pack('<QIHH', addr, length, flags, nxt)


def queue(ram, qi, chains, log2):
    """@chains: lists of (address, length, flags)."""
    size, at = 1 << log2, 0x8000 * qi
    i, avail = 0, at + 16 * size
    for k, chain in enumerate(chains):
        struct.pack_into('<H', ram, avail + 4 + 2 * (k % size), i)
        for j, (addr, length, flags) in enumerate(chain):
            more = j + 1 < len(chain)
            ram[at + 16 * i:at + 16 * i + 16] = desc(addr, length, flags | (NEXT if more else 0), i + 1 if more else 0)
            i += 1
    struct.pack_into('<H', ram, avail + 2, len(chains))


def device(name, rx=(), tx=(), peer=b'', how=32, log2=5, data=b''):
    ram = bytearray(0x20000)
    queue(ram, 0, rx, log2)
    queue(ram, 1, tx, log2)
    ram[0x10000:0x10000 + len(data)] = data
    save('net', name, bytes([log2, how]) + struct.pack('<H', len(peer)) + peer + bytes(ram).rstrip(b'\0'))


def frame(n, net=b''):
    return struct.pack('>I', n + len(net)) + net + bytes(i & 255 for i in range(n))


def devices():
    def buf(n, at=0x12000):
        return [(at, n, WRITE)]
    out = [(0x10000, 12 + 60, 0)]
    device('both_ways', [buf(1600)] * 4, [out] * 4, frame(60) * 3, data=head())
    device('merged', [buf(100)] * 16, [], frame(1400))
    device('not_merged', [buf(2000)] * 4, [], frame(1400) * 2, how=36)
    device('not_merged_small', [buf(100)] * 4, [], frame(1400) * 2, how=36)
    device('no_buffers', [], [], frame(60) * 2)
    device('buffers_of_a_byte', [buf(1)] * 30, [], frame(14))
    device('no_room_ever', [buf(1)] * 32, [], frame(60) * 4)
    device('readable_for_receiving', [[(0x12000, 100, 0)]], [], frame(60))
    device('split', [[(0x12000, 5, WRITE), (0x12100, 0, WRITE), (0x12200, 100, WRITE)]], [], frame(60))
    device('length_least', [buf(1600)] * 4, [], frame(14))
    device('length_below', [buf(1600)] * 4, [], frame(13))
    device('length_largest', [buf(0x1000)] * 17, [], struct.pack('>I', 65593) + b'x' * 60000)
    device('length_beyond', [buf(0x1000)] * 17, [], struct.pack('>I', 65594) + b'x' * 100)
    device('cut', [buf(1600)] * 4, [], frame(60)[:30])
    device('head', [buf(1600)] * 4, [out], frame(60, head(2)), how=48, data=head(1, start=34, offset=16) + v4())
    device('tx_header_short', [], [[(0x10000, 11, 0)]])
    device('tx_nothing', [], [[(0x10000, 12, 0)]])
    device('tx_writable', [], [buf(100)])
    device('tx_gso', [], [[(0x10000, 12 + 200, 0)]], data=head(1, 1, 0, 1448, 34, 16) + v4())
    device('tx_full', [], [[(0x10000, 0x8000, 0), (0x10000, 0x7000, 0)]] * 15, how=0)
    device('tx_pieces', [], [[(0x10000 + 4 * i, 4, 0) for i in range(128)]] * 2, log2=8)
    device('rate', [buf(1600)] * 8, [out] * 8, frame(60) * 6, how=40)
    device('no_events', [buf(1600)] * 2, [out], frame(60), how=35)


parses()
devices()
