"""A pytest plugin: several pytest processes, in as many labs, share the tests of one run.

Whoever first makes the file of a test in the folder $VMLET_CLAIMS runs it. Durations differ much from test to test
and from machine to machine; a fixed split would leave a processor idle.
"""
import hashlib
import os
import pathlib

import pytest


def claim(folder, item):
    try:
        (folder / hashlib.sha256(item.nodeid.encode()).hexdigest()).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    if session.testsfailed or session.config.option.collectonly:
        return None                         # errors while collecting: pytest says them
    folder = pathlib.Path(os.environ['VMLET_CLAIMS'])
    for item in session.items:
        if claim(folder, item):
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
    return True
