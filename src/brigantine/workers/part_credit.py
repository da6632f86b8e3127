"""Back-pressure on a handler that streams: credit for the parts that may wait to be sent."""

from __future__ import annotations

from collections.abc import Callable

from ..system.bell import Bell

__all__ = ["PartCredit"]


class PartCredit:
    """Credit for parts of one reply that wait to be sent; without any, their handler waits.

    One handler, in a thread or in a task, takes credit; the I/O thread gives it back.
    """

    def __init__(self, parts: int) -> None:
        #: One item for each part that there is credit for: append() and pop() are single steps.
        self._free: list[None] = [None] * parts
        self._given_back = Bell()
        #: Wakes a task that waits.
        self._wake: Callable[[], None] | None = None

    def release(self) -> None:
        """Give back the credit for one part."""
        self._free.append(None)
        self._given_back.ring()
        wake = self._wake
        if wake is not None:
            wake()

    def take(self, timeout: float | None) -> bool:
        """Take the credit for one part, which may take until ``timeout`` seconds are over."""
        return self._given_back.wait(self._take_if_free, timeout)

    async def take_in_task(self) -> None:
        """Take the credit for one part.  Lets other tasks run even if there is some."""
        import asyncio  # whoever has a task has loaded it; a program of threads need not

        loop, freed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(freed.set)
            except RuntimeError:  # the loop was closed while the task waited
                self._wake = None

        await asyncio.sleep(0)
        # In this order: what is given back from here on either is seen at once or wakes this task.
        self._wake = wake
        try:
            while True:
                if self._take_if_free():
                    return
                await freed.wait()
                freed.clear()
        finally:
            self._wake = None

    def _take_if_free(self) -> bool:
        try:
            self._free.pop()
        except IndexError:
            return False
        return True
