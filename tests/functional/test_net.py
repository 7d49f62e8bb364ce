"""virtio-net in real guests: over a tap device, over passt behind a stream socket, and what cannot be.

Everything happens in a network namespace of the test's own; nothing of the host's network is touched.
"""
import hashlib
import os
import shutil
import socket
import struct
import subprocess
import textwrap
import time

import pytest

from conftest import PATIENCE

MIB = 1 << 20
HOST, GUEST = '10.9.0.1', '10.9.0.2'

# A checksummed transfer, the same on both sides: send or receive so many bytes, listening or connecting.
BULK = textwrap.dedent('''
    import hashlib, socket, sys, threading
    what, where, port, n, streams = sys.argv[1:4] + [int(a) for a in sys.argv[4:]]
    if where == 'listen':
        s = socket.create_server(('', int(port)))
        print('listening', flush=True)
        conns = [s.accept()[0] for i in range(streams)]
    else:
        conns = [socket.create_connection((where, int(port)), 60) for i in range(streams)]
    block = hashlib.sha256(b'x').digest() * 2048
    sums = [None] * streams

    def send(c, left, digest):
        while left:
            part = block[:left]
            c.sendall(part)
            digest.update(part)
            left -= len(part)
        c.shutdown(socket.SHUT_WR)
        c.recv(1)

    def receive(c, left, digest):
        while data := c.recv(1 << 18):
            digest.update(data)
            left -= len(data)
        assert not left, left

    def move(i):
        with conns[i] as c:
            c.settimeout(100)
            digest = hashlib.sha256()
            (send if what == 'send' else receive)(c, n, digest)
            sums[i] = digest.hexdigest()

    threads = [threading.Thread(target=move, args=[i]) for i in range(streams)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    print(*sums)
    sys.exit(None in sums)
''')

# Echo requests of ICMP; the kernel of the other side answers.
PING = textwrap.dedent('''
    import os, socket, struct, sys
    where, size, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    s.settimeout(20)
    for i in range(n):
        data = os.urandom(size)
        packet = struct.pack('>BBHHH', 8, 0, 0, 7, i) + data
        total = sum(struct.unpack('>%dH' % (len(packet + b'x' * (size % 2)) // 2), packet + b'\\0' * (size % 2)))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        s.sendto(packet[:2] + struct.pack('>H', ~total & 0xffff) + packet[4:], (where, 0))
        while True:
            got = s.recv(65535)[20:]
            if got[0] == 0 and got[8:] == data:
                break
    print('answered')
''')


