"""Wire constants of an AsyncServer: what it and an :class:`~brigantine.AsyncClient` say to each other.

    client -> server   id... [] body...          a request of a foreign client (REQ, or DEALER with [])
    client -> server   id body...                a request of a foreign DEALER
    server -> client   id... [] body...          each reply, in the framing of its request
    both ways          id... [] head body...     between the two of ours

``head`` is one frame of HEAD_BYTES: the mark, what it is, the token of the session, and a number
(big-endian).  The token is the server's epoch (eight random bytes) and the session's serial number; a
client that has no session yet sends zeros.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = ["HEAD_BYTES", "MARK", "NO_TOKEN", "PROPERTY", "Head", "pack_head", "unpack_head"]

#: What a head begins with.
MARK = b"\0bgn1"
#: A property of the server's ROUTER in ZMTP's handshake, by which a client knows it before it says a word.
PROPERTY = "X-Brigantine"
PROPERTY_VALUE = "async-server/1"

#: From a client: open a session (number: 0); I am there; a request (its number); I leave.
HELLO, BEAT, ASK, BYE = 0x01, 0x02, 0x03, 0x04
#: From the server: your session (number: milliseconds of silence after which it closes); I heard you; a
#: part of a reply, and its end (the request's number); an error instead of a reply; what belongs to no
#: request; there is no such session (the request's number, or 0); no session: too many are open.
WELCOME, HEARD, PART, FINAL, FAILED, PUSH, GONE, REFUSED = range(0x11, 0x19)

EPOCH_BYTES, SERIAL_BYTES = 8, 8
NO_TOKEN = b"\0" * (EPOCH_BYTES + SERIAL_BYTES)
_HEAD = struct.Struct(">5sB16sQ")
#: As long as libzmq keeps within a message without another allocation.
HEAD_BYTES = _HEAD.size


class Head(NamedTuple):
    """The head of a message, before its body."""

    kind: int
    token: bytes
    number: int


def pack_head(kind: int, token: bytes, number: int) -> bytes:
    """The frame."""
    return _HEAD.pack(MARK, kind, token, number)


def unpack_head(frame: bytes) -> Head | None:
    """What a frame says; ``None`` where it is no head."""
    if len(frame) != HEAD_BYTES or not frame.startswith(MARK):
        return None
    _, kind, token, number = _HEAD.unpack(frame)
    return Head(kind, token, number)
