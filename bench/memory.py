"""What bench/memory runs where KVM works: private memory of ours and of QEMU's microvm, from /proc/PID/smaps."""
import argparse
import os
import pathlib
import subprocess
import time

import measure

IDLE_S = 2
LIMIT_KIB = 1536
KINDS = ('dirty', 'clean')
FIELDS = {'Private_Dirty:': 'dirty', 'Private_Clean:': 'clean', 'Rss:': 'rss'}


def read_mappings(pid):
    """Mappings of a process: from, to, what, and KiB by kind."""
    mappings = []
    for line in pathlib.Path(f'/proc/{pid}/smaps').read_text().splitlines():
        words = line.split()
        if words[0] in FIELDS:
            mappings[-1][FIELDS[words[0]]] = int(words[1])
        elif not words[0].endswith(':'):
            begin, end = (int(n, 16) for n in words[0].split('-'))
            name = words[5] if len(words) > 5 else 'anonymous'
            mappings.append({'from': begin, 'to': end, 'access': words[1], 'name': name})
    return mappings


def find_ram(mappings, size):
    """The neighbours that together are the guest's memory: a mapped kernel may lie in the midst of it."""
    usable = [m for m in mappings if m['access'].startswith('rw')]
    for i, first in enumerate(usable):
        for n, last in enumerate(usable[i:], 1):
            if last['to'] - first['from'] >= size:
                break
        run = usable[i:i + n]
        if last['to'] - first['from'] == size and all(a['to'] == b['from'] for a, b in zip(run, run[1:])):
            return run
    raise measure.Failure('no mapping looks like the memory of the guest')


def kind_of(mapping):
    if mapping['name'].startswith('/'):
        return 'libraries' if '.so' in mapping['name'] else 'program'
    return {'[heap]': 'heap', '[stack]': 'stack'}.get(mapping['name'], 'other')


def private(pid, ram_size):
    mappings = read_mappings(pid)
    ram = find_ram(mappings, ram_size)
    parts = {}
    for m in mappings:
        if m not in ram:
            part = parts.setdefault(kind_of(m), dict.fromkeys(KINDS, 0))
            for kind in KINDS:
                part[kind] += m[kind]
    status = dict(line.split(':', 1) for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines())
    return {'parts': parts, **{kind: sum(p[kind] for p in parts.values()) for kind in KINDS},
            'page_tables': int(status['VmPTE'].split()[0]), 'guest_rss': sum(m['rss'] for m in ram)}


def idle(command, byte):
    """Starts a machine, waits for its agent, lets it come to rest. Return: its private memory."""
    events, told = os.pipe()
    with subprocess.Popen([word.replace('{}', str(told)) for word in command], pass_fds=[told],
                          stdin=subprocess.DEVNULL) as process, open(events, 'rb', 0) as pipe:
        os.close(told)
        try:
            while byte not in (data := pipe.read(16)):
                if not data:
                    raise measure.Failure(f'{command[0]} ended before its agent was ready')
            time.sleep(IDLE_S)
            return private(process.pid, measure.MEMORY_MIB << 20)
        finally:
            process.kill()


def show(results):
    names = {'ours, initramfs': 'no image', 'ours, image': 'with image', 'qemu, image': 'QEMU microvm, with image'}
    print(f'Private memory beside that of an idle guest of {measure.MEMORY_MIB} MiB, KiB: dirty + clean')
    kinds = sorted({kind for r in results.values() for kind in r['parts']})
    none = dict.fromkeys(KINDS, 0)
    rows = [[kind, *('{dirty} + {clean}'.format(**r['parts'].get(kind, none)) for r in results.values())]
            for kind in kinds]
    rows.append(['all', *(f"{r['dirty']} + {r['clean']}" for r in results.values())])
    rows.append(['sum', *(str(r['dirty'] + r['clean']) for r in results.values())])
    rows.append(['page tables, kernel', *(str(r['page_tables']) for r in results.values())])
    rows.append(['guest memory in use', *(str(r['guest_rss']) for r in results.values())])
    measure.table(['', *(names[n] for n in results)], rows)
    worst = max(r['dirty'] + r['clean'] for name, r in results.items() if name.startswith('ours'))
    print(f"  ours at most {LIMIT_KIB} KiB, dirty and clean: {'holds' if worst <= LIMIT_KIB else 'does NOT hold'}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path, required=True)
    args = parser.parse_args()
    results = {}
    for name, image in (('initramfs', None), ('image', args.image)):
        bench = measure.Bench(args.build.resolve(), args.kernel, image, in_ram=False)
        try:
            results[f'ours, {name}'] = idle(bench.ours('--ready-fd', '{}'), ord('\n'))
            if image:
                results[f'qemu, {name}'] = idle(bench.qemu(events='/dev/fd/{}'), measure.READY)
        finally:
            bench.remove()
    show(results)
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'memory.json',
                       {'bench': 'memory', 'where': args.where, 'unit': 'KiB', 'memory_mib': measure.MEMORY_MIB,
                        'results': results})


if __name__ == '__main__':
    measure.run(main)
