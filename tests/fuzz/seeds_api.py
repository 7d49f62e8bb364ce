#!/usr/bin/python3
"""Writes the corpus of the API's requests: for each limit one seed that is right and one that is one too many."""
import json
import pathlib

CORPUS = pathlib.Path(__file__).parent / 'corpus/api_body'


def ask(method, path, body=''):
    return f'{method} {path}\n{body if isinstance(body, str) else json.dumps(body)}\n\n'


def put(path, **body):
    return ask('PUT', path, body)


def drive(name='a', **more):
    return put(f'/drives/{name}', **{'drive_id': name, 'is_root_device': False, 'path_on_host': '/dev/null', **more})


BOOT = put('/boot-source', kernel_image_path='/dev/null')
BUCKET = {'size': 1, 'refill_time': 1, 'one_time_burst': 1}
SEEDS = {
    'boot': BOOT,
    'boot-agent': put('/boot-source', kernel_image_path='/dev/null', initrd_path='agent', boot_args='a=1 -- x'),
    'machine': BOOT + put('/machine-config', vcpu_count=32, mem_size_mib=1048576),
    'machine-vcpus-33': put('/machine-config', vcpu_count=33, mem_size_mib=128),
    'machine-memory-30': put('/machine-config', vcpu_count=1, mem_size_mib=30),
    'machine-memory-odd': put('/machine-config', vcpu_count=1, mem_size_mib=33),
    'machine-all': put('/machine-config', vcpu_count=1, mem_size_mib=64, smt=False, track_dirty_pages=False, cpu_template='None',
                       huge_pages='Transparent') + ask('PATCH', '/machine-config', {'vcpu_count': 3}) + ask('GET', '/machine-config'),
    'cpu': put('/cpu-config', cpuid_modifiers=[{}], msr_modifiers=[]),
    'drives-16': BOOT + ''.join(drive(f'd{i}') for i in range(16)),
    'drives-17': BOOT + ''.join(drive(f'd{i}') for i in range(17)),
    'drive-root': BOOT + drive() + drive('r', is_root_device=True, is_read_only=True, cache_type='Writeback', io_engine='Async'),
    'drive-two-roots': drive('a', is_root_device=True) + drive('b', is_root_device=True),
    'drive-partuuid': BOOT + drive('a', is_root_device=True, partuuid='0123-ab') + drive('a', partuuid='x y'),
    'drive-rate': BOOT + drive('a', rate_limiter={'bandwidth': BUCKET, 'ops': BUCKET}),
    'drive-rate-largest': drive('a', rate_limiter={'ops': {'size': 2**63 - 1, 'refill_time': 2**63 - 1}}),
    'drive-rate-beyond': drive('a', rate_limiter={'ops': {'size': 2**63, 'refill_time': 1}}),
    'drive-id-64': drive('x' * 64),
    'drive-id-65': drive('x' * 65),
    'drive-other-id': put('/drives/b', drive_id='a', is_root_device=False, path_on_host='/dev/null'),
    'vsock': BOOT + put('/vsock', guest_cid=2**32 - 2, uds_path='v', vsock_id='x'),
    'vsock-cid-2': put('/vsock', guest_cid=2, uds_path='v'),
    'vsock-cid-any': put('/vsock', guest_cid=2**32 - 1, uds_path='v'),
    'entropy': BOOT + put('/entropy') + put('/entropy', rate_limiter={'ops': BUCKET}),
    'serial': BOOT + put('/serial', serial_out_path='/dev/null') + put('/serial', rate_limiter=BUCKET),
    'balloon': BOOT + put('/balloon', amount_mib=64, deflate_on_oom=True, stats_polling_interval_s=1) + ask('GET', '/balloon'),
    'balloon-128': BOOT + put('/balloon', amount_mib=128, deflate_on_oom=False),
    'balloon-largest': put('/balloon', amount_mib=2**32 - 1, deflate_on_oom=False),
    'after': ask('PATCH', '/balloon', {'amount_mib': 1}) + ask('PATCH', '/drives/a', {'drive_id': 'a'}) + ask('GET', '/balloon/statistics'),
    'actions': put('/actions', action_type='FlushMetrics') + put('/actions', action_type='SendCtrlAltDel'),
    'state': ask('PATCH', '/vm', {'state': 'Paused'}),
    'describe': ask('GET', '/') + ask('GET', '/version') + ask('GET', '/vm/config'),
    'refused': put('/network-interfaces/a', iface_id='a', host_dev_name='t') + ask('GET', '/mmds') + put('/snapshot/load'),
    'paths': ask('GET', '/x') + ask('PUT', '/drives', {}) + ask('PUT', '/drives/a/b', {}) + ask('TRACE', '', {}) + ask('GET', '//'),
    'deep-2048': ask('PUT', '/vsock', '[' * 2048),
    'deep-2049': ask('PUT', '/vsock', '[' * 2049),
    'twice': ask('PUT', '/vsock', '{"guest_cid":3,"guest_cid":4,"uds_path":"v"}'),
    'escapes': ask('PUT', '/boot-source', r'{"kernel_image_path":"/dev/null","boot_args":"\u0001\ud83d\ude00\"\\\n"}'),
    'zero': ask('PUT', '/boot-source', r'{"kernel_image_path":"\u0000"}'),
    'not-utf8': 'PUT /x\xff\n{"\xff":1}\n\n',
    'null': put('/machine-config', vcpu_count=None, mem_size_mib=64),
}


def main():
    CORPUS.mkdir(parents=True, exist_ok=True)
    for name, text in SEEDS.items():
        (CORPUS / name).write_bytes(text.encode('latin-1'))


if __name__ == '__main__':
    main()
