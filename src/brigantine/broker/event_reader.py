"""The reader of a broker's events: ``broker.events()``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..events import Event, unpack_event
from ..net.arguments import patience
from ..runtime.reentrancy import ReentrancyGuard
from ..system.bell import Bell

__all__ = ["Events"]

if TYPE_CHECKING:
    from typing_extensions import Self


class Events:
    """An iterator of :class:`Event`: the events of one broker since the call of
    :meth:`~brigantine.broker.Broker.events`.

    ``next()`` waits for an event, and raises ``StopIteration`` when the broker has ended or after
    :meth:`close`.  Up to ``limit`` events wait for a slow reader.  Beyond that they are dropped: the next
    event tells how many, and ``events_missed`` in ``broker.stats()`` counts them.  Any thread may use
    and close it, and a signal handler may close it.
    """

    def __init__(
        self, limit: int, guard: ReentrancyGuard, forget: Callable[[Events], None] | None = None
    ) -> None:
        self._limit = limit
        #: The broker's: its thread waits until every reader knows of the end.
        self._guard = guard
        self._forget = forget
        self._changed = Bell()
        #: Messages, and how many this reader missed before each.
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._missed = 0
        #: Nothing more will come; the reader wants nothing more.
        self._ended = self._closed = False

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event, or ``None`` if none came within ``timeout`` seconds or none will come."""
        wait = patience(timeout)
        deadline = None if wait is None else time.monotonic() + wait
        with self._guard.inside():
            while True:
                ended = self._ended  # before the look: what came last comes before it
                try:
                    message, missed = self._waiting.popleft()
                except IndexError:
                    left = None if deadline is None else deadline - time.monotonic()
                    if ended or not self._changed.wait(self._has_news, left):
                        return None
                else:
                    return None if self._closed else unpack_event(message, missed)

    def close(self) -> None:
        """Take no more events, and wake all threads that wait for one.  May be called again."""
        with self._guard.inside():
            self._closed = True
            if self._forget is not None:
                self._forget(self)
            self.end()
            self._waiting.clear()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.next()
        if event is None:
            raise StopIteration
        return event

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for the thread that hands them out ---------------------------------------------------

    def put(self, message: bytes) -> bool:
        """Keep a message for the reader; whether there was room.  There always is for the last."""
        if self._ended:
            return True
        if len(self._waiting) >= self._limit and unpack_event(message, 0).kind != "stopped":
            self._missed += 1
            return False
        self._waiting.append((message, self._missed))
        self._missed = 0
        self._changed.ring()
        return True

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.ring()

    def _has_news(self) -> bool:
        return bool(self._waiting) or self._ended
