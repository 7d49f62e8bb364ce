#!/usr/bin/env python3
"""Every option of a program stands in its manual page, in --help, and nowhere else."""
import pathlib
import re
import sys


def check_tool(root):
    """Each command of vmlet has a page of its own, with its options, no others, and examples."""
    bad, index = [], (root / 'docs/man/vmlet.1').read_text().replace('\\-', '-')
    installed, found = (root / 'docs/meson.build').read_text(), 0
    for source in sorted((root / 'cli').glob('*.c')):
        text = source.read_text()
        tables = {name: set(re.findall(r"\{ (?:0|'.'),\s+\"([a-z-]+)\",\s+CLI_", body)) for name, body in
                  re.findall(r'^static const struct cli_option (\w+)\[\] = \{(.*?)^\};', text, re.M | re.S)}
        for body in re.findall(r'^const struct cli_command \w+ = \{(.*?)^\};', text, re.M | re.S):
            name, table = re.search(r'\.name = "([a-z-]+)"', body)[1], re.search(r'\.options = (\w+)', body)
            options = tables[table[1]] if table else set()
            page = root / f'docs/man/vmlet-{name}.1'
            where, found = page.relative_to(root), found + 1
            if not page.exists():
                bad.append(f'{where}: is missing')
                continue
            words = page.read_text().replace('\\-', '-')
            described = set(re.findall(r'--([a-z-]+)', ''.join(re.findall(r'^\.B[IR]? .*--.*$', words, re.M)))) - {'help'}
            bad += [f'{where}: --{option} is missing' for option in sorted(options - described)]
            bad += [f'{where}: --{option} is no option' for option in sorted(described - options)]
            bad += [f'{where}: has no {section}' for section in ('SYNOPSIS', 'EXAMPLES', 'SEE ALSO')
                    if f'.SH {section}' not in words]
            if f'vmlet-{name} (1)' not in index:
                bad.append(f'docs/man/vmlet.1: vmlet-{name}(1) is missing')
            if f'vmlet-{name}.1' not in installed:
                bad.append(f'docs/meson.build: vmlet-{name}.1 is not installed')
    return bad if found else ['cli: no command was found']


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
    bad += check_tool(root)
    print('\n'.join(bad) or 'the manual pages are complete')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
