"""A hostile guest and hostile resolvers against the names of a policy, with real servers."""
import pytest
from attacked import NAME, box, names          # noqa: F401  pylint: disable=unused-import
from hostile_dns import resolver
from wire import HOST, METADATA, ONE, OTHER, PRIVATE, SIX

REFUSED, SERVFAIL, NOTIMP, NXDOMAIN, GOOD = 5, 2, 4, 3, 0
A, TXT, AAAA, SVCB, HTTPS, ANY = 1, 16, 28, 64, 65, 255
HANDSHAKE = 22
RULE = f'allow {NAME}:80,443'


def test_tls_and_http(box):          # noqa: F811
    with names(f'--address=/{NAME}/{ONE}', f'--address=/two.example.org/{ONE}', f'--address=/{NAME}/{SIX}'):
        box.policy('--allow', f'{NAME}:80,443')
        assert box('https', ONE, NAME, box.authority) == 'EHOSTUNREACH'      # nobody asked for the name
        assert box('resolve', NAME)[:2] == [GOOD, [ONE]]
        assert box('resolve', NAME, AAAA)[:2] == [GOOD, [SIX]]
        assert box('https', ONE, NAME, box.authority) == f'page of {NAME}'
        assert box('https', SIX, NAME, box.authority) == f'page of {NAME}'
        assert box('http', ONE, NAME) == f'page of {NAME}'
        box.sent()
        for host in ('two.example.org', 'evil.example.com', f'{NAME}.evil.example.com', OTHER, f'{NAME}\r\nHost: two.example.org'):
            assert box('http', ONE, host) == 'ECONNRESET', host
        assert box('greet', ONE, 'two.example.org', False) == 'ECONNRESET'
        assert box('greet', ONE, None, False) == 'ECONNRESET'
        assert box('greet', ONE, NAME, True) == 'ECONNRESET'
        assert box('greet', ONE, NAME, False) == HANDSHAKE
        assert box('greet', OTHER, NAME, False) == 'EHOSTUNREACH'            # resolved, then elsewhere; DNS over HTTPS
        assert box('greet', OTHER, 'dns.example.net', False) == 'EHOSTUNREACH'
        assert box('datagram', ONE, 443, '\xc0\0\0\0\1QUIC') != '\xc0\0\0\0\1QUIC'
        assert not [line for line in box.sent() if OTHER in line or line.startswith('udp')]
        said = box.said()
        assert ('tcp', NAME, ONE, 443, 'allow', RULE) in said and ('tcp', NAME, ONE, 80, 'allow', RULE) in said, said
        for event in (('tcp', 'two.example.org', ONE, 443, 'deny', 'mode allow'), ('tcp', 'evil.example.com', ONE, 80, 'deny', 'mode allow'),
                      ('tcp', None, OTHER, 443, 'deny', 'mode allow')):
            assert event in said, (event, said)
        assert any(e[0] == 'udp' and e[2:5] == (ONE, 443, 'deny') for e in said), said


def test_denied_name(box):          # noqa: F811
    with names(f'--address=/{NAME}/{ONE}', f'--address=/two.example.org/{ONE}'):
        box.policy('--net', 'public', '--deny', 'two.example.org')
        assert box('resolve', 'two.example.org')[0] == REFUSED and box('resolve', NAME)[0] == GOOD
        assert box('http', ONE, NAME) == f'page of {NAME}' and box('greet', ONE, NAME, False) == HANDSHAKE
        assert box('http', ONE, 'two.example.org') == 'ECONNRESET'
        assert box('greet', ONE, 'two.example.org', False) == 'ECONNRESET'
        assert box('greet', ONE, None, False) == 'ECONNRESET' and box('greet', ONE, NAME, True) == 'ECONNRESET'
        box.sent()
        assert box('datagram', ONE, 443) != 'x' and box('datagram', ONE, 9999) == 'x'
        assert not [line for line in box.sent() if f'udp {ONE} 443' in line]
        said = box.said()
        assert ('tcp', 'two.example.org', ONE, 443, 'deny', 'deny two.example.org') in said, said
        assert any(e[0] == 'udp' and e[2:5] == (ONE, 443, 'deny') for e in said), said


