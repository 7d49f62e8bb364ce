#!/usr/bin/env python3
"""Every option of a program stands in its manual page, in --help, and nowhere else."""
import pathlib
import re
import sys


def main():
    root = pathlib.Path(sys.argv[1])
    bad = []
    source = (root / 'vmm/options.c').read_text()
    table = source[source.index('static const struct option table[]'):]
    table = table[:table.index('\n};')]
    options = set(re.findall(r'(?:FIELD|CHOICE|MODE)\("([a-z-]+)"|\.name = "([a-z-]+)"', table))
    options = {a or b for a, b in options}
    page = (root / 'docs/man/vmm.1').read_text().replace('\\-', '-')
    described = set(re.findall(r'^\.BI? --([a-z-]+)', page[page.index('.SH OPTIONS'):], re.M))
    for name in sorted(options - described):
        bad.append(f'docs/man/vmm.1: --{name} is missing')
    for name in sorted(described - options):
        bad.append(f'docs/man/vmm.1: --{name} is no option')
    for name, number in re.findall(r'(VMM_\w+) = (\d+)', (root / 'vmm/status.h').read_text()):
        if f'.B {number}\n' not in page:
            bad.append(f'docs/man/vmm.1: exit status {number} ({name}) is missing')
        if not re.search(rf'^\| {number} \|', (root / 'README.md').read_text(), re.M):
            bad.append(f'README.md: exit status {number} ({name}) is missing')
    cli = (root / 'docs/man/vmlet.1').read_text().replace('\\-', '-')
    words = re.findall(r'^ +\{ (?:0|\'.\'), "([a-z-]+)", CLI_', (root / 'cli/exec.c').read_text(), re.M)
    if not words:
        bad.append('cli/exec.c: its options were not found')
    bad += [f'docs/man/vmlet.1: --{word} is missing' for word in words if f'--{word}' not in cli]
    print('\n'.join(bad) or 'the manual pages are complete')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
