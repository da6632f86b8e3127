"""The types of a worker's function, and ready-made handlers to try a broker with.

brigantine worker lru --broker tcp://127.0.0.1:5556 brigantine.handlers:upper
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from typing import Any, TypeAlias, Union

__all__ = [
    "AsyncHandler",
    "AsyncStreamHandler",
    "Handler",
    "Reply",
    "StreamHandler",
    "echo",
    "upper",
]

#: A reply, or one part of it: ``bytes`` for one frame, a sequence of ``bytes`` for several.
Reply: TypeAlias = Union[bytes, Sequence[bytes]]  # noqa: UP007 - 3.10 has no | of these

#: A function of the request's body that returns the reply's.  The body is ``bytes`` when it is one
#: frame, else ``list[bytes]``; a function that knows which may say so.
Handler: TypeAlias = Callable[[Any], Reply]

#: A generator function: each value that it yields is a part of the reply, what it returns the end.
StreamHandler: TypeAlias = Callable[[Any], Iterator[Reply]]

#: A coroutine function, for the workers of ``brigantine.aio``.
AsyncHandler: TypeAlias = Callable[[Any], Coroutine[Any, Any, Reply]]

#: An async generator function, for ``brigantine.aio.MajordomoWorker``.
AsyncStreamHandler: TypeAlias = Callable[[Any], AsyncIterator[Reply]]


def echo(body: bytes | list[bytes]) -> bytes | list[bytes]:
    """Reply with the request, frame by frame."""
    return body


def upper(body: bytes | list[bytes]) -> bytes | list[bytes]:
    """Reply with the ASCII letters of each frame in upper case."""
    return body.upper() if isinstance(body, bytes) else [frame.upper() for frame in body]