@pytest.mark.parametrize('mode', ('names', 'public'))
def test_rebinding(box, mode):          # noqa: F811
    lies = {'private': PRIVATE, 'loop': '127.0.0.1', 'meta': METADATA, 'here': HOST, 'gateway': '10.0.2.2', 'guest': '10.0.2.15', 'zero': '0.0.0.0',
            'mapped': f'::ffff:{PRIVATE}', 'loop6': '::1', 'nat64': '64:ff9b::a09:909', 'local6': 'fd00:0:0:2::2', 'six2four': '2002:a09:909::1'}
    with names(*(f'--address=/{name}.example.org/{address}' for name, address in lies.items()),
                 f'--address=/{NAME}/{ONE}', '--cname=a.example.org,b.example.org', '--cname=b.example.org,c.example.org',
                 f'--host-record=c.example.org,{ONE}', '--cname=inward.example.org,inside.example.org', f'--host-record=inside.example.org,{PRIVATE}'):
        box.policy(*(('--net', 'public') if mode == 'public' else ('--allow', '*.example.org')))
        box.sent()
        for name, address in lies.items():
            assert box('resolve', f'{name}.example.org', AAAA if ':' in address else A)[:2] == [REFUSED, []], name
            assert box('talk', address, 80, '') in ('EHOSTUNREACH', 'ECONNREFUSED', 'EACCES', 'ENETUNREACH', 'EINVAL'), name
        assert box('resolve', 'inward.example.org')[:2] == [REFUSED, []]
        assert box('resolve', 'a.example.org')[:2] == [GOOD, [ONE]]          # by way of two others
        assert box('http', ONE, 'a.example.org') == 'page of a.example.org'
        assert not [line for line in box.sent() if f' {ONE} ' not in line and line.startswith(('tcp', 'udp'))]
        said = box.said()
        assert {address for proto, _, address, _, verdict, _ in said if proto == 'dns' and verdict == 'deny'} >= {PRIVATE, METADATA, '127.0.0.1'}
        assert ('tcp', 'a.example.org', ONE, 80, 'allow', 'mode public' if mode == 'public' else 'allow *.example.org') in said, said
        for address in (PRIVATE, METADATA, HOST):
            assert any(e[0] == 'tcp' and e[2:5] == (address, 80, 'deny') for e in said), (address, said)


def test_hostile_resolver(box):          # noqa: F811
    box.policy('--allow', '*.example.org')
    with resolver(ONE) as upstream:
        def ask(name, kind=A):
            return box('resolve', f'{name}.example.org', kind)[:2]

        assert ask('good') == [GOOD, [ONE]] == ask('truncated') == ask('wrongid') == ask('wrongquestion')
        assert ('truncated.example.org', A, True) in upstream.asked
        assert ask('huge') == [GOOD, [ONE]]
        assert box('resolve', 'zero.example.org')[2] >= 1
        for name in ('loop', 'circle', 'garbage', 'short', 'endless', 'long'):
            assert ask(name) == [SERVFAIL, []], name
        assert ask('beside')[1] == [] and box('talk', '93.184.216.99', 80, '') == 'EHOSTUNREACH'
        asked = len(upstream.asked)
        assert ask('good', HTTPS) == ask('good', SVCB) == [GOOD, []]
        assert ask('good', TXT) == ask('good', ANY) == [NOTIMP, []]
        assert len(upstream.asked) == asked
        assert box('resolve', 'good.example.org', A, True)[:2] == [GOOD, [ONE]]
        assert box('http', ONE, 'good.example.org') == 'page of good.example.org'
        said = box.said()
        assert ('dns', 'truncated.example.org', None, None, 'allow', 'allow *.example.org') in said, said
        assert ('tcp', None, '93.184.216.99', 80, 'deny', 'mode allow') in said, said


def test_dns_tunnel(box):          # noqa: F811
    box.policy('--allow', NAME, '--allow', '*.wide.example.org')
    with resolver(ONE) as upstream:
        assert set(box('resolve_all', [f'{i:060x}.evil.example.com' for i in range(20)])) == {REFUSED}
        assert set(box('resolve_all', [f'{i:060x}.{NAME}' for i in range(20)], TXT)) == {REFUSED}
        assert box('resolve', f'{7:060x}.example.com', A, True)[0] == REFUSED
        assert upstream.asked == []
        box.sent()
        assert box('resolve', 'evil.example.com', A, False, OTHER, 3)[0] not in (GOOD, NXDOMAIN)      # another resolver
        assert box('resolve', 'evil.example.com', A, True, OTHER, 3)[0] == 'EHOSTUNREACH'
        assert not [line for line in box.sent() if OTHER in line]
        said = box.said()
        assert ('dns', f'{7:060x}.evil.example.com', None, None, 'deny', 'mode allow') in said, said
        assert ('tcp', None, OTHER, 53, 'deny', 'mode allow') in said and ('udp', None, OTHER, 53, 'deny', 'mode allow') in said, said
        assert box('resolve', NAME)[:2] == [GOOD, [ONE]]
