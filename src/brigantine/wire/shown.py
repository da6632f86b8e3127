"""Frames as a person reads them."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["Frame", "shown", "shown_frames"]

#: A frame as notices have it: its size, and its first bytes.
Frame = tuple[int, bytes]
#: Frames that are no longer than this are shown as hexadecimal digits when they are no text.
_HEX = 16


def shown(name: bytes, size: int | None = None) -> str:
    """Bytes as a person reads them; ``size`` is the real one where they were cut off."""
    size = len(name) if size is None else size
    if not size:
        return "[]"
    if name.isascii() and name.decode().isprintable():
        text = f'"{name.decode()}"'
    else:
        text = f"0x{name[:_HEX].hex()}"
        size = max(size, len(name))
        name = name[:_HEX]
    return text if len(name) == size else f"{text}... ({size:,} bytes)"


def shown_frames(frames: Sequence[Frame], count: int) -> str:
    """A message, as the pages of the protocols write it; ``count`` is how many frames it had."""
    if not count:
        return "a message without frames"
    text = " ".join(shown(first, size) for size, first in frames)
    return text if count == len(frames) else f"{text} and {count - len(frames)} more"
