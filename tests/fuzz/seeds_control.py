#!/usr/bin/python3
"""Writes the corpora of what the monitor is told: for each limit one seed that is right and one that is one too many."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / 'corpus'

LINES = {
    'status': b'status\n',
    'metrics': b'metrics\n',
    'prometheus': b'metrics prometheus\n',
    'metrics-other': b'metrics statsd\n',
    'metrics-both': b'metrics prometheus prometheus\n',
    'all': b'status\npause\nresume\nstop\nkill\nsubscribe\n',
    'stop-0': b'stop 0\n',
    'stop-longest': b'stop 3600000\n',
    'stop-longer': b'stop 3600001\n',
    'stop-huge': b'stop 18446744073709551616\n',
    'stop-negative': b'stop -1\n',
    'balloon': b'balloon\n',
    'balloon-size': b'balloon 64M\n',
    'balloon-largest': b'balloon 18446744073709551615\n',
    'balloon-larger': b'balloon 18446744073709551616\n',
    'balloon-two': b'balloon 1 2\n',
    'rate': b'rate 0 10M 100\n',
    'rate-none': b'rate 15 0 0\n',
    'rate-disk-last': b'rate 4294967295 1 1\n',
    'rate-disk-beyond': b'rate 4294967296 1 1\n',
    'rate-short': b'rate 0 1\n',
    'rate-long': b'rate 0 1 1 1\n',
    'rate-unit': b'rate 0 1M 1k\n',
    'arguments': b'status a b c d\n',
    'arguments-too-many': b'status a b c d e\n',
    'argument-where-none': b'pause now\n',
    'unknown': b'reboot\n',
    'empty': b'\n',
    'spaces': b' status \n',
    'two-spaces': b'stop  5\n',
    'nul': b'status\0\n',
    'carriage-return': b'status\r\n',
    'no-end': b'status',
    'longest': b'x' * 1023 + b'\n',
    'longer': b'x' * 1024 + b'\n',
    'second-longer': b'status\n' + b'y' * 1025,
}


STDOUT, STDERR, EXIT, WINDOW = 0x82, 0x83, 0x84, 0x87


def frame(kind, payload=b'', request=1, flags=0, length=None, reserved=0):
    return struct.pack('<IHHII', len(payload) if length is None else length, kind, flags, request, reserved) + payload


def exits(kind=0, value=0, more=b''):
    return frame(EXIT, struct.pack('<IIIIQQQ', kind, value, 0, 0, 1, 2, 3) + more)


WHOLE, BYTES = b'\xff', b'\0'
STREAMS = {
    'both': WHOLE + frame(STDOUT, b'one') + frame(STDERR, b'two') + frame(STDOUT, b'three'),
    'byte-by-byte': BYTES + frame(STDOUT, b'one') + frame(STDERR, b'two') + exits(),
    'exit': WHOLE + exits(),
    'exit-signal': WHOLE + exits(1, 64),
    'exit-signal-65': WHOLE + exits(1, 65),
    'exit-status-256': WHOLE + exits(0, 256),
    'exit-kind-2': WHOLE + exits(2, 0),
    'exit-longest': WHOLE + exits(more=b'\0' * (512 - 40)) + frame(STDOUT, b'on'),
    'exit-longer': WHOLE + exits(more=b'\0' * (513 - 40)),
    'exit-short': WHOLE + frame(EXIT, b'\0' * 39),
    'exit-twice': WHOLE + exits() + exits(0, 255),
    'empty': WHOLE + frame(STDOUT) + frame(STDOUT, b'on'),
    'longest': WHOLE + frame(STDOUT, b'x' * 65536) + frame(STDERR, b'on'),
    'longer': WHOLE + frame(STDOUT, b'x' * 65537),
    'other-type': WHOLE + frame(WINDOW, b'\1\0\0\0'),
    'from-client': WHOLE + frame(3, b'stdin'),
    'id-0': WHOLE + frame(STDOUT, b'x', request=0),
    'flags': WHOLE + frame(STDOUT, b'x', flags=1),
    'reserved': WHOLE + frame(STDOUT, b'x', reserved=1),
    'cut-header': WHOLE + frame(STDOUT, b'one')[:7],
    'cut-payload': WHOLE + frame(STDOUT, b'one', length=9),
    'second-bad': WHOLE + frame(STDOUT, b'one') + b'\xff' * 16,
}


def main():
    for name, seeds in {'control_parse': LINES, 'output_parse': STREAMS}.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


if __name__ == '__main__':
    main()
