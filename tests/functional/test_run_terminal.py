"""A sandbox whose command has a terminal: left running and taken up again."""
from sandboxes import small_image, user          # noqa: F401  pylint: disable=unused-import
from test_cli_exec import terminal               # noqa: F401  pylint: disable=unused-import


def test_left_and_taken_up(user, terminal):
    own = ['env', *(f'{name}={user.env[name]}' for name in user.env if name.startswith(('HOME', 'XDG_', 'VMLET_')))]
    t = terminal(*own, *user.words('run', '-it', '-m', '64M', '--disk', 'none', '--name', 'box', user.image, 'sh'))
    t.wait_for('# ')
    t.type('n=kept\r\x10\x11')
    t.wait_for('left running: vmlet attach box\r')
    t.end(0)
    assert user.state('box')['state'] == 'running'
    t = terminal(*own, *user.words('create', '-it', user.image))
    t.end(0)
    assert '(a shell)' in user.ok('ps', '-a')
    t = terminal(*own, *user.words('attach', 'box'))
    t.type('echo "<$n>"; exit 9\r')
    t.wait_for('<kept>')
    t.end(9)
    assert user.ok('wait', 'box') == '9\n'
    assert user.state('box')['state'] == 'exited'
