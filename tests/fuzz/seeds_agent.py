#!/usr/bin/python3
"""Writes the corpora of the agent's frames: for each limit one seed that is right and one that is one too many."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / 'corpus'
HELLO, EXEC, STDIN, SHUTDOWN, PING = range(1, 6)
WELCOME, STDOUT, STDERR, EXIT, ERROR, DONE, WINDOW = range(0x81, 0x88)


def frame(kind, payload=b'', request=1, flags=0, length=None, reserved=0):
    return struct.pack('<IHHII', len(payload) if length is None else length, kind, flags, request, reserved) + payload


def hello(low=1, high=1, reserved=0):
    return frame(HELLO, struct.pack('<HHIQ', low, high, reserved, 0), 0)


def execute(args=(b'true',), env=(), cwd=b'', user=b'', options=b'', flags=0):
    strings = b''.join(s + b'\0' for s in (cwd, user, *args, *env))
    return frame(EXEC, struct.pack('<6I', flags, 0, len(args), len(env), len(options), 0) + options + strings)


def option(kind, payload):
    return struct.pack('<HH', kind, len(payload)) + payload


def tty(rows=24, cols=80):
    return option(1, struct.pack('<HH', rows, cols))


def rlimit(resource=7, soft=1, hard=2, reserved=0):
    return option(2, struct.pack('<IIQQ', resource, reserved, soft, hard))


def timeout(ms=1000):
    return option(3, struct.pack('<I', ms))


def exits(kind=0, value=0, more=b''):
    return frame(EXIT, struct.pack('<IIIIQQQ', kind, value, 0, 0, 1, 2, 3) + more)


def error(code=7, text=b'no', request=1):
    return frame(ERROR, struct.pack('<II', code, 2) + text, request)


def welcome(version=1, state=0, window=65536, release=b'0.1.0', message=b'', more=b''):
    fixed = struct.pack('<HHIQ', version, state, window, 3) + bytes(range(16))
    return frame(WELCOME, fixed + release + b'\0' + message + b'\0' + more, 0)


LONGEST = 262144 - 24 - 3
REQUESTS = {
    'hello': hello(),
    'hello-version-0': hello(0, 1),
    'hello-versions-crossed': hello(2, 1),
    'hello-reserved': hello(reserved=1),
    'exec': hello() + execute((b'sh', b'-c', b'echo hi'), (b'A=1', b'B='), b'/tmp', b'bob:wheel', flags=1),
    'exec-args-4096': execute((b'x',) * 4096),
    'exec-args-4097': execute((b'x',) * 4097),
    'exec-args-0': execute(()),
    'exec-env-4096': execute(env=(b'A=1',) * 4096),
    'exec-env-4097': execute(env=(b'A=1',) * 4097),
    'exec-env-no-equals': execute(env=(b'A',)),
    'exec-env-no-name': execute(env=(b'=',)),
    'exec-cwd-4095': execute(cwd=b'/' * 4095),
    'exec-cwd-4096': execute(cwd=b'/' * 4096),
    'exec-user-255': execute(user=b'u' * 255),
    'exec-user-256': execute(user=b'u' * 256),
    'exec-longest': execute((b'x' * LONGEST,)),
    'exec-longer': execute((b'x' * (LONGEST + 1),)),
    'exec-shortest': execute((b'',)),
    'exec-option-skipped': execute(options=b'\1\x80\1\0x'),
    'exec-option-unknown': execute(options=b'\4\0\0\0'),
    'exec-options': execute(options=tty() + rlimit() * 16 + timeout(), flags=63),
    'exec-tty-twice': execute(options=tty() * 2),
    'exec-tty-short': execute(options=option(1, b'\0\0\0')),
    'exec-tty-long': execute(options=option(1, b'\0\0\0\0\0')),
    'exec-rlimits-17': execute(options=rlimit() * 17),
    'exec-rlimit-15': execute(options=rlimit(15, 0, 2**64 - 1)),
    'exec-rlimit-16': execute(options=rlimit(16)),
    'exec-rlimit-soft-over': execute(options=rlimit(soft=3)),
    'exec-rlimit-reserved': execute(options=rlimit(reserved=1)),
    'exec-rlimit-short': execute(options=option(2, b'\0' * 23)),
    'exec-timeout-most': execute(options=timeout(0xffffffff)),
    'exec-timeout-0': execute(options=timeout(0)),
    'exec-timeout-twice': execute(options=timeout() * 2),
    'exec-timeout-short': execute(options=option(3, b'\1\1\1')),
    'exec-option-cut': execute(options=b'\1\x80\2\0x'),
    'exec-options-beyond': frame(EXEC, struct.pack('<6I', 0, 0, 1, 0, 0xffffffff, 0) + b'\0\0true\0'),
    'exec-too-many-strings': frame(EXEC, struct.pack('<6I', 0, 0, 1, 0, 0, 0) + b'\0\0a\0b\0'),
    'exec-count-lies': frame(EXEC, struct.pack('<6I', 0, 0, 4096, 4096, 0, 0) + b'\0\0true\0'),
    'exec-flag-unknown': frame(EXEC, struct.pack('<6I', 64, 0, 1, 0, 0, 0) + b'\0\0true\0'),
    'exec-not-ended': frame(EXEC, struct.pack('<6I', 0, 0, 1, 0, 0, 0) + b'\0\0true'),
    'stdin-65536': frame(STDIN, b'x' * 65536, flags=1),
    'stdin-65537': frame(STDIN, b'x' * 65537),
    'stdin-flag-unknown': frame(STDIN, flags=2),
    'shutdown': frame(SHUTDOWN, struct.pack('<II', 1, 3600000)),
    'shutdown-grace-over': frame(SHUTDOWN, struct.pack('<II', 0, 3600001)),
    'shutdown-how-unknown': frame(SHUTDOWN, struct.pack('<II', 2, 0)),
    'ping': frame(PING),
    'ping-payload': frame(PING, b'x'),
    'ping-id-0': frame(PING, request=0),
    'ping-reserved': frame(PING, reserved=1),
    'type-unknown': frame(0x7f),
    'length-endless': frame(EXEC, length=0xffffffff),
    'cut-header': frame(PING)[:15],
    'cut-payload': execute()[:-1],
}

OK = b'OK 1073741824\n'
REPLIES = {
    'exec': OK + welcome() + frame(STDOUT, b'hi\n') + frame(STDERR, b'oh\n') + exits(),
    'byte-by-byte': b'\1\1' + OK + welcome() + frame(STDOUT, b'hi\n') + exits(),
    'line-not-ok': b'NO\n',
    'line-32': b'OK ' + b'1' * 28 + b'\n',
    'line-33': b'OK ' + b'1' * 29 + b'\n',
    'welcome-no-root': OK + welcome(state=1, message=b'no disk') + error(6),
    'welcome-state-unknown': OK + welcome(state=2),
    'welcome-version-2': OK + welcome(version=2),
    'welcome-release-63': OK + welcome(release=b'r' * 63, message=b'm' * 1024, more=b'later'),
    'welcome-release-64': OK + welcome(release=b'r' * 64),
    'welcome-message-1025': OK + welcome(message=b'm' * 1025),
    'welcome-window-over': OK + welcome(window=0xffffffff),
    'welcome-twice': OK + welcome() + welcome(),
    'welcome-not-ended': OK + frame(WELCOME, b'\1' + b'\0' * 31 + b'xx', 0),
    'output-before-welcome': OK + frame(STDOUT, b'x'),
    'output-65536': OK + welcome() + frame(STDOUT, b'x' * 65536) + frame(STDERR, b'y' * 65536),
    'output-65537': OK + welcome() + frame(STDOUT, b'x' * 65537),
    'output-empty': OK + welcome() + frame(STDOUT),
    'output-of-another': OK + welcome() + frame(STDOUT, b'x', 2),
    'output-after-exit': OK + welcome() + exits() + frame(STDOUT, b'x'),
    'exit-signal-64': OK + welcome() + exits(1, 64),
    'exit-signal-65': OK + welcome() + exits(1, 65),
    'exit-256': OK + welcome() + exits(0, 256),
    'exit-64': OK + welcome() + exits(more=struct.pack('<QQQ', 1, 2, 3)),
    'exit-63': OK + welcome() + exits(more=b'x' * 23),
    'exit-grown': OK + welcome() + exits(more=b'x' * 472),
    'exit-too-grown': OK + welcome() + exits(more=b'x' * 473),
    'error-text-1024': OK + error(7, b't' * 1024),
    'error-text-1025': OK + error(7, b't' * 1025),
    'error-code-0': OK + error(0),
    'error-of-connection': OK + error(3, b'crowded', 0),
    'window-65536': OK + welcome() + frame(WINDOW, struct.pack('<I', 65536)),
    'window-beyond': OK + welcome() + frame(WINDOW, struct.pack('<I', 65536)) * 2,
    'window-65537': OK + welcome() + frame(WINDOW, struct.pack('<I', 65537)),
    'window-0': OK + welcome() + frame(WINDOW, struct.pack('<I', 0)),
    'done': OK + welcome() + frame(DONE) + frame(DONE, b'x' * 512),
    'length-endless': OK + frame(STDOUT, length=0xffffffff),
    'request-from-agent': OK + frame(PING),
}

SIGNAL, RESIZE, ATTACH, CONNECT, ENVIRONMENT, STARTED, LOST, PROCESS, REPORT = 6, 7, 8, 0x0f, 0x10, 0x88, 0x89, 0x8a, 0x8f


def payload(kind, *numbers, more=b''):
    return bytes([kind]) + struct.pack(f'<{len(numbers)}I', *numbers) + more


def process(user=b'root', command=b'sleep 1', size=None, more=b''):
    body = struct.pack('<5IB7x3Q', 1, 2, 3, 0, 0, ord('S'), 4, 5, 6) + user + b'\0' + command + b'\0' + more
    return struct.pack('<I', len(body) + 4 if size is None else size) + body


# Of these the first byte is the type, the rest a payload.
SMALL = {
    'signal-1': payload(SIGNAL, 0, 1, 0, 0),
    'signal-64': payload(SIGNAL, 1, 64, 2, 0),
    'signal-65': payload(SIGNAL, 1, 65, 0, 0),
    'signal-0': payload(SIGNAL, 1, 0, 0, 0),
    'signal-scope-3': payload(SIGNAL, 1, 9, 3, 0),
    'signal-reserved': payload(SIGNAL, 1, 9, 0, 1),
    'signal-cut': payload(SIGNAL, 1, 9, 0),
    'resize': payload(RESIZE, 1, 0xffff0050),
    'attach': payload(ATTACH, 1, 15),
    'attach-flag-unknown': payload(ATTACH, 1, 16),
    'attach-nothing': payload(ATTACH, 0, 0),
    'connect-port-65535': payload(CONNECT, 0, 65535, more=b'::1\0'),
    'connect-port-65536': payload(CONNECT, 0, 65536, more=b'::1\0'),
    'connect-port-0': payload(CONNECT, 0, 0, more=b'\0'),
    'connect-abstract': payload(CONNECT, 1, 0, more=b'@a\0'),
    'connect-abstract-empty': payload(CONNECT, 1, 0, more=b'@\0'),
    'connect-path-4095': payload(CONNECT, 1, 0, more=b'/' * 4095 + b'\0'),
    'connect-path-4096': payload(CONNECT, 1, 0, more=b'/' * 4096 + b'\0'),
    'connect-kind-2': payload(CONNECT, 2, 1, more=b'\0'),
    'connect-two-strings': payload(CONNECT, 0, 1, more=b'a\0b\0'),
    'connect-not-ended': payload(CONNECT, 0, 1, more=b'a'),
    'environment-0': payload(ENVIRONMENT, 0),
    'environment-4096': payload(ENVIRONMENT, 4096, more=b'A\0' * 4096),
    'environment-4097': payload(ENVIRONMENT, 4097, more=b'A\0' * 4097),
    'environment-empty-string': payload(ENVIRONMENT, 1, more=b'\0'),
    'environment-no-name': payload(ENVIRONMENT, 1, more=b'=x\0'),
    'environment-count-lies': payload(ENVIRONMENT, 2, more=b'A=1\0'),
    'environment-longest': payload(ENVIRONMENT, 1, more=b'A' * (262144 - 5) + b'\0'),
    'environment-longer': payload(ENVIRONMENT, 1, more=b'A' * (262144 - 4) + b'\0'),
    'started': payload(STARTED, 1, 400, 31, 0, more=b'later'),
    'started-number-0': payload(STARTED, 0, 400, 0, 0),
    'lost': payload(LOST, 1, 0),
    'lost-cut': payload(LOST, 1),
    'done-u32': payload(DONE, 100, 1),
    'done-u32-over': payload(DONE, 101),
    'process': payload(PROCESS, more=process() + process(b'', b'')),
    'process-strings-longest': payload(PROCESS, more=process(b'u' * 64, b'c' * 1024)),
    'process-user-65': payload(PROCESS, more=process(b'u' * 65)),
    'process-command-1025': payload(PROCESS, more=process(command=b'c' * 1025)),
    'process-size-0': payload(PROCESS, more=process(size=0)),
    'process-size-endless': payload(PROCESS, more=process(size=0xffffffff)),
    'process-grown': payload(PROCESS, more=process(more=b'later') + process()),
    'process-cut': payload(PROCESS, more=process()[:-1]),
    'metric': payload(REPORT, more=b'uptime_ms 1\nload_1m_milli 0\n'),
    'metric-most': payload(REPORT, more=b'a 18446744073709551615\n'),
    'metric-over': payload(REPORT, more=b'a 18446744073709551616\n'),
    'metric-name-64': payload(REPORT, more=b'n' * 64 + b' 1\n'),
    'metric-name-65': payload(REPORT, more=b'n' * 65 + b' 1\n'),
    'metric-cut': payload(REPORT, more=b'a 1'),
    'metric-no-number': payload(REPORT, more=b'a \n'),
}


NO = 0xffffffff


def file(what=1, flags=0, mode=NO, user=b'', path=b'/', to=b'', reserved=0, end=b'\0'):
    fixed = struct.pack('<6I3Q', what, flags, mode, NO, NO, 0, 0, 2**64 - 1, reserved)
    return b'\0' + fixed + user + b'\0' + path + b'\0' + to + end


def status(name=b'name', target=b'', size=None, more=b''):
    strings = name + b'\0' + target + b'\0' + more
    fixed = struct.pack('<6I5Q', 64 + len(strings) if size is None else size, 0o100644, 0, 0, 1, 0, 5, 512, 1, 2, 0)
    return fixed + strings


def event(kind=1, folder=0, name=b'name\0'):
    return b'\2' + struct.pack('<III', kind, 5, folder) + name


# The first byte: 0 a request, 1 records of ENTRIES, 2 an event.
FILES = {
    'stat': file(flags=1, user=b'bob'),
    'rename': file(7, 16, path=b'/a', to=b'/b'),
    'watch': file(14, 2),
    'what-0': file(0),
    'what-15': file(15),
    'flags-of-another': file(1, 2),
    'mode-7777': file(4, mode=0o7777),
    'mode-10000': file(4, mode=0o10000),
    'user-255': file(user=b'u' * 255),
    'user-256': file(user=b'u' * 256),
    'path-4095': file(path=b'p' * 4095, to=b't' * 4095),
    'path-4096': file(path=b'p' * 4096),
    'to-4096': file(to=b't' * 4096),
    'not-ended': file(end=b''),
    'longer': file(end=b'\0x'),
    'reserved': file(reserved=1),
    'entries': b'\1' + status() + status(b'link', b'target') + status(b'later', more=b'more'),
    'entries-name-4095': b'\1' + status(b'n' * 4095, b't' * 4095),
    'entries-name-4096': b'\1' + status(b'n' * 4096),
    'entries-size-65': b'\1' + status(size=65),
    'entries-size-beyond': b'\1' + status(size=0xffffffff),
    'entries-not-ended': b'\1' + status(size=66),
    'event': event(),
    'event-kind-8': event(8),
    'event-folder-2': event(folder=2),
    'event-name-4095': event(name=b'n' * 4095 + b'\0'),
    'event-name-4096': event(name=b'n' * 4096 + b'\0'),
    'event-not-ended': event(name=b'n'),
}


DATA, STATUS, ENTRIES, EVENT = 0x8b, 0x8c, 0x8d, 0x8e
started = frame(STARTED, struct.pack('<4I', 1, 400, 1, 0))
# What was asked is in the second byte, as fuzz_agent_reply.c reads it.
ASKED = {
    'asked-tell': b'\0\0' + OK + welcome() + started + frame(STDOUT, b'x') + exits(),
    'asked-tell-untold': b'\0\0' + OK + welcome() + frame(STDOUT, b'x'),
    'asked-tell-twice': b'\0\0' + OK + welcome() + started + started,
    'asked-attach': b'\0\x10' + OK + welcome() + started + frame(LOST, b'\1' + b'\0' * 7) + exits(),
    'asked-attach-silent': b'\0\x10' + OK + welcome() + exits(),
    'asked-processes': b'\0\x20' + OK + welcome() + frame(PROCESS, process() + process()) + frame(PROCESS) + frame(DONE),
    'asked-processes-cut': b'\0\x20' + OK + welcome() + frame(PROCESS, process()[:-1]),
    'asked-metrics': b'\0\x30' + OK + welcome() + frame(REPORT, b'uptime_ms 1\ncpus 2\n'),
    'asked-metrics-cut': b'\0\x30' + OK + welcome() + frame(REPORT, b'uptime_ms 1\ncpus'),
    'asked-connect': b'\0\x40' + OK + welcome() + frame(DONE) + b'any bytes at all',
    'asked-connect-refused': b'\0\x40' + OK + welcome() + error(15),
    'asked-stat': b'\0\x51' + OK + welcome() + frame(STATUS, status()),
    'asked-stat-two': b'\0\x51' + OK + welcome() + frame(STATUS, status() * 2),
    'asked-list': b'\0\x52' + OK + welcome() + frame(ENTRIES, status() + status(b'l', b'x')) + frame(DONE, b'\0' * 8),
    'asked-list-size-0': b'\0\x52' + OK + welcome() + frame(ENTRIES, status(size=0)),
    'asked-read': b'\0\x53' + OK + welcome() + frame(DATA, b'x' * 65536) + frame(DONE),
    'asked-write': b'\0\x54' + OK + welcome() + frame(DONE) + frame(DONE),
    'asked-pack-status': b'\0\x5c' + OK + welcome() + frame(STATUS, status()),
    'asked-unpack': b'\0\x5d' + OK + welcome() + error(15),
    'asked-watch': b'\0\x5e' + OK + welcome() + frame(EVENT, struct.pack('<3I', 1, 0, 1) + b'x\0') * 2,
    'asked-watch-done': b'\0\x5e' + OK + welcome() + frame(DONE),
}
REPLIES.update(ASKED)


def write(name, seeds):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds.items():
        (folder / seed).write_bytes(data)


if __name__ == '__main__':
    write('agent_request', REQUESTS)
    write('protocol_request', SMALL)
    write('agent_file', FILES)
    # The first byte of a reply's seed is the length of the pieces it is fed in, 0 = all at once; the second what was asked.
    write('agent_reply', {k: v if k in ASKED or k == 'byte-by-byte' else b'\0\1' + v for k, v in REPLIES.items()})
