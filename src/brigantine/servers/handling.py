"""How a handler is called, and what becomes of what it gives."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

from ..wire.body import to_frames
from ..wire.req import BROKER_ERROR_MARK, ERROR_MARK
from ..workers.base import CHILD_CODE
from ..workers.reply import ReplyLimits
from .session import REASONS, Session

__all__ = ["OPENED", "REQUEST", "WHAT", "Handling", "called"]

#: What a task is.
OPENED, REQUEST = 0, 1
#: Who is called for it, by what it is.
WHAT = ("on_open", "a handler", "on_close")

_log = logging.getLogger("brigantine.server")
_MARKS = (ERROR_MARK, BROKER_ERROR_MARK)


class Handling:
    """What is common to threads and tasks: sessions by number, replies checked, errors told."""

    def __init__(self, handoff: Any, limits: ReplyLimits, max_bytes: int) -> None:
        self.handoff = handoff
        self._limits, self._max_bytes = limits, max_bytes
        self.sessions: dict[int, Session] = {}
        #: Guards the count, which every handler's thread has part in.
        self._lock = threading.Lock()
        #: Exceptions that handlers and callbacks have raised.
        self.errors = 0
        self._process = os.getpid()

    def session_of(self, task: Any) -> Session:
        """The session of a task, made at its first."""
        session = self.sessions.get(task.serial)
        if session is None:
            made = Session(self.handoff, task.place, task.serial, task.address)
            session = self.sessions.setdefault(task.serial, made)
        return session

    def close_session(self, task: Any) -> Session:
        """The session of a task that tells of its end, which is forgotten."""
        session = self.session_of(task)
        self.sessions.pop(task.serial, None)
        session.closed = REASONS[task.reason]
        return session

    def frames_of(self, value: Any) -> Any:
        """What a handler has returned, as frames.  Raises ``TypeError`` or ``ValueError``."""
        if type(value) is bytes and len(value) <= self._max_bytes and value not in _MARKS:
            return (value,)
        return self._limits.as_reply(value)

    def finish(self, task: Any, value: Any) -> None:
        """Send what a handler has returned, and end its task."""
        if value is not None:
            self.handoff.reply(task, self.frames_of(value))
        elif task.single:
            self.handoff.reply(task, (b"",))  # or a REQ socket would wait for ever
        else:
            self.handoff.end(task)

    def stream(self, task: Any, parts: Iterator[Any]) -> None:
        """Send what a generator yields, each as a reply; to a client that takes one, all in one."""
        joined: list[bytes] = []
        while True:
            try:
                value = next(parts)
            except StopIteration as stop:
                self.finish_stream(task, joined, stop.value)
                return
            self.part(task, joined, value)
            if not task.wanted:  # its client has gone, or does not read
                parts.close()  # type: ignore[attr-defined]

    def part(self, task: Any, joined: list[bytes], value: Any, *, wait: bool = True) -> None:
        """One part of several; ``wait`` for the loop, where it has much to send."""
        frames = self.frames_of(value)
        if task.single:
            joined.extend(frames)
            self._limits.check(joined)
        else:
            self.handoff.part(task, frames, wait)

    def finish_stream(self, task: Any, joined: list[bytes], value: Any) -> None:
        """What a generator has returned ends its task."""
        if task.single and joined:
            if value is not None:
                joined.extend(to_frames(value, "the handler's reply"))
            self._limits.check(joined)
            self.handoff.reply(task, joined)
        else:
            self.finish(task, value)

    def failed(self, task: Any, error: BaseException) -> None:
        """End a task whose handler or callback has raised: the client of a request is told."""
        if task.event != REQUEST:
            self.count_error(f"{WHAT[task.event]} has failed", error)
            self.handoff.end(task)
            return
        self.count_error("a handler has failed on a request; its client is told so", error)
        try:
            frames = self._limits.report(error)
        except Exception:  # its own words can't be had, or can't be encoded
            frames = self._limits.report(
                RuntimeError(f"{type(error).__name__}, whose message can't be sent")
            )
        self.handoff.fail(task, frames)

    def count_error(self, what: str, error: BaseException) -> None:
        """Count and log it."""
        with self._lock:
            self.errors += 1
        _log.error("%s", what, exc_info=error)

    def leave_child(self) -> None:
        """Exit where a handler has come back in a child that it has forked: it serves nobody there."""
        if os.getpid() != self._process:
            _log.critical(
                "a handler of a server has forked and then returned in the child. Exiting: a child that "
                "a handler forks must end by os._exit()"
            )
            os._exit(CHILD_CODE)


def called(callback: Callable[[Session], object] | None, session: Session) -> object:
    """What a callback gives, if there is one."""
    return None if callback is None else callback(session)
