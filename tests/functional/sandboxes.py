"""Sandboxes for the tests: a user of vmlet with folders of his own, and a small image."""
import json
import os
import pathlib
import select
import shutil
import subprocess
import tempfile
import time

import pytest

PATIENCE = 120
APPLETS = ('sh', 'cat', 'echo', 'sleep', 'true', 'false', 'touch', 'ls', 'kill', 'hostname', 'sync', 'dd', 'head', 'yes', 'seq',
           'nproc', 'wc', 'awk', 'tr', 'id', 'pwd', 'env', 'grep', 'mount', 'df', 'test', 'rm', 'date', 'stty', 'tty')


class Process(subprocess.Popen):
    """One that does not outlive its block, whatever a test met in it."""

    def line(self, timeout=PATIENCE):
        """The next one of its output, which is unbuffered."""
        line = b''
        while not line.endswith(b'\n') and select.select([self.stdout], [], [], timeout)[0]:
            byte = self.stdout.read(1)
            if not byte:
                break
            line += byte
        return line

    def __exit__(self, *what):
        self.kill()
        super().__exit__(*what)


class User:
    """Runs the tool with folders of its own. Everything is ended and removed by end()."""

    def __init__(self, build, kernel, image):
        self.build, self.kernel, self.image = build, kernel, image
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-'))
        self.run_folder, self.data = self.folder / 'run/vmlet', self.folder / 'data/vmlet'
        (self.folder / 'run').mkdir(mode=0o700)
        self.env = {**os.environ, 'HOME': str(self.folder), 'XDG_RUNTIME_DIR': str(self.folder / 'run'),
                    'XDG_DATA_HOME': str(self.folder / 'data'), 'XDG_CACHE_HOME': str(self.folder / 'cache'),
                    'XDG_CONFIG_HOME': str(self.folder / 'config'), 'VMLET_KERNEL': str(kernel / 'vmlinux')}
        self.env.pop('VMLET_CACHE', None)

    def words(self, *words):
        return [str(w) for w in (self.build / 'bin/vmlet', *words)]

    def popen(self, *words, **how):
        how = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE, 'env': self.env, 'bufsize': 0, **how}
        return Process(self.words(*words), **how)

    def __call__(self, *words, stdin=None, env=None, timeout=PATIENCE):
        """Return: (status, stdout, stderr) as texts."""
        done = subprocess.run(self.words(*words), input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False,
                              env=self.env if env is None else env)
        return done.returncode, done.stdout.decode(errors='replace'), done.stderr.decode(errors='replace')

    def ok(self, *words, **how):
        status, out, err = self(*words, **how)
        assert status == 0, (words, status, out, err)
        return out

    def fails(self, *words, status=125, **how):
        """One line of words, and that status. Return: the line."""
        got, out, err = self(*words, **how)
        assert (got, err.count('\n')) == (status, 1), (words, got, out, err)
        return err

    def start(self, *options, command=()):
        """A sandbox in the background, without a disk of its own. Return: its ID."""
        return self.ok('run', '-d', '-m', '64M', '--disk', 'none', *options, self.image, *command).strip()

    def state(self, word):
        return json.loads(self.ok('inspect', word))[0]

    def wait_state(self, word, state, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while (now := self.state(word))['state'] != state:
            assert time.monotonic() < end, now
            time.sleep(0.1)
        return now

    def monitors(self):
        """Process ids of this user's monitors."""
        found = []
        for folder in pathlib.Path('/proc').glob('[0-9]*'):
            try:
                if str(self.folder).encode() in (folder / 'environ').read_bytes() and \
                        (folder / 'cmdline').read_bytes().split(b'\0')[0].endswith(b'/vmm'):
                    found.append(int(folder.name))
            except OSError:
                pass
        return found

    def left(self):
        """What is there beside the folders that stay, relative."""
        stay = {'sandboxes', 'sandboxes/by-name', 'events.jsonl'}
        return sorted(str(p.relative_to(top)) for top in (self.run_folder, self.data) if top.exists()
                      for p in top.rglob('*') if str(p.relative_to(top)) not in stay)

    def end(self):
        for pid in self.monitors():
            os.kill(pid, 9)
        shutil.rmtree(self.folder, ignore_errors=True)


def make_image(folder):
    tree = folder / 'tree'
    for name in ('bin', 'etc', 'mnt', 'root', 'tmp'):
        (tree / name).mkdir(parents=True)
    shutil.copy('/bin/busybox', tree / 'bin')
    for name in APPLETS:
        (tree / 'bin' / name).symlink_to('busybox')
    (tree / 'etc/passwd').write_text('root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n')
    (tree / 'etc/group').write_text('root:x:0:\nuser:x:1000:\n')
    image = folder / 'small.img'
    subprocess.run(['/sbin/mkfs.ext4', '-q', '-d', tree, image, '16M'], check=True)
    return image


@pytest.fixture(scope='module')
def small_image():
    folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-image-'))
    yield make_image(folder)
    shutil.rmtree(folder)


@pytest.fixture
def user(build, kernel, small_image):
    made = User(build, kernel, small_image)
    yield made
    made.end()
