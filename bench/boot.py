"""What bench/boot runs where KVM works: boots of ours and of QEMU's microvm, costs, stages and counts."""
import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import time

import draw
import measure

STAGES = ('VM created', 'first guest instruction', 'kernel', 'init', 'agent ready', 'end')
TIMELINE = {'VM created': 'vm_created', 'first guest instruction': 'first_instruction', 'kernel': 'kernel',
            'init': 'init', 'agent ready': 'agent_ready'}
STAGE_RUNS = 5
KVM_CREATE_VM, KVM_RUN = '0xae01', '0xae80'
EXITS = {'2': 'io', '6': 'mmio', '10': 'intr'}          # KVM_EXIT_*
LIMIT_MINSTR, LIMIT_RATIO = 45, 0.3


def costs(bench, where, runs):
    """Costs of both in turn, to the agent's ready and to the end."""
    whole = {'append': measure.ONCE}
    kinds = {
        'ours ready': lambda: bench.busy(['-r'], bench.ours('--ready-fd', '{}')),
        'qemu ready': lambda: bench.busy(['-b', hex(measure.READY)], bench.qemu(events='/dev/fd/9')),
        'ours whole': lambda: bench.busy([], bench.ours(**whole)),
        'qemu whole': lambda: bench.busy([], bench.qemu(**whole)),
    }
    samples = {kind: [] for kind in kinds}
    for i in range(runs + measure.THROWN_AWAY):
        measure.progress(f'costs: run {i + 1} of {runs + measure.THROWN_AWAY}')
        for kind, sample in kinds.items():
            samples[kind].append(sample())
    result = {kind: measure.series([s[where.key] / 1e6 for s in got]) for kind, got in samples.items()}
    for kind, got in samples.items():
        result[kind]['minor_faults'] = statistics.median(s['minor_faults'] for s in got[measure.THROWN_AWAY:])
    for what in ('ready', 'whole'):
        result[f'ratio {what}'] = result[f'ours {what}']['median'] / result[f'qemu {what}']['median']
    return result


