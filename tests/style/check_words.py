#!/usr/bin/env python3
"""Words that say something is unfinished do not land, nor do paths of a developer's machine."""
import pathlib
import re
import sys

REFUSED = re.compile('|'.join((r'\bFIX' r'ME\b', r'\bX' r'XX\b', r'\bTO' r'DO\b', r'\bHA' r'CK\b', '/wo' 'rk/')))
SUFFIXES = {'.c', '.h', '.py', '.md', '.build', '.config', '.sh', ''}
SKIPPED = {'LICENSE', 'corpus'}


def main():
    root = pathlib.Path(sys.argv[1])
    bad = []
    for path in sorted(root.rglob('*')):
        rel = path.relative_to(root)
        if not path.is_file() or path.suffix not in SUFFIXES or SKIPPED & set(rel.parts):
            continue
        if rel.parts[0].startswith('build') or '.git' in rel.parts or '__pycache__' in rel.parts:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), 1):
            # mktemp's pattern of six X is no remark.
            match = REFUSED.search(line.replace('XXXXXX', ''))
            if match:
                bad.append(f'{rel}:{number}: {match[0]}')
    print('\n'.join(bad) or 'no unfinished words')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
