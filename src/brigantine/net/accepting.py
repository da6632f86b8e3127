"""What is done when a program has used up all descriptors, those of the reserve too, by files of its own.

Then libzmq can't accept who connects: its listener is woken for him over and over, at the cost of a CPU and
without a word that could be heard at a bearable rate.  So a few descriptors are held here.  When all are
in use and somebody waits, one is lent: libzmq accepts him with that, he is disconnected at once, as
everybody who has one of the reserve is, and the next one is accepted with the same descriptor.

A thread for all brokers and devices of the process looks once a second.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterable

from ..config.limits import ACCEPT_LOOK, DESCRIPTOR_SPARES, REJECTED_EVERY
from ..notices.kinds import Notice
from ..system.background import Background
from ..system.bell import Bell
from ..system.forks import listening
from ..system.signals import leave_signals_to_main_thread
from .descriptors import (
    LENT,
    DescriptorReserve,
    descriptor_limit,
    give_back,
    take_descriptors,
)

__all__ = ["Accepting"]


class Accepting:
    """Looks after the listeners of one broker or device.

    ``reserve`` closes connections for which there are no descriptors.  ``tell`` takes a notice for the
    log and never waits: all others in the process, and who begins and ends, would wait with it.
    """

    def __init__(self, reserve: DescriptorReserve, tell: Callable[[Notice], object]) -> None:
        self.reserve, self._tell = reserve, tell
        #: Looks at which somebody could not be accepted.
        self.failed = 0
        self._listeners = select.poll()
        self._told_at: float | None = None
        self._begun = False

    def begin(self, endpoints: Iterable[str]) -> None:
        """Look after who listens at these endpoints, all of which are bound.  Not in the main thread."""
        listeners = tuple(listening(endpoints))
        for each in listeners:
            self._listeners.register(each, select.POLLIN)
        if listeners:
            _looks.add(self)
            self._begun = True

    def end(self) -> None:
        """To be called before the listeners are closed.  Not in the main thread."""
        if self._begun:
            self._begun = False
            _looks.remove(self)

    def waited_for(self) -> bool:
        """Whether anybody waits to be accepted."""
        # What is no descriptor any more is told of as well, and nobody waits there.
        return any(event & select.POLLIN for _, event in self._listeners.poll(0))

    def has_failed(self) -> None:
        """Somebody waits who can't be accepted."""
        self.failed += 1
        now = time.monotonic()
        if self._told_at is None or now - self._told_at >= REJECTED_EVERY:
            self._told_at = now
            numbers = (self.failed, descriptor_limit())
            self._tell(Notice("not_accepted", "accepts_failed", numbers=numbers))


class _Looks:
    """The thread that looks, for as long as there is anything to look after, and what it can lend."""

    def __init__(self) -> None:
        #: Held by who joins or leaves, and by the thread while it looks.
        self._lock, self._looking = threading.Lock(), threading.Lock()
        self._members: tuple[Accepting, ...] = ()
        self._thread: Background | None = None
        self._bell = Bell()
        #: Our descriptors that are not lent.
        self._spares: list[int] = []
        #: How many connections of all members were rejected at the last look.
        self._rejected = 0

    def add(self, member: Accepting) -> None:
        """Look after one more."""
        with self._lock:
            before = self._members
            self._members = (*before, member)
            if self._thread is not None and self._thread.running:
                return
            self._spares = take_descriptors(DESCRIPTOR_SPARES)
            thread = Background(self._serve, "brigantine-accepting")
            try:
                thread.start()
            except BaseException:  # no more threads: the next one that joins tries again
                self._members = before
                give_back(self._spares)
                raise
            self._thread = thread

    def remove(self, member: Accepting) -> None:
        """Look after one less; when this returns it is not looked at any more."""
        with self._lock:
            with self._looking:
                self._members = tuple(filter(lambda each: each is not member, self._members))
            self._bell.ring()
            if not self._members and self._thread is not None:
                self._thread.wait()
                self._thread = None

    def _serve(self) -> None:
        leave_signals_to_main_thread()
        try:
            while not self._bell.wait(lambda: not self._members, ACCEPT_LOOK):
                with self._looking:
                    self._look(self._members)
        finally:
            give_back(self._spares)
            LENT[0] = 0

    def _look(self, members: Iterable[Accepting]) -> None:
        """See whether anybody waits who can't be accepted, and do what can be done."""
        found = take_descriptors(LENT[0] + 1)
        if len(found) > LENT[0]:  # there are others than those that were lent
            os.close(found.pop())
            self._spares += found
            self._spares += take_descriptors(DESCRIPTOR_SPARES - len(self._spares))
            LENT[0] = 0
            return
        free = bool(found)
        give_back(found)
        before, self._rejected = self._rejected, sum(each.reserve.rejected for each in members)
        if free or before != self._rejected:  # somebody can be accepted, or was
            return
        waited_for = [each for each in members if each.waited_for()]
        for each in waited_for:
            each.has_failed()
        if waited_for and self._spares:
            LENT[0] += 1
            os.close(self._spares.pop())


_looks = _Looks()


def _after_fork() -> None:
    """A child has none of its parent's threads, nothing to look after, and nothing to hold back."""
    global _looks
    with contextlib.suppress(OSError):  # the program has closed them itself
        give_back(_looks._spares)
    _looks = _Looks()
    LENT[0] = 0


os.register_at_fork(after_in_child=_after_fork)
