#!/usr/bin/env python3
"""Packs the initramfs: a "newc" cpio archive, not compressed, the same bytes for the same input.

    pack.py -o initramfs.cpio -s vmlet-agent=build/guest/vmlet-agent manifest.txt

Not compressed, because unpacking costs more instructions at every boot than copying does. No owner, time or inode
number of this machine gets in.
"""

import argparse
import stat
import sys

TRAILER = "TRAILER!!!"


def fail(text):
    sys.exit(f"pack.py: {text}")


def entry(number, path, mode, data=b"", device=(0, 0)):
    name = path.encode() + b"\0"
    links = 2 if stat.S_ISDIR(mode) else 1
    fields = [number, mode, 0, 0, links, 0, len(data), 0, 0, device[0], device[1], len(name), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name
    return pad(head) + pad(data)


def pad(data):
    return data + b"\0" * (-len(data) % 4)


def parse_line(line, sources, where):
    words = line.split()
    if len(words) != 3:
        fail(f"{where}: expected PATH MODE SOURCE")
    path, mode, source = words
    try:
        mode = int(mode, 8)
    except ValueError:
        fail(f"{where}: {mode} is not an octal mode")
    path = path.lstrip("/")
    if stat.S_ISDIR(mode):
        return path, mode, b"", (0, 0)
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        major, _, minor = source.partition(":")
        if not (major.isdecimal() and minor.isdecimal()):
            fail(f"{where}: {source} is not MAJOR:MINOR")
        return path, mode, b"", (int(major), int(minor))
    if not stat.S_ISREG(mode):
        fail(f"{where}: mode {mode:o} is no folder, device or file")
    if source not in sources:
        fail(f"{where}: where is {source}? Say it with -s {source}=FILE")
    with open(sources[source], "rb") as file:
        return path, mode, file.read(), (0, 0)


def pack(manifest, sources):
    out = b""
    number = 0
    with open(manifest, encoding="ascii") as file:
        for at, line in enumerate(file, 1):
            line = line.partition("#")[0].strip()
            if line:
                number += 1
                out += entry(number, *parse_line(line, sources, f"{manifest}:{at}"))
    out += entry(0, TRAILER, 0)
    return out + b"\0" * (-len(out) % 512)


def main():
    parser = argparse.ArgumentParser(description="pack the initramfs")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("-s", "--source", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("manifest")
    arguments = parser.parse_args()
    sources = dict(source.split("=", 1) for source in arguments.source)
    try:
        archive = pack(arguments.manifest, sources)
        with open(arguments.output, "wb") as file:
            file.write(archive)
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")


if __name__ == "__main__":
    main()
