#!/usr/bin/python3
"""Where a boot goes: stages by the monitor's timeline, initcalls by the kernel's own clock (see bench/boot-stages).

The stages come from quiet boots. The initcalls come from one more boot with initcall_debug, whose messages are
written between the calls and are read by dmesg when the agent is ready. The kernel counts microseconds: in the lab,
thousands of instructions, exits and page faults that a call causes included.
"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import measure  # noqa: E402

STAGES = (('monitor_start', 'vm_created', 'monitor starts, VM is made'),
          ('vm_created', 'first_instruction', 'memory, kernel image, devices'),
          ('first_instruction', 'kernel', 'kernel: entry to hypervisor found'),
          ('kernel', 'init', 'kernel: the rest, initcalls included'),
          ('init', 'agent_ready', 'agent: exec to ready'))
INITCALL = re.compile(r'initcall (\w+?)(?:\+0x\S+)? .*?returned (-?\d+) after (\d+) usecs')


def read_symbols(path):
    """Names of System.map by address, as the kernel prints it: it does not know them itself."""
    words = (line.split() for line in path.read_text().splitlines())
    return {f'0x{address}': name for address, _, name in words}


def parse_initcalls(text, symbols):
    """(name, microseconds) of each initcall that the kernel's messages tell of."""
    return [(symbols.get(m[1], m[1]), int(m[3])) for m in INITCALL.finditer(text)]


def stage_rows(boots):
    """Medians of the stages that all boots have, in microseconds, and of the whole."""
    rows = []
    for begin, end, words in STAGES:
        if all(begin in boot and end in boot for boot in boots):
            rows.append((words, statistics.median(boot[end] - boot[begin] for boot in boots) / 1e3))
    return rows + [('from exec to agent ready', statistics.median(boot['agent_ready'] for boot in boots) / 1e3)]


def boot(bench, *options, append):
    """One boot; its timeline."""
    path = bench.folder / 'timeline'
    command = bench.ours('--timeline', str(path), *options, append=append)
    bench.busy([], command)
    return json.loads(path.read_text())


def boot_talking(bench, build):
    """The messages of a boot that tells each initcall."""
    command = bench.ours(append='initcall_debug loglevel=8 log_buf_len=1M')
    socket = command[command.index('--vsock') + 1]
    ready, told = os.pipe()
    with subprocess.Popen([*command, '--ready-fd', str(told)], pass_fds=[told], stdin=subprocess.DEVNULL) as vmm:
        os.close(told)
        with open(ready, encoding='ascii') as line:
            line.readline()
        done = subprocess.run([build / 'bin/vmlet', 'exec', socket, '--', 'dmesg'], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True, timeout=60, check=False)
        vmm.terminate()
    return done.stdout


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=5)
    parser.add_argument('--lines', type=int, default=25)
    options = parser.parse_args()
    unit = 'k instr' if os.environ.get('LAB') else 'us'

    bench = measure.Bench(options.build, options.kernel)
    try:
        boots = [boot(bench, append=measure.ONCE) for _ in range(options.runs + measure.THROWN_AWAY)]
        bench.image = bench.copy(options.image, '.')     # for its dmesg
        calls = parse_initcalls(boot_talking(bench, options.build), read_symbols(options.kernel / 'System.map'))
    finally:
        bench.remove()
    stages = stage_rows(boots[measure.THROWN_AWAY:])
    if not calls:
        raise measure.Failure('the kernel told of no initcall')
    calls.sort(key=lambda call: -call[1])
    shown = calls[:options.lines]
    rest = sum(us for _, us in calls[options.lines:])

    print(f'Stages, medians of {options.runs} boots, idle waits included:')
    measure.table(('stage', unit), [(words, f'{us:.0f}') for words, us in stages])
    print(f'\nInitcalls, one boot, {len(calls)} calls, {sum(us for _, us in calls)} {unit} in all:')
    measure.table(('initcall', unit), [(name, str(us)) for name, us in shown] +
                  [(f'{len(calls) - len(shown)} others', str(rest))])
    measure.write_json(pathlib.Path(os.environ.get('LAB_OUT', 'bench/out')) / 'boot_stages.json',
                       {'unit': unit, 'stages': dict(stages), 'initcalls': calls})


if __name__ == '__main__':
    measure.run(main)
