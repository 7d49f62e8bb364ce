"""Two networks for the tests: a host's, in which this process is, and an Internet behind it that ends there.

The Internet's addresses are public ones: what is private or for examples is refused for that alone. Nothing leaves.
"""
import contextlib
import ctypes
import os
import pathlib
import subprocess
import tempfile
import time

import pytest

CLONE_NEWNS, CLONE_NEWNET, MS_REC, MS_PRIVATE, MS_BIND = 0x20000, 0x40000000, 0x4000, 0x40000, 0x1000
ONE, OTHER, SIX = '93.184.216.34', '93.184.216.35', '2606:2800:220:1::34'
PRIVATE, METADATA = '10.9.9.9', '169.254.169.254'
HOST = '192.168.77.1'
libc = ctypes.CDLL(None, use_errno=True)


def must(result):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def ip(*words):
    subprocess.run(['ip', *words], check=True)


class Server:
    """A program that listens, until the end of its block."""

    def __init__(self, *words, **how):
        self.process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, **how)

    def __enter__(self):
        return self

    def __exit__(self, *what):
        self.process.kill()
        self.process.communicate()


class Wire:
    def __init__(self, pid):
        self.pid = pid

    def words(self, *words):
        """A command in the Internet."""
        return ['nsenter', '-t', str(self.pid), '-n', *map(str, words)]

    def serve(self, *words, **how):
        return Server(*self.words(*words), **how)


def dnsmasq(*options):
    """The resolver of the host, at 127.0.0.1: options such as --address=/example.org/93.184.216.34"""
    return Server('/usr/sbin/dnsmasq', '--keep-in-foreground', '--no-resolv', '--no-hosts', '--conf-file=/dev/null', '--pid-file=',
                  '--listen-address=127.0.0.1', '--bind-interfaces', '--user=root', '--cache-size=0', '--local-ttl=5', *options)


def lay_out(pid):
    inside = Wire(pid).words
    ip('link', 'set', 'lo', 'up')
    ip('link', 'add', 'name', 'wire', 'type', 'veth', 'peer', 'name', 'wire', 'netns', str(pid))
    ip('address', 'add', f'{HOST}/24', 'dev', 'wire')
    ip('address', 'add', '2001:db8:77::1/64', 'dev', 'wire', 'nodad')
    ip('link', 'set', 'wire', 'up')
    for words in (['link', 'set', 'lo', 'up'], ['address', 'add', '192.168.77.2/24', 'dev', 'wire'],
                  ['address', 'add', '2001:db8:77::2/64', 'dev', 'wire', 'nodad'], ['link', 'set', 'wire', 'up'],
                  *(['address', 'add', address, 'dev', 'lo'] for address in (ONE, OTHER, SIX, PRIVATE, METADATA))):
        subprocess.run(inside('ip', *words), check=True)
    ip('route', 'add', 'default', 'via', '192.168.77.2')
    ip('-6', 'route', 'add', 'default', 'via', '2001:db8:77::2')


@contextlib.contextmanager
def namespaces():
    """This process and the children that it starts are on that host until the end."""
    with open('/proc/self/ns/net', 'rb') as net, open('/proc/self/ns/mnt', 'rb') as mnt, \
            tempfile.NamedTemporaryFile('w', prefix='vmlet-test-') as resolv, Server('unshare', '-n', 'sleep', 'infinity') as internet:
        where, pid = os.getcwd(), internet.process.pid
        resolv.write('nameserver 127.0.0.1\n')
        resolv.flush()
        while os.readlink(f'/proc/{pid}/ns/net') == os.readlink('/proc/self/ns/net'):
            time.sleep(0.01)
        must(libc.unshare(CLONE_NEWNET | CLONE_NEWNS))
        try:
            must(libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None))
            must(libc.mount(resolv.name.encode(), os.path.realpath('/etc/resolv.conf').encode(), None, MS_BIND, None))
            lay_out(pid)
            pathlib.Path('/proc/sys/net/ipv4/ping_group_range').write_text('0 2147483647', encoding='ascii')
            yield Wire(pid)
        finally:
            must(libc.setns(mnt.fileno(), CLONE_NEWNS))
            must(libc.setns(net.fileno(), CLONE_NEWNET))
            os.chdir(where)


@pytest.fixture
def wire():
    if os.geteuid():
        pytest.skip('network namespaces need root here')
    with namespaces() as made:
        yield made
