"""Real guests for the functional tests. They run where /dev/kvm works: on the host, or inside the lab.

VMLET_BUILD, VMLET_KERNEL and VMLET_IMAGE name the build folder, the folder of the guest kernel and the root image;
./check sets them. What is not set is asked from the programs that make it.
"""
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Seconds that a step may take where the processor of the guest's host is itself emulated.
PATIENCE = 120


def pytest_configure(config):
    config.addinivalue_line('markers', 'slow: takes a minute or more where the processor is emulated')
    config.addinivalue_line('markers', 'long: takes ten minutes or more there')


def made_by(variable, *command):
    if variable not in os.environ:
        os.environ[variable] = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return pathlib.Path(os.environ[variable])


@pytest.fixture(scope='session')
def build():
    return pathlib.Path(os.environ.get('VMLET_BUILD', ROOT / 'build')).resolve()


@pytest.fixture(scope='session')
def kernel():
    return made_by('VMLET_KERNEL', ROOT / 'kernel-config/build')


@pytest.fixture(scope='session')
def image():
    return made_by('VMLET_IMAGE', ROOT / 'image/build-root')


class Vm:
    """One vmm process at a time, in a folder of its own."""

    def __init__(self, build, kernel, image, folder):
        self.build, self.kernel, self.image, self.folder = build, kernel, image, folder
        self.vsock_path = folder / 'vsock'
        self.console_path = folder / 'console'
        self.process = None

    def command(self, *extra, kernel='vmlinux', image=True, vsock=True, serial=None, memory='128M', cpus=1):
        """The words of a vmm; an argument that is None leaves its option out."""
        words = [self.build / 'bin/vmm', '--serial', serial or self.console_path]
        if kernel:
            words += ['--kernel', self.kernel / kernel if isinstance(kernel, str) else kernel]
        if image:
            words += ['--image', self.image if image is True else image]
        if vsock:
            words += ['--vsock', self.vsock_path]
        if memory:
            words += ['--memory', memory]
        if cpus:
            words += ['--cpus', cpus]
        return [str(w) for w in (*words, *extra)]

    def start(self, *extra, **how):
        """Starts without waiting for anything."""
        assert not self.process, 'one machine at a time'
        self.process = subprocess.Popen(self.command(*extra, **how), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder)
        return self

    def boot(self, *extra, **how):
        """Starts, and waits until the agent is ready."""
        assert not self.process, 'one machine at a time'
        ready, told = os.pipe()
        try:
            self.process = subprocess.Popen(
                self.command('--ready-fd', told, '--boot-timeout', f'{PATIENCE}s', *extra, **how),
                pass_fds=[told], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                cwd=self.folder)
            os.close(told)
            told = -1
            select.select([ready], [], [], PATIENCE)
            if os.read(ready, 16) != b'ready\n':
                status, _, err = self.wait()
                pytest.fail(f'the guest did not become ready: status {status}: {err}\n{self.console()[-2000:]}')
        finally:
            os.close(ready)
            if told >= 0:
                os.close(told)
        return self

    def run(self, *extra, **how):
        """Starts, and waits for the end. Return: (status, stdout, stderr)."""
        return self.start(*extra, **how).wait()

    def wait(self, timeout=PATIENCE):
        process, self.process = self.process, None
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            pytest.fail(f'no end within {timeout} s\n{self.console()[-2000:]}')
        return process.returncode, out.decode(errors='replace'), err.decode(errors='replace')

    def stop(self, sig=signal.SIGTERM):
        self.process.send_signal(sig)
        return self.wait()

    def exec(self, argv, *options, stdin=None, timeout=PATIENCE):
        """Runs a command in the guest. Return: (status, stdout, stderr), the outputs as bytes."""
        words = [self.build / 'bin/vmlet', 'exec', *(['-i'] if stdin is not None else []), *options, self.vsock_path, '--', *argv]
        done = subprocess.run([str(w) for w in words], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False)
        return done.returncode, done.stdout, done.stderr

    def console(self):
        return self.console_path.read_text(errors='replace') if self.console_path.exists() else ''

    def wait_console(self, text, timeout=PATIENCE):
        end = time.monotonic() + timeout
        while text not in self.console():
            assert time.monotonic() < end, f'{text!r} did not appear:\n{self.console()[-2000:]}'
            assert self.process.poll() is None or text in self.console(), \
                f'vmm ended ({self.process.returncode}): {self.process.stderr.read()}'
            time.sleep(0.05)

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def end(self):
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture
def new_vm(build, kernel, image):
    """Makes machines: new_vm() for each; all are ended after the test."""
    made = []

    def make():
        # A Unix socket's path is short: pytest's own folders are not.
        vm = Vm(build, kernel, image, pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-')))
        made.append(vm)
        return vm

    yield make
    for vm in made:
        vm.end()
        shutil.rmtree(vm.folder)


@pytest.fixture
def vm(new_vm):
    return new_vm()
