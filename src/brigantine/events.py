"""What happens in a broker, for the readers of ``broker.events()``.

An event leaves the loop as one msgpack list on an inproc PAIR:
``[monotonic nanoseconds, place in KINDS, worker, service, place in COUNTERS or nil, missed]``.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import msgpack

from .counters import COUNTERS
from .wire.unpacking import unpacked

__all__ = ["KINDS", "Event", "pack_event", "unpack_event"]

#: kind -> meaning.  The order is the order of the compiled core's enum.
KINDS: dict[str, str] = {
    "joined": "a worker said READY and is registered",
    "expired": "a worker is gone: nothing was heard from it in time",
    "disconnected": "a worker is gone: it sent DISCONNECT",
    "lost": "a worker is gone: its connection closed, it said READY again, or it broke the protocol",
    "refused": "a READY was refused",
    "redispatched": "a request was taken back from a lost worker, to be sent to another",
    "shed": "a request was given up to stay within limits",
    "failed": "a request got no reply for another reason",
    "pause": "the process had been suspended",
    "draining": "the broker sheds new requests and finishes accepted ones",
    "stopped": "the broker has ended, and no event follows",
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
    #: Identity of the worker (for a request: the one that held it), or ``None``.
    worker: bytes | None = None
    #: Name of the service (its first 255 bytes), or ``None``.
    service: bytes | None = None
    #: The counter (see ``brigantine.COUNTERS``) that says why; ``None`` for draining and stopped.
    reason: str | None = None
    #: Events just before this one that this reader did not get, because it was too slow.
    missed: int = 0


def pack_event(
    at: int, kind: str, worker: bytes | None, service: bytes | None, reason: str | None, missed: int
) -> bytes:
    """The message of an event; ``at`` is monotonic time in nanoseconds."""
    place = None if reason is None else _REASON_AT[reason]
    fields = (at, _KIND_AT[kind], worker, service, place, missed)
    return cast(bytes, msgpack.packb(fields))


def unpack_event(message: bytes, missed: int) -> Event:
    """The event of a message, and how many its reader missed before it."""
    at, kind, worker, service, reason, before = unpacked(message)
    why = None if reason is None else _REASONS[reason]
    return Event(_KINDS[kind], at / _NANOSECONDS, worker, service, why, before + missed)
