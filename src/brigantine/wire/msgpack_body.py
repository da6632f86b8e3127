"""Bodies that are one msgpack frame: what ``call()`` sends, and what it makes of the reply."""

from __future__ import annotations

from typing import Any, cast

import msgpack

from ..errors import OptionName, WorkerFailed, WrongUse
from ..validation.values import shown
from .unpacking import Unreadable
from .unpacking import unpacked as unpacked_frame

__all__ = ["packed", "unpacked"]

#: What WorkerFailed tells of a reply that call() can't read, and how many bytes of it.
UNREADABLE = "unreadable reply"
SHOWN = 64


def packed(obj: object) -> bytes:
    """``obj`` as one msgpack frame.

    Raises :class:`~brigantine.errors.WrongUse` if it can't be.
    """
    try:
        return cast(bytes, msgpack.packb(obj))
    except (TypeError, ValueError, OverflowError) as error:
        raise WrongUse(
            OptionName("obj"), f" can't be sent as msgpack: {error}; it is {shown(obj)}"
        ) from error


def unpacked(body: bytes | list[bytes], service: bytes | None) -> Any:
    """The object in the frame of a reply.

    Raises :class:`~brigantine.errors.WorkerFailed` for several frames, or one that is no msgpack.
    """
    if not isinstance(body, bytes):
        raise WorkerFailed(
            UNREADABLE,
            f"{len(body)} frames instead of one of msgpack; ask with request() or stream()",
            service,
        )
    try:
        return unpacked_frame(body, any_keys=True)
    except Unreadable as error:
        raise WorkerFailed(
            UNREADABLE,
            f"{body[:SHOWN]!r} is no msgpack ({error}); ask with request()",
            service,
        ) from error
