"""vmlet doctor where guests run: what it finds, and that looking changes nothing."""
import json
import os
import subprocess


def doctor(build, *words, **environment):
    return subprocess.run([build / 'bin/vmlet', 'doctor', *words], env={**os.environ, **environment}, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)


def test_where_guests_run(build, kernel, tmp_path):
    places = {name: str(tmp_path / name) for name in ('XDG_RUNTIME_DIR', 'XDG_DATA_HOME', 'XDG_CONFIG_HOME')}
    done = doctor(build, '--json', VMLET_KERNEL=str(kernel), **places)
    found = {row['check']: row for row in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (0, ''), found
    assert found['kvm']['level'] == 'ok' and 'usable' in found['kvm']['finding']
    assert str(kernel) in found['guest']['finding']
    assert all(row['advice'] for row in found.values() if row['level'] != 'ok'), found
    assert not any(os.scandir(tmp_path)), 'looking made something'
    lines = doctor(build, VMLET_KERNEL=str(kernel), **places).stdout
    assert '\033' not in lines and 'in the way' in lines


def test_what_is_in_the_way(build, tmp_path):
    (tmp_path / 'file').touch()
    done = doctor(build, '-q', VMLET_KERNEL=str(tmp_path / 'nothing'), XDG_RUNTIME_DIR=str(tmp_path / 'file'))
    assert done.returncode == 1
    assert 'bad   guest' in done.stdout and 'bad   sockets' in done.stdout and '->' in done.stdout
    done = doctor(build, 'extra')
    assert done.returncode == 125 and done.stderr.startswith('vmlet doctor: extra: ')
