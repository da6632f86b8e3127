"""Plain clients and REQ workers: frames as a ROUTER received them -> command (see ``wire``)."""

from __future__ import annotations

from collections.abc import Sequence

from ...wire.req import EMPTY, LEAVING, READY_WORDS
from .envelope import TOO_DEEP, find_delimiter
from .messages import REQ, Command, Says

__all__ = ["head_req", "leaving_req", "parse_req_client", "parse_req_worker"]

#: A client through more hops than allowed, and anything that is no message of the protocol.
DEEP = Command(Says.TOO_DEEP)
MALFORMED = Command(Says.MALFORMED)
#: No message of the protocol, but it has a frame where a reply has its ticket.
_MALFORMED_REPLY = Command(Says.MALFORMED, ticket=2)

_LEAVING = Command(Says.LEAVING, REQ)
_READY = Command(Says.READY, REQ)
_REPLY = Command(Says.FINAL, REQ, ticket=2, body=4)


def parse_req_client(frames: Sequence[bytes], max_depth: int) -> Command:
    """``id... [] body...``, for the default service."""
    at = find_delimiter(frames, max_depth)
    if at == TOO_DEEP:
        return DEEP
    if at < 0 or at + 1 == len(frames):
        return MALFORMED
    return Command(Says.REQUEST, REQ, address=at, body=at + 1)


def parse_req_worker(frames: Sequence[bytes]) -> Command:
    """``id [] READY`` or ``id [] ticket [] body...``."""
    count = len(frames)
    if count == 3 and not frames[1]:
        if frames[2] in READY_WORDS:
            return _READY
        return _LEAVING if frames[2] == LEAVING else _MALFORMED_REPLY
    if count > 4 and not frames[1] and frames[2] and not frames[3]:
        return _REPLY
    return _MALFORMED_REPLY if count > 2 else MALFORMED


def head_req(identity: bytes, ticket: bytes) -> list[bytes]:
    """The frames before the body of a request."""
    return [identity, EMPTY, ticket, EMPTY]


def leaving_req(identity: bytes) -> list[bytes]:
    """The answer to LEAVING."""
    return [identity, EMPTY, LEAVING]
