"""The Paranoid Pirate Protocol: frames as a ROUTER received them -> command (see ``wire_ppp``)."""

from __future__ import annotations

from collections.abc import Sequence

from ...wire.ppp import HEARTBEAT, HEARTBEAT_WORD, READY, READY_WORD
from ...wire.ready import decode_both
from ...wire.req import EMPTY, LEAVING
from .messages import PPP, WORDS, Command, Says

__all__ = ["IN_WORDS", "head_ppp", "heartbeat_ppp", "leaving_ppp", "parse_ppp_worker"]

_MALFORMED_READY = Command(Says.MALFORMED, PPP)
#: No message of the protocol, but it has a frame where a reply has its ticket.
_MALFORMED_REPLY = Command(Says.MALFORMED, PPP, ticket=1)
_LEAVING = Command(Says.LEAVING, PPP)
_HEARTBEAT = Command(Says.HEARTBEAT, PPP)
_REPLY = Command(Says.FINAL, PPP, ticket=1, body=3)
#: What published workers say in place of a byte.
IN_WORDS = {
    READY_WORD: Command(Says.READY, PPP, dialect=WORDS),
    HEARTBEAT_WORD: Command(Says.HEARTBEAT, PPP, dialect=WORDS),
}


def parse_ppp_worker(frames: Sequence[bytes]) -> Command:
    """``id 0x01[capacity[interval]]``, ``id 0x02`` or ``id ticket [] body...``.

    The second frame is not empty.
    """
    count = len(frames)
    if count == 2:
        if frames[1] == HEARTBEAT:
            return _HEARTBEAT
        if frames[1] == READY:
            return Command(Says.READY, PPP)
        if frames[1] == LEAVING:
            return _LEAVING
        if not frames[1].startswith(READY):
            return _MALFORMED_REPLY
        capacity, interval = decode_both(frames[1][1:])
        if not capacity:
            return _MALFORMED_READY
        return Command(Says.READY, PPP, capacity=capacity, interval=interval)
    if count > 3 and not frames[2]:
        return _REPLY
    return _MALFORMED_REPLY


def head_ppp(identity: bytes, ticket: bytes) -> list[bytes]:
    """The frames before the body of a request."""
    return [identity, ticket, EMPTY]


def heartbeat_ppp(identity: bytes, *, words: bool = False) -> list[bytes]:
    """HEARTBEAT for a worker."""
    return [identity, HEARTBEAT_WORD if words else HEARTBEAT]


def leaving_ppp(identity: bytes) -> list[bytes]:
    """The answer to LEAVING."""
    return [identity, LEAVING]
