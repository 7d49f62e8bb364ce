"""A hostile guest against the gateway: forged, broken and too many packets, and what still has to work meanwhile."""
import pytest
from attacked import NAME, box, names          # noqa: F401  pylint: disable=unused-import
from wire import ONE, OTHER, PRIVATE, SIX

GROWTH_KIB = 4096          # what an allocator may keep of a crowd


def test_forged_sources(box):          # noqa: F811
    box.policy('--net', 'public', '--deny', f'{OTHER}:9999')
    box.sent()
    box('forge', ONE, SIX, 9999)
    assert box('datagram', ONE, 9999, 'last') == 'last'
    sent = [line for line in box.sent() if ' 9999 ' in line]
    assert sent == [f'udp {ONE} 9999 {text.hex()}' for text in (b'honest', b'last'.ljust(6, b'\0'))] or \
        [line.split()[3][:8] for line in sent] == [b'hone'.hex(), b'last'.hex()], sent
    said = {e for e in box.said() if e[3] == 9999}
    assert said == {('udp', None, ONE, 9999, 'allow', 'mode public')}, said


def test_fragments(box):          # noqa: F811
    box.policy('--net', 'public')
    before = box.anonymous()
    box.sent()
    box('fragments', ONE, 9998)
    assert box.is_well() == 'hello\n'
    assert not [line for line in box.sent() if line.startswith('udp')]
    assert box.anonymous() - before < GROWTH_KIB
    assert not {e for e in box.said() if e[3] == 9998}


def test_forged_answers(box):          # noqa: F811
    with names(f'--address=/{NAME}/{ONE}'):
        box.policy('--allow', NAME)
        box.begin('resolve', NAME)
        assert box.answer()[1] == [ONE]
        box.sent()
        box('lie', NAME, OTHER)
        assert box('resolve', NAME)[1] == [ONE]
        assert box('greet', OTHER, NAME, False) == 'EHOSTUNREACH'
        assert not [line for line in box.sent() if ' ff02::' not in line]
        assert ('tcp', None, OTHER, 443, 'deny', 'mode allow') in box.said()


def test_garbage(box):          # noqa: F811
    with names(f'--address=/{NAME}/{ONE}'):
        box.policy('--allow', NAME)
        assert box('resolve', NAME)[1] == [ONE]
        before, pid = box.anonymous(), box.gateway()
        box.sent()
        tls, http, heads, dns = box('garbage', ONE)
        # What no server takes for a request is none: it is the server's to refuse.
        assert (tls, heads) == ('ECONNRESET',) * 2 and http.startswith('HTTP/1.1 400') and dns in ('', 'ECONNRESET', 'EPIPE')
        # By chance some of it is a datagram to where it may go.
        assert not [line for line in box.sent() if f' {ONE} ' not in line and ' ff02::' not in line]
        assert box.gateway() == pid and box.anonymous() - before < GROWTH_KIB
        assert box('resolve', NAME)[1] == [ONE] and box('http', ONE, NAME) == f'page of {NAME}'
        said = box.said()
        assert ('tcp', NAME, ONE, 80, 'deny', 'mode allow') in said and ('tcp', NAME, ONE, 443, 'deny', 'mode allow') in said, said


def test_icmp_tunnel(box):          # noqa: F811
    box.policy('--allow', f'{ONE}/icmp', '--allow', f'{OTHER}:80')
    box.sent()
    for size in (56, 1400, 30000):
        assert box('ping', OTHER, size, 2) in ('unreachable', 'TimeoutError', 'EHOSTUNREACH'), size
        assert box('ping', PRIVATE, size, 2) in ('unreachable', 'TimeoutError', 'EHOSTUNREACH'), size
    assert not [line for line in box.sent() if line.startswith('icmp ')]
    assert box('ping', ONE, 1000, 60) is True
    assert {line.split()[1] for line in box.sent() if line.startswith('icmp ')} == {ONE}
    said = box.said()
    for event in (('icmp', None, OTHER, None, 'deny', 'mode allow'), ('icmp', None, PRIVATE, None, 'deny', 'mode allow'),
                  ('icmp', None, ONE, None, 'allow', f'allow {ONE}/icmp')):
        assert event in said, (event, said)


@pytest.mark.parametrize('where', (ONE, OTHER))
def test_flood(box, where):          # noqa: F811
    box.policy('--allow', f'{ONE}:7001')
    before, pid = box.anonymous(), box.gateway()
    box('flood', where, 7001, 5000)
    assert box.is_well() == 'hello\n'
    assert box.gateway() == pid and box.anonymous() - before < 4 * GROWTH_KIB
    assert ('tcp', None, where, 7001, *(('allow', f'allow {ONE}:7001') if where == ONE else ('deny', 'mode allow'))) in box.said()
