"""The way of requests from a worker's I/O thread to its event loop.

What stands in it is no callback's: where a signal handler raises in a callback, asyncio may log that and
go on, and what the callback was to hand over would be lost.  So the loop also looks by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic

from .io_thread import RequestT

__all__ = ["TaskInbox"]

#: Seconds after which the loop looks though nobody has woken it.
LOOK = 1.0


class TaskInbox(Generic[RequestT]):
    """Requests in their order, and ``None`` as the last.  To be made on the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[RequestT | None] = deque()
        self._changed = asyncio.Event()
        #: The last has come.
        self._over = False

    def put(self, request: RequestT | None) -> None:
        """From the I/O thread.  Raises ``RuntimeError`` when the loop was closed."""
        self._waiting.append(request)
        self._over = request is None
        self._loop.call_soon_threadsafe(self._changed.set)

    async def get(self) -> RequestT | None:
        """The next one."""
        while not self._waiting:
            await self._change(lambda: bool(self._waiting))
        return self._waiting.popleft()

    async def until_over(self) -> None:
        """Wait until the last has come, however often the task is cancelled meanwhile."""
        while not self._over:
            with contextlib.suppress(asyncio.CancelledError):
                await self._change(lambda: self._over)

    async def _change(self, come: Callable[[], bool]) -> None:
        """Wait until something has come, or it is time to look."""
        self._changed.clear()
        if come():  # between the last look and clear()
            return
        look = self._loop.call_later(LOOK, self._changed.set)
        try:
            await self._changed.wait()
        finally:
            look.cancel()
