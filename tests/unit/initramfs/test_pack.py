#!/usr/bin/python3
"""The packer of the initramfs: the same bytes each time, in the format that the kernel reads."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

PACK = pathlib.Path(__file__).resolve().parents[3] / 'initramfs/pack.py'
MANIFEST = '# a comment\n/dev 040755 -\n/dev/console 020600 5:1\n\n/init 100755 agent   # the program\n'


def entries(archive):
    """A reader of "newc" archives of its own: {name: (mode, rdev, data)} in order."""
    found, at = {}, 0
    while True:
        assert archive[at:at + 6] == b'070701', f'no entry at {at}'
        fields = [int(archive[at + 6 + 8 * n:at + 14 + 8 * n], 16) for n in range(13)]
        name = archive[at + 110:at + 110 + fields[11]]
        assert name.endswith(b'\0')
        at = (at + 110 + fields[11] + 3) & ~3
        if name == b'TRAILER!!!\0':
            assert not archive[at:].strip(b'\0')
            return found
        found[name[:-1].decode()] = (fields[1], fields[9:11], archive[at:at + fields[6]])
        assert fields[2:4] == [0, 0] and fields[5] == 0, 'owner and time of this machine'
        at = (at + fields[6] + 3) & ~3


class Pack(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        (self.folder / 'agent').write_bytes(b'\x7fELF and so on')

    def pack(self, manifest, *options):
        (self.folder / 'manifest').write_text(manifest)
        return subprocess.run([sys.executable, PACK, '-o', self.folder / 'out', *options, self.folder / 'manifest'],
                              stderr=subprocess.PIPE, text=True, check=False)

    def test_contents(self):
        self.assertEqual(self.pack(MANIFEST, '-s', f'agent={self.folder}/agent').returncode, 0)
        self.assertEqual(entries((self.folder / 'out').read_bytes()), {
            'dev': (0o040755, [0, 0], b''), 'dev/console': (0o020600, [5, 1], b''),
            'init': (0o100755, [0, 0], b'\x7fELF and so on')})

    def test_same_bytes(self):
        self.pack(MANIFEST, '-s', f'agent={self.folder}/agent')
        first = (self.folder / 'out').read_bytes()
        os.utime(self.folder / 'agent', (1, 1))
        (self.folder / 'agent').chmod(0o600)
        self.pack(MANIFEST, '-s', f'agent={self.folder}/agent')
        self.assertEqual((self.folder / 'out').read_bytes(), first)

    def test_mistakes(self):
        for manifest, word in (('/init 100755\n', 'PATH MODE SOURCE'), ('/init 9 agent\n', 'octal'),
                               ('/init 100755 other\n', 'other'), ('/x 010600 -\n', 'no folder, device or file'),
                               ('/dev/x 020600 five\n', 'MAJOR:MINOR')):
            done = self.pack(manifest, '-s', f'agent={self.folder}/agent')
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)
            self.assertEqual(done.stderr.count('\n'), 1, done.stderr)
        done = self.pack(MANIFEST, '-s', 'agent=/no/such/file')
        self.assertIn('/no/such/file', done.stderr)
        self.assertEqual(done.stderr.count('\n'), 1, done.stderr)


if __name__ == '__main__':
    unittest.main()
