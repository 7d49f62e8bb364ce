#!/usr/bin/python3
"""Writes the seeds of fuzz_virtqueue, fuzz_blk_parse and fuzz_blk: a good input each, and one per limit.

Findings of the fuzzers are added to the same folders by hand; this script leaves them alone.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
NEXT, WRITE, INDIRECT = 1, 2, 4
RAM = 0x10000
BUF, TABLE = 0xd000, 0x8000


def save(target, name, data):
    folder = os.path.join(HERE, "corpus", target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(data)


def desc(addr, length, flags=0, nxt=0):
    return struct.pack("<QIHH", addr, length, flags, nxt)


def queue(name, ring, heads, table=b"", size=8, flags=3, nxt=0, idx=None, used_event=0, rings=None):
    """@ring: descriptors; @heads: entries of the available ring; @table: bytes at TABLE."""
    avail = 16 * size
    used = (avail + 4 + 2 * size + 2 + 3) & ~3
    ram = bytearray(TABLE + len(table))
    ram[0:16 * len(ring)] = b"".join(ring)
    struct.pack_into("<HH", ram, avail, 0, (nxt + len(heads) if idx is None else idx) & 0xffff)
    for i, head in enumerate(heads):
        struct.pack_into("<H", ram, avail + 4 + 2 * ((nxt + i) % size), head)
    struct.pack_into("<H", ram, avail + 4 + 2 * size, used_event)
    ram[TABLE:] = table
    at = rings or (0, avail, used)
    save("virtqueue", name, struct.pack("<IIIHHBxxx", *at, size, nxt, flags) + bytes(ram).rstrip(b"\0"))


def virtqueue():
    good = [desc(BUF, 16, NEXT, 1), desc(BUF + 64, 512, NEXT | WRITE, 2), desc(BUF + 1024, 1, WRITE)]
    queue("good", good, [0])
    queue("good_many", [desc(BUF + 64 * i, 64, WRITE) for i in range(8)], list(range(8)), used_event=4)
    queue("empty", good, [])
    queue("index_wraps", good, [0, 0, 0, 0], nxt=0xfffe)
    queue("index_ahead_at_limit", good, [0] * 8)
    queue("index_ahead_beyond", good, [0] * 8, idx=9)
    queue("head_at_limit", [desc(BUF, 1)] * 8, [7])
    queue("head_beyond", good, [8])
    queue("next_beyond", [desc(BUF, 1, NEXT, 8)], [0])
    queue("loop", [desc(BUF, 1, NEXT, 1), desc(BUF, 1, NEXT, 0)], [0])
    queue("whole_table", [desc(BUF, 1, NEXT if i < 7 else 0, i + 1) for i in range(8)], [0])
    queue("readable_after_writable", [desc(BUF, 1, NEXT | WRITE, 1), desc(BUF, 1)], [0])
    queue("end_of_ram", [desc(RAM - 16, 16)], [0])
    queue("beyond_ram", [desc(RAM - 15, 16)], [0])
    queue("address_wraps", [desc(2 ** 64 - 8, 16)], [0])
    queue("length_zero", [desc(BUF, 0)], [0])
    for n in (127, 128, 129):
        queue("segments_%d" % n, [desc(BUF, 4, NEXT if i < n - 1 else 0, i + 1) for i in range(n)], [0], size=256)
        queue("indirect_%d" % n, [desc(TABLE, 16 * n, INDIRECT)], [0],
              b"".join(desc(BUF, 4, NEXT if i < n - 1 else 0, i + 1) for i in range(n)))
    queue("indirect_not_negotiated", [desc(TABLE, 16, INDIRECT)], [0], desc(BUF, 4), flags=2)
    queue("indirect_and_next", [desc(TABLE, 16, INDIRECT | NEXT, 1), desc(BUF, 4)], [0], desc(BUF, 4))
    queue("indirect_nested", [desc(TABLE, 16, INDIRECT)], [0], desc(TABLE, 16, INDIRECT))
    queue("indirect_empty", [desc(TABLE, 0, INDIRECT)], [0])
    queue("indirect_odd", [desc(TABLE, 17, INDIRECT)], [0], desc(BUF, 4))
    queue("indirect_table_at_limit", [desc(TABLE, 16 * 1024, INDIRECT)], [0], desc(BUF, 4))
    queue("indirect_table_beyond", [desc(TABLE, 16 * 1025, INDIRECT)], [0], desc(BUF, 4))
    queue("indirect_after_direct", [desc(BUF, 4, NEXT, 1), desc(TABLE, 32, INDIRECT)], [0],
          desc(BUF, 4, NEXT | WRITE, 1) + desc(BUF, 4, WRITE))
    queue("largest_queue", [desc(BUF, 4)], [0], size=1024)
    queue("smallest_queue", [desc(BUF, 4)], [0], size=1)
    queue("rings_overlap", good, [0], rings=(0, 0, 0))
    queue("used_over_avail", good, [0], rings=(0, 128, 128))
    queue("no_events", good, [0], flags=0)


IN, OUT, FLUSH, GET_ID, DISCARD, ZEROES = 0, 1, 4, 8, 11, 13
FEATURES = 1 << 13 | 1 << 14


def request(name, kind, sector, lens, readable, data=b"", size=100 * 512, features=FEATURES, read_only=0):
    head = struct.pack("<QQBBB5x", size, features, read_only, len(lens), readable)
    head += struct.pack("<8H", *(lens + [0] * (8 - len(lens))))
    save("blk_parse", name, head + struct.pack("<IIQ", kind, 0, sector) + data)


def block():
    def one(sector, n, flags=0):
        return struct.pack("<QII", sector, n, flags)

    request("read", IN, 0, [16, 512, 1], 1)
    request("read_last", IN, 99, [16, 512, 1], 1)
    request("read_beyond", IN, 100, [16, 512, 1], 1)
    request("read_wraps", IN, 2 ** 64 - 1, [16, 512, 1], 1)
    request("read_bytes_wrap", IN, 2 ** 55, [16, 512, 1], 1)
    request("read_odd", IN, 0, [16, 511, 1], 1)
    request("read_nothing", IN, 0, [16, 1], 1)
    request("read_no_status", IN, 0, [16], 1)
    request("write", OUT, 99, [16, 512, 1], 2)
    request("write_cut", OUT, 0, [3, 13, 500, 12, 0, 1], 4)
    request("write_beyond", OUT, 99, [16, 1024, 1], 2)
    request("write_read_only", OUT, 0, [16, 512, 1], 2, read_only=1)
    request("flush", FLUSH, 0, [16, 1], 1)
    request("id", GET_ID, 0, [16, 20, 1], 1)
    request("id_short", GET_ID, 0, [16, 19, 1], 1)
    request("header_short", IN, 0, [15, 513], 1)
    request("unknown", 77, 0, [16, 513], 1)
    request("discard", DISCARD, 0, [16, 16, 1], 2, one(0, 100))
    request("discard_unmap", DISCARD, 0, [16, 16, 1], 2, one(0, 100, 1))
    request("discard_beyond", DISCARD, 0, [16, 16, 1], 2, one(1, 100))
    request("discard_not_offered", DISCARD, 0, [16, 16, 1], 2, one(0, 1), features=0)
    request("discard_sectors", DISCARD, 0, [16, 16, 1], 2, one(0, 1 << 21), size=1 << 50)
    request("discard_sectors_beyond", DISCARD, 0, [16, 16, 1], 2, one(0, (1 << 21) + 1), size=1 << 50)
    request("ranges", ZEROES, 0, [16, 256, 1], 2, one(1, 2, 1) * 16)
    request("ranges_beyond", ZEROES, 0, [16, 272, 1], 2, one(1, 2, 1) * 17)
    request("ranges_odd", ZEROES, 0, [16, 24, 1], 2, one(1, 2) * 2)
    request("zeroes_sectors", ZEROES, 0, [16, 16, 1], 2, one(0, 1 << 17), size=1 << 50)
    request("zeroes_sectors_beyond", ZEROES, 0, [16, 16, 1], 2, one(0, (1 << 17) + 1), size=1 << 50)
    request("zeroes_flags", ZEROES, 0, [16, 16, 1], 2, one(0, 1, 3))


def device(name, requests, without=0, log2=5):
    """@requests: (type, sector, bytes sent after the header, bytes received before the status)."""
    size = 1 << log2
    ring, heads, ram = [], [], bytearray()
    for kind, sector, sent, got in requests:
        header, data, answer = (BUF + 0x40 * len(heads) * 4 + at for at in (0, 0x40, 0xc0))
        ram[header - BUF:] = (struct.pack("<IIQ", kind, 0, sector).ljust(0x40, b"\0") + sent).ljust(0x100, b"\0")
        heads.append(len(ring))
        ring.append(desc(header, 16, NEXT, len(ring) + 1))
        if sent:
            ring.append(desc(data, len(sent), NEXT, len(ring) + 1))
        if got:
            ring.append(desc(0, got, NEXT | WRITE, len(ring) + 1))
        ring.append(desc(answer, 1, WRITE))
    avail = struct.pack("<HH", 0, len(heads)) + struct.pack("<%dH" % len(heads), *heads)
    whole = (b"".join(ring).ljust(16 * size, b"\0") + avail).ljust(BUF, b"\0") + bytes(ram)
    save("blk", name, bytes([log2, without]) + whole.rstrip(b"\0"))


def devices():
    def one(sector, n, flags=0):
        return struct.pack("<QII", sector, n, flags)

    device("read", [(IN, 0, b"", 512)])
    device("reads_in_a_row", [(IN, i, b"", 512) for i in range(8)])
    device("write", [(OUT, 7, b"x" * 64, 0), (FLUSH, 0, b"", 0)])
    device("id", [(GET_ID, 0, b"", 20)])
    device("discard_and_zeroes", [(DISCARD, 0, one(0, 8), 0), (ZEROES, 0, one(8, 8, 1), 0), (ZEROES, 0, one(16, 8), 0)])
    device("refused", [(IN, 1 << 60, b"", 512), (77, 0, b"", 512), (OUT, 0, b"", 0)])
    device("no_status", [(FLUSH, 0, b"", 0), (77, 0, b"", 0)], log2=1)
    device("no_events", [(IN, 0, b"", 512)], without=1)
    device("no_indirect", [(IN, 0, b"", 512)], without=2)
    device("rate", [(IN, 0, b"", 512)] * 3 + [(ZEROES, 0, one(16, 8), 0), (FLUSH, 0, b"", 0)], without=4)
    device("rate_of_bytes", [(IN, 0, b"", 1024), (OUT, 0, b"x" * 64, 0)], without=4)
    device("another_file", [(OUT, 7, b"x" * 64, 0), (FLUSH, 0, b"", 0), (IN, 7, b"", 512)], without=8)
    device("another_file_and_rate", [(FLUSH, 0, b"", 0)] * 6, without=12)


virtqueue()
block()
devices()