class Namespace:
    """A network namespace, with whatever `commands` make in it."""

    def __init__(self, *commands):
        self.user = [] if os.getuid() == 0 else ['--user', '--map-root-user']
        script = 'set -e; ' + '; '.join(('ip link set lo up', *commands)) + '; echo made; exec sleep 100000'
        self.process = subprocess.Popen(['unshare', *self.user, '--net', 'sh', '-c', script], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self.process.stdout.readline() != 'made\n':
            pytest.skip(f'no network namespace or tap device here: {self.process.stderr.read()}')

    def within(self, *words):
        user = ['--user', '--preserve-credentials'] if self.user else []
        return ['nsenter', '-t', str(self.process.pid), *user, '--net', '--', *[str(w) for w in words]]

    def run(self, *words):
        return subprocess.run(self.within(*words), check=True, stdout=subprocess.PIPE, text=True, timeout=PATIENCE).stdout

    def start(self, *words, **how):
        return subprocess.Popen(self.within(*words), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **how)

    def end(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def namespace():
    made = []

    def make(*commands):
        made.append(Namespace(*commands))
        return made[-1]

    yield make
    for one in made:
        one.end()


def tap(*words):
    return [f'ip tuntap add t0 mode tap {" ".join(words)}', f'ip addr add {HOST}/24 dev t0', 'ip link set t0 up']


@pytest.fixture
def net_vm(vm):
    """vm within a namespace."""
    plain = vm.command

    def use(namespace):
        vm.command = lambda *extra, **how: namespace.within(*plain(*extra, **how))
        return vm
    return use


def guest(vm, *argv, **how):
    status, out, err = vm.exec(argv, **how)
    assert status == 0, err.decode(errors='replace')
    return out.decode()


def set_address(vm, address=GUEST, gateway=HOST):
    guest(vm, 'sh', '-c', f'ip addr add {address}/24 dev eth0 && ip link set eth0 up && ip route add default via {gateway}')


def bulk(vm, ns, what, n, streams=1, where=HOST):
    """The guest sends or receives, the host's side listens."""
    other = {'send': 'receive', 'receive': 'send'}[what]
    host = ns.start('/usr/bin/python3', '-c', BULK, other, 'listen', '7000', n, streams)
    assert host.stdout.readline() == 'listening\n'
    sums = guest(vm, 'python3', '-c', BULK, what, where, '7000', str(n), str(streams))
    out, _ = host.communicate(timeout=PATIENCE)
    assert out == sums and len(sums.split()) == streams
    return sums


def stats(vm):
    vm.stop()
    return vm.json('stats')['devices']['net0']


def test_a_tap(namespace, net_vm):
    ns = namespace(*tap())
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0,mac=02:00:00:00:00:77', '--stats', vm.folder / 'stats')
    set_address(vm)
    assert guest(vm, 'cat', '/sys/class/net/eth0/address', '/sys/class/net/eth0/mtu').split() == ['02:00:00:00:00:77', '1500']
    assert 'answered' in guest(vm, 'python3', '-c', PING, HOST, '56', '5')
    assert 'answered' in guest(vm, 'python3', '-c', PING, HOST, '20000', '5')  # fragments
    bulk(vm, ns, 'send', 32 * MIB)
    bulk(vm, ns, 'receive', 32 * MIB)
    net = stats(vm)
    assert net['guest_errors'] == net['tx_dropped'] == net['rx_dropped'] == net['link_downs'] == 0
    # Segments are cut by whoever is last: far fewer frames than 64 MiB in pieces of 1500 bytes, and their acknowledgements.
    assert net['tx_bytes'] > 32 * MIB and net['tx_packets'] < 12000
    assert net['rx_bytes'] > 32 * MIB and net['rx_packets'] < 12000


def test_several_queues(namespace, net_vm):
    ns = namespace(*tap('multi_queue'))
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0,queues=2', '--stats', vm.folder / 'stats', cpus=2)
    set_address(vm)
    assert sorted(guest(vm, 'ls', '/sys/class/net/eth0/queues').split()) == ['rx-0', 'rx-1', 'tx-0', 'tx-1']
    bulk(vm, ns, 'send', 4 * MIB, streams=6)
    bulk(vm, ns, 'receive', 4 * MIB, streams=6)
    net = stats(vm)
    assert net['guest_errors'] == net['tx_dropped'] == net['link_downs'] == 0
    assert net['tx_bytes'] > 24 * MIB and net['rx_bytes'] > 24 * MIB


def test_one_queue_of_a_tap_for_several(namespace, net_vm):
    ns = namespace(*tap('multi_queue'))
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0')
    set_address(vm)
    bulk(vm, ns, 'receive', MIB)


def test_mtu(namespace, net_vm):
    ns = namespace(*tap(), 'ip link set t0 mtu 9000')
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0', '--stats', vm.folder / 'stats')
    set_address(vm)
    assert guest(vm, 'cat', '/sys/class/net/eth0/mtu') == '9000\n'
    assert 'answered' in guest(vm, 'python3', '-c', PING, HOST, '8972', '3')
    guest(vm, 'sh', '-c', 'ip link set eth0 mtu 1400; ! ip link set eth0 mtu 9001 2>/dev/null')
    bulk(vm, ns, 'send', MIB)
    assert stats(vm)['rx_dropped'] == 0


def test_an_interface_that_is_down_and_up(namespace, net_vm):
    ns = namespace(*tap())
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0')
    set_address(vm)
    ns.run('ip', 'link', 'set', 't0', 'down')
    assert vm.exec(['python3', '-c', PING.replace('settimeout(20)', 'settimeout(1)'), HOST, '56', '1'])[0] == 1
    ns.run('ip', 'link', 'set', 't0', 'up')
    bulk(vm, ns, 'receive', MIB)
    assert guest(vm, 'cat', '/sys/class/net/eth0/carrier') == '1\n'


def carrier_goes(vm):
    end = time.monotonic() + PATIENCE
    while guest(vm, 'cat', '/sys/class/net/eth0/carrier') != '0\n':
        assert time.monotonic() < end
        time.sleep(0.1)


def test_a_tap_that_is_removed(namespace, net_vm):
    ns = namespace(*tap())
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0', '--stats', vm.folder / 'stats')
    set_address(vm)
    ns.run('ip', 'link', 'del', 't0')
    carrier_goes(vm)
    assert stats(vm)['link_downs'] == 1


def test_rates(namespace, net_vm):
    ns = namespace(*tap())
    vm = net_vm(ns)
    vm.boot('--net', 'tap=t0,bw=2M', '--stats', vm.folder / 'stats')
    set_address(vm)
    for what in 'send', 'receive':
        began = time.monotonic()
        bulk(vm, ns, what, 6 * MIB)
        assert time.monotonic() - began > 1.8  # a second's worth at once, the rest by the second
    net = stats(vm)
    assert net['rx_throttled'] and net['tx_throttled'] and net['guest_errors'] == 0


class Peer:
    """The other end of a stream: frames after their length."""

    def __init__(self, conn):
        self.conn = conn
        conn.settimeout(PATIENCE)

    def get(self):
        def exactly(n):
            data = b''
            while len(data) < n:
                part = self.conn.recv(n - len(data))
                assert part
                data += part
            return data
        return exactly(struct.unpack('>I', exactly(4))[0])

    def put(self, frame):
        self.conn.sendall(struct.pack('>I', len(frame)) + frame)


def arp(frame):
    """Answers a request of the guest, or returns None."""
    if frame[12:14] != b'\x08\x06' or frame[20:22] != b'\0\1':
        return None
    ours = b'\x02\0\0\0\0\x01'
    return frame[6:12] + ours + frame[12:20] + b'\0\2' + ours + frame[38:42] + frame[22:32]


def echo(frame):
    """Sends a datagram back where it came from: addresses and ports change places, so checksums stay right."""
    if frame[12:14] != b'\x08\0' or frame[23] != 17:
        return None
    return frame[6:12] + frame[:6] + frame[12:26] + frame[30:34] + frame[26:30] + frame[36:38] + frame[34:36] + frame[38:]


UDP = textwrap.dedent('''
    import os, socket, sys
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(30)
    for size in [0, 1, 100, 1472, 20000, 60000][:int(sys.argv[2])]:
        data = os.urandom(size)
        s.sendto(data, (sys.argv[1], 7))
        assert s.recv(65535) == data, size
    print('echoed')
''')


@pytest.mark.parametrize('words, sizes', [('', 4), (',mtu=65520', 6)])
def test_a_stream_by_descriptor(vm, words, sizes):
    ours, theirs = socket.socketpair()
    plain = subprocess.Popen
    with theirs:
        def popen(*args, pass_fds=(), **how):
            return plain(*args, pass_fds=[*pass_fds, theirs.fileno()], **how)
        subprocess.Popen = popen
        try:
            vm.boot('--net', f'fd={theirs.fileno()}{words}', '--stats', vm.folder / 'stats')
        finally:
            subprocess.Popen = plain
    peer = Peer(ours)
    set_address(vm)
    udp = subprocess.Popen([vm.build / 'bin/vmlet', 'exec', vm.vsock_path, '--', 'python3', '-c', UDP, HOST, str(sizes)],
                           stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    echoed = 0
    while echoed < sizes:
        frame = peer.get()
        answer = arp(frame) or echo(frame)
        if answer:
            echoed += answer[12:14] == b'\x08\0'
            peer.put(answer)
    assert udp.communicate(timeout=PATIENCE)[0] == b'echoed\n'
    # Frames at a time, cut anywhere.
    ours.close()
    carrier_goes(vm)
    net = stats(vm)
    assert net['link_downs'] == 1 and net['guest_errors'] == net['rx_dropped'] == 0


def test_garbage_ends_the_link(vm):
    path = vm.folder / 'stream'
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen(1)
        vm.boot('--net', f'stream={path}', '--stats', vm.folder / 'stats')
        conn = server.accept()[0]
    guest(vm, 'ip', 'link', 'set', 'eth0', 'up')
    conn.sendall(b'\xff' * 100000)
    carrier_goes(vm)
    conn.close()
    assert stats(vm)['link_downs'] == 1


@pytest.mark.skipif(not shutil.which('passt'), reason='passt is not installed')
def test_behind_passt(namespace, net_vm):
    """Debian's, unchanged: the guest reaches a server of the host's loopback by its gateway's address."""
    ns = namespace('ip link add d0 type dummy', 'ip addr add 192.0.2.7/24 dev d0', 'ip link set d0 up',
                   'ip route add default via 192.0.2.1')
    vm = net_vm(ns)
    path = vm.folder / 'passt'
    user = ['--runas', '0'] if os.getuid() == 0 else []
    log = open(vm.folder / 'passt.log', 'w')
    passt = ns.start('passt', '--foreground', *user, '--socket', path, '-t', 'none', '-u', 'none', stderr=log)
    try:
        end = time.monotonic() + PATIENCE
        while not path.exists():
            assert passt.poll() is None and time.monotonic() < end, (vm.folder / 'passt.log').read_text()
            time.sleep(0.05)
        vm.boot('--net', f'stream={path},mtu=65520', '--stats', vm.folder / 'stats')
        set_address(vm, '192.0.2.7', '192.0.2.1')
        bulk(vm, ns, 'send', 16 * MIB, where='192.0.2.1')
        bulk(vm, ns, 'receive', 16 * MIB, where='192.0.2.1')
        net = stats(vm)
        assert net['guest_errors'] == net['rx_dropped'] == net['tx_dropped'] == 0
    finally:
        passt.kill()
        passt.communicate()
        log.close()


def test_what_cannot_be(namespace, net_vm):
    ns = namespace(*tap(), 'ip link add d0 type dummy', 'ip tuntap add u0 mode tun')
    vm = net_vm(ns)
    held = subprocess.Popen(vm.command('--net', 'tap=t0', '--control', vm.folder / 'control'), stdin=subprocess.DEVNULL,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=vm.folder)
    try:
        end = time.monotonic() + PATIENCE
        while 'LOWER_UP' not in ns.run('ip', 'link', 'show', 't0'):
            assert held.poll() is None and time.monotonic() < end
            time.sleep(0.05)
        rows = [('tap=t1', "there is no tap 't1'"), ('tap=t0', "tap 't0' is in use"), ('tap=d0', 'is not a tap device'),
                ('tap=u0', 'is not a tap device'), ('stream=/nowhere', 'nobody listens'), ('fd=99', 'descriptor 99 is not open'),
                ('tapfd=0', 'is not a tap device'), ('fd=0', 'is not a stream socket'),
                ('tap=t0,queues=2', "'t0'")]
        for spec, words in rows:
            status, _, err = vm.run('--net', spec, vsock=False)
            assert status in (2, 3) and words in err and err.count('\n') == 1, (spec, status, err)
    finally:
        held.kill()
        held.communicate()
