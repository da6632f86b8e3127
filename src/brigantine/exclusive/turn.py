"""Whose turn it is to use an end: one call's at a time, also after Ctrl-C has struck another.

A lock that a call holds would stay locked where an exception out of the blue comes just before the call
gives it back.  So it is asked whether the call still goes on.
"""

from __future__ import annotations

import sys
import threading
import weakref
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

__all__ = ["Turn", "Use"]


class Use:
    """A call.  ``frame`` is its own, which runs for as long as it goes on; or it is one of a ``task``."""

    def __init__(self, frame: FrameType, task: asyncio.Task[Any] | None = None) -> None:
        self.frame: FrameType | None = frame
        self._task = task
        self._thread = threading.get_ident()

    def goes_on(self) -> bool:
        """Whether it does.  From any thread."""
        if self._task is not None:
            return not self._task.done()
        frame, mine = sys._current_frames().get(self._thread), self.frame
        while frame is not None and frame is not mine:
            frame = frame.f_back
        return frame is not None


class Turn:
    """The turn, which one call has at most."""

    def __init__(self) -> None:
        # Reentrant: a signal handler may close an end whatever it has interrupted.
        self._lock = threading.RLock()
        # Weak: who has it is nobody any more when nothing else knows of it.
        self._whose: weakref.ref[Use] | None = None

    def take(self, use: Use) -> bool:
        """Whether it is this one's now; not while another goes on."""
        with self._lock:
            before = None if self._whose is None else self._whose()
            if before is not None and before.goes_on():
                return False
            self._whose = weakref.ref(use)
            return True

    def give_back(self, use: Use) -> None:
        """The call is over."""
        with self._lock:
            if self._whose is not None and self._whose() is use:
                self._whose = None
        use.frame = None
