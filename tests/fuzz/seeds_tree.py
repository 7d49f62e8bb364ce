#!/usr/bin/python3
"""Writes the corpora of tar: headers, records and maps at their limits, and streams that try to leave their folder."""
import pathlib
import tarfile

CORPUS = pathlib.Path(__file__).parent / 'corpus'
END = bytes(1024)


def header(name='name', form=tarfile.USTAR_FORMAT, **more):
    info = tarfile.TarInfo(name)
    for key, value in more.items():
        setattr(info, key, value)
    return info.tobuf(form)


def with_field(at, data):
    block = bytearray(header())
    block[at:at + len(data)] = data
    return bytes(block)


def record(key, value):
    rest = len(key) + len(value) + 3
    size = rest + 1
    while size != rest + len(str(size)):
        size = rest + len(str(size))
    return b'%d %s=%s\n' % (size, key, value)


def member(name, kind=tarfile.REGTYPE, data=b'', link='', pax=None):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size, info.pax_headers = kind, link, len(data), pax or {}
    return info.tobuf(tarfile.PAX_FORMAT) + data + bytes(-len(data) % 512)


def gnu_map(pairs, first=True, more=0, size=100):
    block = bytearray(header() if first else bytes(512))
    at = 386 if first else 0
    for offset, length in pairs:
        block[at:at + 24] = b'%011o\0%011o\0' % (offset, length)
        at += 24
    block[482 if first else 504] = more
    if first:
        block[483:495] = b'%011o\0' % size
    return bytes(block)


# The first byte: 0 a header, 1 records, 2 a map of GNU's.
TAR = {
    'header': b'\0' + header(),
    'header-gnu': b'\0' + header(form=tarfile.GNU_FORMAT, size=1 << 40, uid=1 << 30),
    'header-name-100': b'\0' + header('n' * 100),
    'header-prefix-155': b'\0' + header('p' * 155 + '/' + 'n' * 100),
    'header-v7': b'\0' + with_field(257, bytes(8)),
    'header-zero': b'\0' + bytes(512),
    'header-511': b'\0' + header()[:511],
    'size-base256': b'\0' + with_field(124, b'\x80\0\0\0\x7f' + b'\xff' * 7),
    'size-base256-over': b'\0' + with_field(124, b'\x80' + b'\xff' * 11),
    'size-negative': b'\0' + with_field(124, b'\xff' * 12),
    'size-blank': b'\0' + with_field(124, b' ' * 12),
    'size-garbage': b'\0' + with_field(124, b'0000x'),
    'mode-over': b'\0' + with_field(100, b'77777777'),
    'device': b'\0' + header(type=tarfile.CHRTYPE, devmajor=1, devminor=3),
    'folder-by-slash': b'\0' + with_field(0, b'folder/'),
    'records': b'\1' + record(b'path', b'x' * 300) + record(b'mtime', b'1.5') + record(b'size', b'9223372036854775807'),
    'record-99-100': b'\1' + record(b'a', b'v' * 94) + record(b'a', b'v' * 95) + record(b'a', b'v' * 96),
    'record-empty': b'\1' + record(b'uname', b''),
    'record-size-over': b'\1' + record(b'size', b'9223372036854775808'),
    'record-uid-over': b'\1' + record(b'uid', b'4294967296'),
    'record-time-negative': b'\1' + record(b'mtime', b'-1.25') + record(b'mtime', b'-0.000000001'),
    'record-time-long': b'\1' + record(b'mtime', b'1.' + b'9' * 30),
    'record-time-bad': b'\1' + record(b'mtime', b'1.x') + record(b'mtime', b'.'),
    'record-no-newline': b'\1' + b'9 path=ab',
    'record-no-equals': b'\1' + b'9 pathab\n',
    'record-too-long': b'\1' + b'99 path=x\n',
    'record-endless': b'\1' + b'9' * 30,
    'map': b'\2' + gnu_map([(0, 10), (20, 10)]),
    'map-continued': b'\2' + gnu_map([(n * 20, 10) for n in range(4)], more=1) + gnu_map([(100 + n, 1) for n in range(0, 8, 2)], False),
    'map-too-long': b'\2' + gnu_map([(n * 20, 10) for n in range(4)], more=1) + gnu_map([(100 + n * 2, 1) for n in range(21)], False),
    'map-backwards': b'\2' + gnu_map([(20, 10), (0, 10)]),
    'map-overlaps': b'\2' + gnu_map([(0, 10), (5, 10)]),
    'map-endless': b'\2' + gnu_map([(0, 1)], more=1) + gnu_map([], False, more=1) * 4,
}

