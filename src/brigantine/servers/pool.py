"""The threads of a server's handlers: each takes a task, one that ends or hangs is replaced."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Set
from typing import Any

from ..config.limits import LINGER, MAX_SLEEP
from ..config.servers import HUNG_THREADS, START_AGAIN
from ..system.background import Background
from ..system.bell import Bell
from ..system.signals import use_signal_mask

__all__ = ["HandlerPool"]

_log = logging.getLogger("brigantine.server")


class _Hand:
    """One thread."""

    def __init__(self, run: Callable[[_Hand], object], name: str) -> None:
        self.thread = Background(lambda: run(self), name)
        #: Since when it is at its task; 0 while it waits for one.
        self.since = 0.0
        #: Given up: it ends after its task.
        self.retired = False


class HandlerPool:
    """``count`` threads that take tasks from a handoff and ``handle`` them, until it is over.

    ``patience``: seconds that a task may take until its thread is given up, and another one started in its
    place.  ``failed`` ends a task whose thread is ending.  A thread that can't be started is tried again.
    In the threads, and in what handlers start, ``signals`` are held back and no other ones.
    """

    def __init__(
        self,
        handoff: Any,
        count: int,
        patience: float,
        handle: Callable[[Any], object],
        failed: Callable[[Any, BaseException], object],
        signals: Set[int],
    ) -> None:
        self._handoff, self._count, self._patience = handoff, count, patience
        self._handle, self._failed = handle, failed
        self._signals = signals
        self._hands: list[_Hand] = []
        self._hung: list[_Hand] = []
        #: Guards both lists.
        self._lock = threading.Lock()
        self._changed = Bell()
        self._ending = False
        self._told_short = False
        self._keeper = Background(self._keep, "brigantine-server-keeper")
        #: See ``brigantine.SERVER_COUNTERS``.
        self.replaced = self.hung = 0
        self._process = os.getpid()

    @property
    def size(self) -> int:
        """Threads that can take a task."""
        return len(self._hands)

    def has_current(self) -> bool:
        """Whether the caller is one of these threads.

        Takes no lock, which a signal handler may have interrupted and a fork may have copied: the thread
        itself is in one of both lists for as long as it runs.
        """
        return any(hand.thread.current for hand in (*self._hands, *self._hung))

    def start(self) -> None:
        """Raises ``RuntimeError`` when the system has no more threads."""
        for _ in range(self._count):
            self._add()
        self._keeper.start()

    def end(self) -> None:
        """Wait a moment for all that can end: there are no more tasks."""
        self._ending = True
        self._changed.ring()
        self._keeper.wait(LINGER)
        until = time.monotonic() + LINGER
        with self._lock:
            hands = list(self._hands)
        for hand in hands:
            hand.thread.wait(max(0.0, until - time.monotonic()))

    def _add(self) -> None:
        hand = _Hand(self._work, "brigantine-handler")
        with self._lock:
            self._hands.append(hand)
        try:
            hand.thread.start()
        except BaseException:
            with self._lock:
                self._hands.remove(hand)
            raise

    # -- a thread -----------------------------------------------------------------------------

    def _work(self, hand: _Hand) -> None:
        handoff, handle, clock = self._handoff, self._handle, time.monotonic
        task = None
        use_signal_mask(self._signals)
        try:
            while not hand.retired and (task := handoff.take()) is not None:
                hand.since = clock()
                handle(task)
                hand.since = 0.0
                task = None
        except BaseException as error:
            self._ended(task, error)
        finally:
            if os.getpid() == self._process:
                self._leave(hand)

    def _ended(self, task: Any, error: BaseException) -> None:
        _log.error("a handler has ended its thread, which is replaced", exc_info=error)
        if task is not None:
            self._failed(task, error)

    def _leave(self, hand: _Hand) -> None:
        with self._lock:
            if hand in self._hands:
                self._hands.remove(hand)
            if hand in self._hung:
                self._hung.remove(hand)
        self._changed.ring()

    # -- the keeper ---------------------------------------------------------------------------

    def _keep(self) -> None:
        """Replace threads, until the end: in a thread of its own."""
        while not self._over():
            again = self._refill()
            wait = START_AGAIN if again else min(MAX_SLEEP, self._patience / 4)
            self._changed.wait(lambda: self._over() or self._short(), wait)
            if again and not self._over():
                self._changed.wait(self._over, START_AGAIN)
            self._give_up()

    def _over(self) -> bool:
        return self._ending or bool(self._handoff.over)

    def _short(self) -> bool:
        return len(self._hands) < self._count

    def _refill(self) -> bool:
        """Start what is missing; whether that is to be tried again."""
        while self._short() and not self._over():
            try:
                self._add()
            except RuntimeError as error:
                if not self._told_short:
                    _log.error(
                        "a thread of a server has ended, and no other can be started (%s): %d of %d are "
                        "left; it is tried again every %g s",
                        error, len(self._hands), self._count, START_AGAIN,
                    )  # fmt: skip
                self._told_short = True
                return True
            self.replaced += 1
        if self._told_short:
            _log.warning("all %d threads of a server are there again", self._count)
        self._told_short = False
        return False

    def _give_up(self) -> None:
        """Threads whose handlers are at work for too long."""
        with self._lock:
            given_up = self._retire_late(time.monotonic() - self._patience)
        for _ in range(given_up):
            _log.error(
                "a handler or callback is at work for more than request_ttl, %g s: its thread is replaced",
                self._patience,
            )  # fmt: skip

    def _retire_late(self, late: float) -> int:
        """Retire threads at work since before that, as far as there may be; how many."""
        found = [hand for hand in self._hands if 0.0 < hand.since < late]
        found = found[: max(0, HUNG_THREADS - len(self._hung))]
        for hand in found:
            hand.retired = True
            self._hung.append(hand)  # first: see has_current()
            self._hands.remove(hand)
        self.hung += len(found)
        return len(found)
