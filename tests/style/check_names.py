#!/usr/bin/env python3
"""A header's functions carry its module's name: gmem_read is declared in gmem*.h."""
import pathlib
import re
import sys

# A file whose functions go by the name of what they are about.
PREFIXES = {
    'err.h': ('err_', 'problem_'), 'queue.h': ('vq_', 'chain_done'), 'device.h': ('virtio_',), 'x86.h': ('x86_',), 'endian.h': ('le16', 'le32', 'le64'),
    'bodies.h': ('body_',), 'cleanup.h': ('fd_close', 'free', 'steal_'), 'irq.h': ('irq_',), 'serial.h': ('serial_',), 'files.h': ('files_',), 'flow.h': ('inlet_', 'outlet_'),
}
FOLDERS = ('vmm', 'virtio', 'api', 'guest', 'sandbox', 'cli', 'net')


def main():
    root = pathlib.Path(sys.argv[1])
    bad = []
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob('*.h')):
            stem = path.stem.removesuffix('_priv')
            prefixes = PREFIXES.get(path.name, (stem + '_', stem.split('_')[0] + '_'))
            text = re.sub(r'/\*.*?\*/', '', path.read_text(), flags=re.S)
            for match in re.finditer(r'^(?!static|typedef|#|\s|struct \w+ \{)[\w ]+[ *](\w+)\([^;{]*\)[^;{]*;', text, re.M):
                if not match[1].startswith(prefixes) and not match[1].isupper():
                    bad.append(f'{path.relative_to(root)}: {match[1]}() does not begin with {" or ".join(prefixes)}')
    print('\n'.join(bad) or 'names tell their module')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
