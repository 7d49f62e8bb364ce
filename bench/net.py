"""What bench/net runs where KVM works, in a network namespace of its own: guests of ours and of QEMU's microvm machine.

What bytes cost is the cost of a whole machine that moves them, less that of one that moves a quarter of them: guest,
monitor, gateway, the host's kernel and the server at the other end, and nothing of boot and iperf3's own start. Speed is what iperf3's server says, between its
first byte and its last; in the lab that is elapsed instructions, and only its ratios are told.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import threading
import time

import measure

MIB = 1 << 20
PORT = 5201
# The host's side of the tap; and an address of a server, of no network that a guest has.
TAP, TAP_HOST, TAP_GUEST = 't0', '10.9.0.1', '10.9.0.2'
HOST, ROUTER, SERVER = '192.0.2.7', '192.0.2.1', '198.51.100.7'
# What libslirp and the gateway both tell their guests.
GUEST, GATEWAY = '10.0.2.15', '10.0.2.2'
GATEWAY_WORDS = 'vmlet.net4=10.0.2.15/24,10.0.2.2 vmlet.net6=fd00:0:0:2::15/64,fd00:0:0:2::2'
POLICY = f'mode = "allow"\nrules = ["allow {SERVER}"]\n'

BOOT_LIMIT = 1.0            # million instructions that a network adds at most
BOOT_TODAY = 1.2            # it is a little more today: from here on the bench fails
PASST_LIMIT = 2.0
COST_LIMIT = 1.2            # of QEMU's on the tap: at most 1.0 is wanted, and held by what the guest sends alone
NOISE = 0.03                # of two speeds that are alike
GROWTH_LIMIT_KIB = 64       # of the gateway, over nine tenths of the connections: a few pages, nothing a connection

QEMU_DEVICE = ('-device', 'virtio-net-device,netdev=n')


class Links:
    """Ways to connect a guest. Each is a context: (words of vmm or QEMU, descriptors they need, address, router)."""

    def __init__(self, bench, args):
        self.bench, self.folder = bench, bench.folder
        self.program = bench.copy(args.build / 'bin/vmlet-net', 'bin')
        self.policy = self.folder / 'network.toml'
        self.policy.write_text(POLICY)
        self.gateway = None

    @contextlib.contextmanager
    def none(self):
        yield [], (), GUEST, GATEWAY

    @contextlib.contextmanager
    def tap(self):
        yield ['--net', f'tap={TAP}'], (), TAP_GUEST, TAP_HOST

    @contextlib.contextmanager
    def qemu_tap(self):
        yield ['-netdev', f'tap,id=n,ifname={TAP},script=no,downscript=no', *QEMU_DEVICE], (), TAP_GUEST, TAP_HOST

    @contextlib.contextmanager
    def qemu_user(self):
        yield ['-netdev', 'user,id=n', *QEMU_DEVICE], (), GUEST, GATEWAY

    def gateway_words(self, fd, ready):
        return [str(w) for w in (self.program, '--fd', fd, '--policy', self.policy, '--resolver', SERVER, '--ready-fd', ready)]

    @contextlib.contextmanager
    def ours(self):
        """Behind the gateway, which ends with the guest."""
        near, far = socket.socketpair()
        ready, told = os.pipe()
        with near, far, open(ready, 'rb', buffering=0) as pipe:
            self.gateway = subprocess.Popen(self.gateway_words(far.fileno(), told), pass_fds=(far.fileno(), told), stdin=subprocess.DEVNULL)
            os.close(told)
            far.close()
            try:
                if pipe.read(6) != b'ready\n':
                    raise measure.Failure('the gateway did not start')
                yield ['--net', f'fd={near.fileno()},vnet'], (near.fileno(),), GUEST, GATEWAY
            finally:
                near.close()
                self.gateway.kill()
                self.gateway.wait()

    @contextlib.contextmanager
    def passt(self):
        """Debian's passt behind our monitor. It gives its guest the host's own address."""
        path, user = self.folder / 'passt', [] if os.getuid() else ['--runas', '0']
        path.unlink(missing_ok=True)
        with open(self.folder / 'passt.log', 'w+', encoding='utf-8') as log:
            with subprocess.Popen(['passt', '--foreground', *user, '--socket', path, '-t', 'none', '-u', 'none'],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
                try:
                    while not path.exists():
                        if process.poll() is not None:
                            raise measure.Failure(f'passt does not run: {pathlib.Path(log.name).read_text()}')
                        time.sleep(0.05)
                    yield ['--net', f'stream={path},mtu=65520'], (), HOST, ROUTER
                finally:
                    process.kill()


def set_up():
    """The namespace: a tap, an address of the host with a default route, and a server's address."""
    for words in ('link set lo up', f'tuntap add {TAP} mode tap', f'address add {TAP_HOST}/24 dev {TAP}', f'link set {TAP} up',
                  'link add d0 type dummy', f'address add {HOST}/24 dev d0', 'link set d0 up', f'route add default via {ROUTER}',
                  f'address add {SERVER}/32 dev lo'):
        done = subprocess.run(['ip', *words.split()], stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise measure.Failure(f'ip {words}: {done.stderr.strip()}')


def machine(bench, name, words, address, router, orders):
    """A guest whose init does as told, then ends."""
    append = f'address={address} gateway={router} {orders} reboot=t'
    if name.startswith('qemu'):
        return bench.qemu(*words, append=append)
    return bench.ours('--initrd', bench.initramfs, *words, append=append)


def run_guest(bench, links, name, orders):
    with getattr(links, name)() as (words, descriptors, address, router):
        return bench.busy([], machine(bench, name, words, address, router, orders), descriptors)


def iperf(bench, where, links, name, mode, amount):
    """One run. Return: (cost, bits a second as the server says, which hears of the end before the last bytes)."""
    to = TAP_HOST if 'tap' in name else SERVER
    with subprocess.Popen(['iperf3', '-s', '-1', '-J', '-p', str(PORT)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True) as server:
        try:
            wait_for_port()
            sample = run_guest(bench, links, name, f'mode={mode} to={to} amount={amount}')
            said = json.loads(server.communicate(timeout=60)[0])['end']
        except (subprocess.TimeoutExpired, ValueError, KeyError) as error:
            raise measure.Failure(f'{name}: iperf3 did not {mode} through it: {error}') from error
        finally:
            server.kill()
    way = said['sum_received' if mode == 'send' else 'sum_sent']
    if way['bytes'] < amount * 0.75:
        raise measure.Failure(f"{name}: only {way['bytes']} bytes of {amount} came")
    return sample[where.key], way['bits_per_second']


def wait_for_port():
    """Looks in the kernel's list: a connection to see would be the one that the server takes."""
    while True:
        lines = [line.split() for name in ('tcp', 'tcp6') for line in pathlib.Path(f'/proc/net/{name}').read_text().splitlines()]
        if any(line[1].endswith(f':{PORT:04X}') and line[3] == '0A' for line in lines):
            return
        time.sleep(0.02)


def measure_bytes(bench, where, args, links, names):
    """Return: by link and direction, the cost a byte and the speed. The first run, which fills caches, is thrown away."""
    amount, rows = args.mib * MIB, {}
    for name in names:
        run_guest(bench, links, name, 'mode=none')
        for mode in ('send', 'receive'):
            measure.progress(f'{name}: {mode}')
            part, whole = ([iperf(bench, where, links, name, mode, n) for _ in range(args.runs)] for n in (amount // 4, amount))
            less, more = ([statistics.median(of) for of in zip(*runs)] for runs in (part, whole))
            rows[name, mode] = {'per_byte': (more[0] - less[0]) / (amount - amount // 4), 'speed': more[1]}
    return rows


def judge(args, title, rows, limits):
    """Shows ratios of ours to each peer, and says which hold. @limits: (peer, what, most or least). Return: rows for JSON."""
    names = list(dict.fromkeys(name for name, _ in rows))
    mine, missed, lines = names[0], [], []
    for mode in ('send', 'receive'):
        for peer in names[1:]:
            own, other = rows[mine, mode], rows[peer, mode]
            ratio = {'per_byte': own['per_byte'] / other['per_byte'], 'speed': own['speed'] / other['speed']}
            lines.append({'link': mine, 'peer': peer, 'guest': mode, 'per_byte': own['per_byte'], 'peer_per_byte': other['per_byte'],
                          'cost_ratio': ratio['per_byte'], 'speed_ratio': ratio['speed']})
            for of, what, limit in limits:
                if of == peer and (ratio[what] > limit if what == 'per_byte' else ratio[what] < limit):
                    missed.append(f'{mode} beside {peer}: {what} {ratio[what]:.2f}, {"at most" if what == "per_byte" else "at least"} {limit}')
    unit = 'instructions' if args.where == 'lab' else 'ns'
    print(f'{title}, {args.mib} MiB by iperf3, {unit} a byte, all sides together, and ours / theirs')
    measure.table(('the guest', 'ours', 'peer', 'theirs', 'cost', 'speed'),
                  [(line['guest'], f"{line['per_byte']:.2f}", line['peer'], f"{line['peer_per_byte']:.2f}", f"{line['cost_ratio']:.2f}",
                    f"{line['speed_ratio']:.2f}") for line in lines])
    return lines, missed


def part_tap(bench, where, args, links):
    rows = measure_bytes(bench, where, args, links, ('tap', 'qemu_tap'))
    return judge(args, 'a tap', rows, (('qemu_tap', 'per_byte', COST_LIMIT), ('qemu_tap', 'speed', 1 - NOISE)))


def part_gateway(bench, where, args, links):
    rows = measure_bytes(bench, where, args, links, ('ours', 'qemu_user', 'passt'))
    return judge(args, 'the gateway', rows, (('qemu_user', 'speed', 1.0), ('passt', 'speed', 1 / PASST_LIMIT)))


def boot(bench, links, name):
    with getattr(links, name)() as (words, descriptors, _, _):
        append = GATEWAY_WORDS if name == 'ours' else ''
        return bench.busy(['-r'], bench.ours('--ready-fd', '{}', *words, append=append), descriptors)


def start_gateway(bench, links):
    near, far = socket.socketpair()
    with near, far:
        return bench.busy(['-r'], links.gateway_words(far.fileno(), '{}'), (far.fileno(),))


def part_boot(bench, where, args, links):
    """With our own initramfs, up to the agent's ready."""
    kinds = {'none': lambda: boot(bench, links, 'none'), 'tap': lambda: boot(bench, links, 'tap'),
             'ours': lambda: boot(bench, links, 'ours'), 'start': lambda: start_gateway(bench, links)}
    samples = {kind: [] for kind in kinds}
    for i in range(max(args.runs, 3) + measure.THROWN_AWAY):
        measure.progress(f'boot: run {i + 1}')
        for kind, sample in kinds.items():
            samples[kind].append(sample()[where.key] / 1e6)
    costs = {kind: measure.series(got) for kind, got in samples.items()}
    added = {kind: costs[kind]['median'] - costs['none']['median'] for kind in ('tap', 'ours')}
    print(f'a boot to the agent\'s ready, {where.unit}')
    measure.table(('', 'cost', 'added', 'spread'), [(what, f"{costs[kind]['median']:.2f}", f'{added[kind]:.2f}' if kind in added else '',
                                                     f"{costs[kind]['spread_percent']:.1f} %") for what, kind in (
        ('without a network', 'none'), ('with a tap', 'tap'), ('behind the gateway, addresses set', 'ours'),
        ('the gateway\'s own start', 'start'))])
    worst = max(added.values())
    if where.counted:
        print(f'  at most {BOOT_LIMIT} million more:', 'holds' if worst <= BOOT_LIMIT else 'does not hold')
    missed = [f'a network adds {worst:.2f} million'] if where.counted and worst > BOOT_TODAY else []
    return [{'kind': kind, **cost, 'added': added.get(kind)} for kind, cost in costs.items()], missed


def memory_kib(process):
    """What it alone has, and all that it has."""
    text = pathlib.Path(f'/proc/{process.pid}/smaps_rollup').read_text()
    return sum(int(n) for n in re.findall(r'^Private_\w+: +(\d+)', text, re.M))


def tell(links, server, guest):
    """Lets the server go on twice, and looks at the gateway meanwhile. Return: nanoseconds between the two, memory at each."""
    memory, said = [], []

    def follow():       # nobody else would tell the server that no more connections come
        guest.wait()
        server.kill()

    threading.Thread(target=follow, daemon=True).start()
    for _ in range(2):
        said = server.stdout.readline().split()
        if len(said) != 2:
            raise measure.Failure('the guest ends before its connections do')
        memory.append(links.gateway and memory_kib(links.gateway))
        server.stdin.write('\n')
        server.stdin.flush()
    return int(said[1]), memory


def connect(bench, args, links, name):
    """Return: (nanoseconds of nine tenths of the connections, the gateway's memory before any, after a tenth, after all)."""
    measure.progress(f'{name}: connections')
    links.gateway = None
    with subprocess.Popen([args.guest / 'net_peer', 'serve', str(PORT), str(args.connections)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as server, getattr(links, name)() as (words, descriptors, address, router):
        server.stdout.readline()
        before = links.gateway and memory_kib(links.gateway)
        command = machine(bench, name, words, address, router, f'mode=connect to={SERVER} amount={args.connections}')
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=descriptors) as guest:
            try:
                took, memory = tell(links, server, guest)
            finally:
                guest.kill()
    return took, [before, *memory]


def part_connections(bench, where, args, links):
    runs = {name: [connect(bench, args, links, name) for _ in range(args.runs)] for name in ('ours', 'qemu_user')}
    each = {name: statistics.median(ns for ns, _ in got) / (args.connections * 0.9) / 1e3 for name, got in runs.items()}
    before, early, late = runs['ours'][-1][1]
    ratio = each['ours'] / each['qemu_user']
    unit = 'thousand instructions' if where.counted else 'us'
    print(f'{args.connections} connections opened and closed, one after the other, {unit} each')
    measure.table(('ours', 'qemu_user', 'ratio'), [(f"{each['ours']:.1f}", f"{each['qemu_user']:.1f}", f'{ratio:.2f}')])
    print(f'  private memory of the gateway, KiB: {before} before, {early} after a tenth, {late} after all')
    missed = [f'the time of a connection is {ratio:.2f} of QEMU\'s, at most 1.0'] if ratio > 1 else []
    if late - early > GROWTH_LIMIT_KIB:
        missed.append(f'the gateway grew by {late - early} KiB, at most {GROWTH_LIMIT_KIB}')
    return [{'each': each, 'ratio': ratio, 'memory_kib': [before, early, late]}], missed


PARTS = {'boot': part_boot, 'tap': part_tap, 'gateway': part_gateway, 'connections': part_connections}


def add_to_json(path, args, where, rows, missed):
    """Each part is a run of its own: the rows of all stand in one file."""
    result = json.loads(path.read_text()) if path.exists() else {
        'bench': 'net', 'where': args.where, 'unit': where.unit, 'host_kernel': platform.release(), 'guest_kernel': args.kernel.name,
        'memory_mib': measure.MEMORY_MIB, 'vcpus': 1, 'mib': args.mib, 'connections': args.connections}
    measure.write_json(path, {**result, args.part: {'rows': rows, 'missed': missed}})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--guest', type=pathlib.Path, required=True)
    parser.add_argument('--part', choices=PARTS, required=True)
    parser.add_argument('--runs', type=int, default=1)
    parser.add_argument('--mib', type=int, default=32)
    parser.add_argument('--connections', type=int, default=1000)
    args = parser.parse_args()
    where = measure.Where(args.where == 'lab')
    set_up()
    bench = measure.Bench(args.build, args.kernel)
    try:
        if args.part != 'boot':
            bench.initramfs = bench.copy(args.guest / 'net.cpio', 'initramfs')
        rows, missed = PARTS[args.part](bench, where, args, Links(bench, args))
    finally:
        bench.remove()
    add_to_json(pathlib.Path(os.environ['LAB_OUT']) / 'net.json', args, where, rows, missed)
    if missed:
        raise measure.Failure('; '.join(missed))


if __name__ == '__main__':
    measure.run(main)
