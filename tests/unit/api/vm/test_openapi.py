#!/usr/bin/python3
"""openapi.yaml, the tables in the program, and what a real socket answers: all three say the same.

test_openapi.py PRINT_ROUTES VMM OPENAPI
"""
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest

import yaml

PRINT_ROUTES, VMM, OPENAPI = (os.path.abspath(word) for word in sys.argv[1:4])
KINDS = {'string': 'text', 'boolean': 'flag', 'integer': 'number', 'object': 'object', 'array': 'list'}
ROUTES = {(r['method'], r['path']): r for r in json.loads(subprocess.run([PRINT_ROUTES], check=True, stdout=subprocess.PIPE).stdout)}


class Loader(yaml.SafeLoader):
    """YAML 1.1 without its Norway problem: None, Off and the like are words here."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if first in 'tf' or tag != 'tag:yaml.org,2002:bool']
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
with open(OPENAPI, encoding='utf-8') as f:
    PROMISE = yaml.load(f, Loader)


def resolve(node):
    if '$ref' not in node:
        return node
    found = PROMISE
    for name in node['$ref'].removeprefix('#/').split('/'):
        found = found[name]
    return {**found, **{k: v for k, v in node.items() if k != '$ref'}}


def promised():
    """(method, path, operation) of the file."""
    for path, methods in PROMISE['paths'].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def body_of(operation):
    """(schema, example, the whole media type), or None."""
    if 'requestBody' not in operation:
        return None
    content = resolve(operation['requestBody'])['content']['application/json']
    return resolve(content['schema']), content['example'], content


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('localhost', timeout=20)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class Tables(unittest.TestCase):
    def test_same_requests(self):
        self.assertEqual({(m, p) for m, p, _ in promised()}, set(ROUTES))

    def test_same_times_and_refusals(self):
        for method, path, operation in promised():
            with self.subTest(method=method, path=path):
                route = ROUTES[method, path]
                self.assertEqual(operation.get('x-when', 'always'), route['when'])
                self.assertEqual(operation.get('x-refused'), route['refused'])

    def same_schema(self, promise, table):
        promise = resolve(promise)
        self.assertEqual(set(promise['properties']), set(table['fields']))
        for name, field in table['fields'].items():
            with self.subTest(schema=table['name'], field=name):
                said = resolve(promise['properties'][name])
                kind = 'choice' if 'enum' in said else KINDS[said['type']]
                self.assertEqual(kind, field['kind'])
                self.assertEqual(name in promise.get('required', []), field['required'])
                if kind == 'number':
                    self.assertEqual((said.get('minimum', 0), said.get('maximum', 0)), (field['min'], field['max']))
                if kind == 'choice':
                    self.assertEqual(said['enum'], field['choices'])
                if kind == 'object':
                    self.same_schema(said, field['object'])

    def test_same_bodies(self):
        for method, path, operation in promised():
            body, route = body_of(operation), ROUTES[method, path]
            with self.subTest(method=method, path=path):
                self.assertEqual(body is None, route['schema'] is None)
                if body:
                    name = resolve(operation['requestBody'])['content']['application/json']['schema']['$ref'].split('/')[-1]
                    self.assertEqual(name, route['schema']['name'])
                    self.same_schema(body[0], route['schema'])


class Program(unittest.TestCase):
    def test_http_is_elsewhere(self):
        """Who does not ask for the API does not wait for its libraries."""
        needed = subprocess.run(['readelf', '-d', VMM], check=True, stdout=subprocess.PIPE, text=True).stdout
        self.assertNotIn('microhttpd', needed)


class Socket(unittest.TestCase):
    """No machine is started: what is asked here needs none."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, 'api')
        self.file = os.path.join(self.folder, 'file')
        with open(self.file, 'wb') as f:
            f.write(b'\0' * 4096)
        self.vmm = subprocess.Popen([VMM, '--api-sock', self.path], cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.addCleanup(self.end)
        give_up = time.monotonic() + 30
        while not self.is_there(self.path):
            self.assertIsNone(self.vmm.poll())
            self.assertLess(time.monotonic(), give_up)
            time.sleep(0.01)
        self.connection = Connection(self.path)
        self.addCleanup(self.connection.close)

    @staticmethod
    def open_files(process):
        """Of a process that answers, so it is past its start; but for the sockets, which come and go."""
        folder = f'/proc/{process.pid}/fd'
        found = []
        for fd in os.listdir(folder):
            try:
                found.append(os.readlink(f'{folder}/{fd}'))
            except FileNotFoundError:
                pass
        return sorted(name for name in found if not name.startswith('socket:'))

    @staticmethod
    def is_there(path):
        with socket.socket(socket.AF_UNIX) as s:
            return not s.connect_ex(path)

    def end(self):
        self.vmm.terminate()
        _, err = self.vmm.communicate(timeout=30)
        self.assertEqual(self.vmm.returncode, 13, err)
        self.assertFalse(os.path.exists(self.path))

    def ask(self, method, path, body=None):
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        self.connection.request(method, path.replace('{', '').replace('}', ''), data)
        answer = self.connection.getresponse()
        text = answer.read()
        self.assertIn(answer.status, (200, 204, 400, 413))
        self.assertEqual(bool(text), answer.status != 204)
        return answer.status, json.loads(text) if text else None

    def refused(self, words, *request):
        status, answer = self.ask(*request)
        self.assertEqual(status, 400, (request, answer))
        self.assertEqual(list(answer), ['fault_message'])
        self.assertIn(words, answer['fault_message'])

    def example(self, operation):
        return {k: self.file if v == 'FILE' else v for k, v in body_of(operation)[1].items()}

    def test_answers_as_promised(self):
        for method, path, operation in promised():
            with self.subTest(method=method, path=path):
                body = None if method == 'GET' else self.example(operation) if body_of(operation) else {}
                if 'x-refused' in operation:
                    self.refused(operation['x-refused'], method, path, body)
                elif operation.get('x-when') == 'after':
                    self.refused('not supported before starting', method, path, body)
                elif method == 'GET' and '400' in operation['responses']:
                    self.assertIn(self.ask(method, path)[0], (200, 400))
                elif method == 'GET':
                    self.assertEqual(self.ask(method, path)[0], 200)
                elif 'x-not-tried' not in body_of(operation)[2]:
                    self.assertEqual(self.ask(method, path, body), (204, None))
        config = self.ask('GET', '/vm/config')[1]
        self.assertLessEqual(set(config), set(PROMISE['components']['schemas']['FullVmConfiguration']['properties']))
        self.assertEqual(config['drives'][0]['cache_type'], 'Unsafe')
        self.assertEqual(config['machine-config']['mem_size_mib'], 512)
        self.assertEqual(self.ask('GET', '/')[1]['state'], 'Not started')
        self.assertEqual(self.ask('GET', '/balloon')[1]['amount_mib'], 64)

    def test_defaults(self):
        machine = PROMISE['components']['schemas']['MachineConfiguration']['properties']
        for name, value in self.ask('GET', '/machine-config')[1].items():
            self.assertEqual(value, machine[name]['default'])

    def wrong_fields(self, schema, example):
        """Bodies that must be refused, with a word that says why."""
        yield {**example, 'surprise': 1}, 'surprise'
        for name in schema.get('required', []):
            yield {k: v for k, v in example.items() if k != name}, f'missing field `{name}`'
            yield {**example, name: None}, f'missing field `{name}`'
        for name, field in schema['properties'].items():
            field = resolve(field)
            for wrong in ([], {}, 'x', 1, True, 1.5, -1):
                right = {'string': (str,), 'boolean': (bool,), 'integer': (int,), 'object': (dict,), 'array': (list,)}[field['type']]
                if not isinstance(wrong, right) or (wrong is True and field['type'] == 'integer') or wrong == -1:
                    yield {**example, name: wrong}, f'`{name}` must be'
            if 'enum' in field:
                yield {**example, name: 'surprise'}, f'`{name}` must be'
            if 'minimum' in field:
                yield {**example, name: field['minimum'] - 1}, f'`{name}` must be'
            if 'maximum' in field:
                yield {**example, name: field['maximum'] + 1}, f'`{name}` must be'
            if field['type'] == 'object':
                for wrong, words in self.wrong_fields(field, {n: {} for n in field.get('required', [])}):
                    if not field.get('required'):
                        yield {**example, name: wrong}, words

    def test_wrong_bodies(self):
        for method, path, operation in promised():
            if not body_of(operation) or operation.get('x-when') == 'after':
                continue
            example = self.example(operation)
            before = self.ask('GET', '/vm/config')
            for wrong, words in self.wrong_fields(body_of(operation)[0], example):
                with self.subTest(method=method, path=path, body=wrong):
                    self.refused(words, method, path, wrong)
            text = json.dumps(example).encode()
            for wrong, words in ((b'', f'Empty {method} request'), (text[:-1], 'deserializing'), (text + b'x', 'deserializing'),
                                 (b'[]', 'must be an object'), (b'{"a":1,"a":2}', 'deserializing'),
                                 (b'[' * 51200, 'deserializing'), (b'\xff\xfe', 'deserializing')):
                with self.subTest(method=method, path=path, body=wrong[:80]):
                    self.refused(words, method, path, wrong)
            self.assertEqual(self.ask('GET', '/vm/config'), before)

    def test_longest_body(self):
        example = json.dumps({'guest_cid': 3, 'uds_path': 'v'}).encode()
        self.assertEqual(self.ask('PUT', '/vsock', example.ljust(51200))[0], 204)
        status, answer = self.ask('PUT', '/vsock', example.ljust(51201))
        self.assertEqual((status, list(answer)), (413, ['fault_message']))

    def test_paths(self):
        for method, path, words in (('GET', '/nothing', 'Invalid request method'), ('DELETE', '/', 'Invalid request method'),
                                    ('PUT', '/', 'Invalid request method'), ('GET', '/vm', 'Invalid request method'),
                                    ('POST', '/actions', 'Invalid request method'), ('PUT', '/drives', 'ID cannot be empty'),
                                    ('PUT', '/drives/', 'ID cannot be empty'), ('PUT', '/drives/a-b', 'alphanumeric'),
                                    ('PUT', '/drives/' + 'a' * 65, 'alphanumeric'), ('PUT', '/drives/a/b', 'Invalid request method'),
                                    ('PUT', '/drives/%2e%2e', 'alphanumeric'), ('GET', '/%7f%ff' * 100, 'Invalid request method')):
            with self.subTest(method=method, path=path):
                self.refused(words, method, path, None if method == 'GET' else {'drive_id': 'x'})
        self.refused('cannot have a body', 'GET', '/', {})
        self.assertEqual(self.ask('GET', '/machine-config/')[0], 200)
        drive = {'path_on_host': self.file, 'is_root_device': False}
        self.refused('does not match', 'PUT', '/drives/one', {'drive_id': 'two', **drive})
        for name in ('a' * 64, '_'):
            self.assertEqual(self.ask('PUT', f'/drives/{name}', {'drive_id': name, **drive})[0], 204)

    def test_what_cannot_be(self):
        machine = {'vcpu_count': 1, 'mem_size_mib': 128}
        for path, body, words in (
                ('/machine-config', {**machine, 'smt': True}, 'smt'),
                ('/machine-config', {**machine, 'mem_size_mib': 129}, 'multiple'),
                ('/machine-config', {**machine, 'track_dirty_pages': True}, 'snapshots'),
                ('/machine-config', {**machine, 'cpu_template': 'T2'}, 'CPU templates'),
                ('/machine-config', {**machine, 'huge_pages': '2M'}, 'huge_pages'),
                ('/cpu-config', {'msr_modifiers': [{}]}, 'CPU configurations'),
                ('/boot-source', {'kernel_image_path': '/nowhere'}, 'cannot be opened'),
                ('/boot-source', {'kernel_image_path': self.file, 'initrd_path': '/nowhere'}, 'cannot be opened'),
                ('/drives/a', {'drive_id': 'a', 'is_root_device': False, 'path_on_host': '/nowhere'}, 'cannot be opened'),
                ('/drives/a', {'drive_id': 'a', 'is_root_device': False}, 'path_on_host'),
                ('/drives/a', {'drive_id': 'a', 'is_root_device': False, 'socket': 's'}, 'vhost-user'),
                ('/drives/a', {'drive_id': 'a', 'is_root_device': True, 'path_on_host': self.file, 'partuuid': 'a init=/x'}, 'partuuid'),
                ('/balloon', {'amount_mib': 128, 'deflate_on_oom': True}, 'too large'),
                ('/balloon', {'amount_mib': 1, 'deflate_on_oom': True, 'free_page_hinting': True}, 'hinting'),
                ('/entropy', {'rate_limiter': {'ops': {'size': 1, 'refill_time': 1}}}, 'rate limiter'),
                ('/serial', {'rate_limiter': {'size': 1, 'refill_time': 1}}, 'rate limiter'),
                ('/serial', {'serial_out_path': 'off'}, './off'),
                ('/serial', {'serial_out_path': 'stdio'}, './stdio'),
                ('/serial', {'serial_out_path': ''}, 'no file'),
                ('/boot-source', {'kernel_image_path': self.file, 'initrd_path': 'none'}, 'none'),
                ('/logger', {'module': 'x'}, 'module'),
                ('/logger', {'log_path': '/nowhere/x'}, 'cannot be opened'),
                ('/metrics', {'metrics_path': '/nowhere/x'}, 'cannot be opened'),
                ('/actions', {'action_type': 'InstanceStart'}, 'kernel'),
                ('/actions', {'action_type': 'FlushMetrics'}, 'before starting'),
                ('/actions', {'action_type': 'SendCtrlAltDel'}, 'before starting')):
            with self.subTest(path=path, body=body):
                self.refused(words, 'PUT', path, body)
        shutil.copy(self.file, os.path.join(self.folder, 'none'))
        self.refused('./none', 'PUT', '/boot-source', {'kernel_image_path': self.file, 'initrd_path': 'none'})
        self.refused('No balloon', 'GET', '/balloon')
        self.refused('Empty PATCH', 'PATCH', '/machine-config', {})

    def test_drives(self):
        def drive(name, root=False, **more):
            return 'PUT', f'/drives/{name}', {'drive_id': name, 'is_root_device': root, 'path_on_host': self.file, **more}

        self.assertEqual(self.ask(*drive('a', True))[0], 204)
        self.refused('root block device', *drive('b', True))
        self.assertEqual(self.ask(*drive('a', False, is_read_only=True))[0], 204)
        self.assertEqual(self.ask(*drive('b', True))[0], 204)
        for i in range(14):
            self.assertEqual(self.ask(*drive(f'd{i}'))[0], 204)
        self.refused('16', *drive('last'))
        self.assertEqual(len(self.ask('GET', '/vm/config')[1]['drives']), 16)

    def test_version(self):
        self.assertEqual(self.ask('GET', '/version')[1], {'firecracker_version': PROMISE['info']['version']})

    def test_longest_socket(self):
        self.assertEqual(self.ask('PUT', '/vsock', {'guest_cid': 3, 'uds_path': 'x' * 96})[0], 204)
        self.refused('1 to 96', 'PUT', '/vsock', {'guest_cid': 3, 'uds_path': 'x' * 97})
        self.refused('1 to 96', 'PUT', '/vsock', {'guest_cid': 3, 'uds_path': ''})

    def test_nothing_is_inherited(self):
        """What vmm opened before it became vmm-api was closed."""
        self.ask('GET', '/')
        kept = self.open_files(self.vmm)
        other = os.path.join(self.folder, 'other')
        more = subprocess.Popen([VMM, '--api-sock', other, '--exit-file', f'{self.folder}/end', '--log', f'{self.folder}/log'],
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            while not self.is_there(other):
                self.assertIsNone(more.poll())
                time.sleep(0.01)
            connection = Connection(other)
            connection.request('GET', '/')
            self.assertEqual(connection.getresponse().status, 200)
            held = self.open_files(more)
            connection.close()
        finally:
            more.terminate()
            more.communicate()
        files = [name for name in held if name.startswith(self.folder)]
        self.assertEqual([os.path.basename(name) for name in files[-2:]], ['log', 'log.1'])
        self.assertEqual(files[:-2], [self.folder] * 2)     # of the exit file, and of the log
        self.assertEqual(len(held) - len(files), len(kept), (held, kept))
        with open(f'{self.folder}/end', encoding='utf-8') as f:
            self.assertEqual(json.load(f)['status'], 13)

    def test_without_the_other_program(self):
        alone = os.path.join(self.folder, 'vmm')
        shutil.copy(VMM, alone)
        done = subprocess.run([alone, '--api-sock', os.path.join(self.folder, 'x')], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 3)
        self.assertIn('vmm-api', done.stderr)

    def test_metrics_once(self):
        self.assertEqual(self.ask('PUT', '/metrics', {'metrics_path': 'm'})[0], 204)
        self.refused('already', 'PUT', '/metrics', {'metrics_path': 'm'})


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
