#!/usr/bin/python3
"""Renews text-order: the functions whose text is rewritten at boot (alternatives), then those that a boot runs.

usage: order_text.py KERNEL_FOLDER INITRAMFS [IMAGE]

Boots the kernel in QEMU's microvm machine without KVM, where QEMU tells which code it translates. What only runs
on KVM (its clock, its timer) is not seen there: names stay in the file as long as the kernel has them.
"""
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
from bisect import bisect_right

HERE = pathlib.Path(__file__).resolve().parent
START = re.compile(r'^0x([0-9a-f]{16}):', re.MULTILINE)
TIME_LIMIT = 300
SECTION = struct.Struct('<IIQQQQIIQQ')      # Elf64_Shdr
ALTERNATIVE = struct.Struct('<iiIBB')       # struct alt_instr; the first is an offset from itself


def read_symbols(path):
    """The functions of System.map: sorted addresses, their names, the end of the text."""
    symbols = []
    end = 0
    for line in path.read_text().splitlines():
        address, kind, name = line.split()
        if name == '_etext':
            end = int(address, 16)
        elif kind in 'tTwW':
            symbols.append((int(address, 16), name))
    symbols.sort()
    return [address for address, _ in symbols], [name for _, name in symbols], end


def run_boot(folder, initramfs, image, log):
    """Boots once; @log gets an address for each instruction that was translated."""
    words = (HERE / 'cmdline').read_text().strip()
    command = ['qemu-system-x86_64', '-M', 'microvm,acpi=off,x-option-roms=off,rtc=on,auto-kernel-cmdline=on',
               '-accel', 'tcg,thread=single', '-cpu', 'max', '-m', '128', '-nodefaults', '-display', 'none',
               '-no-reboot', '-kernel', folder / 'vmlinux', '-initrd', initramfs, '-append',
               f'{words} vmlet.once vmlet.overlay=1 reboot=t no_timer_check panic=-1',
               '-device', 'virtio-rng-device', '-d', 'in_asm', '-D', log]
    if image:
        command += ['-drive', f'if=none,id=root,file={image},format=raw,read-only=on',
                    '-device', 'virtio-blk-device,drive=root']
    subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, timeout=TIME_LIMIT, check=True)


def find_section(image, name):
    """(address, bytes) of a section of an ELF file."""
    offset, = struct.unpack_from('<Q', image, 0x28)
    count, names_i = struct.unpack_from('<HH', image, 0x3c)
    sections = [SECTION.unpack_from(image, offset + i * SECTION.size) for i in range(count)]
    strings = sections[names_i][4]
    for section in sections:
        start = strings + section[0]
        if image[start:image.index(b'\0', start)] == name:
            return section[3], image[section[4]:section[4] + section[5]]
    raise ValueError(f'no section {name}')


def find_rewritten(path, addresses, names, end):
    """Names of the functions that have alternatives."""
    address, table = find_section(path.read_bytes(), b'.altinstructions')
    found = set()
    for i in range(0, len(table) - ALTERNATIVE.size + 1, ALTERNATIVE.size):
        site = address + i + ALTERNATIVE.unpack_from(table, i)[0]
        if addresses[0] <= site < end:
            found.add(names[bisect_right(addresses, site) - 1])
    return found


def find_functions(log, addresses, names, end):
    """Names of the functions that the log's addresses belong to."""
    found = set()
    with open(log, encoding='ascii', errors='replace') as file:
        for line in file:
            match = START.match(line)
            if match and addresses[0] <= int(match[1], 16) < end:
                found.add(names[bisect_right(addresses, int(match[1], 16)) - 1])
    return found


def main(argv):
    if len(argv) not in (3, 4):
        print(__doc__.split('\n')[2], file=sys.stderr)
        return 2
    folder = pathlib.Path(argv[1])
    addresses, names, end = read_symbols(folder / 'System.map')
    with tempfile.TemporaryDirectory() as temporary:
        log = pathlib.Path(temporary) / 'log'
        run_boot(folder, argv[2], argv[3] if len(argv) > 3 else None, log)
        found = find_functions(log, addresses, names, end)
    path = HERE / 'text-order'
    kept = set(path.read_text().split()) if path.exists() else set()
    rewritten = find_rewritten(folder / 'vmlinux', addresses, names, end)
    wanted = sorted(rewritten) + sorted((kept | found) & set(names) - rewritten)
    path.write_text('\n'.join(wanted) + '\n')
    print(f'{len(wanted)} functions, {len(set(wanted) - kept)} of them new')
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
