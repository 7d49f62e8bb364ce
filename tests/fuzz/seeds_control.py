#!/usr/bin/python3
"""Writes the corpora of what the monitor is told: for each limit one seed that is right and one that is one too many."""
import pathlib

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


def main():
    for name, seeds in {'control_parse': LINES}.items():
        folder = CORPUS / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds.items():
            (folder / seed).write_bytes(data)


if __name__ == '__main__':
    main()
