"""What the benches share: the commands of ours and of the peer, how a run is measured, how results are told.

The peer is QEMU's microvm machine, trimmed of everything that our kernel can do without. It gets the kernel,
the initramfs, the memory and the words of the kernel command line that ours gets. QEMU has no vsock device here (its
own needs a driver in the host's kernel), ours has the one that its agent answers on: what is unequal is to our cost.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEMORY_MIB = 128
THROWN_AWAY = 2
# Bytes that the guest writes to the event port, 0x602.
EVENT_PORT, KERNEL, INIT, READY = 0x602, 0x10, 0x11, 0x20
# Ours ends by a triple fault where QEMU's peer ends by itself.
ONCE = 'vmlet.once reboot=t'
TRIPLE_FAULT = 11


class Failure(Exception):
    pass


class Where:
    """The unit of this place: instructions where they are counted (lab/run -i), milliseconds elsewhere."""

    def __init__(self, counted):
        self.counted = counted
        self.unit = 'million instructions' if counted else 'ms'
        self.key = 'busy_ns' if counted else 'elapsed_ns'


class Bench:
    """A folder with all that is measured, in memory where the lab offers that, and the commands of both."""

    def __init__(self, build, kernel, image=None, in_ram=True):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='vmlet-bench-', dir=os.environ.get('LAB_RAM')))
        self.vmm, self.busy_path = build / 'bin/vmm', build / 'lab/busy'
        self.kernel, self.initramfs, self.image = kernel / 'vmlinux', build / 'initramfs/initramfs.cpio', image
        # What the monitor says to our kernel by itself, for both.
        self.words = (ROOT / 'kernel-config/cmdline').read_text().strip() + ' 8250.nr_uarts=0'
        if in_ram:
            self.vmm = self.copy(self.vmm, 'bin')
            self.busy_path = self.copy(self.busy_path, 'bin')
            self.initramfs = self.copy(self.initramfs, 'initramfs')
            self.kernel = self.copy(self.kernel, '.')
            self.image = self.image and self.copy(self.image, '.')

    def copy(self, path, folder):
        (self.folder / folder).mkdir(exist_ok=True)
        return pathlib.Path(shutil.copy(path, self.folder / folder))

    def ours(self, *extra, append=''):
        socket = self.folder / 'vsock'
        socket.unlink(missing_ok=True)      # a run that was ended hard leaves it
        words = [self.vmm, '--kernel', self.kernel, '--memory', f'{MEMORY_MIB}M', '--serial', 'off', '--vsock', socket,
                 '--boot-timeout', '0']      # the lab's clock races while it waits for files
        if self.image:
            words += ['--image', self.image]
        if append:
            words += ['--append', append]
        return [str(w) for w in (*words, *extra)]

    def qemu(self, *extra, append='', events='/dev/null'):
        root = 'vmlet.root=/dev/vda vmlet.overlay=1' if self.image else ''
        words = ['qemu-system-x86_64', '-M',
                 'microvm,acpi=off,x-option-roms=off,pit=off,pic=off,rtc=off,isa-serial=off', '-enable-kvm',
                 '-cpu', 'host', '-nodefaults', '-display', 'none', '-no-reboot', '-m', MEMORY_MIB,
                 '-kernel', self.kernel, '-initrd', self.initramfs,
                 '-append', ' '.join(w for w in (self.words, root, append) if w),
                 '-chardev', f'file,id=events,path={events}',
                 '-device', f'isa-debugcon,iobase={EVENT_PORT:#x},chardev=events']
        if self.image:
            words += ['-drive', f'if=none,id=root,file={self.image},format=raw,read-only=on',
                      '-device', 'virtio-blk-device,drive=root']
        return [str(w) for w in (*words, '-device', 'virtio-rng-device', *extra)]

    def busy(self, options, command, descriptors=()):
        """One run as lab/busy measures it. The command has the descriptors by their numbers."""
        done = subprocess.run([self.busy_path, '-n', '1', '-j', *options, *command], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              pass_fds=descriptors)
        try:
            sample = json.loads(done.stdout)
        except ValueError:
            sample = {}
        if not (sample.get('ready') if options else sample.get('status') in (0, TRIPLE_FAULT)):
            raise Failure(f'{pathlib.Path(command[0]).name} failed: {done.stdout}{done.stderr}')
        return sample

    def remove(self):
        shutil.rmtree(self.folder)


def progress(words):
    print(f'  … {words}', file=sys.stderr, flush=True)


def series(samples):
    """A median and its spread; the first runs, which fill caches, are left out."""
    kept = samples[THROWN_AWAY:]
    middle = statistics.median(kept)
    return {'median': middle, 'min': min(kept), 'max': max(kept),
            'spread_percent': 100 * (max(kept) - min(kept)) / middle, 'samples': samples}


def table(head, rows):
    """Prints rows of texts in columns: the first to the left, the others to the right."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    for line in lines:
        print('  ' + line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:])), sep='   ')


def write_json(path, result):
    path.write_text(json.dumps(result, indent=1) + '\n')


def run(main):
    """Runs a bench's main(); one line says what went wrong."""
    try:
        main()
    except Failure as failure:
        sys.exit(f'bench: {failure}')
