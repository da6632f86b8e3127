"""Bodies of requests and replies: ``bytes`` for one frame, a list of ``bytes`` for several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

__all__ = ["from_frames", "to_frames"]


def to_frames(body: bytes | Sequence[bytes], what: str) -> list[bytes]:
    """The frames of a body.

    Raises ``TypeError`` unless it is bytes or a sequence of bytes, ``ValueError`` if it is empty.
    """
    if isinstance(body, bytes):
        return [body]
    if isinstance(body, str) or not isinstance(body, Sequence):
        raise TypeError(
            f"{what} must be bytes or a sequence of bytes, not {type(body).__name__}"
            + ("; encode it first: text.encode()" if isinstance(body, str) else "")
        )
    frames = list(cast(Sequence[bytes], body))
    for at, frame in enumerate(frames):
        if not isinstance(frame, bytes):
            raise TypeError(
                f"{what} must be bytes or a sequence of bytes, but item {at} of the "
                f"{type(body).__name__} is {type(frame).__name__}"
            )
    if not frames:
        raise ValueError(f"{what} needs at least one frame; an empty frame, b'', is one")
    return frames


def from_frames(frames: list[bytes]) -> bytes | list[bytes]:
    """The body that frames stand for: one frame alone as it is, several as the list."""
    return frames[0] if len(frames) == 1 else frames
