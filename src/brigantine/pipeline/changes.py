"""Waiting for what the I/O thread changes, in threads and in tasks."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from ..net.arguments import patience
from ..system.bell import Bell

__all__ = ["Changes", "Deadline"]

#: Seconds after which a task looks though nobody has woken it: a callback that wakes it may be struck by
#: a signal handler's exception.
LOOK = 1.0


class Deadline:
    """How long a call may wait in all: ``timeout`` seconds, for ever with ``None``."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = patience(timeout)
        self._at = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds that are left."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def words(self) -> str:
        """For errors."""
        return "" if self.timeout is None else f" within {self.timeout:g} s"


class Changes:
    """Rung by the I/O thread when something may have come that others wait for."""

    def __init__(self) -> None:
        self._bell = Bell()
        #: What wakes the tasks that wait.
        self._wakers: list[Callable[[], object]] = []

    def ring(self) -> None:
        """Have all that wait look again.  From any thread."""
        self._bell.ring()
        for wake in tuple(self._wakers):
            with contextlib.suppress(RuntimeError):  # its loop was closed
                wake()

    def wait(self, come: Callable[[], object], timeout: float | None) -> bool:
        """Wait in a thread until ``come()`` is true, at most ``timeout`` seconds; whether it is."""
        return self._bell.wait(come, timeout)

    async def wait_in_task(self, come: Callable[[], object], timeout: float | None) -> bool:
        """The same in a task."""
        if come():
            return True
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(changed.set)

        deadline = None if timeout is None else time.monotonic() + timeout
        self._wakers.append(wake)  # before the next look: no ring is missed
        try:
            while not come():
                left = LOOK if deadline is None else min(LOOK, deadline - time.monotonic())
                if left <= 0:
                    return False
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)
                changed.clear()
        finally:
            self._wakers.remove(wake)
        return True
