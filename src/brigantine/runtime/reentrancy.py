"""Which threads are inside an object: by that a signal handler is told from another thread.

Python runs a signal handler in the main thread, between two steps of whatever this is doing.  What
was interrupted goes on only when the handler returns, and keeps its locks until then.  So a handler
must not wait for a thread that may need one of them.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

__all__ = ["ReentrancyGuard"]


class _Entry(NamedTuple):
    thread: int
    #: The function that is inside.  One that an exception has ended in the midst of coming in
    #: or going out may leave its entry, but is no longer among those that run.
    frame: FrameType


class ReentrancyGuard:
    """Who is inside.  Takes no lock itself."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []

    def inside(self) -> _Entered:
        """The time inside, for ``with``.  To be entered before any lock is taken."""
        return _Entered(self._entries)

    @property
    def mine(self) -> bool:
        """Whether this thread is inside: then who asks has interrupted it."""
        return bool(_mine(self._entries))

    @property
    def going_on(self) -> bool:
        """Whether any thread is inside."""
        tops = sys._current_frames()
        return any(
            any(frame is entry.frame for frame in _stack(tops.get(entry.thread)))
            for entry in tuple(self._entries)
        )


class _Entered:
    __slots__ = ("_entries", "_entry")

    def __init__(self, entries: list[_Entry]) -> None:
        self._entries = entries

    def __enter__(self) -> None:
        for left in _mine(self._entries, running=False):
            _remove(self._entries, left)
        self._entry = _Entry(threading.get_ident(), sys._getframe(1))
        self._entries.append(self._entry)

    def __exit__(self, *_: object) -> None:
        _remove(self._entries, self._entry)


def _mine(entries: list[_Entry], *, running: bool = True) -> list[_Entry]:
    """The entries of this thread whose functions run, or those of which that is not so."""
    me = threading.get_ident()
    mine = [entry for entry in entries if entry.thread == me]
    if not mine:
        return mine
    running_frames = set(map(id, _stack(sys._getframe(1))))
    return [entry for entry in mine if (id(entry.frame) in running_frames) is running]


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    """A frame, and those that it was called from."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def _remove(entries: list[_Entry], entry: _Entry) -> None:
    with contextlib.suppress(ValueError):
        entries.remove(entry)
