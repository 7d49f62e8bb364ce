"""Commands by the raw protocol: groups, limits, terminals, readers that come and go."""
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import struct
import tempfile
import time

import pytest

import agent_protocol as ap
import conftest
from agent_protocol import Agent
from sandboxes import small_image          # noqa: F401  pylint: disable=unused-import

OOM, TIMED_OUT = 2, 4
PROCESS, GROUP, ALL = range(3)
TTY_FLAG, DETACHED_FLAG, STDIN_FLAG, MAIN_FLAG, ENDED_FLAG = (1 << n for n in range(5))
INPUT, REPLAY, QUIET, LOSSY = (1 << n for n in range(4))
RING = 256 << 10


def tty(rows=24, columns=80):
    return ap.option(1, struct.pack('<HH', rows, columns))


def rlimit(resource, soft, hard):
    return ap.option(2, struct.pack('<IIQQ', resource, 0, soft, hard))


def timeout(ms):
    return ap.option(3, struct.pack('<I', ms))


def shell(script):
    return ['/bin/sh', '-c', script]


def until(check, what):
    end = time.monotonic() + ap.PATIENCE
    while not check():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def running(vm, name):
    with Agent(vm.vsock_path) as a:
        return a.run(f'cat /proc/[0-9]*/comm | grep -cx {name}').out != b'0\n'


def send_signal(a, number, signal_, scope=PROCESS):
    return a.ask(ap.SIGNAL, struct.pack('<4I', 0, signal_, scope, 0) if not number else
                 struct.pack('<4I', number, signal_, scope, 0))


def started(a, request):
    """The number of an exec that was started with TELL or DETACH, or attached to; its flags."""
    number, pid, flags = struct.unpack_from('<III', a.expect(ap.STARTED, request))
    assert number and pid
    return number, flags


def attach(a, number, flags=0):
    request = a.send(ap.ATTACH, struct.pack('<II', number, flags))
    assert started(a, request)[0] == number
    return request


def collect(a, request):
    """Frames up to the EXIT. Return: what was written, bytes lost, the EXIT's payload."""
    out, lost = bytearray(), 0
    while (f := a.read()).kind != ap.EXIT:
        assert f.request == request and f.kind in (ap.STDOUT, ap.STDERR, ap.LOST, ap.WINDOW), f
        if f.kind == ap.LOST:
            lost += struct.unpack('<Q', f.payload)[0]
        elif f.kind != ap.WINDOW:
            out += f.payload
    return bytes(out), lost, f.payload


