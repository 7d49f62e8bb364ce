"""The gateway with a real guest: bulk, many connections, a machine that pauses."""
import hashlib
import subprocess
import time

import pytest
from sandboxes import small_image, user          # noqa: F401  pylint: disable=unused-import
from wire import ONE, SIX, wire                  # noqa: F401  pylint: disable=unused-import

SIZE = 24 << 20
# Port 80 sends, 81 says what it got, 82 echoes; at all addresses.
SERVERS = f'''
import hashlib, socket, threading
def send(c):
    for _ in range({SIZE} >> 20):
        c.sendall(bytes(range(256)) * 4096)
def count(c):
    h = hashlib.sha256()
    while d := c.recv(1 << 20):
        h.update(d)
    c.sendall(h.hexdigest().encode() + b'\\n')
def echo(c):
    while d := c.recv(1 << 16):
        c.sendall(d)
def one(c, what):
    with c:
        what(c)
def serve(port, what):
    s = socket.create_server(('::', port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=512)
    while True:
        threading.Thread(target=one, args=(s.accept()[0], what), daemon=True).start()
for port, what in ((80, send), (81, count), (82, echo)):
    threading.Thread(target=serve, args=(port, what)).start()
print('listens', flush=True)
'''
SENT = hashlib.sha256(bytes(range(256)) * 4096 * (SIZE >> 20)).hexdigest()


def servers(wire):                               # noqa: F811
    server = wire.serve('/usr/bin/python3', '-c', SERVERS, stdout=subprocess.PIPE)
    assert server.process.stdout.readline() == b'listens\n'
    return server


def sh(user, script):                            # noqa: F811
    return user.ok('exec', 'box', 'sh', '-c', script, timeout=300).split()


def test_bulk(user, wire):                       # noqa: F811
    with servers(wire):
        user.start('--name', 'box', '--net', 'public')
        for address in (ONE, SIX):
            assert sh(user, f'busybox nc {address} 80 </dev/null | sha256sum')[0] == SENT
            mine, theirs = sh(user, f'''head -c {SIZE} /dev/urandom >/tmp/f; sha256sum </tmp/f | cut -d" " -f1
                                        busybox nc {address} 81 </tmp/f''')
            assert mine == theirs


def test_many(user, wire):                       # noqa: F811
    with servers(wire):
        user.start('--name', 'box', '--net', 'public')
        # Thirty that are stalled both ways do not hold up two hundred others.
        said = sh(user, f'''for i in $(seq 30); do sleep 1000 | busybox nc {ONE} 80 | sleep 1000 & done
                            for i in $(seq 200); do echo $i | busybox nc {ONE} 82; done | sort -n | uniq | wc -l''')
        assert said == ['200']


@pytest.mark.long
def test_pause(user, wire):                      # noqa: F811
    with servers(wire):
        user.start('--name', 'box', '--net', 'public')
        busy = user.popen('exec', 'box', 'sh', '-c', f'(sleep 4; echo last) | busybox nc {ONE} 82; busybox nc {ONE} 80 </dev/null | sha256sum')
        time.sleep(2)
        user.ok('pause', 'box')
        time.sleep(30)
        user.ok('unpause', 'box')
        out = busy.communicate(timeout=200)[0].decode()
        assert out.split()[:2] == ['last', SENT], out
