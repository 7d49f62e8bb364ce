"""What bench/exec runs where KVM works: one guest, a client that runs commands in it over one connection.

The base is the same program started by fork and exec in the guest, as the difference between a program that does so often
and one that does not. Everything that the processors execute counts: client, monitor, KVM and guest.
"""
import argparse
import os
import pathlib
import platform
import subprocess

import measure

LIMIT_RATIO = 2.5
WHOLE_RATIO = 5         # of vmlet exec as a process
PROGRAM = '/true'
COUNTERS = pathlib.Path('/sys/kernel/debug/kvm')


class Guest:
    def __init__(self, bench, guest):
        self.socket = bench.folder / 'vsock'
        self.client = bench.copy(guest / 'exec_client', 'bin')
        bench.initramfs = bench.copy(guest / 'exec.cpio', 'initramfs')
        ready, told = os.pipe()
        words = bench.ours('--ready-fd', told, '--initrd', bench.initramfs)
        self.process = subprocess.Popen(words, pass_fds=[told], stdin=subprocess.DEVNULL)
        os.close(told)
        with open(ready, 'rb', buffering=0) as pipe:
            if pipe.read(6) != b'ready\n':
                raise measure.Failure('the guest did not become ready')
        if not os.geteuid() and not COUNTERS.exists():
            subprocess.run(['mount', '-t', 'debugfs', 'debugfs', '/sys/kernel/debug'], stderr=subprocess.DEVNULL, check=False)

    def run(self, times, *words):
        """Nanoseconds that all of it took; instructions where these are counted."""
        command = [self.client, self.socket, str(times), PROGRAM, *map(str, words)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise measure.Failure('a command failed')
        return int(done.stdout)

    def spent(self):
        """By thread of the monitor, and KVM's count of exits."""
        spent = {}
        for task in pathlib.Path(f'/proc/{self.process.pid}/task').iterdir():
            name = 'loop' if int(task.name) == self.process.pid else (task / 'comm').read_text().strip()
            spent[name] = int((task / 'schedstat').read_text().split()[0])
        for file in COUNTERS.glob(f'{self.process.pid}-*/exits'):
            spent['exits'] = int(file.read_text())
        return spent

    def end(self):
        self.process.kill()
        self.process.wait()


def measure_all(guest, runs, commands):
    samples = {'exec': [], 'base': [], 'loop': [], 'vcpu': [], 'exits': []}
    for _ in range(runs + measure.THROWN_AWAY):
        base = guest.run(1, commands + 1) - guest.run(1, 1)
        before = guest.spent()
        cost = guest.run(commands)
        after = guest.spent()
        samples['base'].append(base / 1000 / commands)
        samples['exec'].append(cost / 1000 / commands)
        for name in ('loop', 'vcpu'):
            threads = [key for key in after if key.startswith(name)]
            samples[name].append(sum(after[key] - before[key] for key in threads) / 1000 / commands)
        samples['exits'].append((after.get('exits', 0) - before.get('exits', 0)) / commands)
    return {name: measure.series(got) for name, got in samples.items() if any(got)}


def measure_tool(bench, guest, tool, where, runs):
    """vmlet exec as a whole process, and what starting vmlet for nothing costs of it. In thousands, medians."""
    commands = {'tool': [tool, 'exec', guest.socket, PROGRAM], 'start': [tool, '--version']}
    costs = {}
    for name, command in commands.items():
        words = [str(w) for w in command]
        samples = [bench.busy([], words)[where.key] / 1000 for _ in range(runs + measure.THROWN_AWAY)]
        costs[name] = measure.series(samples)
    return costs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--guest', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=4)
    parser.add_argument('--commands', type=int, default=200)
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    unit = 'thousand instructions' if args.where == 'lab' else 'us'
    bench, guest = measure.Bench(args.build, args.kernel), None
    try:
        guest = Guest(bench, args.guest)
        costs = measure_all(guest, args.runs, args.commands)
        costs |= measure_tool(bench, guest, bench.copy(args.build / 'bin/vmlet', 'bin'), where, args.runs)
    finally:
        if guest:
            guest.end()
        bench.remove()
    one = {name: row['median'] for name, row in costs.items()}
    ratio = one['exec'] / one['base']
    rest = one['exec'] - one['loop'] - one['vcpu']
    print(f'exec of a static `true` over an open connection, 1 vCPU, {unit}, medians of {args.runs}')
    measure.table(('', 'cost', 'spread'), [(what, f'{one[name]:.1f}', f'{costs[name]["spread_percent"]:.1f} %') for what, name in (
        ('by the agent, request to exit status', 'exec'), ('by fork, exec and wait in the guest', 'base'),
        ('vmlet exec as a whole process', 'tool'), ('of that, to start vmlet for nothing', 'start'))])
    print(f'  ratio {ratio:.2f}, at most {LIMIT_RATIO}')
    whole = one['tool'] / one['base']
    print(f'  the whole process: {whole:.2f}, at most {WHOLE_RATIO}: {"holds" if whole <= WHOLE_RATIO else "does not hold"}')
    print(f'  where it goes: guest and KVM {one["vcpu"]:.1f} ({one["base"]:.1f} as without an agent), monitor\'s loop '
          f'{one["loop"]:.1f}, client and host {rest:.1f}; {one.get("exits", 0):.1f} exits')
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'exec.json',
                       {'bench': 'exec', 'where': args.where, 'unit': unit, 'host_kernel': platform.release(),
                        'guest_kernel': args.kernel.name, 'ratio': ratio, 'limit': LIMIT_RATIO, 'whole_ratio': whole, 'costs': costs})
    if ratio > LIMIT_RATIO:
        raise measure.Failure(f'the ratio is more than {LIMIT_RATIO}')
    if whole > WHOLE_RATIO:
        raise measure.Failure(f'that of the whole process is more than {WHOLE_RATIO}')


if __name__ == '__main__':
    measure.run(main)
