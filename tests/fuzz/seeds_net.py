#!/usr/bin/python3
"""Writes the corpora of the gateway: for each limit one seed that is right and one that is one too many."""
import ipaddress
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / 'corpus'
GUEST, GATEWAY = bytes.fromhex('02766d6c7402'), bytes.fromhex('02766d6c7401')


def checksum(data):
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return 0xffff - total


def packed(text):
    return ipaddress.ip_address(text).packed


def ethernet(kind, payload, src=GUEST, dst=GATEWAY):
    return dst + src + struct.pack('>H', kind) + payload


def ip4(proto, payload, src='10.0.2.15', dst='11.0.0.2', fragment=0, options=b'', length=None):
    header = struct.pack('>BBHHHBBH', 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload) if length is None else length,
                         0, fragment, 64, proto, 0) + packed(src) + packed(dst) + options
    return ethernet(0x800, header[:10] + struct.pack('>H', checksum(header)) + header[12:] + payload)


def ip6(proto, payload, src='fd00:0:0:2::15', dst='2600:1::2', hops=255):
    return ethernet(0x86dd, struct.pack('>IHBB', 0x60000000, len(payload), proto, hops) + packed(src) + packed(dst) + payload)


def tcp(flags=2, options=b'', port=80, seq=1, ack=0, payload=b''):
    return struct.pack('>HHIIBBHHH', 40000, port, seq, ack, (20 + len(options)) * 4, flags, 65535, 0, 0) + options + payload


def udp(payload, port=1002, src=40000, length=None):
    return struct.pack('>HHHH', src, port, 8 + len(payload) if length is None else length, 0) + payload


def arp(what=1, asked='10.0.2.2', mac=GUEST):
    return ethernet(0x806, struct.pack('>HHBBH', 1, 0x800, 6, 4, what) + mac + packed('10.0.2.15') + bytes(6) + packed(asked),
                    dst=b'\xff' * 6)


def dhcp(options, op=1, magic=b'\x63\x82\x53\x63', end=b'\xff'):
    return struct.pack('>BBBB', op, 1, 6, 0) + b'xid!' + bytes(20) + GUEST + bytes(202) + magic + options + end


