#!/usr/bin/env python3
"""first_boot.py BUILD KERNEL IMAGE [COMMAND...]: boots a micro-VM, runs a command in it, shows the times of it all.

The command is a Python program if none is given. The inner part of ./quickstart: runs where /dev/kvm works, on the host or in the lab.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

LIMIT_S = 120
PROGRAM = """
import platform, os
print(f"Python {platform.python_version()} in a virtual machine of its own")
print(f"  kernel {platform.release()}, process {os.getpid()}, {os.cpu_count()} processor, "
      f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20} MiB of memory")
print("  the first squares:", [n * n for n in range(10)])
"""
STAGES = (
    ("monitor_start", "monitor start"),
    ("vm_created", "VM created"),
    ("first_instruction", "first guest instruction"),
    ("kernel", "kernel"),
    ("init", "init"),
    ("agent_ready", "agent ready"),
    ("command_done", "command done"),
)


class Failure(Exception):
    pass


def wait_ready(vm, ready):
    line = os.read(ready, 16)
    if line != b"ready\n":
        raise Failure(f"the machine did not become ready (vmm's exit status: {vm.wait(LIMIT_S)})")
    return time.monotonic_ns()


def boot(build, kernel, image, command, folder):
    """Return: the times of the stages in ns from the monitor's start."""
    socket, timeline = folder / "vsock", folder / "timeline.json"
    ready, told = os.pipe()
    vm = subprocess.Popen(
        [build / "bin/vmm", "--kernel", kernel / "vmlinux", "--image", image, "--vsock", socket, "--serial",
         folder / "console", "--timeline", timeline, "--ready-fd", str(told), "--boot-timeout", f"{LIMIT_S}s"],
        pass_fds=[told], stdin=subprocess.DEVNULL)
    os.close(told)
    try:
        ready_at = wait_ready(vm, ready)
        status = subprocess.run([build / "bin/vmlet", "exec", socket, "--", *command],
                                stdin=subprocess.DEVNULL, timeout=LIMIT_S, check=False).returncode
        done_at = time.monotonic_ns()
        if status:
            raise Failure(f"the command in the machine failed (exit status {status})")
        vm.send_signal(signal.SIGTERM)
        vm.wait(LIMIT_S)
    finally:
        vm.kill()
        vm.wait()
    times = json.loads(timeline.read_text())
    times["command_done"] = times["agent_ready"] + done_at - ready_at
    return times


def show(times):
    print("\nThe boot, in milliseconds:")
    before = 0
    for key, name in STAGES:
        if key not in times:
            continue
        print(f"  {name:<24}{times[key] / 1e6:10.2f}   + {(times[key] - before) / 1e6:.2f}")
        before = times[key]


def main():
    if len(sys.argv) < 4:
        sys.exit("usage: " + __doc__.split(":", maxsplit=1)[0])
    build, kernel, image = map(pathlib.Path, sys.argv[1:4])
    command = sys.argv[4:] or ["python3", "-c", PROGRAM]
    with tempfile.TemporaryDirectory(prefix="vmlet-") as name:
        folder = pathlib.Path(name)
        try:
            show(boot(build, kernel, image, command, folder))
        except (Failure, subprocess.TimeoutExpired) as failure:
            print(f"first boot: {failure}", file=sys.stderr)
            if (folder / "console").exists():
                sys.stderr.write((folder / "console").read_text(errors="replace")[-2000:])
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
