#!/usr/bin/env python3
"""Functions up to 60 lines and 6 parameters, files up to 500 lines, headers up to 240."""
import pathlib
import re
import sys

FUNCTION_MAX, PARAMETERS_MAX, FILE_MAX, HEADER_MAX = 60, 6, 500, 240
FOLDERS = ('vmm', 'virtio', 'api', 'guest', 'sandbox', 'cli', 'net', 'lab')
# A switch over constants, or a table, reads well at any length; a callback is what its library calls.
EXEMPT = {'on_request'}


def functions(lines):
    """Yields (line, head, length): a head at column 0, its body between '{' and '}' at column 0."""
    start = None
    for i, line in enumerate(lines):
        if line == '{':
            start = i
        elif line == '}' and start is not None:
            first = start
            while first and lines[first - 1] and not re.match(r'[}/#;]|.*[;}]$', lines[first - 1]):
                first -= 1
            head = ' '.join(lines[first:start])
            if '(' in head:
                yield first + 1, head, i - start - 1
            start = None


def main():
    root = pathlib.Path(sys.argv[1])
    bad = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*.[ch]')):
            rel = path.relative_to(root)
            lines = path.read_text().splitlines()
            limit = FILE_MAX if path.suffix == '.c' else HEADER_MAX
            if len(lines) > limit:
                bad.append(f'{rel}: {len(lines)} lines, more than {limit}')
            for number, head, length in functions(lines):
                name = re.search(r'(\w+)\(', head)[1]
                if name in EXEMPT:
                    continue
                if length > FUNCTION_MAX:
                    bad.append(f'{rel}:{number}: {name}() has {length} lines, more than {FUNCTION_MAX}')
                parameters = re.sub(r'\([^()]*\)(?=\s*[,)])', '', head[head.index('('):]).count(',') + 1
                if parameters > PARAMETERS_MAX:
                    bad.append(f'{rel}:{number}: {name}() has {parameters} parameters, more than {PARAMETERS_MAX}')
            for number, line in enumerate(lines, 1):
                if len(line) > 120:
                    bad.append(f'{rel}:{number}: {len(line)} columns')
    print('\n'.join(bad) or 'sizes are in bounds')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
