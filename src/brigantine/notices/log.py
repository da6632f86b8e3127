"""The thread that takes a loop's notices out of their bounded queue and hands them to ``logging``.

It starts with the first notice, and ends with the loop.  A handler that takes its time, or never comes
back, holds up this thread alone.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from ..config.limits import LINGER, NOTICES_COUNTED
from ..system.background import Background
from ..system.signals import leave_signals_to_main_thread
from .kinds import describe, level, unpack_notice
from .lookalikes import Here

__all__ = ["NoticeLog"]


class NoticeLog:
    """Owns the queue, an instance of ``queue_class``; ``here()`` is what notices tell of the broker."""

    def __init__(
        self, queue_class: Callable[[Callable[[], bool]], Any], log: str, here: Callable[[], Here]
    ) -> None:
        #: For the loop.
        self.queue = queue_class(self._start)
        self._log = logging.getLogger(log)
        self._here = here
        self._thread: Background | None = None

    def _start(self) -> bool:
        """Start the thread: called by the loop, at the first notice.  Whether it has."""
        thread = Background(self._run, "brigantine-notices")
        with contextlib.suppress(RuntimeError):  # no more threads: tried again at the next notice
            thread.start()
            self._thread = thread
        return self._thread is not None

    def end(self) -> None:
        """Have what waits logged, and end the thread; for a handler that blocks it waits a second."""
        self.queue.end()
        if self._thread is not None:
            self._thread.wait(LINGER)

    def _run(self) -> None:
        leave_signals_to_main_thread()
        counted: float | None = None  # when those that were left out are to be told
        while True:
            wait = None if counted is None else max(0.0, counted - time.monotonic())
            message = self.queue.get(wait)
            ended = message is None and self.queue.over
            if message is not None:
                self._tell(message)
            if self.queue.left_out and counted is None:
                counted = time.monotonic() + NOTICES_COUNTED
            if counted is not None and (ended or time.monotonic() >= counted):
                counted = None
                self._tell_left_out(*self.queue.take_left_out())
            if ended:
                return

    def _tell(self, message: bytes) -> None:
        notice = unpack_notice(message)
        with contextlib.suppress(Exception):  # of a handler of the program's
            if self._log.isEnabledFor(level(notice)):
                self._log.log(level(notice), "%s", describe(notice, self._here()))

    def _tell_left_out(self, count: int, highest: int) -> None:
        with contextlib.suppress(Exception):
            self._log.log(highest, "left out %d more lines like these: too many at once", count)
