"""Wire constants of the REQ-worker protocol (load-balancing broker, Simple Pirate).

    worker -> broker   id [] "READY"   or   id [] 0x01
    broker -> worker   id [] ticket [] body...
    worker -> broker   id [] ticket [] body...
    client -> broker   id [] body...
    broker -> client   id [] body...

``id`` is what a ROUTER socket puts in front and takes away; ``[]`` is the empty frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import msgpack

from ..errors import WorkerFailed
from .unpacking import unpacked

if TYPE_CHECKING:
    from ..config import BrokerConfig

__all__ = [
    "ANNOUNCEMENT",
    "BROKER_ERRORS",
    "BROKER_ERROR_MARK",
    "BROKER_LIMITS",
    "EMPTY",
    "ERROR_MARK",
    "LEAVING",
    "READY",
    "READY_BYTE",
    "READY_WORDS",
    "UNREADABLE",
    "WORKER_ANNOUNCEMENT",
    "ErrorAnswer",
    "broker_error",
    "read_broker_error",
]

EMPTY = b""
#: A worker is free; both spellings are in use (the guide's lbbroker and spqueue).
READY = b"READY"
READY_BYTE = b"\x01"
READY_WORDS = frozenset((READY, READY_BYTE))

#: First frame of a reply that tells of a handler's exception; a msgpack map ``{"type", "message"}``
#: follows.  A client that does not know it sees an ordinary reply of two frames.
ERROR_MARK = b"brigantine-error/1"

#: Bytes of UTF-8 that are told of an exception: of its message, and of its class's name.  An
#: oversized report would have the broker cut the worker off.
ERROR_MESSAGE_BYTES = 64 * 1024
ERROR_TYPE_BYTES = 256

#: What a routing id begins with by which a client says that it understands error answers of a
#: broker.  To every other broker a routing id is an address and nothing else.
ANNOUNCEMENT = b"brigantine/1:"
#: The beginning of the id of our workers: what these say at the clients' endpoint is not a request.
WORKER_ANNOUNCEMENT = ANNOUNCEMENT + b"worker-"
#: "Send me nothing more", of a worker that stops, to one of our brokers; the answer repeats it, after all
#: requests that were on the way.  Alone instead of a ticket, or after a HEARTBEAT of MDP.
LEAVING = ANNOUNCEMENT + b"leaving"
#: First frame of a broker's own answer to such a client; a msgpack map ``{"error", "reason"}``
#: follows, the reason being the counter that the request went to.
BROKER_ERROR_MARK = b"brigantine-broker-error/1"
#: Counter of a request's end, or why it was dropped -> ``error`` of the answer.  What is not here is
#: not answered: the client has its reply, can't be reached, or is not understood.
BROKER_ERRORS: dict[str, str] = {
    "failed_no_service": "no_service",
    "shed_queue_full": "busy",
    "shed_queue_bytes": "busy",
    "shed_services": "busy",
    "shed_draining": "busy",
    "shed_client_full": "slow_reader",
    "shed_client_bytes": "slow_reader",
    "failed_expired_queued": "expired",
    "failed_expired_in_flight": "expired",
    "failed_stopped": "expired",
    "failed_partials_too_large": "too_large",
    "failed_reply_too_large": "too_large",
    "failed_reply_malformed": "malformed_reply",
    "failed_worker_lost": "worker_lost",
    "drop_malformed_request": "other_protocol",
    "drop_too_many_frames": "too_large",
    "drop_too_large": "too_large",
}


#: Counter of a request's end -> options of the broker that set the bounds: their values are in the answer.
BROKER_LIMITS: dict[str, tuple[str, ...]] = {
    "drop_too_large": ("max_message_bytes",),
    "drop_too_many_frames": ("max_frames",),
    "failed_reply_too_large": ("max_message_bytes", "max_frames"),
    "failed_partials_too_large": ("max_message_bytes", "max_frames", "queue_bytes"),
}
_LIMITS = BROKER_LIMITS["failed_partials_too_large"]


def broker_error(reason: str, config: BrokerConfig | None = None, error: str = "") -> list[bytes]:
    """The body frames by which a broker tells an announced client how its request ended.

    ``config`` is the broker's, whose bounds are told; a broker of an earlier version tells none.
    ``error`` is the word for a reason that is none of :data:`BROKER_ERRORS`.
    """
    detail: dict[str, object] = {"error": error or BROKER_ERRORS[reason], "reason": reason}
    if config is not None:
        detail |= {name: getattr(config, name) for name in BROKER_LIMITS.get(reason, ())}
    return [BROKER_ERROR_MARK, cast(bytes, msgpack.packb(detail))]


class ErrorAnswer(NamedTuple):
    """How a request ended, in the words of a broker: printable, and of a bounded length."""

    error: str
    reason: str
    #: Options of the broker that set the bounds which the request or its reply was beyond, with their
    #: values, as far as it has told.
    limits: tuple[tuple[str, int], ...] = ()


#: What reading a report may raise that is none.
_UNREADABLE = (ValueError, KeyError, TypeError)
#: Characters of a broker's words that are kept.
_LONGEST_WORD = 64
#: Stands for the error of an answer that can't be read.
UNREADABLE = "unreadable"


def read_broker_error(body: Sequence[bytes]) -> ErrorAnswer | None:
    """What a broker says in the body frames of a reply; ``None`` if they are no error answer.

    Never raises: an answer that can't be read is one whose ``error`` is :data:`UNREADABLE`.
    """
    if len(body) != 2 or body[0] != BROKER_ERROR_MARK:
        return None
    try:
        detail = unpacked(body[1])
        return ErrorAnswer(_word(detail["error"]), _word(detail["reason"]), _limits(detail))
    except _UNREADABLE:
        return ErrorAnswer(UNREADABLE, _word(repr(body[1])))


def _limits(detail: Mapping[str, object]) -> tuple[tuple[str, int], ...]:
    """Those that are numbers; anything else is of no use to a person."""
    told = ((name, detail.get(name)) for name in _LIMITS)
    return tuple((name, value) for name, value in told if type(value) is int and value >= 0)


def _word(value: object) -> str:
    text = _text(value)[:_LONGEST_WORD]
    return text if text.isprintable() else ascii(text)


def _text(value: object) -> str:
    """Words; raises ``TypeError`` for lists and maps, which may be nested as deep as nobody can print."""
    if isinstance(value, list | dict):
        raise TypeError(f"words, not a {type(value).__name__}")
    return str(value)


def error_reply(error: BaseException, *, message_bytes: int = ERROR_MESSAGE_BYTES) -> list[bytes]:
    """The body frames that report ``error`` to the client.

    They are ``brigantine-error/1`` and a msgpack map of two strings, ``{"type": ..., "message": ...}``.
    The clients here raise it as :class:`~brigantine.errors.WorkerFailed`.  A message of more than
    ``message_bytes`` of UTF-8 (64 KiB; at least 64) is cut, and says so at its end; likewise a type's
    name of more than 256.
    """
    detail = {
        "type": _shortened(type(error).__name__, ERROR_TYPE_BYTES),
        "message": _shortened(str(error), message_bytes),
    }
    return [ERROR_MARK, cast(bytes, msgpack.packb(detail))]


def _shortened(text: str, most: int) -> str:
    """``text`` if it takes at most ``most`` bytes of UTF-8, else its beginning and a mark."""
    # A character takes a byte or more: the rest need not be encoded to be counted.
    kept = text[: most + 1].encode()
    if len(kept) <= most:
        return text
    mark = f"... [cut: {len(text)} characters in all]"
    return kept[: most - len(mark)].decode(errors="ignore") + mark


def raise_if_error(body: Sequence[bytes]) -> None:
    """Raise :class:`WorkerFailed` if the body frames of a reply are an error report."""
    if len(body) != 2 or body[0] != ERROR_MARK:
        return
    try:
        detail = unpacked(body[1])
        kind, message = _text(detail["type"]), _text(detail["message"])
    except _UNREADABLE:
        kind, message = "unreadable error report", repr(body[1][:64])
    raise WorkerFailed(kind, message)
