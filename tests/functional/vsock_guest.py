"""A server inside the guest, for tests and benches of vsock: vsock_guest.py PORT.

A client's first line says what it wants: "sink N" sends N bytes and gets their checksum, "drop N" the same without
a checksum, "source N" gets N bytes, "echo" gets back what it sends, "hold" nothing, "dial PORT" has the guest connect
to the host. All bytes are those of block() over and over; its length is odd, so that no piece can stand for another.
"""
import random
import socket
import sys
import threading
import zlib


def block():
    return random.Random(7).randbytes((1 << 18) + 1)


def sink(s, n, checked=True):
    crc, room = 0, memoryview(bytearray(1 << 18))
    while n:
        got = s.recv_into(room[:min(n, len(room))])
        if not got:
            break
        crc = zlib.crc32(room[:got], crc) if checked else 0
        n -= got
    s.sendall(b'%d %d\n' % (n, crc))


def source(s, n):
    b = memoryview(block())
    while n:
        part = b[:n]
        s.sendall(part)
        n -= len(part)


def echo(s):
    while True:
        got = s.recv(1 << 16)
        if not got:
            break
        s.sendall(got)


def dial(s, port):
    out = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    try:
        out.connect((2, port))
    except OSError as e:
        s.sendall(b'%s\n' % type(e).__name__.encode())
        return
    out.sendall(b'from the guest')
    out.shutdown(socket.SHUT_WR)
    got = b''
    while part := out.recv(4096):
        got += part
    s.sendall(got + b'\n')


def serve(s):
    line = b''
    while not line.endswith(b'\n'):
        c = s.recv(1)
        if not c:
            return
        line += c
    verb, *args = line.decode().split()
    verbs = {'sink': sink, 'drop': lambda s, n: sink(s, n, False), 'source': source, 'echo': echo, 'dial': dial,
             'hold': lambda s: s.recv(1)}
    try:
        verbs[verb](s, *map(int, args))
    except OSError:
        pass
    s.close()


threading.stack_size(1 << 18)
listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
listener.bind((socket.VMADDR_CID_ANY, int(sys.argv[1])))
listener.listen(128)
print('listening', flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
