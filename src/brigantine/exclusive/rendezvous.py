"""Where the two ends of a pair meet: by name, within one process, one of each at a time.

A PAIR socket of libzmq takes the first peer; a second one connects, sends, and nothing of it arrives or
is refused, also one that comes after the first has left while the bound side sleeps.  So both ends of a
connection are made here, new ones for each, and whoever comes is told whether there is a place.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import zmq

from ..net.contexts import OwnContext
from ..system.bell import Bell

if TYPE_CHECKING:
    from .ends import End

__all__ = ["Cable", "Contexts", "Link", "Rendezvous", "is_alive", "meeting"]

_numbers = itertools.count(1)


def is_alive(thread: int) -> bool:
    """Whether a thread of this process still runs."""
    return thread in sys._current_frames()


class Contexts:
    """A context that both ends use, and that ends with the last of them; or the caller's own."""

    def __init__(self, given: zmq.Context[Any] | None) -> None:
        # Messages within a process need no I/O thread.
        self._own = OwnContext(0) if given is None else None
        self.context: zmq.Context[Any] = (
            cast("zmq.Context[Any]", self._own) if given is None else given
        )
        self._users: set[End] = set()
        self._lock = threading.RLock()  # a signal handler may close an end

    def enter(self, end: End) -> None:
        """One more end uses it."""
        with self._lock:
            self._users.add(end)

    def leave(self, end: End) -> None:
        """One less, whose sockets are closed.  May be called again."""
        with self._lock:
            self._users.discard(end)
            last = not self._users
        if last and self._own is not None:
            self._own.end()


class Cable:
    """One side of a connection."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        #: Its end was closed: nothing comes from there but what is on the way.
        self.closed = False


class Link:
    """One connection between a bound end and a connected one."""

    def __init__(
        self, context: zmq.Context[Any], high_water_mark: int, bound: End, connected: End
    ) -> None:
        where = f"inproc://brigantine-pair-{os.getpid()}-{next(_numbers)}"
        self.ends = {"bound": bound, "connected": connected}
        #: Held while something is sent, and while a side is closed: nothing is sent to one that was.
        self.lock = threading.RLock()
        made: list[zmq.Socket[bytes]] = []
        try:
            for _ in range(2):
                made.append(context.socket(zmq.PAIR))
                made[-1].linger = 0
                # Over inproc the marks of both sides add up.
                made[-1].sndhwm, made[-1].rcvhwm = high_water_mark, 1
            made[0].bind(where)
            made[1].connect(where)
        except BaseException:
            for each in made:
                each.close()
            raise
        self.cables = {"bound": Cable(made[0]), "connected": Cable(made[1])}


class Rendezvous:
    """The bound ends of this process, by context and endpoint."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bound: dict[tuple[int, str], End] = {}
        self._changed = Bell()

    def bind(self, key: tuple[int, str], end: End) -> bool:
        """Whether the place was free."""
        with self._lock:
            return self._bound.setdefault(key, end) is end

    def announce(self) -> None:
        """An end has been bound, and can be connected to."""
        self._changed.ring()

    def leave(self, key: tuple[int, str], end: End) -> None:
        """The place is free again."""
        with self._lock:
            if self._bound.get(key) is end:
                del self._bound[key]

    def bound(self, key: tuple[int, str]) -> End | None:
        """Who is bound there."""
        with self._lock:
            return self._bound.get(key)

    def wait(self, come: Callable[[], object], timeout: float | None) -> bool:
        """Wait until ``come()`` is true, at most ``timeout`` seconds."""
        return self._changed.wait(come, timeout)


class _Meeting:
    """The one of this process: a forked child has nobody in it."""

    def __init__(self) -> None:
        self.place = Rendezvous()
        os.register_at_fork(after_in_child=self._anew)

    def _anew(self) -> None:
        self.place = Rendezvous()


meeting = _Meeting()
