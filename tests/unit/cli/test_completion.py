#!/usr/bin/python3
"""The completion scripts, in the shells themselves; a shell that is not installed is told as skipped."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

VMLET = pathlib.Path(sys.argv.pop()).resolve()

BASH = '''
source <(vmlet completion bash)
COMP_WORDS=(vmlet "$@")
COMP_CWORD=$#
compopt() { echo "compopt $*"; }
_vmlet
printf '%s\\n' "${COMPREPLY[@]}"
'''
ZSH = '''
compdef() { : }
source <(vmlet completion zsh)
compadd() { print -l -- "${(@P)2}"; }
_files() { print "compopt -o default" }
words=(vmlet "$@")
CURRENT=$#words
_vmlet
'''
FISH = '''
vmlet completion fish | source
function commandline
    switch $argv[1]
        case -opc
            printf '%s\\n' vmlet $WORDS[1..-2]
        case -ct
            printf '%s\\n' "$WORDS[-1]"
    end
end
function __fish_complete_path
    echo "compopt -o default"
end
set -g WORDS $argv
__vmlet_words
'''
SHELLS = {'bash': ['bash', '--norc', '-c', BASH, 'bash'], 'zsh': ['zsh', '-fc', ZSH, 'zsh'],
          'fish': ['fish', '--no-config', '-c', FISH, '--']}


class Completion(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        names = self.folder / 'vmlet/sandboxes/by-name'
        names.mkdir(parents=True)
        for name in ('otter', 'owl', 'bear'):
            (names / name).symlink_to('../0123456789ab')
        (self.folder / 'vmlet/images/debian').mkdir(parents=True)

    def complete(self, shell, *words):
        environment = {**os.environ, 'PATH': f'{VMLET.parent}:{os.environ["PATH"]}', 'XDG_DATA_HOME': str(self.folder),
                       'HOME': str(self.folder)}
        done = subprocess.run([*SHELLS[shell], *words], env=environment, stdout=subprocess.PIPE, text=True, check=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return set(done.stdout.split('\n')) - {''}

    def check(self, shell):
        self.assertEqual(self.complete(shell, 'comple'), {'completion'})
        self.assertIn('exec', self.complete(shell, ''))
        self.assertEqual(self.complete(shell, 'exec', '--inter'), {'--interactive'})
        self.assertEqual(self.complete(shell, 'exec', '--help', 'o'), {'otter', 'owl'})
        self.assertEqual(self.complete(shell, 'exec', '-u', 'o'), set(), 'a user is no sandbox')
        self.assertEqual(self.complete(shell, 'exec', '-u', 'me', 'b'), {'bear'})
        self.assertEqual(self.complete(shell, 'completion', ''), {'bash', 'zsh', 'fish'})
        self.assertEqual(self.complete(shell, 'no-such-command', ''), set())


def add(shell):
    @unittest.skipUnless(shutil.which(shell), f'{shell} is not installed')
    def test(self):
        self.check(shell)
    setattr(Completion, f'test_{shell}', test)


for name in SHELLS:
    add(name)

if __name__ == '__main__':
    unittest.main(verbosity=2)
