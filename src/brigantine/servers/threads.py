"""Servers whose handlers are plain functions, in threads."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from ..workers.kinds import is_generator
from .handling import OPENED, REQUEST, called
from .pool import HandlerPool
from .server import Server, check_plain
from .session import Session

__all__ = ["ThreadServer"]


class ThreadServer(Server):
    """Base: the threads of :class:`~brigantine.servers.pool.HandlerPool` call the handler."""

    _on_open: Callable[[Session], object] | None = None
    _on_close: Callable[[Session], object] | None = None
    _pool: HandlerPool | None = None

    def _check_kind(self, handler: Callable[..., Any]) -> None:
        check_plain(type(self), handler)
        self._streams = is_generator(handler)

    def _begin_handlers(self) -> None:
        self._pool = HandlerPool(
            self._handling.handoff, self._workers, self.config.request_ttl, self._handle, self._give_up,
            self._signals,
        )  # fmt: skip
        self._pool.start()

    def _end_handlers(self) -> None:
        if self._pool is not None:
            self._pool.end()

    def _in_handler(self) -> bool:
        return self._pool is not None and self._pool.has_current()

    def _thread_counts(self) -> dict[str, int]:
        pool = self._pool
        if pool is None:
            return {"threads": 0, "threads_replaced": 0, "threads_hung": 0}
        return {
            "threads": pool.size if self.running else 0,
            "threads_replaced": pool.replaced,
            "threads_hung": pool.hung,
        }

    # -- in a handler's thread ----------------------------------------------------------------

    @abstractmethod
    def _call(self, task: Any) -> Any:
        """Call the handler."""

    def _handle(self, task: Any) -> None:
        handling = self._handling
        try:
            if task.event != REQUEST:
                self._tell_session(task)
                return
            if not task.wanted:  # its client was told of its end while it waited here
                handling.handoff.end(task)
                return
            value = self._call(task)
            handling.leave_child()
            if self._streams:
                handling.stream(task, value)
            else:
                handling.finish(task, value)
        except Exception as error:
            handling.leave_child()
            handling.failed(task, error)

    def _tell_session(self, task: Any) -> None:
        handling = self._handling
        if task.event == OPENED:
            called(self._on_open, handling.session_of(task))
        else:
            called(self._on_close, handling.close_session(task))
        handling.leave_child()
        handling.handoff.end(task)

    def _give_up(self, task: Any, error: BaseException) -> None:
        """A handler ends its thread: its client is told."""
        with contextlib.suppress(Exception):  # it had ended its task before
            self._handling.failed(task, error)
