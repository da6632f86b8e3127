"""What kind of function a handler is, which says what calls it."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = [
    "is_async",
    "is_async_generator",
    "is_coroutine",
    "is_generator",
    "mistake_in",
    "name_of",
]


def is_async(handler: Any) -> bool:
    """Whether a handler is for workers of asyncio."""
    return is_coroutine(handler) or is_async_generator(handler)


def is_coroutine(handler: Any) -> bool:
    """Whether calling it gives a coroutine: ``async def``, or an object whose ``__call__`` is."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(_call_of(handler))


def is_async_generator(handler: Any) -> bool:
    """Whether calling it gives an async generator: ``async def`` with ``yield``."""
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(_call_of(handler))


def is_generator(handler: Any) -> bool:
    """Whether calling it gives a generator: ``def`` with ``yield``."""
    return inspect.isgeneratorfunction(handler) or inspect.isgeneratorfunction(_call_of(handler))


def mistake_in(handler: Any, arguments: int = 1) -> str | None:
    """Why it can't be called with so many arguments; ``None`` where it can, or nobody knows.

    Functions in C may not tell what they take.  A decorated one is called as its decorator takes it.
    """
    try:
        signature = inspect.signature(handler, follow_wrapped=False)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*[b""] * arguments)
    except TypeError as error:
        return f"{error}; it takes {signature}"
    return None


def name_of(handler: Any) -> str:
    """The handler as a message names it."""
    name: str = getattr(handler, "__qualname__", None) or repr(handler)
    return name


def _call_of(handler: Any) -> Any:
    return getattr(handler, "__call__", None)  # noqa: B004 - not to know whether it is callable
