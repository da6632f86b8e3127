"""The bounded queue in which notices wait for the thread that logs them."""

from __future__ import annotations

import queue
from collections.abc import Callable

from ...config.limits import NOTICES_WAITING

__all__ = ["NoticeQueue"]


class NoticeQueue:
    """``start()`` is called at the first notice: it starts who takes them, and tells whether it has.

    One thread puts, another gets; neither waits for the other.
    """

    def __init__(self, start: Callable[[], bool]) -> None:
        self._start = start
        self._started = False
        #: Reentrant, as a signal handler may stop what puts.  None wakes who gets.
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        #: Notices that were left out, since this was last taken.
        self.left_out = 0
        self._highest = 0
        self._ended = False

    def put(self, message: bytes, level: int) -> None:
        """Keep a notice of a level of ``logging``, if there is room; never waits."""
        if not self._started:
            self._started = self._start()
        if self._waiting.qsize() >= NOTICES_WAITING:
            self._highest = max(self._highest, level)
            self.left_out += 1
        else:
            self._waiting.put(message)

    def leave_out(self, level: int) -> None:
        """Count a notice of that level, which is not to be told."""
        self._highest = max(self._highest, level)
        self.left_out += 1
        if self.left_out == 1:
            self._waiting.put(None)

    def get(self, timeout: float | None) -> bytes | None:
        """The next notice; ``None`` when none came within ``timeout`` seconds, or at other news."""
        try:
            return self._waiting.get(timeout=timeout)
        except queue.Empty:
            return None

    @property
    def over(self) -> bool:
        """Whether nothing waits, and nothing more will come."""
        return self._ended and self._waiting.empty()

    def take_left_out(self) -> tuple[int, int]:
        """How many were left out since this was last asked, and the highest level among them."""
        highest, self._highest = self._highest, 0  # first, as who puts sets it first
        count, self.left_out = self.left_out, 0
        return count, highest

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._waiting.put(None)
