"""Where a switchboard hands its frames: the loop's sockets, or a callable in tests."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum

__all__ = ["Outbox", "Sent", "Side"]


class Side(IntEnum):
    """The sides of a broker."""

    #: Where clients are.
    FRONTEND = 0
    #: Where workers are.
    BACKEND = 1
    #: One socket for clients and for workers (Majordomo).
    BOTH = 2


class Sent(IntEnum):
    """What became of a message handed to the outbox."""

    #: libzmq has taken it.
    OK = 0
    #: The peer's high-water mark is reached (EAGAIN).
    FULL = 1
    #: No such peer is connected (EHOSTUNREACH).
    GONE = 2
    #: The peer has yet to take what it was sent, and with this message it would be too much.
    BEHIND = 3


#: ``outbox(side, frames)`` sends the frames or tells why not.
Outbox = Callable[[int, list[bytes]], int]
