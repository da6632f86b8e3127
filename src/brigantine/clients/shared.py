"""What clients for threads and clients for asyncio share: limits, counters, how a request ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import msgpack

from ..config import CLIENT_RETRIES, bounds
from ..errors import Busy, ConfigError, Expired, NoReply, NoService, WorkerFailed, WrongUse
from ..validation.values import number, shown, whole
from ..wire.req import raise_if_error
from .codec import Reply, Says

__all__ = [
    "MDP_STATS",
    "STATS",
    "Limits",
    "checked",
    "ending",
    "packed",
    "unpacked",
]

#: Least and greatest, in seconds.
TIMEOUT_RANGE = (0.001, 86400.0)
BACKOFF_RANGE = (0.0, 3600.0)
#: Least and greatest number of retries.
RETRIES_RANGE = (0, 1000)

#: What a request can raise -> the counter of it, subclasses first.
_ENDINGS: dict[type[BaseException], str] = {
    WorkerFailed: "worker_failed",
    NoService: "no_service",
    Busy: "busy",
    Expired: "expired",
    NoReply: "no_reply",
}

#: name -> meaning.  At rest requests == replies + worker_failed + no_reply + no_service + busy +
#: expired + interrupted.
STATS: dict[str, str] = {
    "requests": "requests and streams that passed the checks of their arguments and began",
    "replies": "those whose (last) reply was returned",
    "worker_failed": "those that raised WorkerFailed",
    "no_reply": "those that raised NoReply itself",
    "no_service": "those that raised NoService",
    "busy": "those that raised Busy",
    "expired": "those that raised Expired",
    "interrupted": "those ended by anything else: close(), Ctrl-C, a stream that was left",
    "tries": "messages sent or about to be sent, over all requests",
    "error_answers": "answers in which a broker said why there is no reply, over all tries",
    "sockets_opened": "sockets made for requests",
}
#: Counters of clients of Majordomo.
MDP_STATS: dict[str, str] = {
    **STATS,
    "parts": "PARTIALs received",
    "drop_malformed": "messages from a broker that are no replies of the protocol",
    "drop_unexpected": "replies that name another service than the one that was asked",
}

#: Frames of a worker's error report.
ERROR_FRAMES = 2

#: What WorkerFailed tells of a reply that call() can't read, and how many bytes of it.
UNREADABLE = "unreadable reply"
SHOWN = 64


class Limits:
    """Numbers that a client was made with, checked.  Times are seconds.

    Raises :class:`~brigantine.errors.ConfigError` for one out of range.
    """

    def __init__(
        self,
        timeout: float,
        retries: int | None,
        backoff: float,
        backoff_max: float,
        max_bytes: int,
    ) -> None:
        self._timeout = number("timeout", timeout, *TIMEOUT_RANGE)
        self._retries = None if retries is None else whole("retries", retries, *RETRIES_RANGE)
        self.backoff = number("backoff", backoff, *BACKOFF_RANGE)
        self.backoff_max = number("backoff_max", backoff_max, *BACKOFF_RANGE)
        least, most = map(int, bounds("max_message_bytes"))
        self._max_bytes = whole("max_request_bytes", max_bytes, least, most, "bytes")

    def timeout(self, given: float | None) -> float:
        """``given`` for one request, or else the client's own."""
        return self._timeout if given is None else number("timeout", given, *TIMEOUT_RANGE)

    def retries(self, given: int | None, brokers: int) -> int:
        """``given`` for one request, or else the client's own, which is for so many brokers."""
        if given is not None:
            return whole("retries", given, *RETRIES_RANGE)
        return max(CLIENT_RETRIES, brokers - 1) if self._retries is None else self._retries

    def check_size(self, frames: Sequence[bytes]) -> None:
        """Raise :class:`~brigantine.errors.ConfigError` for a request that no broker would take.

        ``frames`` are all that is to be sent.
        """
        size = sum(map(len, frames))
        if size > self._max_bytes:
            raise ConfigError(
                f"body: the request has {size} bytes in {len(frames)} frames; the limit is "
                f"max_request_bytes={self._max_bytes}. Send less at once, or raise max_request_bytes and "
                "the broker's max_message_bytes together"
            )


def ending(error: BaseException) -> str:
    """The counter of a request that ended with ``error``."""
    names = (name for kind, name in _ENDINGS.items() if isinstance(error, kind))
    return next(names, "interrupted")


def checked(reply: Reply, service: bytes | None) -> Reply:
    """``reply`` unless it reports an error: then :class:`~brigantine.errors.WorkerFailed`.

    The report is a reply's end, behind joined PARTIALs if any; a PARTIAL is none.
    """
    if reply.says is Says.FINAL:
        try:
            raise_if_error(reply.body[-ERROR_FRAMES:])
        except WorkerFailed as error:
            raise WorkerFailed(error.kind, error.detail, service) from None
    return reply


def packed(obj: object) -> bytes:
    """``obj`` as one msgpack frame.

    Raises :class:`~brigantine.errors.WrongUse` if it can't be.
    """
    try:
        return cast(bytes, msgpack.packb(obj))
    except (TypeError, ValueError, OverflowError) as error:
        raise WrongUse(f"obj can't be sent as msgpack: {error}; it is {shown(obj)}") from error


def unpacked(body: bytes | list[bytes], service: bytes | None) -> Any:
    """What the frame of a reply stands for.

    Raises :class:`~brigantine.errors.WorkerFailed` for several frames, or one that is no msgpack.
    """
    if not isinstance(body, bytes):
        raise WorkerFailed(
            UNREADABLE,
            f"{len(body)} frames instead of one of msgpack; ask with request() or stream()",
            service,
        )
    try:
        return msgpack.unpackb(body, strict_map_key=False)
    except (ValueError, msgpack.UnpackException) as error:
        raise WorkerFailed(
            UNREADABLE,
            f"{body[:SHOWN]!r} is no msgpack ({type(error).__name__}); ask with request()",
            service,
        ) from error
