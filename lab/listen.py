#!/usr/bin/env python3
"""listen.py PATH COMMAND...: runs COMMAND --fd=N, N being a Unix socket that listens at PATH.

virtiofsd makes its socket itself too, but then writes a lock below /var/run, for which it must be root.
"""

import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
    listener.bind(sys.argv[1])
    listener.listen(1)
    listener.set_inheritable(True)
    os.execvp(sys.argv[2], [*sys.argv[2:], f"--fd={listener.fileno()}"])
