"""What bench/blk runs where KVM works: reads of 4 KiB by guests of ours and of QEMU's microvm machine.

A run's cost is that of a whole machine that reads, less that of one that does not: it holds what guest, KVM and
monitor do for the reads, and nothing of the boot.
"""
import argparse
import contextlib
import json
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


def fill(path):
    with open(path, 'wb') as file:
        for _ in range(DISK_MIB):
            file.write(os.urandom(1) * (1 << 20))
        os.fsync(file.fileno())
    return path


def mount_ext4(folder, stack):
    """A file system on a loop device: what the lab starts from knows neither O_DIRECT nor RWF_NOWAIT."""
    image, point = folder / 'ext4', folder / 'mnt'
    point.mkdir()
    with open(image, 'wb') as file:
        file.truncate((DISK_MIB + 64) << 20)
    try:
        subprocess.run(['mkfs.ext4', '-q', image], check=True)
        subprocess.run(['mount', '-o', 'loop', image, point], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise measure.Failure(f'no ext4 on a loop device here: {error}') from error
    stack.callback(subprocess.run, ['umount', point], check=False)
    return point


def ours(bench, words, disk, direct):
    return [str(w) for w in (bench.vmm, '--kernel', bench.kernel, '--initrd', bench.guest, '--append', words,
                             '--serial', 'off', '--memory', f'{measure.MEMORY_MIB}M', '--rng', 'off',
                             '--disk', f'{disk}{",direct" if direct else ""}')]


def qemu(bench, words, disk, cache, aio):
    return [str(w) for w in ('qemu-system-x86_64', '-M',
                             'microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off', '-enable-kvm',
                             '-cpu', 'host', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot',
                             '-m', measure.MEMORY_MIB, '-kernel', bench.kernel, '-initrd', bench.guest,
                             '-append', f'{bench.words} {words}',
                             '-drive', f'if=none,id=disk,file={disk},format=raw,cache={cache},aio={aio}',
                             '-device', 'virtio-blk-device,drive=disk')]


def commands(bench, disk, backing, everything):
    """By machine: a function from the words for the guest to the command."""
    direct, cache, aio, other = BACKINGS[backing]
    made = {'ours': lambda words: ours(bench, words, disk, direct),
            f'qemu {aio}': lambda words: qemu(bench, words, disk, cache, aio)}
    if everything:
        made[f'qemu {other}'] = lambda words: qemu(bench, words, disk, cache, other)
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


def measure_all(bench, where, args, disk):
    """Return: rows of {disk, reads, machine: cost of one read in thousands of the unit}."""
    costs = {}
    for name, command in commands(bench, disk, args.disk, args.all).items():
        costs[name] = measure_machine(bench, where, args, command)
        print(f'{args.disk}, {name}:', *(f'{label} {cost:.1f}' for label, cost in costs[name].items()),
              file=sys.stderr, flush=True)
    rows = []
    for label in costs['ours']:
        best = min(of[label] for name, of in costs.items() if name != 'ours')
        rows.append({'disk': args.disk, 'reads': label, 'per_read': {name: of[label] for name, of in costs.items()},
                     'ratio': costs['ours'][label] / best})
    return rows


def show(rows, unit, args):
    names = list(rows[0]['per_read'])
    print(f'{args.disk}: {unit} a read of 4 KiB, 1 vCPU, {measure.MEMORY_MIB} MiB, one kernel ({args.kernel.name})')
    measure.table(('', *names, 'ratio'),
                  [(row['reads'], *(f"{row['per_read'][name]:.1f}" for name in names), f"{row['ratio']:.2f}")
                   for row in rows])
    worst = max(row['ratio'] for row in rows if row['reads'] in JUDGED)
    print(f"{' and '.join(JUDGED)}: worst ratio {worst:.2f} of at most {LIMIT_RATIO:.2f}:",
          'held' if worst <= LIMIT_RATIO else 'MISSED', flush=True)


def add_to_json(path, unit, args, rows):
    """Each disk is a run of its own: the rows of all stand in one file."""
    before = json.loads(path.read_text())['rows'] if path.exists() else []
    measure.write_json(path, {'bench': 'blk', 'where': args.where, 'unit': unit, 'host_kernel': platform.release(),
                              'guest_kernel': args.kernel.name, 'memory_mib': measure.MEMORY_MIB, 'vcpus': 1,
                              'reads': args.reads, 'rows': before + rows})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--guest', type=pathlib.Path, required=True)
    parser.add_argument('--disk', choices=BACKINGS, required=True)
    parser.add_argument('--runs', type=int, default=1)
    parser.add_argument('--reads', type=int, default=1000)
    parser.add_argument('--all', action='store_true')
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    unit = 'thousand instructions' if where.counted else 'microseconds'
    bench = measure.Bench(args.build, args.kernel)
    try:
        bench.guest = bench.copy(args.guest, '.')
        with contextlib.ExitStack() as stack:
            folder = bench.folder if args.disk == 'tmpfs' else mount_ext4(bench.folder, stack)
            rows = measure_all(bench, where, args, fill(folder / 'disk'))
    finally:
        bench.remove()
    show(rows, unit, args)
    add_to_json(pathlib.Path(os.environ['LAB_OUT']) / 'blk.json', unit, args, rows)


measure.run(main)
