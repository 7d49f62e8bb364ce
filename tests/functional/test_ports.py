"""Ports of the host that lead into a sandbox as long as it runs."""
import os
import pathlib
import signal
import socket
import time

from sandboxes import small_image, user          # noqa: F401  pylint: disable=unused-import

HELLO = 'while :; do echo hello | busybox nc -l -p 80; done'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def ask(port, patience=60):
    """What is said there, once somebody listens in the guest."""
    end = time.monotonic() + patience
    while True:
        try:
            with socket.create_connection(('127.0.0.1', port)) as s:
                s.settimeout(patience)
                said = s.makefile().readline()
        except OSError:
            said = ''
        if said or time.monotonic() > end:
            return said
        time.sleep(0.2)


def forwarders(user):
    """Processes of this user that are neither a monitor nor a tool that we wait for."""
    found = []
    for folder in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if str(user.folder).encode() in (folder / 'environ').read_bytes() and b'/vmlet' in (folder / 'cmdline').read_bytes().split(b'\0')[0]:
                found.append(int(folder.name))
        except OSError:
            pass
    return found


def wait_none(user):
    end = time.monotonic() + 30
    while forwarders(user):
        assert time.monotonic() < end, 'a forwarder outlives its sandbox'
        time.sleep(0.1)


def test_publish(user):
    port = free_port()
    user.start('--name', 'box', '-p', f'{port}:80', command=('sh', '-c', HELLO))
    assert ask(port) == 'hello\n'
    # The port is taken: no second sandbox is left behind.
    assert 'cannot listen' in user.fails('run', '-d', '-m', '64M', '--disk', 'none', '-p', f'{port}:80', user.image, 'sleep', '1000')
    assert len(user.monitors()) == 1 and len(forwarders(user)) == 1
    assert ask(port) == 'hello\n'
    # It holds no lock of the sandbox, and none of its descriptors but the folder of sockets, a connection and its own.
    forwarder, = forwarders(user)
    opened = [os.readlink(f'/proc/{forwarder}/fd/{fd}') for fd in os.listdir(f'/proc/{forwarder}/fd')]
    assert not [name for name in opened if 'running' in name or 'lock' in name], opened
    user.ok('kill', 'box')
    wait_none(user)
    user.ok('start', 'box')                             # and again with it
    assert ask(port) == 'hello\n'
    os.kill(forwarders(user)[0], signal.SIGTERM)
    wait_none(user)
    assert user.state('box')['state'] == 'running'
    user.ok('rm', '-f', 'box')


def test_publish_rm(user):
    port = free_port()
    with user.popen('run', '--rm', '-m', '64M', '-p', f'127.0.0.1:{port}:80', user.image, 'sh', '-c', HELLO) as process:
        assert ask(port) == 'hello\n'
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    wait_none(user)
    for word, said in (('80', 'cannot listen'), ('x:80', 'write PORT'), ('0:80', 'say which port'), ('1:0', 'write PORT')):
        if word != '80' or os.geteuid():
            assert said in user.fails('run', '--rm', '-m', '64M', '-p', word, user.image, 'true')
    assert user.left() == [] and user.monitors() == []
