"""What bench/vsock runs where KVM works: one guest with tests/functional/vsock_guest.py in it, and a client.

The threads of the monitor are measured apart: the loop thread carries the bytes; a vCPU's time is the guest's and KVM's.
"""
import argparse
import os
import pathlib
import platform
import select
import socket
import subprocess
import time

import measure

PORT = 5000
PATIENCE = 120
TRIPS = 200
SERVER = measure.ROOT / 'tests/functional/vsock_guest.py'
COLUMNS = ('loop', 'vcpu', 'elapsed')


class Guest:
    def __init__(self, bench, vmlet):
        self.socket = bench.folder / 'vsock'
        ready, told = os.pipe()
        self.process = subprocess.Popen(bench.ours('--ready-fd', told, '--memory', '256M'), pass_fds=[told],
                                        stdin=subprocess.DEVNULL)
        os.close(told)
        with open(ready, 'rb', buffering=0) as pipe:
            if pipe.read(6) != b'ready\n':
                raise measure.Failure('the guest did not become ready')
        self.server = subprocess.Popen([vmlet, 'exec', self.socket, '--', 'python3', '-c', SERVER.read_text(), str(PORT)],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        if not select.select([self.server.stdout], [], [], PATIENCE)[0] or not self.server.stdout.readline():
            raise measure.Failure("the guest's server does not start")

    def ask(self, what):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        s.settimeout(PATIENCE)
        s.connect(str(self.socket))
        s.sendall(f'CONNECT {PORT}\n'.encode())
        answer = b''
        while not answer.endswith(b'\n'):
            answer += s.recv(1) or b'\n'
        if not answer.startswith(b'OK '):
            raise measure.Failure('the guest refused')
        s.sendall(what.encode() + b'\n')
        return s

    def spent(self):
        """Nanoseconds that each kind of thread ran so far; instructions where these are counted."""
        spent = {'loop': 0, 'vcpu': 0, 'elapsed': time.monotonic_ns()}
        for task in pathlib.Path(f'/proc/{self.process.pid}/task').iterdir():
            if int(task.name) == self.process.pid:
                kind = 'loop'
            else:
                kind = 'vcpu' if (task / 'comm').read_text().startswith('vcpu') else None
            if kind:
                spent[kind] += int((task / 'schedstat').read_text().split()[0])
        return spent

    def measure(self, run, units):
        """Costs of one unit of what @run does, in thousands."""
        before = self.spent()
        run()
        return {kind: (ns - before[kind]) / 1000 / units for kind, ns in self.spent().items()}

    def end(self):
        for process in (self.server, self.process):
            process.kill()
            process.communicate()


def to_guest(guest, n):
    with guest.ask(f'drop {n}') as s:
        piece, left = memoryview(bytes(1 << 18)), n
        while left:
            s.sendall(piece[:left])
            left -= min(left, len(piece))
        if s.recv(64) != b'0 0\n':
            raise measure.Failure('bytes were lost')


def from_guest(guest, n):
    with guest.ask(f'source {n}') as s:
        room, left = bytearray(1 << 18), n
        while got := s.recv_into(room):
            left -= got
        if left:
            raise measure.Failure('bytes were lost')


def trips(guest, s):
    for _ in range(TRIPS):
        s.send(b'x')
        s.recv(1)


def measure_all(guest, runs, mib):
    n = mib << 20
    samples = {'to the guest, a MiB': [], 'from the guest, a MiB': [], 'there and back, a byte': [], 'connect and close': []}
    with guest.ask('echo') as s:
        for _ in range(runs + measure.THROWN_AWAY):
            samples['to the guest, a MiB'].append(guest.measure(lambda: to_guest(guest, n), mib))
            samples['from the guest, a MiB'].append(guest.measure(lambda: from_guest(guest, n), mib))
            samples['there and back, a byte'].append(guest.measure(lambda: trips(guest, s), TRIPS))
            samples['connect and close'].append(guest.measure(lambda: [from_guest(guest, 0) for _ in range(20)], 20))
    return {what: {kind: measure.series([sample[kind] for sample in got]) for kind in COLUMNS}
            for what, got in samples.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--where', choices=('host', 'lab'), required=True)
    parser.add_argument('--build', type=pathlib.Path, required=True)
    parser.add_argument('--kernel', type=pathlib.Path, required=True)
    parser.add_argument('--image', type=pathlib.Path, required=True)
    parser.add_argument('--runs', type=int, default=4)
    parser.add_argument('--mib', type=int, default=32)
    args = parser.parse_args()
    unit = 'thousand instructions' if args.where == 'lab' else 'us'
    # The image stays where it is: it is big, and only read before the measurement.
    bench = measure.Bench(args.build, args.kernel)
    bench.image = args.image
    guest = None
    try:
        guest = Guest(bench, args.build / 'bin/vmlet')
        result = measure_all(guest, args.runs, args.mib)
    finally:
        if guest:
            guest.end()
        bench.remove()
    print(f'vsock, 1 vCPU, {unit}, medians of {args.runs}; elapsed time holds the client and all waits')
    measure.table(('', 'loop thread', 'vCPU', 'elapsed', 'spread of loop'),
                  [(what, *(f'{row[kind]["median"]:.1f}' for kind in COLUMNS), f'{row["loop"]["spread_percent"]:.1f} %')
                   for what, row in result.items()])
    measure.write_json(pathlib.Path(os.environ['LAB_OUT']) / 'vsock.json',
                       {'bench': 'vsock', 'where': args.where, 'unit': unit, 'host_kernel': platform.release(),
                        'guest_kernel': args.kernel.name, 'mib': args.mib, 'costs': result})


if __name__ == '__main__':
    measure.run(main)
