"""A wake-up that a poll can wait for together with sockets, from any thread or signal handler."""

from __future__ import annotations

import contextlib
import socket
import threading

from .forks import leave_to_parent

__all__ = ["Wakeup"]

#: Bytes taken from the pipe in one go when it is cleared; more wake-ups than this are rare.
DRAIN = 4096


class Wakeup:
    """A flag with a file descriptor that is readable while the flag is set.

    The thread that polls registers :meth:`fileno`; others call :meth:`set`, which never blocks.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        # Reentrant: a signal handler may call set() in a thread that is just inside it.
        self._lock = threading.RLock()
        leave_to_parent(self._in_child)

    def fileno(self) -> int:
        """The descriptor to poll for reading."""
        return self._reader.fileno()

    def set(self) -> None:
        """Wake the poll; nothing once closed."""
        # Under the lock the descriptor can't be closed, and given to another file, meanwhile.
        with self._lock:
            if self._writer.fileno() >= 0:
                # A full pipe is as readable as can be.
                with contextlib.suppress(BlockingIOError):
                    self._writer.send(b"\0")

    def clear(self) -> None:
        """Make the descriptor unreadable until the next :meth:`set`."""
        with contextlib.suppress(BlockingIOError):
            while len(self._reader.recv(DRAIN)) == DRAIN:
                pass

    def close(self) -> None:
        """Give the descriptors back.  May be called again."""
        with self._lock:
            self._writer.close()
            self._reader.close()

    def _in_child(self) -> None:
        """Close it in a forked child, which would wake the parent."""
        self._lock = threading.RLock()
        self.close()
