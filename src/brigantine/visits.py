"""Which threads are inside an object: by that a signal handler is told from another thread.

Python runs a signal handler in the main thread, between two steps of whatever this is doing.  What
was interrupted goes on only when the handler returns, and keeps its locks until then.  So a handler
must not wait for a thread that may need one of them.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

__all__ = ["Visits"]


class Visits:
    """The threads that are inside, each as often as it has come in.  Takes no lock itself."""

    def __init__(self) -> None:
        self._threads: list[int] = []

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """The time of a visit.  To be entered before any lock is taken."""
        me = threading.get_ident()
        try:  # also around what Ctrl-C may end in its midst
            self._threads.append(me)
            yield
        finally:
            with contextlib.suppress(ValueError):
                self._threads.remove(me)

    @property
    def mine(self) -> bool:
        """Whether this thread is inside: then who asks has interrupted it."""
        return threading.get_ident() in self._threads
