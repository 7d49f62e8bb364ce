#!/usr/bin/python3
"""Writes the seeds of fuzz_logs_parse, fuzz_monitor_parse and fuzz_settings_parse: good ones, and one per limit.

Findings of the fuzzers are added to the same folders by hand; this script leaves them alone.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))


def save(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def record(data, kind=1, zero=0, length=None):
    return struct.pack('<QB', 1700000000 * 10**9, kind) + bytes([zero, 0, 0]) + struct.pack(
        '<I', len(data) if length is None else length) + data


def logs():
    save('logs_parse', 'two', record(b'out\n') + record(b'err\n', 2))
    save('logs_parse', 'empty', record(b''))
    save('logs_parse', 'kind_0', record(b'x', 0))
    save('logs_parse', 'kind_3', record(b'x', 3))
    save('logs_parse', 'zero_not', record(b'x', zero=1))
    save('logs_parse', 'cut', record(b'four')[:-1])
    save('logs_parse', 'header_cut', record(b'')[:15])
    save('logs_parse', 'longest_cut', record(b'x', length=1 << 20))
    save('logs_parse', 'too_long', record(b'x', length=(1 << 20) + 1))


def monitor():
    for name, text in {'ok': b'OK 2\n{}', 'ok_0': b'OK 0\n', 'more': b'OK 3\n{}', 'err': b'ERR unsupported\n', 'short': b'OK\n',
                       'no_number': b'OK \n', 'letters': b'OK 1x\n', 'max': b'OK 262144\n', 'over': b'OK 262145\n',
                       'huge': b'OK 99999999999999999999\n', 'other': b'NO 1\n', 'cut': b'OK 1', 'line_max': b'E' * 511,
                       'line_over': b'E' * 512}.items():
        save('monitor_parse', name, text)


def settings():
    good = b'''# mine
[limits]
sandboxes = 20
memory = "16G"   # all
disk='100G'

[defaults]
image = "debian"
kernel = "a \\"b\\" \\\\"
memory = "1G"
cpus = "1.5"
disk = "none"
'''
    rows = {'good': good, 'crlf': good.replace(b'\n', b'\r\n'), 'no_table': b'sandboxes = 1\n', 'unknown_table': b'[other]\n',
            'table_twice': b'[limits]\n[limits]\n', 'unknown_key': b'[limits]\nx = 1\n', 'key_twice': b'[limits]\ndisk=1\ndisk=2\n',
            'zero': b'[limits]\nsandboxes = 0\n', 'negative': b'[limits]\nsandboxes = -1\n', 'text': b'[limits]\nsandboxes = "1"\n',
            'open_string': b'[defaults]\nimage = "x\n', 'escape': b'[defaults]\nimage = "\\n"\n', 'escape_cut': b'[defaults]\nimage = "\\',
            'rest': b'[defaults]\nimage = "x" y\n', 'array': b'[limits]\nsandboxes = [1]\n', 'zero_byte': b'[limits]\0\n',
            'max': b'[defaults]\nimage = "' + b'x' * 255 + b'"\n', 'over': b'[defaults]\nimage = "' + b'x' * 256 + b'"\n',
            'word_over': b'[limits]\ndisk = ' + b'1' * 256 + b'\n', 'no_end': b'[limits]\ndisk = 1G', 'empty': b''}
    for name, text in rows.items():
        save('settings_parse', name, text)


if __name__ == '__main__':
    logs()
    monitor()
    settings()
