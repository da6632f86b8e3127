"""What was packed by msgpack, perhaps by somebody hostile: unpacked here, and nowhere else."""

from __future__ import annotations

from typing import Any

import msgpack

__all__ = ["Unreadable", "unpacked"]


class Unreadable(ValueError):
    """Bytes that msgpack makes nothing of; in words, why: the name of what it has raised."""


def unpacked(frame: bytes, *, any_keys: bool = False) -> Any:
    """The object in a frame; with ``any_keys`` maps may have other keys than text and bytes.

    Raises :class:`Unreadable`, a ``ValueError``, for any bytes that are none: also for text that is no
    UTF-8, and for maps whose keys Python can't look up, such as lists.
    """
    try:
        return msgpack.unpackb(frame, strict_map_key=not any_keys)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise Unreadable(type(error).__name__) from error