def ours_stages(bench):
    """One boot of ours. Return: ms from the monitor's start at each stage."""
    timeline = bench.folder / 'timeline.json'
    began = time.monotonic_ns()
    subprocess.run(bench.ours('--timeline', timeline, append=measure.ONCE), stdin=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    ended = time.monotonic_ns()
    times = json.loads(timeline.read_text())
    return {**{stage: times[key] / 1e6 for stage, key in TIMELINE.items()}, 'end': (ended - began) / 1e6}


def qemu_stages(bench, *extra):
    """One boot of QEMU's, whose guest tells its own stages. Return: ms from its start at each."""
    names = {measure.KERNEL: 'kernel', measure.INIT: 'init', measure.READY: 'agent ready'}
    times = {}
    events, told = os.pipe()
    began = time.monotonic_ns()
    with subprocess.Popen(bench.qemu(*extra, append=measure.ONCE, events=f'/dev/fd/{told}'), pass_fds=[told],
                          stdin=subprocess.DEVNULL) as process:
        os.close(told)
        with open(events, 'rb', buffering=0) as pipe:
            while data := pipe.read(16):
                now = time.monotonic_ns()
                times.update({names[byte]: (now - began) / 1e6 for byte in data if byte in names})
        process.wait()
        times['end'] = (time.monotonic_ns() - began) / 1e6
    return times


def qemu_traced(bench):
    """A boot of QEMU's with its own trace. Return: (the two stages its guest cannot tell, exits by kind).

    The trace makes its start dearer, so the two come as ms before the kernel's mark: negative.
    """
    log = bench.folder / 'trace'
    began = time.time()
    kernel = qemu_stages(bench, '-msg', 'timestamp=on', '-D', str(log), '-trace', 'kvm_ioctl', '-trace',
                         'kvm_vcpu_ioctl', '-trace', 'kvm_run_exit')['kernel']
    text = log.read_text() if log.exists() else ''
    early = {}
    for stage, number in (('VM created', KVM_CREATE_VM), ('first guest instruction', KVM_RUN)):
        if found := re.search(rf'@([0-9.]+):kvm_\S+ .*type {number},', text):
            early[stage] = (float(found[1]) - began) * 1000 - kernel
    exits = {}
    for reason in re.findall(r'kvm_run_exit .*reason ([0-9]+)', text):
        kind = EXITS.get(reason, 'other')
        exits[kind] = exits.get(kind, 0) + 1
    return early, exits


def stages(bench):
    """Medians of several boots. Return: {'ours': {stage: ms}, 'qemu': ...}, QEMU's exits to user space."""
    measure.progress('stages')
    runs = [(ours_stages(bench), qemu_stages(bench)) for _ in range(STAGE_RUNS)]
    traced = [qemu_traced(bench) for _ in range(STAGE_RUNS)]
    early, exits = traced[-1]
    # Of these the shortest: a wait for a file counts what the lab's clock skips meanwhile.
    early = {stage: max(run[0].get(stage, early[stage]) for run in traced) for stage in early}
    result = {}
    for name, got in zip(('ours', 'qemu'), zip(*runs)):
        result[name] = {s: statistics.median(run[s] for run in got) for s in STAGES if all(s in run for run in got)}
    kernel = result['qemu']['kernel']
    result['qemu'] = {**{stage: kernel + before for stage, before in early.items()}, **result['qemu']}
    return result, exits


def kvm_counters(bench, command, byte):
    """KVM's own counters of a boot, read when its agent is ready; empty where this user may not see them."""
    counters = pathlib.Path('/sys/kernel/debug/kvm')
    if os.geteuid():
        return {}
    if not counters.exists():
        subprocess.run(['mount', '-t', 'debugfs', 'debugfs', '/sys/kernel/debug'], stderr=subprocess.DEVNULL, check=False)
    events, told = os.pipe()
    words = [word.replace('{}', str(told)) for word in command]
    with subprocess.Popen(words, pass_fds=[told], stdin=subprocess.DEVNULL) as process, open(events, 'rb', 0) as pipe:
        os.close(told)
        try:
            while (data := pipe.read(16)) and byte not in data:
                pass
            files = [f for folder in counters.glob(f'{process.pid}-*') for f in folder.iterdir() if f.is_file()]
            texts = {f.name: f.read_text().strip() for f in files}
        finally:
            process.kill()
    return {name: int(text) for name, text in texts.items() if text.isdigit()}


def system_calls(bench, command):
    """System calls of a boot by name, of all threads; empty without strace."""
    report = bench.folder / 'strace'
    try:
        subprocess.run(['strace', '-f', '-c', '-o', report, *command], stdin=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return {}
    rows = (line.split() for line in report.read_text().splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) >= 5 and row[0][0].isdigit()}


def counts(bench, qemu_exits):
    measure.progress('counts')
    ready = ord('\n')
    stats = bench.folder / 'stats.json'
    subprocess.run(bench.ours('--stats', stats, append=measure.ONCE), stdin=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, check=False)
    whole = {'append': measure.ONCE}
    return {
        'ours': {'exits_to_user': json.loads(stats.read_text())['vcpus'][0]['exits'],
                 'kvm': kvm_counters(bench, bench.ours('--ready-fd', '{}'), ready),
                 'system_calls': system_calls(bench, bench.ours(**whole))},
        'qemu': {'exits_to_user': qemu_exits,
                 'kvm': kvm_counters(bench, bench.qemu(events='/dev/fd/{}'), measure.READY),
                 'system_calls': system_calls(bench, bench.qemu(**whole))},
    }


def show_costs(result, where):
    rows = []
    for kind in ('ours ready', 'qemu ready', 'ours whole', 'qemu whole'):
        s = result[kind]
        rows.append((kind, f"{s['median']:.2f}", f"{s['min']:.2f}", f"{s['max']:.2f}", f"{s['spread_percent']:.1f} %"))
    print(f'\nCost of a boot, {where.unit}: exec to the agent ready, and exec to the end by reset')
    measure.table(('', 'median', 'min', 'max', 'spread'), rows)
    print(f"  ours / QEMU microvm: {result['ratio ready']:.3f} to ready, {result['ratio whole']:.3f} whole")
    if where.counted:
        told = {True: 'holds', False: 'does NOT hold'}
        print(f"  at most {LIMIT_MINSTR} million to ready: {told[result['ours ready']['median'] <= LIMIT_MINSTR]};"
              f" at most {LIMIT_RATIO} of QEMU: {told[result['ratio ready'] <= LIMIT_RATIO]}")


def show_stages(result, unit):
    print(f'\nStages, {unit} from the start (medians of {STAGE_RUNS})')
    rows = []
    for stage in STAGES:
        row = [stage]
        for name in ('ours', 'qemu'):
            at = result[name].get(stage)
            before = max((t for s, t in result[name].items() if at and t < at), default=0)
            row += [f'{at:.2f}', f'+ {at - before:.2f}'] if at is not None else ['?', '']
        rows.append(row)
    measure.table(('', 'ours', '', 'QEMU', ''), rows)


def show_counts(result, costs_result):
    def cell(value):
        return '?' if value is None else f'{value:.0f}'

    rows = []
    for kind in ('io', 'mmio', 'intr', 'other'):
        rows.append([f'exits to user space: {kind}', *(cell(result[n]['exits_to_user'].get(kind, 0)) for n in result)])
    for key, name in (('exits', 'exits, to KVM or further'), ('io_exits', '  by port I/O'), ('mmio_exits', '  by MMIO'),
                      ('halt_exits', '  by halt'), ('irq_exits', '  by host interrupts'), ('pf_taken', '  by page faults'),
                      ('irq_injections', 'interrupts injected'), ('pages_4k', 'guest pages mapped: 4 KiB'),
                      ('pages_2m', 'guest pages mapped: 2 MiB'), ('tlb_flush', 'TLB flushes')):
        rows.append([name, *(cell(result[n]['kvm'].get(key)) for n in result)])
    rows.append(['page faults of the process', *(cell(costs_result[f'{n} whole']['minor_faults']) for n in result)])
    rows.append(['system calls', *(cell(result[n]['system_calls'].get('total')) for n in result)])
    print('\nCounts of a boot (those of KVM up to ready, the others to the end)')
    measure.table(('', 'ours', 'QEMU'), rows)
    calls = sorted(((n, name) for name, n in result['ours']['system_calls'].items() if name != 'total'), reverse=True)
    print('  our system calls:', ', '.join(f'{name} {n}' for n, name in calls[:12]))


def picture(result, unit, ratio):
    notes = {'ours': 'vmlet', 'qemu': 'QEMU microvm'}
    bars = []
    for name, title in notes.items():
        before, parts = 0, []
        for stage in STAGES:
            if stage in result[name]:
                parts.append((stage, before, result[name][stage]))
                before = result[name][stage]
        label = f"{title}: agent ready at {result[name]['agent ready']:.1f}, end at {result[name]['end']:.1f}"
        bars.append((label, parts))
    return draw.bars('From start to the end of a boot', f'{unit}; to agent ready {ratio:.2f} of QEMU microvm', bars)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path)
    parser.add_argument('--runs', type=int, default=8)
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    clock = 'million instructions, waits included' if where.counted else 'ms'
    bench = measure.Bench(args.build, args.kernel, args.image)
    try:
        result = {'bench': 'boot', 'where': args.where, 'unit': where.unit, 'host_kernel': platform.release(),
                  'guest_kernel': args.kernel.name, 'memory_mib': measure.MEMORY_MIB, 'vcpus': 1,
                  'image': bool(args.image), 'costs': costs(bench, where, args.runs)}
        result['stages'], qemu_exits = stages(bench)
        result['counts'] = counts(bench, qemu_exits)
    finally:
        bench.remove()
    print(f"ours and QEMU microvm in turn, one kernel ({args.kernel.name}), {measure.MEMORY_MIB} MiB, 1 vCPU, serial off,",
          'root image' if args.image else 'initramfs alone')
    show_costs(result['costs'], where)
    show_stages(result['stages'], clock)
    show_counts(result['counts'], result['costs'])
    out = pathlib.Path(os.environ['LAB_OUT'])
    measure.write_json(out / 'boot.json', result)
    (out / 'boot.svg').write_text(picture(result['stages'], clock, result['costs']['ratio ready']))


if __name__ == '__main__':
    measure.run(main)
