"""The README's five minutes, line by line as they stand there."""
import os
import re
import subprocess

from conftest import ROOT
from test_cli_exec import terminal               # noqa: F401  pylint: disable=unused-import


def block_behind(words):
    text = (ROOT / 'README.md').read_text()
    return re.search(r'```\n(.*?)```', text[text.index(words):], re.S)[1]


def test_five_minutes(build, kernel, image, tmp_path, terminal):
    project = tmp_path / 'project'
    project.mkdir()
    (project / 'test_it.py').write_text('import unittest\n\n\nclass It(unittest.TestCase):\n    def test(self):\n'
                                        '        self.assertEqual(6 * 7, 42)\n')
    (project / 'report.py').write_text('print("all is well")\n')
    (tmp_path / 'run').mkdir(mode=0o700)
    environment = {**os.environ, 'HOME': str(tmp_path), 'PATH': f'{build}/bin:{os.environ["PATH"]}', 'VMLET_KERNEL': str(kernel),
                   'XDG_RUNTIME_DIR': str(tmp_path / 'run'), 'XDG_DATA_HOME': str(tmp_path / 'data')}

    def shell(lines):
        return subprocess.run(['bash', '-euxc', lines], env=environment, cwd=tmp_path, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=240)

    def at_terminal(lines):
        own = [f'{name}={value}' for name, value in environment.items() if os.environ.get(name) != value]
        return terminal('env', '-C', tmp_path, *own, 'bash', '-euxc', lines)

    shell(f'vmlet images add --link debian {image}')
    try:
        lines = block_behind('A shell in a machine of its own')
        assert 'vmlet run -it --rm' in lines
        t = at_terminal(lines)
        t.wait_for('# ')
        t.type('tty; echo "<$((6 * 7))>"; exit\r')
        t.wait_for('/dev/pts/')
        t.wait_for('<42>')
        t.end(0)
        lines = block_behind('A sandbox that stays')
        assert 'vmlet shell box' in lines
        t = at_terminal(lines)
        t.wait_for('Ran 1 test')
        t.wait_for('OK')
        t.wait_for('vmlet shell box')
        t.wait_for('# ')
        t.type('tty; ls /srv; exit\r')
        t.wait_for('/dev/pts/')
        t.wait_for('project')
        t.end(0)
        assert (tmp_path / 'report.txt').read_text() == 'all is well\n'
        assert shell('vmlet ps -aq').stdout == ''
        done = shell('set +e\n' + block_behind('a terminal with `-t`'))
        assert done.stdout.splitlines() == ['42', 'uid=65534(nobody) gid=65534(nogroup) groups=65534(nogroup)', '/tmp', '3'], done
    finally:
        shell('vmlet rm -f box; vmlet ps -aq')
