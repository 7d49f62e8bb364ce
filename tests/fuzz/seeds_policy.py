#!/usr/bin/python3
"""Writes the seeds of fuzz_policy_parse: good ones, and one per limit.

Findings of the fuzzers are added to the same folder by hand; this script leaves them alone.
"""
import pathlib

FOLDER = pathlib.Path(__file__).parent / 'corpus/policy_parse'


def rules(*texts):
    return 'mode = "allow"\nrules = [\n' + ''.join(f'  "{t}",\n' for t in texts) + ']\n'


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    ports = ','.join(str(n) for n in range(1, 17))
    for name, text in {
            'whole': '# all\nmode = "public"\r\nrules = [ "deny *.example.org:80,90-99/tcp", \'allow 10.0.0.0/8\' ]\n'
                     'bytes_per_second = "10M"\nconnections_per_second = 50\nconnections = 512\n',
            'deny': 'mode = "deny"', 'none': 'mode = "none"', 'twice': 'mode = "deny"\nmode = "deny"', 'unknown': 'mood = 1',
            'no_list': 'mode = "allow"\nrules = "allow a"', 'open': 'mode = "allow"\nrules = [ "allow a.b"',
            'deny_rules': 'mode = "deny"\nrules = [ "allow a.b" ]', 'covered': rules('allow *.example.org', 'deny a.example.org'),
            'names': rules('allow a.example.org', 'deny *.b.example.org:1', 'allow *:443/udp', 'allow host', 'allow metadata'),
            'ranges': rules('allow 10.0.0.0/8', 'allow [2001:db8::]/32:53/udp', 'allow ::1', 'deny 0.0.0.0/0', 'deny ::/0'),
            'ports_16': rules(f'allow 1.1.1.1:{ports}'), 'ports_17': rules(f'allow 1.1.1.1:{ports},17'),
            'port_65535': rules('allow a.b:65535'), 'port_65536': rules('allow a.b:65536'), 'port_0': rules('allow a.b:0'),
            'prefix_33': rules('allow 10.0.0.0/33'), 'prefix_129': rules('allow ::/129'), 'bits': rules('allow 10.1.0.0/8'),
            'label_63': rules('allow ' + 'a' * 63 + '.org'), 'label_64': rules('allow ' + 'a' * 64 + '.org'),
            'name_253': rules('allow ' + '.'.join(['a' * 49] * 5) + '.abc'), 'name_254': rules('allow ' + '.'.join(['a' * 49] * 5) + '.abcd'),
            'rules_256': rules(*(f'allow n{i}.example' for i in range(256))),
            'rules_257': rules(*(f'allow n{i}.example' for i in range(257))),
            'text_long': rules('allow ' + 'a' * 600), 'connections_max': 'mode = "allow"\nconnections = 65536',
            'connections_over': 'mode = "allow"\nconnections = 65537', 'rate_over': 'mode = "allow"\nconnections_per_second = 1000001',
            'bytes_over': 'mode = "allow"\nbytes_per_second = "2T"', 'zero_byte': 'mode = "allow"\nrules = [ "allow a\0b" ]',
    }.items():
        (FOLDER / name).write_bytes(text.encode())


if __name__ == '__main__':
    main()