def test_each_in_a_group_of_its_own(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        first = a.run('cat /proc/self/cgroup; nice').out.split()
        assert first[0].startswith(b'0::/vmlet/user/') and first[1] == b'0'
        assert a.run('cat /proc/self/cgroup').out.split()[0] == first[0], 'an empty group is used again'
        # Nothing survives, in whatever session and however deep; unless asked for.
        assert a.run('setsid sh -c "sleep 4321 & setsid sleep 4321" >/dev/null 2>&1 & sleep 0.2').status == 0
        assert not running(vm, 'sleep')
        assert a.run('setsid sleep 4321 >/dev/null 2>&1 & setsid yes >/dev/null & sleep 0.1', flags=ap.KEEP).status == 0
        assert running(vm, 'sleep') and running(vm, 'yes')
        assert a.run('cat /proc/$(pidof sleep)/cgroup').out == b'0::/vmlet/user/rest\n'
        assert a.run('kill $(pidof sleep) $(pidof yes)').status == 0
        # A background child that keeps the output open holds nothing up.
        end = a.run('sleep 4321 & yes & echo left; exit 3')
        assert end.status == 3 and b'left\n' in end.out and not running(vm, 'sleep')
        assert a.ping() == 0


def test_root_breaks_groups(vm):
    """Root in the guest may do to the groups what he likes: the next command runs in one that works."""
    vm.boot()
    own = 'cd /sys/fs/cgroup/$(cut -d: -f3 /proc/self/cgroup); '
    with Agent(vm.vsock_path) as a:
        assert a.run('cut -d" " -f19 /proc/1/stat').out == b'-20\n', 'the agent goes before all commands'
        for script in ('rmdir /sys/fs/cgroup/vmlet/user/[0-9]* 2>/dev/null; true',
                       own + 'mkdir a; echo $$ > a/cgroup.procs; echo +memory > cgroup.subtree_control; sleep 4321 & true',
                       own + 'mkdir -p a/b/c; echo $$ > a/b/c/cgroup.procs; true',
                       own + 'echo 1 > cgroup.freeze',
                       own + '(sleep 0.3; echo 1 > cgroup.freeze) & true',
                       own + 'echo 10000000 > memory.max; echo 0 > pids.max; true',
                       own + 'echo 1 > cgroup.kill',
                       'echo $$ > /sys/fs/cgroup/cgroup.procs; sleep 0.1; exit 0',
                       'umount -l /sys/fs/cgroup; true'):
            assert a.run(script, options=timeout(3000)).status in (0, -signal.SIGKILL)
            assert not running(vm, 'sleep')
            for _ in range(2):
                assert a.run('head -c 30000000 /dev/zero | tail -c 20000000 | wc -c; exit 5').status == 5, script
        assert a.ping() == 0


def test_what_it_used(vm):
    vm.boot(memory='256M')
    with Agent(vm.vsock_path) as a:
        small = a.run('exit 0')
        assert small.memory_kib < 20000 and small.flags == 0
        big = a.run(['python3', '-c', 'b = bytearray(50 << 20); import time; time.sleep(0.3)'])
        assert big.status == 0 and 50 << 10 <= big.memory_kib < 120 << 10 and big.elapsed_us >= 300000
        assert big.user_us + big.system_us > 0
        # Of a child's child too, and of nobody before.
        busy = a.run('(timeout 1 sh -c "while :; do :; done"); exit 0')
        assert busy.user_us + busy.system_us > 300000
        assert a.run('exit 0').user_us < busy.user_us / 2
        assert a.run('exit 0').memory_kib < 30000
        written = a.run('echo 3 > /proc/sys/vm/drop_caches; cat /usr/lib/x86_64-linux-gnu/libc.so.6 > /dev/null')
        assert written.read_bytes > 1 << 20 and written.written_bytes == 0


def test_out_of_memory_is_told(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        eater = 'b = []\nwhile True: b.append(b"x" * (1 << 20))'
        end = a.run(['python3', '-c', eater])
        assert end.status == -signal.SIGKILL and end.flags & OOM
        # Also where only a child of it was killed.
        end = a.run(f"python3 -c '{eater}'; exit 5")
        assert end.status == 5 and end.flags & OOM
        end = a.run('kill -9 $$')
        assert end.status == -signal.SIGKILL and not end.flags & OOM


def test_time_limit(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        begun = time.monotonic()
        end = a.run('echo begun; (trap "" TERM; setsid sleep 4321) & trap "" TERM; sleep 4321; sleep 4321',
                    options=timeout(500))
        assert (end.status, end.out, end.flags) == (-signal.SIGKILL, b'begun\n', TIMED_OUT)
        assert 0.4 < time.monotonic() - begun and not running(vm, 'sleep')
        assert a.run('exit 7', options=timeout(60000)).flags == 0
        assert a.run('sleep 1; exit 7').status == 7     # the last one's limit is not this one's


def test_limits(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        assert a.run('ulimit -n; ulimit -Hn; ulimit -c; ulimit -p', user='1234',
                     options=rlimit(7, 100, 200) + rlimit(4, 0, 0) + rlimit(6, 50, 50)).out == b'100\n200\n0\n50\n'
        assert a.run('ulimit -n').out == b'1024\n'
        end = a.run(['sh', '-c', 'ulimit -c'], options=rlimit(4, (1 << 64) - 1, (1 << 64) - 1))
        assert end.out == b'unlimited\n'
        with pytest.raises(ap.Refused) as refused:      # more than the kernel has descriptors
            a.run('true', options=rlimit(7, 1 << 40, 1 << 40))
        assert refused.value.code == ap.SYSTEM and refused.value.errno == 1
        with pytest.raises(ap.Refused) as refused:
            a.run('true', options=rlimit(16, 0, 0))
        assert refused.value.code == ap.MALFORMED and a.is_closed() == []


def test_terminal(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        end = a.run('tty; stty size; [ -t 0 ] || echo no input; echo err >&2; ps -o pid=,tpgid= -p $$', options=tty(25, 132))
        lines = end.out.decode().split('\r\n')
        assert end.err == b'' and lines[0] == 'not a tty' and lines[2:4] == ['no input', 'err']
        assert len(set(lines[4].split())) == 1, 'it leads the foreground'
        end = a.run('tty; stty size; read x; echo "<$x>"; cat; echo end', options=tty(25, 132), stdin=b'one\nrest')
        assert end.status == 0 and b'/dev/pts/' in end.out and b'25 132\r\n' in end.out
        assert b'<one>\r\n' in end.out and end.out.endswith(b'end\r\n') and end.out.count(b'rest') == 2  # echoed, and by cat
        # Its owner is who runs in it; ^C goes to the foreground, ^Z stops a job.
        assert a.run('stat -c %u $(tty)', options=tty(), user='1234', flags=ap.WITH_STDIN, stdin=b'').out == b'1234\r\n'
        request = a.start(['sh', '-i'], options=tty(), flags=ap.WITH_STDIN | ap.TELL, env=['PS1=ready '])
        number, flags = started(a, request)
        assert flags == TTY_FLAG | STDIN_FLAG
        seen = bytearray()

        def wait_for(what):
            while what not in seen:
                f = a.read()
                assert f.kind in (ap.STDOUT, ap.DONE, ap.WINDOW), f
                seen.extend(f.payload if f.kind == ap.STDOUT else b'')
            del seen[:]

        def type_in(keys):
            a.send(ap.STDIN, keys, request)

        wait_for(b'ready ')
        type_in(b'trap "stty size" WINCH\n')
        wait_for(b'\nready ')
        type_in(b'sleep 4321\n')
        until(lambda: running(vm, 'sleep'), 'the job does not start')
        type_in(b'\x03')
        wait_for(b'\nready ')
        type_in(b'echo status=$?\n')
        wait_for(b'status=130')
        type_in(b'sleep 4321\n')
        until(lambda: running(vm, 'sleep'), 'the job does not start')
        a.send(ap.SIGNAL, struct.pack('<4I', 0, signal.SIGTSTP, GROUP, 0))
        wait_for(b'Stopped')
        type_in(b'jobs; kill -9 %1; wait\n')
        wait_for(b'sleep 4321')
        type_in(b'echo no" "job\n')                     # a shell with a stopped job does not end at once
        wait_for(b'no job')             # behind a prompt, where it was typed ahead
        a.send(ap.RESIZE, struct.pack('<IHH', number, 50, 200))
        type_in(b'\n')
        wait_for(b'50 200')
        type_in(b'exit 7\nexit 7\n')      # a shell that still remembers a stopped job says so at the first
        end = a.finish(request)
        assert end.status == 7 and a.ping() == 0


def test_terminal_without_loss(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        end = a.run('stty raw; head -c 3000000 /dev/zero', options=tty(), stdin=b'')
        assert end.status == 0 and end.out == bytes(3000000)
        # What is typed faster than it is read waits, and all of it comes.
        request = a.start(shell('stty raw -echo; echo on; sleep 1; head -c 300000 | sha256sum'), options=tty(),
                          flags=ap.WITH_STDIN)
        assert a.expect(ap.STDOUT, request) == b'on\n'
        data = bytes(n * n % 251 for n in range(300000))
        credit, sent = a.window, 0
        while sent < len(data):
            piece = data[sent:sent + min(credit, 5000)]
            a.send(ap.STDIN, piece, request)
            sent, credit = sent + len(piece), credit - len(piece)
            while not credit:
                credit += struct.unpack('<I', a.expect(ap.WINDOW, request))[0]
        assert a.finish(request).out.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_signals(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a, Agent(vm.vsock_path) as other:
        request = a.start(shell('trap "echo hup" HUP; (trap "echo child" HUP; echo ready; while :; do sleep 0.1; done) & '
                                'while :; do sleep 0.1; done'), flags=ap.TELL)
        number, _ = started(a, request)
        assert a.expect(ap.STDOUT, request) == b'ready\n'
        send_signal(other, number, signal.SIGHUP)
        assert a.expect(ap.STDOUT, request) == b'hup\n'
        send_signal(other, number, signal.SIGHUP, ALL)
        heard = b''
        while sorted(heard.split()) != [b'child', b'hup']:
            f = a.read()
            assert f.kind in (ap.STDOUT, ap.STDERR)     # the shell may tell what became of its sleep
            heard += f.payload if f.kind == ap.STDOUT else b''
        send_signal(other, number, signal.SIGKILL, ALL)
        while (f := a.read()).kind != ap.EXIT:
            assert f.kind in (ap.STDOUT, ap.STDERR)
        assert struct.unpack_from('<II', f.payload) == (1, signal.SIGKILL)
        for what, payload in ((ap.SIGNAL, struct.pack('<4I', number, 15, 0, 0)), (ap.SIGNAL, struct.pack('<4I', 0, 15, 0, 0)),
                              (ap.RESIZE, struct.pack('<IHH', number, 1, 1)), (ap.ATTACH, struct.pack('<II', number, 0))):
            assert other.refused(what, payload).code == ap.NO_PROCESS
        # One that is no terminal has no size, one that was not detached cannot be attached to.
        request = a.start(['sleep', '4321'], flags=ap.TELL)
        number, _ = started(a, request)
        assert a.refused(ap.RESIZE, struct.pack('<IHH', 0, 1, 1)).code == ap.NO_PROCESS
        assert other.refused(ap.ATTACH, struct.pack('<II', number, 0)).code == ap.NO_PROCESS
        assert a.ping() == 1
        send_signal(a, 0, signal.SIGTERM)
        assert a.finish(request).status == -signal.SIGTERM


def test_detached(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        request = a.start(shell('echo first; read x; echo "<$x>"; read x; echo "<$x>"; exit 6'), flags=ap.DETACH | ap.WITH_STDIN)
        number, flags = started(a, request)
        assert flags == DETACHED_FLAG | STDIN_FLAG
        assert a.expect(ap.STDOUT, request) == b'first\n'
    with Agent(vm.vsock_path) as a, Agent(vm.vsock_path) as b, Agent(vm.vsock_path) as quiet:
        mine, theirs, waits = attach(a, number, INPUT | REPLAY), attach(b, number), attach(quiet, number, QUIET)
        assert a.expect(ap.STDOUT, mine) == b'first\n'
        a.send(ap.STDIN, b'one\n', mine)
        assert a.expect(ap.STDOUT, mine) == b.expect(ap.STDOUT, theirs) == b'<one>\n'
        with Agent(vm.vsock_path) as c:
            listed = {p.number: p for p in c.processes()}
            assert listed[number].command.startswith('/bin/sh -c echo first') and listed[number].flags == flags
            assert c.ping() == 1
            everything = c.processes(everything=True)
            assert {p.number for p in everything if p.pid == listed[number].pid} == {number}
            last = attach(c, number, INPUT)
            c.send(ap.STDIN, b'two\n', last, flags=ap.STDIN_END)
            assert c.expect(ap.STDOUT, last) == b'<two>\n'
            assert c.finish(last).status == 6
        assert collect(a, mine)[:2] == collect(b, theirs)[:2] == (b'<two>\n', 0)
        assert collect(quiet, waits)[:2] == (b'', 0)
        # Its end was seen: it is gone.
        assert quiet.refused(ap.ATTACH, struct.pack('<II', number, REPLAY)).code == ap.NO_PROCESS
        assert quiet.processes() == []


def test_ended_ones_are_kept(vm):
    vm.boot()
    numbers = []
    with Agent(vm.vsock_path) as waiter:
        for n in range(20):
            with Agent(vm.vsock_path) as a:
                numbers.append(started(a, a.start(shell(f'sleep 0.3; echo {n}; exit {n}'), flags=ap.DETACH))[0])
            request = attach(waiter, numbers[-1], QUIET)      # to see the end is not to take it
            assert waiter.finish(request).status == n
        assert sorted(p.number for p in waiter.processes()) == numbers[4:]
        assert all(p.flags & ENDED_FLAG and p.command.startswith('/bin/sh -c sleep') for p in waiter.processes())
        assert waiter.ping() == 0
        assert waiter.refused(ap.ATTACH, struct.pack('<II', numbers[0], 0)).code == ap.NO_PROCESS
        for n in range(4, 20):
            request = waiter.send(ap.ATTACH, struct.pack('<II', numbers[n], REPLAY))
            end = waiter.finish(request)
            assert (end.status, end.out) == (n, b'%d\n' % n) and end.started[2] & ENDED_FLAG
        assert waiter.processes() == []


def test_readers(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        number, _ = started(a, a.start(shell('read x; seq 1 300000; exit 1'), flags=ap.DETACH | ap.WITH_STDIN))
    whole = b''.join(b'%d\n' % n for n in range(1, 300001))
    with Agent(vm.vsock_path) as slow, Agent(vm.vsock_path) as lossy, Agent(vm.vsock_path) as starter:
        kept, loses = attach(slow, number), attach(lossy, number, LOSSY)
        go = attach(starter, number, INPUT | QUIET)
        starter.send(ap.STDIN, b'\n', go)
        time.sleep(1)
        assert starter.ping() == 1, 'a slow reader holds the command up'
        out, lost, _ = collect(slow, kept)
        assert out == whole and lost == 0
        out, lost, _ = collect(lossy, loses)
        assert len(out) + lost == len(whole) and whole.endswith(out[-1000:])
    # Without readers nothing holds it up, and the ring has its last words.
    with Agent(vm.vsock_path) as a:
        number, _ = started(a, a.start(shell('sleep 0.5; seq 1 300000; exit 2'), flags=ap.DETACH))
    with Agent(vm.vsock_path) as a:
        assert a.finish(attach(a, number, QUIET)).status == 2
        out, lost, _ = collect(a, attach(a, number, REPLAY))
        assert RING * 3 // 4 < len(out) <= RING + (64 << 10) and whole.endswith(out) and lost == 0
    # Up to 16 readers.
    with Agent(vm.vsock_path) as a:
        number, _ = started(a, a.start(['sleep', '4321'], flags=ap.DETACH))
    agents = [Agent(vm.vsock_path) for _ in range(17)]
    requests = [attach(a, number) for a in agents[:16]]
    assert agents[16].refused(ap.ATTACH, struct.pack('<II', number, 0)).code == ap.RESOURCES
    assert agents[0].refused(ap.ATTACH, struct.pack('<II', number, 0)).code == ap.BUSY
    send_signal(agents[16], number, signal.SIGKILL, ALL)
    for a, request in zip(agents, requests):
        assert a.finish(request).status == -signal.SIGKILL
        a.close()


class Log:
    """Listens where the monitor takes connections of the guest to its log port."""

    def __init__(self, vm):
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(f'{vm.vsock_path}_1026')
        self.listener.listen()
        self.listener.settimeout(ap.PATIENCE)

    def accept(self):
        return Agent(self.listener.accept()[0], greet=False)


def test_log(vm):
    vm.boot()
    with Agent(vm.vsock_path) as a:
        assert a.run('echo nobody listens', flags=ap.LOG).out == b'nobody listens\n'
    log = Log(vm)
    with Agent(vm.vsock_path) as a:
        request = a.start(shell('echo out; echo err >&2; seq 1 100000; exit 9'), flags=ap.LOG | ap.TELL)
        number, _ = started(a, request)
        reader = log.accept()
        end = a.finish(request)
        logged = reader.finish(number)
        assert (end.status, end.out, end.err) == (logged.status, logged.out, logged.err)
        assert reader.is_closed() == [] and len(end.out) > 500000
        # A log that is not read holds a command up for a while only.
        request = a.start(shell('seq 1 400000; exit 3'), flags=ap.LOG | ap.TELL)
        number, _ = started(a, request)
        stuck = log.accept()
        end = a.finish(request)
        assert end.status == 3 and len(end.out) > 2500000
        logged = stuck.finish(number)
        assert logged.status == 3 and b'output is missing' in logged.err and end.out.endswith(logged.out[-1000:])
        # And one that goes away is left aside.
        request = a.start(shell('read x; seq 1 100000; exit 4'), flags=ap.LOG | ap.WITH_STDIN)
        log.accept().close()
        a.send(ap.STDIN, b'\n', request, flags=ap.STDIN_END)
        assert a.finish(request).status == 4


def test_main_ends_the_machine(vm):
    vm.boot()
    log = Log(vm)
    with Agent(vm.vsock_path) as a, Agent(vm.vsock_path) as other:
        request = a.start(shell('echo working; sleep 0.5; echo done; exit 11'), flags=ap.MAIN | ap.LOG | ap.DETACH)
        number, flags = started(a, request)
        assert flags & MAIN_FLAG
        reader = log.accept()
        other.send(ap.EXEC, ap.execute(['sleep', '4321']))
        end, logged = a.finish(request), reader.finish(number)
        assert (end.status, end.out) == (logged.status, logged.out) == (11, b'working\ndone\n')
    status, _, err = vm.wait()
    assert status == 0, err


def test_clients_that_disappear(vm):
    vm.boot()
    counts = []     # of descriptors: the first two rounds fill the pool of groups
    for _ in range(3):
        for flags, options in ((0, b''), (ap.WITH_STDIN, b''), (ap.WITH_STDIN, tty()), (ap.LOG, b''), (ap.KEEP, b''), (ap.TELL, timeout(100000))):
            for read in (False, True):
                a = Agent(vm.vsock_path)
                request = a.start(shell('echo x; setsid sleep 4321 & yes'), flags=flags, options=options)
                if flags & ap.WITH_STDIN:
                    a.send(ap.STDIN, b'x' * 30000, request)
                if read:
                    a.read()
                a.close()
        for cut in (b'', ap.frame(ap.EXEC, ap.execute(['true']))[:30], ap.frame(ap.STDIN, length=1000), ap.HEADER.pack(8, ap.ATTACH, 0, 1, 0)[:9]):
            a = Agent(vm.vsock_path)
            a.socket.sendall(cut)
            a.close()
        with Agent(vm.vsock_path) as a:
            until(lambda: a.ping() == 0, 'a command outlived its client')
            a.run('pkill sleep; pkill yes; sleep 0.2')
            counts.append(int(a.run('ls /proc/1/fd | wc -l').out))
    assert counts[2] <= counts[1] + 7, counts
    assert not running(vm, 'yes')


@pytest.mark.parametrize('what, payload, code', [
    (ap.SIGNAL, struct.pack('<4I', 0, 0, 0, 0), ap.MALFORMED), (ap.SIGNAL, struct.pack('<4I', 0, 65, 0, 0), ap.MALFORMED),
    (ap.SIGNAL, struct.pack('<4I', 0, 1, 3, 0), ap.MALFORMED), (ap.SIGNAL, struct.pack('<4I', 0, 1, 0, 1), ap.MALFORMED),
    (ap.ATTACH, struct.pack('<II', 1, 16), ap.MALFORMED), (ap.PROCESSES, struct.pack('<I', 2), ap.MALFORMED),
    (ap.ATTACH, struct.pack('<II', 0, 0), None), (ap.EXEC, ap.execute(['true'], flags=64), ap.MALFORMED),
    (ap.EXEC, ap.execute(['true'], options=tty() * 2), ap.MALFORMED), (ap.RESIZE, b'1234567', ap.MALFORMED)])
def test_malformed(shared_vm, what, payload, code):
    with Agent(shared_vm.vsock_path) as a, Agent(shared_vm.vsock_path) as witness:
        refused = a.refused(what, payload)
        if code:
            assert refused.code == code and refused.request == 0 and a.is_closed() == []
        assert witness.ping() == 0


@pytest.fixture(scope='module')
def shared_vm(build, kernel, image):
    machine = conftest.Vm(build, kernel, image, pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-')))
    machine.boot()
    yield machine
    machine.end()
    shutil.rmtree(machine.folder)


def agent_state(a):
    """Descriptors, KiB of private memory, groups, processes: of the agent, as a command sees it."""
    out = a.run('ls /proc/1/fd | wc -l; grep -E "^Private" /proc/1/smaps_rollup | awk "{ n += \\$2 } END { print n }"; '
                'ls -d /sys/fs/cgroup/vmlet/user/*/ | wc -l').out.split()
    return [*map(int, out), len(a.processes(everything=True))]


def many(vm, in_a_row, at_once):
    with Agent(vm.vsock_path) as a:
        a.run('true')
        first = agent_state(a)
        for n in range(in_a_row):
            end = a.run(['/bin/sh', '-c', f'echo {n}; exit {n % 256}'] if n % 10 == 0 else ['/bin/echo', str(n)])
            assert end.out == b'%d\n' % n and end.status == (n % 256 if n % 10 == 0 else 0)
        after = agent_state(a)
        assert after[0] <= first[0] and after[2] <= first[2] and after[3] == first[3] == 0, (first, after)
        assert after[1] <= first[1] + 64 and after[1] <= 1024, (first, after)
    agents = [Agent(vm.vsock_path) for _ in range(at_once)]
    requests = [a.start(shell(f'echo $$; sleep 1; head -c 100000 /dev/zero | tr "\\0" x; exit {n % 200}'))
                for n, a in enumerate(agents)]
    with Agent(vm.vsock_path) as a:
        assert a.ping() <= at_once
    for n, (a, request) in enumerate(zip(agents, requests)):
        end = a.finish(request)
        assert end.status == n % 200 and end.out.endswith(b'x' * 100000)
        a.close()
    with Agent(vm.vsock_path) as a:
        last = agent_state(a)
        assert last[0] < 150 and last[1] <= 1024 and last[2] <= 34 and last[3] == 0, (first, last)


@pytest.fixture
def small_vm(build, kernel, small_image):
    """Its programs are static: a command costs a tenth of one that has a dynamic linker to wait for."""
    machine = conftest.Vm(build, kernel, small_image, pathlib.Path(tempfile.mkdtemp(prefix='vmlet-test-')))
    machine.boot(memory='512M')
    yield machine
    machine.end()
    shutil.rmtree(machine.folder)


@pytest.mark.parametrize('in_a_row,at_once', [(300, 32), pytest.param(10000, 128, marks=pytest.mark.long)])
def test_many(small_vm, in_a_row, at_once):
    fds = len(os.listdir(f'/proc/{small_vm.process.pid}/fd'))
    many(small_vm, in_a_row, at_once)
    assert len(os.listdir(f'/proc/{small_vm.process.pid}/fd')) <= fds + 1


def test_a_command_that_cannot_begin(vm):
    """Root in the guest froze the groups of all: the agent does not wait for its own child for ever."""
    vm.boot()
    with Agent(vm.vsock_path) as a, Agent(vm.vsock_path) as b, Agent(vm.vsock_path) as c:
        frozen = a.start(shell('echo 1 > /sys/fs/cgroup/vmlet/user/cgroup.freeze; echo on'))

        def is_late():
            request = b.send(ap.EXEC, ap.execute(['true'], options=timeout(500)))
            f = b.read()
            assert f.request == request and f.kind in (ap.EXIT, ap.ERROR)
            return f.kind == ap.ERROR and ap.Refused(f)

        until(is_late, 'commands still begin')
        late = is_late()
        assert (late.code, late.errno) == (ap.SYSTEM, 110), late
        c.ask(ap.PING)
        c.ask(ap.FREEZE, struct.pack('<I', 0))
        assert a.finish(frozen).out == b'on\n'
        assert b.run('echo again').out == b'again\n'
    assert vm.stop()[0] == 0
