#!/usr/bin/env python3
"""Who may include whom. The table is the architecture; a line that is not in it is a decision to make."""
import pathlib
import re
import sys

BASE = {'vmm/base'}
FRAMES = {'guest/protocol.h', 'guest/protocol_file.h', 'guest/protocol_request.h'}
ALLOWED = {
    'vmm/base': set(),
    'vmm/mem': BASE,
    'vmm/bus': BASE,
    'vmm/kvm': BASE | {'vmm/mem', 'vmm/bus'},
    'vmm/boot': BASE | {'vmm/mem'},
    'vmm/dev': BASE | {'vmm/bus'},
    'vmm/arch': BASE | {'vmm/mem', 'vmm/bus', 'vmm/kvm', 'vmm/boot'},
    'virtio/core': BASE | {'vmm/mem', 'vmm/bus/irq.h'},
    'virtio/mmio': BASE | {'vmm/bus', 'virtio/core'},
    'virtio/balloon': BASE | {'vmm/mem', 'virtio/core'},
    'virtio/blk': BASE | {'vmm/mem', 'virtio/core'},
    'virtio/net': BASE | {'vmm/mem', 'virtio/core'},
    'virtio/rng': BASE | {'vmm/mem', 'virtio/core'},
    'virtio/vsock': BASE | {'vmm/mem', 'virtio/core'},
    'vmm': {'vmm', 'virtio', 'guest/protocol.h', 'api/vm/api.h'},
    'api/vm': BASE | {'vmm/config.h', 'vmm/control.h'},
    'guest': set(),
    'net': BASE | {'vmm/capfile.h'},
    'sandbox': BASE | {'vmm/config.h', 'net/addresses.h'} | FRAMES,
    'cli': BASE | {'net/policy.h', 'net/policy_explain.h', 'net/policy_parse.h', 'sandbox', 'guest/tree.h'} | FRAMES,
    'lab': set(),
    'bench': None,
    'tests': None,
}
# One library, one file.
LIBRARIES = {
    'libaio.h': {'vmm/mem/gio_aio.c'},
    'libelf.h': {'vmm/boot/elf.c'},
    'gelf.h': {'vmm/boot/elf.c'},
    'microhttpd.h': {'api/vm/server.c'},
    'jansson.h': {'vmm/base/json.c'},
    **{f'lwip/{name}.h': {'net/stack.c'} for name in ('init', 'ip', 'netif', 'priv/tcp_priv', 'tcp')},
    'linux/kvm.h': {'vmm/kvm', 'vmm/arch', 'vmm/machine_make.c'},
}


def module_of(path):
    for depth in (2, 1):
        name = '/'.join(path.parts[:depth])
        if name in ALLOWED and (depth == 1 or len(path.parts) > 2):
            return name
    return None


def may(module, target):
    allowed = ALLOWED[module]
    return allowed is None or any(target == a or target.startswith(a + '/') for a in allowed | {module})


def main():
    root = pathlib.Path(sys.argv[1])
    bad = []
    for path in sorted(root.rglob('*.[ch]')):
        rel = path.relative_to(root)
        if rel.parts[0].startswith(('build', '.')):
            continue
        module = module_of(rel)
        if module is None:
            bad.append(f'{rel}: belongs to no module of the table')
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            quoted = re.match(r'\s*#include "(.+)"', line)
            if quoted and not may(module, quoted[1]):
                bad.append(f'{rel}:{number}: {module} may not include {quoted[1]}')
            system = re.match(r'\s*#include <(.+)>', line)
            owners = LIBRARIES.get(system[1]) if system and module != 'tests' else None
            if owners and not any(str(rel) == o or str(rel).startswith(o + '/') for o in owners):
                bad.append(f'{rel}:{number}: <{system[1]}> belongs to {", ".join(sorted(owners))}')
    print('\n'.join(bad) or 'includes follow the table')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
