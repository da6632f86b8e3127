"""What a handler may answer: frames, none that marks an error, and no more than a broker takes.

A frame above the broker's ``max_message_bytes`` makes libzmq cut the worker off, with everything that it
holds, which would end requests that have done nothing; a message above it, or of more than
``max_frames`` frames, is dropped by the broker.  Here the client can be told what was too large.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..wire.body import to_frames
from ..wire.req import (
    BROKER_ERROR_MARK,
    ERROR_MARK,
    ERROR_MESSAGE_BYTES,
    ERROR_TYPE_BYTES,
    error_reply,
)

__all__ = ["ReplyLimits"]

#: Frames around the largest body of a request: a routing id and an empty frame.  A reply may be as
#: large as a request, whatever stands around it: for that the broker makes room (config.REPLY_FRAMES).
AROUND_FRAMES = 2
#: What an error report takes beside its message: the mark, the class's name, and what msgpack needs.
REPORT_BYTES = len(ERROR_MARK) + ERROR_TYPE_BYTES + 32


class ReplyLimits:
    """How large one message with a reply, or a part of one, may be, as the broker counts it."""

    def __init__(self, max_reply_bytes: int, max_reply_frames: int) -> None:
        self._max_bytes = max_reply_bytes
        self._max_frames = max_reply_frames

    def as_reply(self, value: Any) -> list[bytes]:
        """The frames of what a handler returned.

        Raises ``TypeError`` or ``ValueError`` for what can't be sent.
        """
        reply = to_frames(value, "the handler's reply")
        for mark in (ERROR_MARK, BROKER_ERROR_MARK):
            # Wherever it stands: behind parts of a reply, clients find an error report by its end.
            if mark in reply:
                raise ValueError(
                    f"the handler's reply has a frame {mark!r}, which marks an error; "
                    "raise an exception instead"
                )
        self.check(reply)
        return reply

    def check(self, frames: Sequence[bytes]) -> None:
        """Raise ``ValueError`` for what is to leave in one message and is too large for the broker."""
        most = self._max_frames - AROUND_FRAMES
        if len(frames) > most:
            raise ValueError(
                f"the handler's reply has {len(frames)} frames, and {AROUND_FRAMES} count for what "
                f"goes around them; the limit is max_reply_frames={self._max_frames}. Answer with at most "
                f"{most}, or raise max_reply_frames and the broker's max_frames together"
            )
        size = sum(map(len, frames))
        if size > self._max_bytes:
            raise ValueError(
                f"the handler's reply has {size} bytes; the limit is max_reply_bytes="
                f"{self._max_bytes}. Answer with less, or raise max_reply_bytes and the broker's "
                "max_message_bytes together"
            )

    def report(self, error: BaseException) -> list[bytes]:
        """The error report of ``error``, cut where it would be too large for the broker."""
        room = self._max_bytes - REPORT_BYTES
        return error_reply(error, message_bytes=min(ERROR_MESSAGE_BYTES, room))
