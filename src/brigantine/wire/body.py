"""Bodies of requests and replies: ``bytes`` for one frame, a list of ``bytes`` for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from ..errors import ConfigError, WrongUse

__all__ = ["from_frames", "request_frames", "to_frames"]

#: Hold bytes that may change later, while the frame still waits to be sent.
_BUFFERS = (bytearray, memoryview)


def request_frames(body: bytes | Sequence[bytes]) -> list[bytes]:
    """The frames of a request's body.

    Raises :class:`~brigantine.errors.WrongUse` unless it is bytes or a sequence of bytes,
    :class:`~brigantine.errors.ConfigError` if it is empty.
    """
    return to_frames(body, "body", wrong=WrongUse, empty=ConfigError)


def to_frames(
    body: bytes | Sequence[bytes],
    what: str,
    *,
    wrong: type[TypeError] = TypeError,
    empty: type[ValueError] = ValueError,
) -> list[bytes]:
    """The frames of a body.

    Raises ``wrong`` unless it is bytes or a sequence of bytes, ``empty`` if it has no frame.
    """
    if isinstance(body, bytes):
        return [body]
    # bytearray and memoryview are sequences, but of numbers.
    if isinstance(body, (str, *_BUFFERS)) or not isinstance(body, Sequence):
        raise wrong(
            f"{what} must be bytes or a sequence of bytes, not {type(body).__name__}"
            + _instead(body)
        )
    frames = list(cast(Sequence[bytes], body))
    for at, frame in enumerate(frames):
        if not isinstance(frame, bytes):
            raise wrong(
                f"{what} must be bytes or a sequence of bytes, but item {at} of the "
                f"{type(body).__name__} is {type(frame).__name__}{_instead(frame)}"
            )
    if not frames:
        raise empty(f"{what} needs at least one frame; an empty frame, b'', is one")
    return frames


def _instead(value: object) -> str:
    """What to do with a value that holds text or bytes and is not bytes."""
    if isinstance(value, str):
        return "; encode it first: text.encode()"
    return "; use bytes(x)" if isinstance(value, _BUFFERS) else ""


def from_frames(frames: list[bytes]) -> bytes | list[bytes]:
    """The body that frames hold: a single frame as it is, several as the list."""
    return frames[0] if len(frames) == 1 else frames
