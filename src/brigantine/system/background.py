"""A thread that itself says when it has ended.

``threading.Thread`` is not asked.  When a ``join()`` is left by an exception, such as that of Ctrl-C,
Python up to 3.12 holds the running thread for ended (python/cpython#90882); and ``start()`` waits for the
new thread in a way that such an exception may keep it from ever beginning.
"""

from __future__ import annotations

import _thread
import os
import threading
from collections.abc import Callable

from .bell import Bell

__all__ = ["Background"]


class Background:
    """A daemon thread that calls ``run()`` once.

    Whatever exception leaves :meth:`start` or :meth:`wait`: what :attr:`started` and :attr:`running` say
    is so, and :meth:`wait` may be called again.
    """

    def __init__(self, run: Callable[[], object], name: str) -> None:
        self._run = run
        # A daemon: the interpreter must not wait for it before finalizers have told it to end.
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._process = os.getpid()
        #: The thread that starts it, once there is one.
        self._starter: list[int] = []
        self._begun = False
        #: Why it could not be started.
        self._refused: BaseException | None = None
        self._ident: int | None = None
        #: Set by the thread itself, as its last act.
        self._ended = False
        self._bell = Bell()

    def start(self) -> None:
        """Begin.  Raises ``RuntimeError`` when the system has no more threads."""
        if threading.current_thread() is threading.main_thread():
            # Exceptions out of the blue come in the main thread only: the other one starts it whole.
            # map() and extend() are one step for such an exception: there is no thread that is not noted.
            self._starter.extend(map(_thread.start_new_thread, (self._begin,), ((),)))
            self._bell.wait(lambda: self._begun)
        else:
            self._begin()
        if self._refused is not None:
            raise self._refused

    @property
    def started(self) -> bool:
        """Whether it was begun, though it may have ended."""
        return (bool(self._starter) or self._begun) and self._refused is None

    @property
    def running(self) -> bool:
        """Whether it was begun and has not ended.  Never in a forked child: the thread is the parent's."""
        return self.started and not self._ended and os.getpid() == self._process

    @property
    def current(self) -> bool:
        """Whether the caller is this thread."""
        return self._ident == threading.get_ident()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; returns whether it has.

        The thread itself does not wait.  What was never started has ended.
        """
        if self.current:
            return not self.running
        if not self._bell.wait(lambda: not self.running, timeout):
            return False
        if self._ended and self._ident is not None and os.getpid() == self._process:
            self._thread.join()  # it has nothing left to do but to leave
        return True

    def _begin(self) -> None:
        try:
            self._thread.start()
        except BaseException as error:
            self._refused = error
        self._begun = True
        self._bell.ring()

    def _serve(self) -> None:
        self._ident = threading.get_ident()
        try:
            self._run()
        finally:
            self._ended = True
            self._bell.ring()
