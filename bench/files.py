"""What bench/files runs where KVM works: trees and a large file, to one guest and back.

The peer is what docker does: a tar in the guest, its end of the pipe in an exec, and a tar on the host. Everything that
the processors execute counts: both ends, monitor, KVM and guest.
"""
import argparse
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import time

import measure

LIMIT_RATIO = 1.0
# A source tree's: mostly small.
SIZES = (180, 700, 1500, 4000)
BY_FOLDER = 40
TREE_MIB, FILE_MIB = 1280, 256


def counter(counted):
    """Nanoseconds so far: that the processors ran where these are instructions, else of the clock."""
    if not counted:
        return time.monotonic_ns()
    return sum(int(line.split()[7]) for line in pathlib.Path('/proc/schedstat').read_text().splitlines() if line.startswith('cpu'))


class Guest:
    def __init__(self, bench, build, mib, *extra):
        self.socket, self.tool = bench.folder / 'vsock', bench.copy(build / 'bin/vmlet', 'bin')
        self.client = bench.copy(build / 'bench/files_client', 'bin')
        ready, told = os.pipe()
        words = bench.ours('--ready-fd', str(told), *extra)
        words[words.index('--memory') + 1] = f'{mib}M'
        self.process = subprocess.Popen(words, pass_fds=[told], stdin=subprocess.DEVNULL)
        os.close(told)
        with open(ready, 'rb', buffering=0) as pipe:
            if pipe.read(6) != b'ready\n':
                raise measure.Failure('the guest did not become ready')

    def end(self):
        self.process.kill()
        self.process.wait()

    def exec(self, *words, option=None, **how):
        command = [self.tool, 'exec', *([option] if option else []), self.socket, '--', *words]
        return subprocess.run([str(w) for w in command], check=True, **how)

    def ours(self, order, local, remote):
        done = subprocess.run([self.client, self.socket, order, local, remote], stdout=subprocess.PIPE, check=True)
        return int(done.stdout)

    def tar_in(self, local, remote):
        with subprocess.Popen(['tar', '-C', local, '-c', '.'], stdout=subprocess.PIPE) as tar:
            self.exec('sh', '-c', f'mkdir -p {remote}; exec tar -C {remote} -x', option='-i', stdin=tar.stdout)

    def tar_out(self, local, remote):
        command = [self.tool, 'exec', self.socket, '--', 'tar', '-C', remote, '-c', '.']
        with subprocess.Popen([str(w) for w in command], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as tar:
            subprocess.run(['tar', '-C', local, '-x'], stdin=tar.stdout, check=True)


def make_tree(top, count):
    for n in range(count):
        folder = top / f'folder {n // BY_FOLDER % 25}' / f'{n // BY_FOLDER}'
        if n % BY_FOLDER == 0:
            folder.mkdir(parents=True)
        (folder / f'file-{n}.c').write_bytes(b'%08d' % n * (SIZES[n % len(SIZES)] // 8))


def sums(top):
    return {str(p.relative_to(top)): hashlib.sha256(p.read_bytes()).digest() for p in top.rglob('*') if p.is_file()}


def measure_trees(bench, guest, args, counted):
    source, target = bench.folder / 'source', bench.folder / 'target'
    make_tree(source, args.files)
    expected, samples = sums(source), {'in': [], 'out': [], 'tar in': [], 'tar out': []}
    steps = {'in': lambda: guest.ours('put', source, '/tmp/tree'), 'tar in': lambda: guest.tar_in(source, '/tmp/tree'),
             'out': lambda: guest.ours('get', target, '/tmp/tree'), 'tar out': lambda: guest.tar_out(target, '/tmp/tree')}
    for n in range(args.runs + 1):
        for pair in (('in', 'out'), ('tar in', 'tar out')):
            target.mkdir()
            for name in pair:
                before = counter(counted)
                steps[name]()
                samples[name].append((counter(counted) - before) / 1e6)
            if n == 0 and sums(target) != expected:
                raise measure.Failure('what came back is not what went in')
            shutil.rmtree(target)
            guest.exec('rm', '-rf', '/tmp/tree')
        measure.progress(f'trees, run {n}')
    shutil.rmtree(source)
    return {name: sorted(got[1:])[len(got[1:]) // 2] for name, got in samples.items()}


def measure_file(bench, args, counted):
    disk, source, target = (bench.folder / name for name in ('disk', 'source', 'target'))
    with open(disk, 'wb') as d:
        d.truncate((args.mib + 256) << 20)
    subprocess.run(['mkfs.ext4', '-q', '-E', 'nodiscard,lazy_itable_init=1', disk], check=True)
    block = os.urandom(1 << 20)
    with open(source, 'wb') as f:
        for n in range(args.mib):
            f.write(n.to_bytes(8, 'little') + block[8:])
    guest, costs = Guest(bench, args.build, FILE_MIB, '--disk', str(disk)), {}
    try:
        guest.exec('sh', '-c', 'mkdir /tmp/d; mount /dev/vdb /tmp/d')
        for order, local in (('write', source), ('read', target)):
            before = counter(counted)
            memory = guest.ours(order, local, '/tmp/d/big')
            costs[order] = {'cost': (counter(counted) - before) / 1e6, 'client_kib': memory}
        if subprocess.run(['cmp', source, target], check=False).returncode:
            raise measure.Failure('what came back is not what went in')
        costs['agent_kib'] = int(guest.exec('awk', '/RssAnon/ { print $2 }', '/proc/1/status', stdout=subprocess.PIPE).stdout)
    finally:
        guest.end()
    return costs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=2)
    parser.add_argument('--files', type=int, default=20000)
    parser.add_argument('--mib', type=int, default=1024)
    args = parser.parse_args()
    counted = args.where == 'lab'
    unit = 'million instructions' if counted else 'ms'
    bench = measure.Bench(args.build, args.kernel, args.image)
    result = {'bench': 'files', 'where': args.where, 'unit': unit, 'files': args.files, 'mib': args.mib,
              'host_kernel': platform.release(), 'guest_kernel': args.kernel.name}
    try:
        if args.files:
            guest = Guest(bench, args.build, TREE_MIB)
            try:
                result['trees'] = measure_trees(bench, guest, args, counted)
            finally:
                guest.end()
        if args.mib:
            result['file'] = measure_file(bench, args, counted)
    finally:
        bench.remove()
    worst = 0
    if args.files:
        trees = result['trees']
        print(f'a tree of {args.files} files, 1 vCPU, {unit}, medians of {args.runs}')
        measure.table(('', 'agent', 'tar through exec', 'ratio'), [
            (way, f'{trees[way]:.0f}', f'{trees["tar " + way]:.0f}', f'{trees[way] / trees["tar " + way]:.2f}') for way in ('in', 'out')])
        worst = max(trees[way] / trees['tar ' + way] for way in ('in', 'out'))
    if args.mib:
        costs = result['file']
        print(f'a file of {args.mib} MiB through a guest of {FILE_MIB} MiB, the same when it comes back: in {costs["write"]["cost"]:.0f}, out '
              f'{costs["read"]["cost"]:.0f} {unit}; most memory of the client {costs["write"]["client_kib"]} and '
              f'{costs["read"]["client_kib"]} KiB, of the agent {costs["agent_kib"]} KiB')
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'files.json', result)
    if worst > LIMIT_RATIO:
        raise measure.Failure(f'the ratio is more than {LIMIT_RATIO}')


if __name__ == '__main__':
    measure.run(main)
