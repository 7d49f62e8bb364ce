"""Three network namespaces in a user namespace, no root: a guest, the gateway, and the world behind it.

guest (eth0: a tap, its frames on the wire)  --  vmlet-net (g0, default route)  --  world (w0: 11.0.0.2, 2600:1::2)
"""
import ctypes
import fcntl
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

WORLD4, WORLD6, HOST4 = '11.0.0.2', '2600:1::2', '11.0.0.1'
GATEWAY4, GATEWAY6 = '10.0.2.2', 'fd00:0:0:2::2'
SKIP = 77
CLONE_NEWNET = 0x40000000
TUNSETIFF, TUNSETOFFLOAD, TUNSETVNETHDRSZ = 0x400454ca, 0x400454d0, 0x400454d8
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, TUN_F_CSUM = 2, 0x1000, 0x4000, 1


def enter():
    """Goes on as root of a user namespace, or ends the test as skipped."""
    if os.environ.get('NETNS_ENTERED'):
        return
    os.environ['NETNS_ENTERED'] = '1'
    if subprocess.call(['unshare', '-rn', 'sh', '-c', 'exec <>/dev/net/tun && ip link set lo up'], stderr=subprocess.DEVNULL):
        print('skipped: user namespaces or /dev/net/tun are not for this user')
        sys.exit(SKIP)
    os.execvp('unshare', ['unshare', '-rn', sys.executable, *sys.argv])


def new_netns():
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'unshare')
    run('ip link set lo up')


def run(*lines):
    for line in lines:
        subprocess.run(line.split(), check=True)


def fork(function, *args):
    """A child that runs the function; its exit status says whether it raised."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        signal.alarm(120)
        function(*args)
        status = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)


def thread(function, *args):
    threading.Thread(target=function, args=args, daemon=True).start()


def make_world(serve):
    """Namespace of the world, in which serve() starts its threads."""
    ready, told = os.pipe()
    linked, link = os.pipe()

    def world():
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        signal.alarm(0)
        new_netns()
        os.write(told, b'n')
        os.read(linked, 1)
        run(f'ip addr add {WORLD4}/24 dev w0', f'ip addr add {WORLD6}/64 dev w0 nodad', 'ip link set w0 up')
        serve()
        os.write(told, b's')
        signal.pause()

    pid = fork(world)
    os.read(ready, 1)
    run('ip link set lo up', f'ip link add g0 type veth peer name w0 netns {pid}', f'ip addr add {HOST4}/24 dev g0',
        'ip addr add 2600:1::1/64 dev g0 nodad', 'ip link set g0 up', f'ip route add default via {WORLD4}',
        f'ip -6 route add default via {WORLD6}')
    os.write(link, b'l')
    os.read(ready, 1)
    return pid


class Gateway:
    """A running vmlet-net, and the guest's end of its wire."""

    def __init__(self, program, policy, *options):
        self.folder = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.folder.name)
        self.control, self.events_file = folder / 'control', folder / 'events'
        (folder / 'policy').write_text(policy)
        self.wire, other = socket.socketpair()
        ready, told = os.pipe()
        self.process = subprocess.Popen(
            [program, f'--fd={other.fileno()}', f'--policy={folder}/policy', f'--control={self.control}',
             f'--events={self.events_file}', f'--ready-fd={told}', *options], pass_fds=[other.fileno(), told])
        other.close()
        os.close(told)
        assert os.read(ready, 8) == b'ready\n'
        os.close(ready)

    def ask(self, request):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(self.control))
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            return s.makefile().read()

    def stats(self):
        return json.loads(self.ask(b''))

    def events(self):
        return [json.loads(line) for line in self.events_file.read_text().splitlines()]

    def status(self, what):
        for line in pathlib.Path(f'/proc/{self.process.pid}/status').read_text().splitlines():
            if line.startswith(what + ':'):
                return int(line.split()[1])
        return None

    def memory(self):
        """KiB of its own, exact: those of /proc/PID/status are counted in batches of a quarter MiB."""
        for line in pathlib.Path(f'/proc/{self.process.pid}/smaps_rollup').read_text().splitlines():
            if line.startswith('Anonymous:'):
                return int(line.split()[1])
        return None

    def descriptors(self):
        return len(os.listdir(f'/proc/{self.process.pid}/fd'))

    def end(self):
        self.wire.close()
        status = self.process.wait(10)
        self.folder.cleanup()
        assert status == 0, f'vmlet-net ended with {status}'


def fill_checksum(frame):
    """The other end says DATA_VALID, which a tap does not know: the tap's kernel is asked to fill it in instead."""
    f = bytearray(frame)
    if f[24:26] == b'\x08\x00':
        proto, start, ends, length = f[35], 26 + (f[26] & 15) * 4, f[38:46], int.from_bytes(f[28:30], 'big') + 26
    else:
        proto, start, ends, length = f[32], 66, f[34:66], len(f)
    f[0] = 0
    if f[24:26] in (b'\x08\x00', b'\x86\xdd') and proto == 6:
        total = 6 + length - start + sum(struct.unpack(f'>{len(ends) // 2}H', ends))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        f[0] = 1
        struct.pack_into('<HH', f, 6, start - 12, 16)
        struct.pack_into('>H', f, start + 16, total)
    return f


def pump(tap, wire, paused):
    """Frames both ways between tap and wire."""
    def to_wire():
        while True:
            frame = os.read(tap, 70000)
            wire.sendall(struct.pack('>I', len(frame)) + frame)

    def to_tap():
        stream = wire.makefile('rb', 1 << 20)
        while True:
            paused.wait()
            head = stream.read(4)
            if len(head) < 4:
                os._exit(99)
            os.write(tap, fill_checksum(stream.read(int.from_bytes(head, 'big'))))

    thread(to_wire)
    thread(to_tap)


def make_guest(gateway):
    """The calling process is the guest from now on. Returns an event: while it is clear, the guest hears nothing."""
    new_netns()
    tap = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack('16sH22x', b'eth0', IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(tap, TUNSETVNETHDRSZ, struct.pack('i', 12))
    fcntl.ioctl(tap, TUNSETOFFLOAD, TUN_F_CSUM)
    pathlib.Path('/proc/sys/net/ipv6/conf/eth0/accept_ra').write_text('0')
    run('ip link set eth0 address 02:76:6d:6c:74:02 mtu 65520', 'ip addr add 10.0.2.15/24 dev eth0',
        'ip addr add fd00:0:0:2::15/64 dev eth0 nodad', 'ip link set eth0 up', f'ip route add default via {GATEWAY4}',
        f'ip -6 route add default via {GATEWAY6}')
    paused = threading.Event()
    paused.set()
    pump(tap, gateway.wire, paused)
    return paused


def in_guest(gateway, function, *args):
    """Runs the function in a guest behind the gateway; raises what it raised."""
    def guest():
        function(make_guest(gateway), *args)

    pid = fork(guest)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status == 0, f'{function.__name__}: the guest ended with {status}'
