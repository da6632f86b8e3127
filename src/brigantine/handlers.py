"""Ready-made functions for a worker, to try a broker before writing one's own.

brigantine worker lru --broker tcp://127.0.0.1:5556 brigantine.handlers:upper
"""

from __future__ import annotations

__all__ = ["echo", "upper"]


def echo(body: bytes | list[bytes]) -> bytes | list[bytes]:
    """Answer with what was asked, frame by frame."""
    return body


def upper(body: bytes | list[bytes]) -> bytes | list[bytes]:
    """Answer with the ASCII letters of each frame in upper case."""
    return body.upper() if isinstance(body, bytes) else [frame.upper() for frame in body]
