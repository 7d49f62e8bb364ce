"""What bench/blk runs where KVM works: reads of 4 KiB by guests of ours and of QEMU's microvm machine.

A run's cost is that of a whole machine that reads, less that of one that does not: it holds what guest, KVM and
monitor do for the reads, and nothing of the boot.
"""
import argparse
import contextlib
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import measure

DISK_MIB = 64
WARM_UP = 16        # reads that the guest does before it starts its clock
# Name: whether O_DIRECT, QEMU's cache mode, its aio and (with --all) another.
BACKINGS = {
    'tmpfs': (False, 'writeback', 'threads', 'io_uring'),
    'ext4, page cache': (False, 'writeback', 'threads', 'io_uring'),
    'ext4, direct': (True, 'none', 'native', 'io_uring'),
}
# Name: what the guest's init is told. The last only with --all. The limit is on the first two: on one processor eight
# at a time measure how long a monitor waits before it interrupts, and we do not wait.
JUDGED = ('sequential', 'random')
MODES = {
    'sequential': ('seq', 1),
    'random': ('rand', 1),
    'random, 8 at a time': ('rand', 8),
    'through the page cache': ('stream', 1),
}
LIMIT_RATIO = 1.0


class Disks:
    """A file in memory, and one on an ext4 file system on a loop device where that can be had."""

    def __init__(self, folder, stack):
        self.files = {'tmpfs': self.fill(folder / 'disk')}
        on_ext4 = self.mount(folder, stack) if os.geteuid() == 0 else None
        if on_ext4:
            path = self.fill(on_ext4 / 'disk')
            self.files.update({name: path for name in BACKINGS if name.startswith('ext4')})

    @staticmethod
    def fill(path):
        with open(path, 'wb') as file:
            for _ in range(DISK_MIB):
                file.write(os.urandom(1) * (1 << 20))
            os.fsync(file.fileno())
        return path

    @staticmethod
    def mount(folder, stack):
        image, point = folder / 'ext4', folder / 'mnt'
        point.mkdir()
        with open(image, 'wb') as file:
            file.truncate((DISK_MIB + 64) << 20)
        quiet = {'check': True, 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
        try:
            subprocess.run(['mkfs.ext4', '-q', image], **quiet)
            subprocess.run(['mount', '-o', 'loop', image, point], **quiet)
        except (OSError, subprocess.CalledProcessError):
            return None
        stack.callback(subprocess.run, ['umount', point], check=False)
        return point


def ours(bench, guest, words, disk, direct):
    return [str(w) for w in (bench.vmm, '--kernel', bench.kernel, '--initrd', guest, '--append', words,
                             '--serial', 'off', '--memory', f'{measure.MEMORY_MIB}M', '--rng', 'off',
                             '--disk', f'{disk}{",direct" if direct else ""}')]


def qemu(bench, guest, words, disk, cache, aio):
    return [str(w) for w in ('qemu-system-x86_64', '-M',
                             'microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off', '-enable-kvm',
                             '-cpu', 'host', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                             '-m', measure.MEMORY_MIB, '-kernel', bench.kernel, '-initrd', guest,
                             '-append', f'{bench.words} {words}',
                             '-drive', f'if=none,id=disk,file={disk},format=raw,cache={cache},aio={aio}',
                             '-device', 'virtio-blk-device,drive=disk')]


def commands(bench, guest, disk, backing, everything):
    """By machine: a function from the words for the guest to the command."""
    direct, cache, aio, other = BACKINGS[backing]
    made = {'ours': lambda words: ours(bench, guest, words, disk, direct),
            f'qemu {aio}': lambda words: qemu(bench, guest, words, disk, cache, aio)}
    if everything:
        made[f'qemu {other}'] = lambda words: qemu(bench, guest, words, disk, cache, other)
    return made


def measure_one(bench, where, command, words, runs):
    return statistics.median(bench.busy([], command(words))[where.key] for _ in range(runs))


def words_for(mode, depth, reads):
    return f'blk.mode={mode} blk.n={reads} blk.depth={depth} reboot=t'


def measure_machine(bench, where, args, command):
    """Return: by mode, the cost of one read. The first run, which fills caches, is thrown away."""
    rest = [measure_one(bench, where, command, words_for('seq', 1, 0), args.runs) for _ in range(2)][1]
    modes = list(MODES.items())[:None if args.all else -1]
    return {label: (measure_one(bench, where, command, words_for(mode, depth, args.reads), args.runs) - rest) /
                   (args.reads + WARM_UP) / 1e3
            for label, (mode, depth) in modes}


def measure_all(bench, where, args, disks):
    """Return: rows of {disk, reads, machine: cost of one read in thousands of the unit}."""
    rows = []
    for backing, disk in disks.files.items():
        if not backing.startswith(args.only or ''):
            continue
        costs = {}
        for name, command in commands(bench, bench.guest, disk, backing, args.all).items():
            costs[name] = measure_machine(bench, where, args, command)
            print(f'{backing}, {name}:', *(f'{label} {cost:.1f}' for label, cost in costs[name].items()),
                  file=sys.stderr, flush=True)
        for label in costs['ours']:
            best = min(of[label] for name, of in costs.items() if name != 'ours')
            rows.append({'disk': backing, 'reads': label, 'per_read': {name: of[label] for name, of in costs.items()},
                         'ratio': costs['ours'][label] / best})
    return rows


def show(rows, unit):
    for backing in dict.fromkeys(row['disk'] for row in rows):
        mine = [row for row in rows if row['disk'] == backing]
        names = list(mine[0]['per_read'])
        print(f'{backing}: {unit} a read of 4 KiB')
        measure.table(('', *names, 'ratio'),
                      [(row['reads'], *(f"{row['per_read'][name]:.1f}" for name in names), f"{row['ratio']:.2f}")
                       for row in mine])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--guest', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=1)
    parser.add_argument('--reads', type=int, default=2000)
    parser.add_argument('--all', action='store_true')
    parser.add_argument('--only', help='disks whose name begins so')
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    unit = 'thousand instructions' if where.counted else 'microseconds'
    bench = measure.Bench(args.build, args.kernel)
    try:
        bench.guest = bench.copy(args.guest, '.')
        with contextlib.ExitStack() as stack:
            rows = measure_all(bench, where, args, Disks(bench.folder, stack))
    finally:
        bench.remove()
    print(f'ours and QEMU microvm, one kernel ({args.kernel.name}), {measure.MEMORY_MIB} MiB, 1 vCPU,',
          f'{args.reads} reads')
    show(rows, unit)
    worst = max(row['ratio'] for row in rows if row['reads'] in JUDGED)
    print(f"{' and '.join(JUDGED)}: worst ratio {worst:.2f} of at most {LIMIT_RATIO:.2f}:",
          'held' if worst <= LIMIT_RATIO else 'MISSED')
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'blk.json',
                       {'bench': 'blk', 'where': args.where, 'unit': unit, 'host_kernel': platform.release(),
                        'guest_kernel': args.kernel.name, 'memory_mib': measure.MEMORY_MIB, 'vcpus': 1,
                        'reads': args.reads, 'rows': rows})


measure.run(main)