SPARSE = {'GNU.sparse.major': '1', 'GNU.sparse.minor': '0', 'GNU.sparse.name': 's', 'GNU.sparse.realsize': '1000'}
PLAIN = member('d/', tarfile.DIRTYPE) + member('d/f', data=b'x' * 600) + member('d/l', tarfile.SYMTYPE, link='f') + \
    member('d/h', tarfile.LNKTYPE, link='d/f') + member('p', tarfile.FIFOTYPE)
OUT = '../outside'
TREES = {
    'plain': PLAIN + END,
    'pax': member('x' * 300, data=b'x', pax={'SCHILY.xattr.user.a': 'b', 'mtime': '1.5'}) + END,
    'no-end': PLAIN,
    'cut': PLAIN[:3000],
    'dots': member(f'{OUT}/x') + END,
    'dots-late': member('a/../../outside/x') + END,
    'dots-pax': member('x', pax={'path': f'{OUT}/witness'}) + END,
    'absolute': member('/tmp/x', data=b'x') + END,
    'through-link': member('l', tarfile.SYMTYPE, link=OUT) + member('l/witness', data=b'x') + END,
    'over-link': member('l', tarfile.SYMTYPE, link=f'{OUT}/witness') + member('l', data=b'x') + END,
    'folder-over-link': member('l', tarfile.SYMTYPE, link=OUT) + member('l/', tarfile.DIRTYPE) + member('l/x') + END,
    'hard-outside': member('h', tarfile.LNKTYPE, link=f'{OUT}/witness') + END,
    'hard-through-link': member('l', tarfile.SYMTYPE, link=OUT) + member('h', tarfile.LNKTYPE, link='l/witness') + END,
    'hard-to-link': member('l', tarfile.SYMTYPE, link=OUT) + member('h', tarfile.LNKTYPE, link='l') + member('h/x') + END,
    'hard-to-itself': member('a') + member('a', tarfile.LNKTYPE, link='./a') + END,
    'device': member('null', tarfile.CHRTYPE) + END,
    'kind-unknown': member('x', b'V') + member('y', b'~', data=b'z') + END,
    'sparse': member('x', data=b'1\n0\n100\n'.ljust(512, b'\0') + b'y' * 100, pax=SPARSE) + END,
    'sparse-beyond': member('x', data=b'1\n0\n2000\n'.ljust(512, b'\0') + b'y' * 2000, pax=SPARSE) + END,
    'sparse-65537': member('x', data=b'65537\n'.ljust(512, b'\0'), pax=SPARSE) + END,
    'sparse-0.1': member('x', data=b'y' * 20, pax={'GNU.sparse.map': '0,10,30,10', 'GNU.sparse.size': '100'}) + END,
    'long-name': member('x', b'L', b'n' * 200) + member('x') + END,
    'long-name-16384': member('x', b'L', (b'n' * 199 + b'/') * 81 + b'n' * 184) + member('x') + END,
    'long-name-16385': member('x', b'L', b'n' * 16385) + member('x') + END,
    'pax-too-large': member('x', b'x', bytes((256 << 10) + 1)) + END,
    'folders-129': b''.join(member('d/' * n, tarfile.DIRTYPE) for n in range(1, 131)) + END,
    'empty': END,
}


def write(name, seeds):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds.items():
        (folder / seed).write_bytes(data)


if __name__ == '__main__':
    write('tar', TAR)
    # The first byte: flags, and how long the pieces are.
    write('tree_unpack', {name: b'\x80' + data for name, data in TREES.items()})
    write('tree_unpack', {f'{name}-in-pieces': b'\x02' + data for name, data in TREES.items() if len(data) < 6000})
