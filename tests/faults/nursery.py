"""Forks raw workers: a process each, at the price of a fork instead of a new interpreter.

python nursery.py FD    FD: a unix stream socket; each message on it is the worker's options as
                        JSON and the descriptor of its control line, answered with its pid
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys

import zmq  # noqa: F401  imported before the forks, so that none of them pays for it
from pirate import Pirate

#: From linux/prctl.h: the signal that a process gets when its parent dies.
PR_SET_PDEATHSIG = 1
_LONGEST = 65536


def main(line: socket.socket) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    while True:
        order, descriptors, _, _ = socket.recv_fds(line, _LONGEST, 1)
        if not order:
            return
        control = socket.socket(fileno=descriptors[0])
        pid = os.fork()
        if pid == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            line.close()
            Pirate(control, **json.loads(order)).run()
            os._exit(0)
        control.close()
        line.sendall(b"%d\n" % pid)


if __name__ == "__main__":
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    main(socket.socket(fileno=int(sys.argv[1])))
