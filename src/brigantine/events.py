"""What happens in a broker, told to whoever wants to know: ``broker.events()``.

An event leaves the loop as one msgpack list on an inproc PAIR:
``[monotonic nanoseconds, place in KINDS, worker, service, place in COUNTERS or nil, missed]``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, cast

import msgpack

from .arguments import patience
from .bell import Bell
from .counters import COUNTERS
from .visits import Visits

__all__ = ["KINDS", "Event", "Events", "pack_event"]

if TYPE_CHECKING:
    from typing_extensions import Self

#: kind -> meaning.  The order is the order of the compiled core's enum.
KINDS: dict[str, str] = {
    "joined": "a worker said READY and is registered",
    "expired": "a worker is gone: nothing was heard from it in time",
    "disconnected": "a worker is gone: it sent DISCONNECT",
    "lost": "a worker is gone: its connection closed, it said READY anew, or it broke the protocol",
    "refused": "a READY was refused",
    "redispatched": "a request was taken back from a lost worker, to be sent to another",
    "shed": "a request was given up to stay within bounds",
    "failed": "a request got no reply for another reason",
    "pause": "the process had been stopped for a while",
    "draining": "the broker sheds new requests and finishes those accepted",
    "stopped": "the broker has ended, and nothing follows",
}

_KINDS = tuple(KINDS)
_REASONS = tuple(COUNTERS)
_KIND_AT = {kind: at for at, kind in enumerate(KINDS)}
_REASON_AT = {name: at for at, name in enumerate(COUNTERS)}
_NANOSECONDS = 1e9


class Event(NamedTuple):
    """One thing that happened in a broker."""

    #: One of :data:`~brigantine.events.KINDS`.
    kind: str
    #: Seconds, as ``time.monotonic()`` counts them: when the loop began the turn in which it happened.
    time: float
    #: Identity of the worker (of a request: that which held it), or ``None`` where there is none.
    worker: bytes | None = None
    #: Name of the service, its first 255 bytes, or ``None`` where there is none.
    service: bytes | None = None
    #: The counter (see ``brigantine.COUNTERS``) that says why; ``None`` for draining and stopped.
    reason: str | None = None
    #: Events just before this one that this reader did not get, as it was too slow.
    missed: int = 0


def pack_event(
    at: int, kind: str, worker: bytes | None, service: bytes | None, reason: str | None, missed: int
) -> bytes:
    """The message of an event; ``at`` is monotonic time in nanoseconds."""
    place = None if reason is None else _REASON_AT[reason]
    fields = (at, _KIND_AT[kind], worker, service, place, missed)
    return cast(bytes, msgpack.packb(fields))


def _unpack(message: bytes, missed: int) -> Event:
    at, kind, worker, service, reason, before = msgpack.unpackb(message)
    why = None if reason is None else _REASONS[reason]
    return Event(_KINDS[kind], at / _NANOSECONDS, worker, service, why, before + missed)


class Events:
    """The events of one broker from
    :meth:`~brigantine.broker.Broker.events` on, an iterator of :class:`Event`.

    ``next()`` waits for an event and raises ``StopIteration`` when the broker has ended, or after
    :meth:`close`.  Up to ``limit`` events wait for a reader that is slower than they come; beyond
    that they are not kept: the next event tells how many, and ``events_missed`` of
    ``broker.stats()`` counts them.  May be used and closed from any thread,
    and closed from a signal handler.
    """

    def __init__(
        self, limit: int, visits: Visits, forget: Callable[[Events], None] | None = None
    ) -> None:
        self._limit = limit
        #: The broker's: its thread waits until every reader knows of the end.
        self._visits = visits
        self._forget = forget
        self._changed = Bell()
        #: Messages, and how many this reader missed before each.
        self._waiting: deque[tuple[bytes, int]] = deque()
        self._missed = 0
        #: Nothing more will come; the reader wants nothing more.
        self._ended = self._closed = False

    def next(self, timeout: float | None = None) -> Event | None:
        """The next event; ``None`` when none came within ``timeout`` seconds, or none will come."""
        wait = patience(timeout)
        deadline = None if wait is None else time.monotonic() + wait
        with self._visits.inside():
            while True:
                ended = self._ended  # before the look: what came last comes before it
                try:
                    message, missed = self._waiting.popleft()
                except IndexError:
                    left = None if deadline is None else deadline - time.monotonic()
                    if ended or not self._changed.wait(self._has_news, left):
                        return None
                else:
                    return None if self._closed else _unpack(message, missed)

    def close(self) -> None:
        """Take no more events, and end whoever waits for one.  May be called again."""
        with self._visits.inside():
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

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- for the thread that hands them out ---------------------------------------------------

    def put(self, message: bytes) -> bool:
        """Keep a message for the reader; whether there was room.  There always is for the last."""
        if self._ended:
            return True
        if len(self._waiting) >= self._limit and _unpack(message, 0).kind != "stopped":
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
