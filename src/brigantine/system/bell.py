"""Waiting for what another thread does, in a way that an exception out of the blue leaves in order.

A signal handler that raises, as Ctrl-C's does, may strike between any two steps of the main thread,
those of ``threading.Condition`` and ``threading.Event`` among them, and leave their lock locked for
good: the thread that was to be waited for would then wait itself.  Here who waits has a lock of its own,
and nobody else ever waits for that.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from .signals import longest_wait

__all__ = ["Bell"]


class Bell:
    """Rung when something has changed.  From any thread, and from a signal handler."""

    def __init__(self) -> None:
        #: A locked lock for each waiting thread.  One that an exception has left locked does no harm.
        self._sleepers: list[threading.Lock] = []

    def ring(self) -> None:
        """Have all that wait look again."""
        for sleeper in tuple(self._sleepers):
            with contextlib.suppress(RuntimeError):  # woken already
                sleeper.release()

    def wait(self, come: Callable[[], object], timeout: float | None = None) -> bool:
        """Wait until ``come()`` is true, at most ``timeout`` seconds; returns whether it is.

        Whoever makes it true rings afterwards.
        """
        if come():
            return True
        deadline = None if timeout is None else time.monotonic() + timeout
        longest = longest_wait()
        sleeper = threading.Lock()
        sleeper.acquire()
        self._sleepers.append(sleeper)  # before the next look: no ring is missed
        try:
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if come():
                    return True
                if left is not None and left <= 0:
                    return False
                bounds = [each for each in (left, longest) if each is not None]
                sleeper.acquire(timeout=min(bounds, default=-1))
        finally:
            self._sleepers.remove(sleeper)
