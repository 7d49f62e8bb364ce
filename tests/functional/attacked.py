"""A sandbox with an attacker in it, on the Internet of wire.py with real servers, and all that gets out of it."""
import contextlib
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

import pytest
from conftest import ROOT
from sandboxes import User
from wire import ONE, dnsmasq, namespaces

NAME = 'one.example.org'
# Every packet that comes in, a line each.
SNIFF = '''
import socket, struct
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
s.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)
s.bind(('wire', 0))
print('ready', flush=True)
while True:
    data, where = s.recvfrom(65536)
    if where[2] == 4:
        continue
    if where[1] == 0x800:
        proto, at, dst = data[23], 14 + 4 * (data[14] & 15), socket.inet_ntop(socket.AF_INET, data[30:34])
    elif where[1] == 0x86dd:
        proto, at, dst = data[20], 54, socket.inet_ntop(socket.AF_INET6, data[38:54])
    else:
        continue
    port = struct.unpack('>H', data[at + 2:at + 4])[0] if proto in (6, 17) else 0
    print({1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp6'}.get(proto, proto), dst, port, data[at + 8:at + 14].hex() if proto == 17 else len(data), flush=True)
'''
# UDP 53, 443, 9999: the same back, from the address that was asked. TCP 7001: hello.
SERVE = '''
import resource, socket, socketserver, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (65536, 65536))
threading.stack_size(256 << 10)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size, address_family = True, True, 1024, socket.AF_INET6
def tcp(port, function):
    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            try:
                function(self.request)
            except OSError:
                pass
    threading.Thread(target=Server(('::', port), Handler).serve_forever).start()
def udp(address, port):
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.bind((address, port))
    while True:
        data, who = s.recvfrom(65536)
        s.sendto(data, who)
tcp(7001, lambda c: c.sendall(b'hello\\n'))
for port in (53, 443, 9999):
    for address in ('::ffff:93.184.216.34', '::ffff:93.184.216.35', '2606:2800:220:1::34'):
        threading.Thread(target=udp, args=(address, port)).start()
print('ready', flush=True)
'''
NGINX = '''
daemon off; master_process off; user root; pid {0}/pid; error_log {0}/error; worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {0}/a; proxy_temp_path {0}/b; fastcgi_temp_path {0}/c; uwsgi_temp_path {0}/d; scgi_temp_path {0}/e;
  server {{ listen 80; listen [::]:80; listen 443 ssl; listen [::]:443 ssl; ssl_certificate {0}/cert; ssl_certificate_key {0}/key;
    location / {{ default_type text/plain; return 200 "page of $host"; }} }} }}
'''


def ready(server):
    assert server.process.stdout.readline() == b'ready\n'
    return server


class Attacked:
    """The sandbox, by name "box"."""

    def __init__(self, user, wire, authority, folder):
        self.user, self.wire, self.authority, self.folder = user, wire, authority, folder
        self.guest = self.last = None

    def start(self):
        words = '--name', 'box', '-m', '192M', '--disk', 'none', '--net', 'deny'
        self.user.ok('run', '-d', *words, self.user.image)
        self.enter()

    def enter(self):
        self.guest = self.user.popen('exec', '-i', 'box', 'python3', '-u', '-c', (ROOT / 'tests/functional/attacker.py').read_text(),
                                     stdin=subprocess.PIPE)
        assert self.answer() == 'ready'

    def begin(self, what, *how):
        self.guest.stdin.write(json.dumps([what, *how]).encode() + b'\n')

    def answer(self):
        line = self.guest.line()
        if not line:
            self.guest.kill()
            pytest.fail(f'the attacker gave no answer: {self.guest.stderr.read()}')
        return json.loads(line)

    def __call__(self, what, *how):
        self.begin(what, *how)
        return self.answer()

    def policy(self, *options):
        self.user.ok('net', 'set', 'box', *options)
        lines = self.lines()
        self.last = lines[-1] if lines else None

    def lines(self):
        return self.user.ok('net', 'log', '--json', 'box').splitlines()

    def said(self):
        """The verdicts since this policy, as (protocol, name, address, port, verdict, rule)."""
        lines = self.lines()
        if self.last in lines:
            lines = lines[len(lines) - lines[::-1].index(self.last):]
        events = [json.loads(line) for line in lines]
        return {(e['proto'], e['name'], e['address'], e['port'], e['verdict'], e['rule']) for e in events}

    def gateway(self):
        """The process id."""
        found = [p for p in pathlib.Path('/proc').glob('[0-9]*') if (p / 'comm').exists() and
                 (p / 'comm').read_text() == 'vmlet-net\n' and str(self.user.folder).encode() in (p / 'environ').read_bytes()]
        assert len(found) == 1, found
        return int(found[0].name)

    def anonymous(self):
        """KiB of memory that the gateway has of its own."""
        status = pathlib.Path(f'/proc/{self.gateway()}/status').read_text()
        return int(status.partition('RssAnon:')[2].split()[0])

    def is_well(self):
        """The gateway still does what it is for."""
        return self('talk', ONE, 7001, '')

    def sent(self):
        """Everything that arrived in the Internet since the last call: 'udp 93.184.216.34 9999 first-bytes'."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b'marked', (ONE, 4))
        lines = []
        while f'udp {ONE} 4 ' not in (line := self.sniffer.process.stdout.readline().decode()):
            lines.append(line.strip())
        return lines


@contextlib.contextmanager
def names(*options):
    """The host's resolver, when it listens."""
    with dnsmasq(*options) as server:
        while '0100007F:0035' not in pathlib.Path('/proc/thread-self/net/udp').read_text():
            assert server.process.poll() is None
            time.sleep(0.02)
        yield server


@contextlib.contextmanager
def servers(wire, folder):
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', folder / 'key',
                    '-out', folder / 'cert', '-days', '3650', '-subj', f'/CN={NAME}', '-addext', f'subjectAltName=DNS:{NAME},DNS:chain.example.org'],
                   check=True, stderr=subprocess.DEVNULL)
    (folder / 'conf').write_text(NGINX.format(folder))
    with wire.serve('/usr/sbin/nginx', '-c', folder / 'conf', '-e', folder / 'error'), \
            ready(wire.serve('/usr/bin/python3', '-c', SERVE, stdout=subprocess.PIPE)), \
            ready(wire.serve('/usr/bin/python3', '-c', SNIFF, stdout=subprocess.PIPE)) as sniffer:
        yield sniffer


@pytest.fixture(scope='module')
def box(build, kernel, image):
    for program in ('/usr/sbin/nginx', '/usr/sbin/dnsmasq', '/usr/bin/openssl'):
        if not pathlib.Path(program).exists():
            pytest.skip(f'{program} is missing')
    folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-'))
    with namespaces() as wire, servers(wire, folder) as sniffer:
        user = User(build, kernel, image)
        made = Attacked(user, wire, (folder / 'cert').read_text(), folder)
        made.sniffer = sniffer
        try:
            made.start()
            yield made
        finally:
            if made.guest:
                made.guest.kill()
                made.guest.communicate()
            user.end()
            shutil.rmtree(folder)

