"""The base of a server whose handlers are coroutines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import WrongUse
from ..workers.kinds import is_async, name_of
from .server import Server

__all__ = ["TaskServer"]


class TaskServer(Server):
    """The thread of the ROUTER; an event loop takes from its handoff."""

    _takes = (2, "two arguments, the session and the request's body")

    def start(self) -> None:
        self._start()

    def _check_kind(self, handler: Callable[..., Any]) -> None:
        if not is_async(handler):
            raise WrongUse(
                f"aio.AsyncServer awaits coroutine functions and async generator functions, not the plain "
                f"function {name_of(handler)!r}; brigantine.AsyncServer is for these"
            )

    def _begin_handlers(self) -> None:
        """The event loop begins by itself."""

    def _end_handlers(self) -> None:
        """And ends by itself, when the handoff is over."""

    def _in_handler(self) -> bool:
        return False

    def _thread_counts(self) -> dict[str, int]:
        return {"threads": 0, "threads_replaced": 0, "threads_hung": 0}
