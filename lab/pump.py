#!/usr/bin/env python3
"""pump.py MARK SECONDS: brings the output of a command in the lab home.

Copies descriptor 0 to 1 and 3 to 2, each until MARK passes by, which is left out. Bytes go on as soon as
they come; only what may be the beginning of the mark waits for more.
Exit status: 0 both marks came, 1 an input ended without it, 2 nobody reads an output any more,
3 the time is over.
"""

import os
import queue
import select
import sys
import threading
import time

CHUNK = 1 << 16
DONE, CUT_SHORT, READER_GONE, TIME_OVER = range(4)


def kept_back(data, mark):
    """Length of the longest end of data that begins mark."""
    for length in range(min(len(data), len(mark) - 1), 0, -1):
        if data.endswith(mark[:length]):
            return length
    return 0


def write(fd, data):
    while data:
        try:
            data = data[os.write(fd, data):]
        except BlockingIOError:             # whoever shares it with us made it so
            select.select([], [fd], [])


def copy(source, target, mark):
    held = b""
    while data := os.read(source, CHUNK):
        data = held + data
        end = data.find(mark)
        if end >= 0:
            write(target, data[:end])
            return DONE
        keep = kept_back(data, mark)
        held = data[len(data) - keep:]
        write(target, data[:len(data) - keep])
    write(target, held)
    return CUT_SHORT


def main():
    mark, limit = sys.argv[1].encode(), time.monotonic() + float(sys.argv[2])
    results = queue.SimpleQueue()

    def run(source, target):
        try:
            results.put(copy(source, target, mark))
        except OSError:
            results.put(READER_GONE)

    for source, target in ((0, 1), (3, 2)):
        threading.Thread(target=run, args=(source, target), daemon=True).start()
    worst = DONE
    for _ in range(2):
        try:
            worst = max(worst, results.get(timeout=max(0, limit - time.monotonic())))
        except queue.Empty:
            worst = TIME_OVER
        if worst >= READER_GONE:
            break
    os._exit(worst)                         # a thread may wait for a reader that never reads


if __name__ == "__main__":
    main()
