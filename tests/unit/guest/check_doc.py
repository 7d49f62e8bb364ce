#!/usr/bin/python3
"""docs/protocol.md and guest/protocol.h say the same numbers."""
import pathlib
import re
import sys


def main():
    root = pathlib.Path(sys.argv[1])
    header = (root / 'guest/protocol.h').read_text()
    doc = (root / 'docs/protocol.md').read_text()
    bad = []

    types = {name: int(number, 16) for name, number in re.findall(r'PROTOCOL_(\w+) = (0x\w\w),', header)}
    told = {name: int(number, 16) for number, name in re.findall(r'^\| (0x\w\w) \| (\w+) \|', doc, re.M)}
    if types != told or not types:
        bad.append(f'types: the header has {types}, the text {told}')

    names = re.search(r'enum protocol_fault \{.*?\};', header, re.S)[0]
    faults = {name.lower().replace('_', '-'): number
              for number, name in enumerate(re.findall(r'PROTOCOL_FAULT_(\w+)', names), 1) if name != 'NR'}
    told = {name: int(number) for number, name in re.findall(r'^\| (\d+) \| ([a-z-]+) \|', doc, re.M)}
    if faults != told or not faults:
        bad.append(f'faults: the header has {faults}, the text {told}')

    limits = {
        'PROTOCOL_LOG_PORT': r"the host's port (\d+)", 'PROTOCOL_LOG_FROM_MAX': r'from a port of at most (\d+)',
        'PROTOCOL_PORT': r'vsock port \*\*(\d+)\*\*', 'PROTOCOL_VERSION': r'This is version (\d+)',
        'PROTOCOL_HEADER_SIZE': r'a header of (\d+) bytes', 'PROTOCOL_EXEC_MAX': r'EXEC \| client \| request \| 27 to (\d+)',
        'PROTOCOL_DATA_MAX': r'STDIN \| client \| of the EXEC \| 0 to (\d+)', 'PROTOCOL_ARGS_MAX': r'arguments, 1 to (\d+)',
        'PROTOCOL_ENV_MAX': r'variables, 0 to (\d+)', 'PROTOCOL_CWD_MAX': r'Working directory: at most (\d+)',
        'PROTOCOL_USER_MAX': r'User: at most (\d+)', 'PROTOCOL_TEXT_MAX': r'UTF-8, at most (\d+) bytes',
        'PROTOCOL_RELEASE_MAX': r'release of the agent, NUL-terminated, at most (\d+)',
        'PROTOCOL_GRACE_MAX_MS': r'SIGTERM and SIGKILL, at most (\d+)',
    }
    for name, pattern in limits.items():
        define = re.search(rf'#define {name}\s+\(?(\d+)u?(?: << (\d+))?', header)
        said = re.search(pattern, doc)
        value = int(define[1]) << int(define[2] or 0)
        if not said or int(said[1]) != value:
            bad.append(f'{name} is {value}, the text says {said[1] if said else "nothing"}')

    most = int(re.search(r'SERVER_CONNS_MAX\s+(\d+)', (root / 'guest/server.h').read_text())[1])
    if f'at most {most})' not in doc:
        bad.append(f'SERVER_CONNS_MAX is {most}, the text says something else')
    print('\n'.join(bad) or 'the text and the header agree')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
