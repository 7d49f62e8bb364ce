#!/usr/bin/env python3
"""Every parser of hostile bytes has a fuzz target with a corpus."""
import pathlib
import sys

# Parser -> target; *_parse.c has the target of its own name.
PARSERS = {
    'api/vm/schema.c': 'api_body',
    'vmm/boot/elf.c': 'elf',
    'vmm/boot/bzimage.c': 'bzimage',
    'virtio/core/queue.c': 'virtqueue',
    'guest/protocol.c': 'agent_request',
    'guest/protocol_file.c': 'agent_file',
    'guest/tar.c': 'tar',
    'guest/tree_data.c': 'tree_unpack',
    'guest/tree_folders.c': 'tree_unpack',
    'guest/tree_unpack.c': 'tree_unpack',
    'guest/protocol_request.c': 'protocol_request',
}


def main():
    root = pathlib.Path(sys.argv[1])
    parsers = dict(PARSERS)
    for folder in ('vmm', 'virtio', 'guest', 'api', 'net', 'image', 'sandbox', 'cli'):
        for path in (root / folder).rglob('*_parse.c'):
            parsers.setdefault(str(path.relative_to(root)), path.stem)
    bad = []
    for parser, target in sorted(parsers.items()):
        if not (root / parser).exists():
            bad.append(f'{parser}: is gone; take it out of this table')
        if not (root / f'tests/fuzz/fuzz_{target}.c').exists():
            bad.append(f'{parser}: tests/fuzz/fuzz_{target}.c is missing')
        if not list((root / f'tests/fuzz/corpus/{target}').glob('*')):
            bad.append(f'{parser}: tests/fuzz/corpus/{target} is empty')
    print('\n'.join(bad) or 'every parser has its fuzz target')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
