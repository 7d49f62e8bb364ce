"""What a sandbox reaches: the tool, the gateway and a guest, with real servers on an Internet of the test's own."""
import json
import os
import pathlib
import socket

from sandboxes import small_image, user          # noqa: F401  pylint: disable=unused-import
from wire import HOST, METADATA, ONE, OTHER, PRIVATE, SIX, dnsmasq, wire          # noqa: F401  pylint: disable=unused-import

NAMES = [f'--address=/{name}/{address}' for name, address in (
    ('one.example.org', ONE), ('other.example.org', OTHER), ('six.example.org', SIX), ('inside.example.org', PRIVATE),
    ('meta.example.org', METADATA), ('here.example.org', HOST), ('loop.example.org', '127.0.0.1'))]
# Says hello to whoever connects, to any of its addresses.
HELLO = '''
import socket, threading
def serve(port):
    s = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=64)
    while True:
        c, _ = s.accept()
        c.sendall(b'hello\\n')
        c.close()
for port in (80, 443, 5432):
    threading.Thread(target=serve, args=(port,)).start()
print('listens', flush=True)
'''


def hello(wire):                                 # noqa: F811
    import subprocess
    server = wire.serve('/usr/bin/python3', '-c', HELLO, stdout=subprocess.PIPE)
    assert server.process.stdout.readline() == b'listens\n'
    return server


def fetch(user, box, address, port=80):          # noqa: F811
    """What a server says to the guest; '' when it is not reached."""
    return user('exec', box, 'busybox', 'nc', '-w', '20', address, str(port), timeout=120)[1]


def test_none_by_default(user, wire):            # noqa: F811
    with hello(wire):
        user.start('--name', 'box')
        assert user.ok('exec', 'box', 'ls', '/sys/class/net').split() == ['lo']
        assert fetch(user, 'box', ONE) == ''
        assert 'has no network' in user.fails('net', 'log', 'box')
        assert user.state('box')['network'] is None


def test_rules(user, wire):                      # noqa: F811
    with hello(wire), dnsmasq(*NAMES):
        user.start('--name', 'box', '--allow', 'one.example.org:80', '--allow', f'{PRIVATE}:5432', '--deny', OTHER)
        assert fetch(user, 'box', 'one.example.org') == 'hello\n'
        assert fetch(user, 'box', ONE) == 'hello\n'                         # it was just resolved to that
        assert fetch(user, 'box', 'one.example.org', 443) == ''             # not that port
        assert fetch(user, 'box', 'other.example.org') == ''                # not that name
        assert fetch(user, 'box', OTHER) == '' and fetch(user, 'box', PRIVATE) == '' and fetch(user, 'box', METADATA) == ''
        assert fetch(user, 'box', PRIVATE, 5432) == 'hello\n'
        events = [json.loads(line) for line in user.ok('net', 'log', '--json', 'box').splitlines()]
        said = {(e['proto'], e['name'], e['address'], e['port'], e['verdict'], e['rule']) for e in events}
        assert ('tcp', 'one.example.org', ONE, 80, 'allow', 'allow one.example.org:80') in said, events
        assert any(e[:2] == ('dns', 'other.example.org') and e[4] == 'deny' for e in said), events
        assert ('tcp', None, METADATA, 80, 'deny', 'mode allow') in said, events
        table = user.ok('net', 'log', '-n', '2', 'box')
        assert table.startswith('TIME') and table.count('\n') == 3
        assert 'allow one.example.org:80' in user.ok('net', 'explain', 'box', 'http://one.example.org/')
        assert user.ok('net', 'show', 'box') == user.state('box')['network']
        # Another policy, while it runs and for its next start.
        user.ok('net', 'set', 'box', '--net', 'deny')
        assert fetch(user, 'box', ONE) == '' and fetch(user, 'box', 'one.example.org') == ''
        user.ok('kill', 'box')
        user.ok('start', 'box')
        assert fetch(user, 'box', ONE) == ''
        user.ok('net', 'set', 'box', '--allow', OTHER)
        assert fetch(user, 'box', OTHER) == 'hello\n' and fetch(user, 'box', ONE) == ''


def test_public(user, wire):                     # noqa: F811
    with hello(wire), dnsmasq(*NAMES):
        user.start('--name', 'box', '--net', 'public')
        assert fetch(user, 'box', 'one.example.org') == 'hello\n' and fetch(user, 'box', OTHER, 443) == 'hello\n'
        assert fetch(user, 'box', 'six.example.org') == 'hello\n'
        for name in ('inside', 'meta', 'here', 'loop'):
            assert fetch(user, 'box', f'{name}.example.org') == ''
        for address in (PRIVATE, METADATA, HOST, '10.0.2.2', f'::ffff:{PRIVATE}'):
            assert fetch(user, 'box', address) == ''
        assert user('exec', 'box', 'busybox', 'ping', '-c', '1', '-W', '20', ONE)[0] == 0
        assert user('exec', 'box', 'busybox', 'ping', '-c', '1', '-W', '3', PRIVATE)[0] == 1


def test_publish(user, wire):                    # noqa: F811
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
        s.listen()
        assert 'in use' in user.fails('run', '--rm', '--net', 'deny', '-m', '64M', '-p', f'{port}:80', user.image, 'true')
    assert user.left() == [] and user.monitors() == []
    user.start('--name', 'box', '--net', 'deny', '-p', f'{port}:80', command=('sh', '-c', 'while :; do echo hello | busybox nc -l -p 80; done'))
    from test_ports import ask
    assert ask(port) == 'hello\n'


def test_gateway_that_dies(user, wire):                                   # noqa: F811
    """Its network is gone, and nothing else; the next start has one again."""
    with hello(wire):
        user.start('--name', 'box', '--allow', ONE)
        assert fetch(user, 'box', ONE) == 'hello\n'
        folder = user.state('box')['folder'].encode()
        gateway, = [int(p.parent.name) for p in pathlib.Path('/proc').glob('[0-9]*/cmdline')
                    if b'vmlet-net' in (words := read(p)) and folder in words]
        os.kill(gateway, 9)
        assert fetch(user, 'box', ONE) == ''
        assert 'has ended, and its network' in user.fails('net', 'set', 'box', '--allow', OTHER)
        assert user.ok('exec', 'box', 'echo', 'here') == 'here\n'
        user.ok('stop', 'box')
        user.ok('start', 'box')
        assert fetch(user, 'box', OTHER) == 'hello\n' and fetch(user, 'box', ONE) == ''
        user.ok('rm', '-f', 'box')
        assert user.left() == []


def read(path):
    try:
        return path.read_bytes()
    except OSError:
        return b''


def test_mistakes(user):                         # noqa: F811
    run = 'run', '--rm', '-m', '64M'
    assert 'did you mean public?' in user.fails(*run, '--net', 'pubic', user.image, 'true')
    assert '--deny alone' in user.fails(*run, '--deny', 'example.org', user.image, 'true')
    assert '70000' in user.fails(*run, '--allow', 'example.org:70000', user.image, 'true')
    assert 'UDP needs a network' in user.fails(*run, '-p', '5000:50/udp', user.image, 'true')
    assert 'did you mean explain?' in user.fails('net', 'explian', 'box')
    assert user.left() == []
