"""The end of standard input: the process at its other end has ended, or wants us to end."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

from .exit_codes import DONE

__all__ = ["leave_at_eof", "standard_input"]

#: The file descriptor of standard input, and how much of it is thrown away at once.
_STDIN = 0
_READ_SIZE = 65536


class _Input:
    """Standard input, read by one thread until it ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = self._ended = False
        self._then: Callable[[], object] = lambda: os._exit(DONE)

    def start(self) -> None:
        """Begin to read, unless that was begun before."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._watch, name="brigantine-stdin", daemon=True).start()

    def then(self, tell: Callable[[], object]) -> None:
        """Say what is to be done at the end."""
        with self._lock:
            self._then = tell
            ended = self._ended
        if ended:
            tell()

    def _watch(self) -> None:
        # Python has no sys.stdin when the descriptor was closed at the start; by now its number
        # may belong to something else.
        with contextlib.suppress(OSError):
            while sys.stdin is not None and os.read(_STDIN, _READ_SIZE):
                pass
        with self._lock:
            self._ended = True
            tell = self._then
        tell()


standard_input = _Input()


def leave_at_eof() -> None:
    """Exit when standard input ends before :class:`~.stopping.StopRequests` has taken that over.

    For the time in which a module is imported: there are no requests yet.
    """
    standard_input.start()
