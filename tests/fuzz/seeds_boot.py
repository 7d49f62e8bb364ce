#!/usr/bin/python3
"""Writes the seeds of fuzz_elf and fuzz_bzimage: a good input each, and one per limit.

Findings of the fuzzers are added to the same folders by hand; this script leaves them alone.
"""
import os
import struct

HERE = os.path.dirname(os.path.abspath(__file__))
PT_LOAD, PT_NOTE = 1, 4
MAX = 2**64 - 1
RAM_END = 0x8000000


def save(target, name, data):
    folder = os.path.join(HERE, 'corpus', target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def phdr(kind=PT_LOAD, offset=0x1000, paddr=0x200000, filesz=0x2000, memsz=0x3000, flags=5):
    return struct.pack('<IIQQQQQQ', kind, flags, offset, paddr, paddr, filesz, memsz, 0x1000)


def elf(name, phdrs=None, size=0x6000, machine=62, kind=2, entry=0x200000, phoff=64, phentsize=56, phnum=None,
        ident=b'\x7fELF\x02\x01\x01', cut=None):
    phdrs = [phdr(), phdr(PT_NOTE, 0x800, 0, 64, 64, 4)] if phdrs is None else phdrs
    head = ident.ljust(16, b'\0') + struct.pack('<HHIQQQIHHHHHH', kind, machine, 1, entry, phoff, 0x5000, 0, 64, phentsize,
                                                len(phdrs) if phnum is None else phnum, 64, 40, 39)
    save('elf', name, b'\0' + struct.pack('<Q', size) + (head + b''.join(phdrs))[:cut])


def note(name, kind, desc, namesz=None, descsz=None):
    def pad(data):
        return data + b'\0' * (-len(data) % 4)
    return struct.pack('<III', len(name) if namesz is None else namesz, len(desc) if descsz is None else descsz,
                       kind) + pad(name) + pad(desc)


def bzimage(name, size=0x5600, cut=None, **fields):
    at = {'sects': (0x1f1, 'B'), 'syssize': (0x1f4, 'I'), 'jump': (0x201, 'B'), 'version': (0x206, 'H'),
          'text': (0x20e, 'H'), 'loadflags': (0x211, 'B'), 'initrd_max': (0x22c, 'I'), 'xloadflags': (0x236, 'H'),
          'cmdline': (0x238, 'I'), 'pref': (0x258, 'Q'), 'init_size': (0x260, 'I')}
    values = {'sects': 2, 'syssize': 0x500, 'jump': 0x6a, 'version': 0x20f, 'text': 0x200, 'loadflags': 1,
              'initrd_max': 0x7fffffff, 'xloadflags': 1, 'cmdline': 2047, 'pref': 0x200000, 'init_size': 0x10000}
    head = bytearray(0x300)
    head[0x202:0x206] = b'HdrS'
    for key, value in {**values, **fields}.items():
        struct.pack_into('<' + at[key][1], head, at[key][0], value)
    save('bzimage', name, b'\0' + struct.pack('<Q', size) + bytes(head)[:cut])


def main():
    elf('good')
    elf('segments_16', [phdr(paddr=0x200000 + i * 0x3000) for i in range(16)])
    elf('segments_17', [phdr(paddr=0x200000 + i * 0x3000) for i in range(17)])
    elf('segments_falling', [phdr(paddr=0x300000 - i * 0x3000) for i in range(8)], entry=0x300000)
    elf('segments_none', [phdr(PT_NOTE)])
    elf('headers_71_fill_the_head', [phdr(PT_NOTE)] * 71 + [phdr()], phnum=72)
    elf('headers_73_leave_it', [phdr(PT_NOTE)] * 72 + [phdr()], phnum=73)
    elf('headers_xnum', phnum=0xffff)
    elf('headers_size', phentsize=55)
    elf('headers_far', phoff=MAX - 7)
    elf('headers_cut', cut=64 + 55)
    elf('header_cut', cut=63)
    elf('machine', machine=183)
    elf('kind', kind=1)
    elf('class', ident=b'\x7fELF\x01\x01\x01')
    elf('order', ident=b'\x7fELF\x02\x02\x01')
    elf('entry_last_byte', entry=0x201fff)
    elf('entry_in_bss', entry=0x202000)
    elf('overlap_by_one', [phdr(), phdr(paddr=0x202fff)])
    elf('neighbours', [phdr(), phdr(paddr=0x203000)])
    elf('file_ends_here', [phdr(offset=0x4000)])
    elf('file_ends_before', [phdr(offset=0x4001)])
    elf('offset_wraps', [phdr(offset=MAX)])
    elf('ram_ends_here', [phdr(paddr=RAM_END - 0x3000)], entry=RAM_END - 0x3000)
    elf('ram_ends_before', [phdr(paddr=RAM_END - 0x2fff)], entry=RAM_END - 0x2000)
    elf('address_wraps', [phdr(paddr=MAX)])
    elf('low', [phdr(paddr=0xfffff)])
    elf('memory_less_than_file', [phdr(memsz=0x1fff)])
    elf('notes_4096', [phdr(), phdr(PT_NOTE, 0x1000, 0, 4096, 4096)])
    elf('notes_4097', [phdr(), phdr(PT_NOTE, 0x1000, 0, 4097, 4097)])
    salt = note(b'Linux\0', 0x100, b'vmlet\0')
    save('elf', 'note_salt', b'\1' + note(b'GNU\0', 3, b'0123456789') + salt)
    save('elf', 'note_pvh', b'\1' + note(b'Xen\0', 18, struct.pack('<Q', 0x1000190)))
    save('elf', 'note_without_padding', b'\1' + salt[:-2])
    save('elf', 'note_name_huge', b'\1' + note(b'Linux\0', 0x100, b'vmlet\0', namesz=2**32 - 1))
    save('elf', 'note_desc_huge', b'\1' + note(b'Linux\0', 0x100, b'vmlet\0', descsz=2**32 - 1))

    bzimage('good')
    bzimage('old', version=0x20b)
    bzimage('header_2_12', version=0x20c, jump=0x62)
    bzimage('header_short', jump=0x61)
    bzimage('header_long', jump=0xff)
    bzimage('header_cut', cut=0x263)
    bzimage('magic_cut', cut=0x205)
    bzimage('zimage', loadflags=0)
    bzimage('no_64_bit', xloadflags=0)
    bzimage('sectors_0', sects=0, syssize=0x4c0)
    bzimage('sectors_255', sects=255)
    bzimage('payload_0', syssize=0)
    bzimage('payload_entry', syssize=0x21)
    bzimage('payload_before_entry', syssize=0x20)
    bzimage('payload_cut_15', size=0x5600 - 15)
    bzimage('payload_cut_16', size=0x5600 - 16)
    bzimage('payload_huge', syssize=2**32 - 1, size=MAX, init_size=2**32 - 1)
    bzimage('room_exact', init_size=0x5000)
    bzimage('room_short', init_size=0x4fff)
    bzimage('ram_ends_here', init_size=RAM_END - 0x200000)
    bzimage('ram_ends_before', init_size=RAM_END - 0x200000 + 1)
    bzimage('low', pref=0xff000)
    bzimage('misaligned', pref=0x200800)
    bzimage('wraps', pref=MAX - 0xfff)
    bzimage('cmdline_huge', cmdline=2**32 - 1)
    save('bzimage', 'version_native', b'\1' + b'6.12.1-vmlet (a@b) #1\0')
    save('bzimage', 'version_foreign', b'\1' + b'6.12.1 (a@b-vmlet)')


if __name__ == '__main__':
    main()
