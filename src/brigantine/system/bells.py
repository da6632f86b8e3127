"""Waiting for one of our threads, from threads and from tasks of event loops alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from .bell import Bell

if TYPE_CHECKING:
    import asyncio

__all__ = ["Bells"]

#: Seconds after which a task looks though nothing has woken it.
LOOK = 1.0


class Bells:
    """Rung when something has changed, from any thread and from a signal handler.  Takes no lock."""

    def __init__(self) -> None:
        self._bell = Bell()
        #: For each task that waits its event loop, and what wakes it.
        self._tasks: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def ring(self) -> None:
        """Have all that wait look again."""
        self._bell.ring()
        for loop, woken in tuple(self._tasks):
            with contextlib.suppress(RuntimeError):  # that loop was closed
                loop.call_soon_threadsafe(woken.set)

    def wait(self, come: Callable[[], object], timeout: float | None) -> bool:
        """Wait until ``come()`` is true, at most ``timeout`` seconds; whether it is."""
        return self._bell.wait(come, timeout)

    async def wait_async(self, come: Callable[[], object], timeout: float | None) -> bool:
        """The same for a task.

        The loop looks by itself, too: where a signal handler raises in a callback, asyncio may log that and
        go on, and what the callback was to do is lost.
        """
        if come():
            return True
        import asyncio  # whoever has a task has loaded it; a program of threads need not

        loop, woken = asyncio.get_running_loop(), asyncio.Event()
        deadline = None if timeout is None else loop.time() + timeout
        sleeper = (loop, woken)
        self._tasks.append(sleeper)  # before the next look: no ring is missed
        try:
            while not come():
                left = LOOK if deadline is None else min(LOOK, deadline - loop.time())
                if left <= 0:
                    return False
                look = loop.call_later(left, woken.set)
                try:
                    await woken.wait()
                finally:
                    look.cancel()
                woken.clear()
        finally:
            self._tasks.remove(sleeper)
        return True