DISCOVER, REQUEST = b'\x35\x01\x01', b'\x35\x01\x03'
QUESTION = b'\x12\x34\x01\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1'
FRAMES = {
    'arp': arp(), 'arp-reply': arp(2), 'arp-own': arp(asked='10.0.2.15'), 'arp-spoofed': arp(mac=GATEWAY), 'arp-short': arp()[:41],
    'syn': ip4(6, tcp()), 'syn-options': ip4(6, tcp(options=b'\2\4\xff\xd7\1\3\3\7')), 'syn-option-length-0': ip4(6, tcp(options=b'\2\0\1\1')),
    'syn-option-beyond': ip4(6, tcp(options=b'\1\1\xfe\3')), 'syn-fin': ip4(6, tcp(3)), 'syn-60': ip4(6, tcp(options=b'\1' * 40)),
    'ack': ip4(6, tcp(16)), 'rst': ip4(6, tcp(4)), 'syn6': ip6(6, tcp()), 'port-0': ip4(6, tcp(port=0)), 'tcp-short': ip4(6, tcp()[:19]),
    'udp': ip4(17, udp(b'x' * 10)), 'udp-empty': ip4(17, udp(b'')), 'udp-length-7': ip4(17, udp(b'x', length=7)),
    'udp-beyond': ip4(17, udp(b'x', length=10)), 'udp6': ip6(17, udp(b'y')), 'dns': ip4(17, udp(QUESTION, 53), dst='10.0.2.2'),
    'dns-other': ip4(17, udp(QUESTION, 53)), 'dhcp': ip4(17, udp(dhcp(DISCOVER), 67, 68), '0.0.0.0', '255.255.255.255'),
    'echo': ip4(1, struct.pack('>BBHHH', 8, 0, 0, 7, 1) + b'ping'), 'echo-gateway': ip4(1, struct.pack('>BBHHH', 8, 0, 0, 7, 1), dst='10.0.2.2'),
    'icmp-short': ip4(1, bytes(7)), 'unreachable': ip4(1, struct.pack('>BBHI', 3, 1, 0, 0) + bytes(28)),
    'echo6': ip6(58, struct.pack('>BBHHH', 128, 0, 0, 7, 1), dst='fd00:0:0:2::2'),
    'router-solicit': ip6(58, struct.pack('>BBHI', 133, 0, 0, 0), 'fe80::15', 'ff02::2'),
    'neighbour-solicit': ip6(58, struct.pack('>BBHI', 135, 0, 0, 0) + packed('fe80::2'), '::', 'ff02::1:ff00:2'),
    'neighbour-solicit-short': ip6(58, struct.pack('>BBHI', 135, 0, 0, 0) + bytes(15), '::', 'ff02::1:ff00:2'),
    'neighbour-from-afar': ip6(58, struct.pack('>BBHI', 135, 0, 0, 0) + packed('fe80::2'), hops=64),
    'fragment': ip4(17, udp(b'x'), fragment=0x2000), 'fragment-later': ip4(17, udp(b'x'), fragment=1),
    'spoofed': ip4(6, tcp(), '10.0.2.16'), 'spoofed6': ip6(6, tcp(), '2600:1::9'), 'multicast': ip4(17, udp(b'x'), dst='224.0.0.1'),
    'ip-options': ip4(6, tcp(), options=b'\1' * 40), 'total-beyond': ip4(6, tcp(), length=41), 'total-short': ip4(6, tcp(), length=19),
    'extensions-4': ip6(60, b''.join(struct.pack('>BB6x', 60 if i < 3 else 6, 0) for i in range(4)) + tcp()),
    'extensions-5': ip6(60, b''.join(struct.pack('>BB6x', 60 if i < 4 else 6, 0) for i in range(5)) + tcp()),
    'extension-beyond': ip6(0, struct.pack('>BB6x', 6, 4) + tcp()), 'route': ip6(43, bytes(8) + tcp()), 'fragment6': ip6(44, bytes(8) + tcp()),
    'longest': ip4(17, udp(b'z' * 65492)), 'longer': ip4(17, udp(b'z' * 65493)), 'vlan': ethernet(0x8100, bytes(50)),
    'another-station': ip4(6, tcp())[6:12] + ip4(6, tcp())[6:], 'ethernet-only': ip4(6, tcp())[:14], 'ethernet-short': ip4(6, tcp())[:13],
}
DHCP = {
    'discover': dhcp(DISCOVER), 'request': dhcp(REQUEST + b'\x32\4\x0a\0\2\x0f\x36\4\x0a\0\2\2'), 'inform': dhcp(b'\x35\1\x08'),
    'type-0': dhcp(b'\x35\1\0'), 'type-9': dhcp(b'\x35\1\x09'), 'type-long': dhcp(b'\x35\2\1\1'), 'no-type': dhcp(b''),
    'address-short': dhcp(DISCOVER + b'\x32\3\x0a\0\2'), 'option-beyond': dhcp(DISCOVER + b'\x0c\2x', end=b''),
    'options-64': dhcp(DISCOVER + b'\x0c\1x' * 63), 'options-65': dhcp(DISCOVER + b'\x0c\1x' * 64), 'padding': dhcp(bytes(300) + DISCOVER),
    'reply': dhcp(DISCOVER, op=2), 'bootp': dhcp(DISCOVER, magic=bytes(4)), 'no-end': dhcp(DISCOVER, end=b''),
    'header': dhcp(b'', end=b''), 'header-short': dhcp(b'', end=b'')[:-1],
}


def conversation(*steps):
    """Pairs of what the world does afterwards (0 speaks, 1 ends its side, 2 goes, 3 nothing) and a frame."""
    return b''.join(struct.pack('>BH', act, len(frame)) + frame for act, frame in steps)


# lwIP's first sequence numbers are always the same.
SEQ = 6510
GATEWAY_SEEDS = {f'one-{name}': conversation((0, frame)) for name, frame in FRAMES.items() if len(frame) < 2000} | {
    'syn-data': conversation((3, FRAMES['syn']), (0, ip4(6, tcp(16, seq=2, ack=SEQ + 1))), (1, ip4(6, tcp(24, seq=2, ack=SEQ + 1, payload=b'hello'))),
                             (3, ip4(6, tcp(17, seq=7, ack=SEQ + 2001)))),
    'syn-twice': conversation((3, FRAMES['syn']), (3, FRAMES['syn'])), 'syn-rst': conversation((3, FRAMES['syn']), (3, FRAMES['rst'])),
    'refused': conversation((3, ip4(6, tcp(port=84)))), 'world-goes': conversation((2, FRAMES['syn']), (3, FRAMES['ack'])),
    'datagrams': conversation((0, FRAMES['udp']), (2, FRAMES['udp']), (3, FRAMES['udp6'])),
}


def main():
    for name, seeds in {'gateway': GATEWAY_SEEDS, 'frame_parse': FRAMES, 'dhcp_parse': DHCP}.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


if __name__ == '__main__':
    main()
