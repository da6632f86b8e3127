"""Frames as :class:`~brigantine.Envelope` takes and shows them, whichever implementation it is."""

from __future__ import annotations

from collections.abc import Sequence

from ..config.limits import NOTICE_FRAMES
from ..errors import BadEnvelope, ConfigError, OptionName, WrongUse
from ..validation.values import flag
from ..validation.values import shown as shown_value
from .body import to_frames
from .shown import shown

__all__ = [
    "address_frames",
    "body_frames",
    "delimits",
    "has_delimiter",
    "message_frames",
    "shown_envelope",
]

#: Bytes of a frame that a repr shows.
_SHOWN = 40


def address_frames(address: bytes | Sequence[bytes]) -> list[bytes]:
    """The frames of an address stack.

    Raises :class:`~brigantine.errors.ConfigError` unless there are some, none of them empty, and
    :class:`~brigantine.errors.WrongUse` for what is not bytes.
    """
    stack = [] if address == [] or address == () else to_frames(address, "address", wrong=WrongUse)
    if not stack or not all(stack):
        raise ConfigError(
            f"an address is one or more frames, none of them empty, not {shown_value(address)}"
        )
    return stack


def body_frames(body: bytes | Sequence[bytes]) -> list[bytes]:
    """The frames of a body.

    Raises :class:`~brigantine.errors.ConfigError` for none at all, and
    :class:`~brigantine.errors.WrongUse` for what is not bytes.
    """
    return to_frames(body, "body", wrong=WrongUse, empty=ConfigError)


def message_frames(frames: Sequence[bytes]) -> list[bytes]:
    """The frames of a message that was received.

    Raises :class:`~brigantine.errors.WrongUse` for a single frame and for what is not bytes.
    """
    if isinstance(frames, bytes):
        raise WrongUse(
            OptionName("frames"),
            f" must be those of a whole message, as recv_multipart() returns them, not the one "
            f"frame {shown_value(frames)}",
        )
    none: type[ValueError] = _NoFrames
    try:
        return to_frames(frames, "frames", wrong=WrongUse, empty=none)
    except _NoFrames:
        raise BadEnvelope("malformed", "a message without frames is no envelope") from None


class _NoFrames(ValueError):
    """Told apart from what else is wrong with a message."""


def has_delimiter(frames: Sequence[bytes], asked: bool | None) -> bool:
    """Whether a message is to be split at an empty frame: as asked for, or as it looks."""
    if asked is None:
        return len(frames) > 2 and not frames[1]
    if not isinstance(asked, bool):
        raise WrongUse(
            OptionName("delimiter"), f" must be True, False or None, not {shown_value(asked)}"
        )
    return asked


def delimits(asked: bool) -> bool:
    """Whether an envelope that is made has a delimiter."""
    return flag("delimiter", asked)


def shown_envelope(address: Sequence[bytes], body: Sequence[bytes], *, delimiter: bool) -> str:
    """``<Envelope "client" | [] | "hello">``: text as text, all else as hexadecimal digits."""
    parts = [_shown(address), *(["[]"] if delimiter else []), _shown(body)]
    return f"<Envelope {' | '.join(parts)}>"


def _shown(frames: Sequence[bytes]) -> str:
    text = " ".join(shown(frame[:_SHOWN], len(frame)) for frame in frames[:NOTICE_FRAMES])
    left = len(frames) - NOTICE_FRAMES
    return f"{text} and {left} more" if left > 0 else text
