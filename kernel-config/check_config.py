#!/usr/bin/python3
"""Checks that every option the fragments ask for survived the kernel's own configuration.

usage: check_config.py CONFIG FRAGMENT...

A fragment line is CONFIG_NAME=VALUE, then its reason after #. An option that the kernel renamed, or whose needs are
not met, silently vanishes otherwise. Prints each one that differs; the exit status is 1 if there is any.
"""
import re
import sys

LINE = re.compile(r'(CONFIG_\w+)=("[^"]*"|\S+)\s*(#.*)?$')


def parse_config(lines):
    """The options of a .config; what is not set is absent."""
    pairs = (line.rstrip('\n').partition('=') for line in lines if line.startswith('CONFIG_'))
    return {name: value for name, _, value in pairs}


def parse_fragment(lines, where):
    """Yields (name, value), and a complaint as (None, text) for a line that is none or has no reason."""
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith('#'):
            continue
        match = LINE.match(line)
        if not match:
            yield None, f'{where}:{number}: neither an option nor a comment: {line}'
        elif not match.group(3):
            yield None, f'{where}:{number}: {match.group(1)} has no reason'
        else:
            yield match.group(1), match.group(2)


def compare(config, requests):
    """Lists what is wrong, in words."""
    wrong, seen = [], {}
    for name, value in requests:
        if name is None:
            wrong.append(value)
            continue
        if name in seen:
            wrong.append(f'{name} is asked for twice')
        seen[name] = value
        found = config.get(name, 'n')
        if found != value:
            wrong.append(f'{name} should be {value} and is {found}')
    return wrong


def main(argv):
    if len(argv) < 3:
        print(__doc__.split('\n')[2], file=sys.stderr)
        return 2
    with open(argv[1], encoding='utf-8') as file:
        config = parse_config(file)
    requests = []
    for path in argv[2:]:
        with open(path, encoding='utf-8') as file:
            requests += parse_fragment(file, path)
    wrong = compare(config, requests)
    for text in wrong:
        print(f'check_config: {text}', file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
