"""How SIGHUP restarts a worker: it finishes the requests that it holds, then becomes a new Python.

The process stays the same, so a supervisor such as systemd sees no end of it, and imports the handler's
module again.  With ``--processes`` the supervisor of ours gets the signal: it has each worker process
finish, and starts another in its place (:meth:`.supervisor.Supervisor.run`).
"""

from __future__ import annotations

import os
import select
import sys

from .taken_signals import RESTART_SIGNAL, hold_signals

__all__ = ["is_restart", "restart"]

#: Standard streams that were a terminal at the start; one that has hung up no longer says so.
_terminals = [descriptor for descriptor in range(3) if os.isatty(descriptor)]


def is_restart(code: int | None) -> bool:
    """Whether what :meth:`.stopping.StopRequests.wait` returned asks for a restart.

    SIGHUP does, unless it came because the terminal was closed: that is a reason to stop.
    """
    if code != RESTART_SIGNAL:
        return False
    poller = select.poll()
    for descriptor in _terminals:
        poller.register(descriptor, 0)
    return not any(event & select.POLLHUP for _, event in poller.poll(0))


def restart(command: list[str]) -> None:
    """Become a new Python in the same process, which imports everything again."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    hold_signals()
    os.execv(command[0], command)
