#!/usr/bin/python3
"""Writes the seeds of fuzz_balloon_parse and fuzz_balloon: a good input each, and one per limit.

Findings of the fuzzers are added to the same folders by hand; this script leaves them alone.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
NEXT, WRITE = 1, 2
PFNS, REPORT, STATS = 0, 1, 2
PAGE, MIB = 4096, 1 << 20
VQ, DATA = 0x8000, 0x1000           # rings of a queue, and behind the first's what is sent
INFLATE_Q, DEFLATE_Q, STATS_Q, REPORT_Q = range(4)
KICK, CONFIG, TARGET, ROUND, PAUSE = 0, 4, 5, 6, 7


def save(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as file:
        file.write(data)


def parse(name, kind, segs, readable, ram=b'', first=0):
    head = struct.pack('<BBBxI', kind, len(segs), readable, first)
    body = b''.join(struct.pack('<QII', at, length, 0) for at, length in segs)
    save('balloon_parse', name, head + body.ljust(128, b'\0') + ram)


def numbers(values):
    return struct.pack(f'<{len(values)}I', *values)


def stat(tag, value):
    return struct.pack('<HQ', tag, value)


def parsers():
    for n in (1, 255, 256, 257):
        ram = numbers(range(1000, 1000 + n))
        parse(f'pfns_{n}', PFNS, [(0, len(ram))], 1, ram)
    parse('pfns_downwards', PFNS, [(0, 1024)], 1, numbers(range(256, 0, -1)))
    parse('pfns_apart', PFNS, [(0, 1024)], 1, numbers([2 * i for i in range(256)]))
    parse('pfns_same', PFNS, [(0, 64)], 1, numbers([7] * 16))
    parse('pfns_ends', PFNS, [(0, 12)], 1, numbers([0, 2 ** 32 - 1, 2 ** 32 - 2]))
    parse('pfns_cut', PFNS, [(0, 3), (3, 5), (8, 1)], 3, numbers([1, 2, 3]))
    parse('pfns_from', PFNS, [(0, 16)], 1, numbers([1, 2, 3, 4]), first=3)
    parse('pfns_from_beyond', PFNS, [(0, 16)], 1, numbers([1, 2, 3, 4]), first=2 ** 32 - 1)
    parse('pfns_none', PFNS, [], 0)
    parse('pfns_writable', PFNS, [(0, 16)], 0, numbers([1, 2, 3, 4]))
    parse('report', REPORT, [(64 * MIB, 2 * MIB)], 0)
    parse('report_neighbours', REPORT, [(i * 2 * MIB, 2 * MIB) for i in range(8)], 0)
    parse('report_at_limit', REPORT, [(0, 256 * MIB)], 0)
    parse('report_beyond', REPORT, [(0, 256 * MIB + PAGE)], 0)
    parse('report_far_beyond', REPORT, [(i << 32, 2 ** 32 - PAGE) for i in range(8)], 0)
    parse('report_odd', REPORT, [(1, PAGE), (PAGE - 1, 2 * PAGE), (0, 0), (5, 1)], 0)
    parse('report_readable', REPORT, [(0, PAGE), (PAGE, PAGE)], 1)
    parse('report_end', REPORT, [((1 << 46) - PAGE, PAGE), ((1 << 46) - 1, 1)], 0)
    for n in (1, 63, 64, 65):
        ram = b''.join(stat(i % 16, i) for i in range(n))
        parse(f'stats_{n}', STATS, [(0, len(ram))], 1, ram)
    parse('stats_unknown', STATS, [(0, 30)], 1, stat(15, 1) + stat(16, 2) + stat(65535, 3))
    parse('stats_cut', STATS, [(0, 19)], 1, stat(4, 1) * 2)
    parse('stats_short', STATS, [(0, 9)], 1, stat(4, 1))


def device(name, steps, chains, without=0, poison=0, log2=3):
    """@chains: (queue, [(address, length, writable)]), one after the other; @steps: bytes."""
    size, ram, heads, rings = 1 << log2, bytearray(VQ * 4), {}, {}
    for queue, segs in chains:
        ring = rings.setdefault(queue, [])
        heads.setdefault(queue, []).append(len(ring))
        for i, (at, length, writable) in enumerate(segs):
            last = i + 1 == len(segs)
            ring.append(struct.pack('<QIHH', at, length, (WRITE if writable else 0) | (0 if last else NEXT),
                                    0 if last else len(ring) + 1))
    for queue, ring in rings.items():
        at = VQ * queue
        ram[at:at + 16 * len(ring)] = b''.join(ring)
        avail = at + 16 * size
        struct.pack_into(f'<HH{len(heads[queue])}H', ram, avail, 0, len(heads[queue]), *heads[queue])
    content = numbers([0x20, 0x2f, 0x30, 2 ** 32 - 1, 0x28]) + b''.join(stat(i, i) for i in range(4))
    ram[DATA:DATA + len(content)] = content
    head = struct.pack('<BBxxI8s', log2, without, poison, bytes(steps))
    save('balloon', name, head + bytes(ram).rstrip(b'\0'))


def devices():
    pfns, stats = (DATA, 20, 0), (DATA + 20, 40, 0)
    device('inflate', [INFLATE_Q], [(INFLATE_Q, [pfns])])
    device('inflate_and_deflate', [INFLATE_Q, DEFLATE_Q, CONFIG | 4 << 3], [(INFLATE_Q, [pfns]), (DEFLATE_Q, [pfns])])
    device('inflate_many', [INFLATE_Q] * 2, [(INFLATE_Q, [pfns])] * 8)
    device('inflate_long', [INFLATE_Q], [(INFLATE_Q, [(0, 0x30000, 0)])])
    device('inflate_rings', [INFLATE_Q] * 3, [(INFLATE_Q, [(0x28000, 64, 0)])] * 2)
    device('report', [REPORT_Q], [(REPORT_Q, [(0x21000, 0x2000, 1), (0x23000, 0x1000, 1)])])
    device('report_rings', [REPORT_Q] * 2, [(REPORT_Q, [(0, 0x30000, 1)])] * 2)
    device('report_poison', [REPORT_Q], [(REPORT_Q, [(0x21000, 0x2000, 1)])], poison=0xaaaaaaaa)
    device('report_poison_not_taken', [REPORT_Q], [(REPORT_Q, [(0x21000, 0x2000, 1)])], without=8, poison=0xaaaaaaaa)
    device('report_third', [STATS_Q], [(STATS_Q, [(0x21000, 0x2000, 1)])], without=4)
    device('stats', [STATS_Q, ROUND, STATS_Q], [(STATS_Q, [stats])])
    device('stats_twice', [STATS_Q, ROUND], [(STATS_Q, [stats])] * 2)
    device('stats_paused', [STATS_Q, PAUSE | 0x80, ROUND, PAUSE, ROUND], [(STATS_Q, [stats])])
    device('stats_rings_gone', [STATS_Q, REPORT_Q, ROUND],
           [(STATS_Q, [stats]), (REPORT_Q, [(0x10000, 0x8000, 1)])])
    device('target', [TARGET | 8, TARGET | 0xf8, CONFIG | 12 << 3], [])
    device('no_events', [INFLATE_Q, REPORT_Q], [(INFLATE_Q, [pfns]), (REPORT_Q, [(0x21000, 0x1000, 1)])], without=3)
    device('beyond_ram', [INFLATE_Q], [(INFLATE_Q, [(0x30000, 4, 0)])])


parsers()
devices()
