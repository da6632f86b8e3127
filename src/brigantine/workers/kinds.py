"""What kind of function a handler is, which says what calls it."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["is_async", "is_async_generator", "is_coroutine", "name_of"]


def is_async(handler: Any) -> bool:
    """Whether a handler is for workers of asyncio."""
    return is_coroutine(handler) or is_async_generator(handler)


def is_coroutine(handler: Any) -> bool:
    """Whether calling it gives a coroutine: ``async def``, or an object whose ``__call__`` is."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(_call_of(handler))


def is_async_generator(handler: Any) -> bool:
    """Whether calling it gives an async generator: ``async def`` with ``yield``."""
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(_call_of(handler))


def name_of(handler: Any) -> str:
    """The handler as a message names it."""
    name: str = getattr(handler, "__qualname__", None) or repr(handler)
    return name


def _call_of(handler: Any) -> Any:
    return getattr(handler, "__call__", None)  # noqa: B004 - not to know whether it is callable
