"""Which brokers have confirmed a worker, and waiting for it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue

from ..errors import NotReady
from ..system.signals import longest_wait

__all__ = ["REFUSED", "Readiness"]

#: What is known of a broker that has not confirmed the worker.
UNREACHED = "not connected"
REFUSED = "nobody accepts connections there"
SILENT = "connected, but READY was not answered"


class Readiness:
    """Told by the I/O thread, asked by any other.

    Takes no lock: a signal handler may stop a worker while it is waited for, and the I/O thread must be
    able to end then.  A broker of PPP or MDP has confirmed a worker when it has said anything on this
    connection (one of brigantine answers READY by HEARTBEAT at once), one for REQ workers when the
    connection stands.
    """

    def __init__(self, endpoints: Sequence[str]) -> None:
        #: Endpoint -> what is known of it; ``None``: it has confirmed.
        self._known: dict[str, str | None] = dict.fromkeys(endpoints, UNREACHED)
        self._wakers: list[Callable[[], object]] = []
        #: The worker has ended: nothing will change any more.
        self.ended = False

    @property
    def confirmed(self) -> int:
        """How many brokers have confirmed the worker, and not been lost since."""
        return sum(state is None for state in self._known.values())

    @property
    def total(self) -> int:
        """How many brokers there are."""
        return len(self._known)

    def missing(self) -> dict[str, str]:
        """The brokers that have not, and what is known of them."""
        return {end: state for end, state in self._known.items() if state is not None}

    def reached(self, brokers: int) -> bool:
        """Whether there is nothing more to wait for."""
        return self.ended or self.confirmed >= brokers

    # -- for the threads of the worker --------------------------------------------------------

    def confirm(self, endpoint: str) -> None:
        """A broker has confirmed the worker."""
        if self._known[endpoint] is not None:
            self._known[endpoint] = None
            self._wake()

    def lose(self, endpoint: str, known: str = "") -> None:
        """A broker has not, or no longer; ``known`` is why, as far as that is known."""
        self._known[endpoint] = known or UNREACHED

    def connect(self, endpoint: str) -> None:
        """The connection to a broker stands."""
        if self._known[endpoint] is not None:
            self._known[endpoint] = SILENT

    def end(self) -> None:
        """The worker has ended."""
        self.ended = True
        self._known.update(dict.fromkeys(self._known, UNREACHED))
        self._wake()

    def _wake(self) -> None:
        for wake in tuple(self._wakers):
            wake()

    # -- for who waits ------------------------------------------------------------------------

    @contextlib.contextmanager
    def watched(self, wake: Callable[[], object]) -> Iterator[None]:
        """The time in which ``wake`` is called, in the I/O thread, at each change."""
        self._wakers.append(wake)
        try:
            yield
        finally:
            self._wakers.remove(wake)

    def wait(self, brokers: int, timeout: float | None) -> bool:
        """Wait until so many have confirmed, at most ``timeout`` seconds; whether they have."""
        deadline = None if timeout is None else time.monotonic() + timeout
        woken: SimpleQueue[None] = SimpleQueue()
        with self.watched(lambda: woken.put(None)):
            while not self.reached(brokers):
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                bounds = (each for each in (left, longest_wait()) if each is not None)
                with contextlib.suppress(Empty):
                    woken.get(timeout=min(bounds, default=None))
        return self.confirmed >= brokers

    def error(self, who: str, brokers: int, timeout: float | None) -> NotReady:
        """What to raise when they have not."""
        missing = self.missing()
        within = "" if timeout is None else f" within {timeout:g} s"
        why = "it has ended" if self.ended else self.words()
        return NotReady(
            f"{who}: {brokers} of {self.total} brokers should have confirmed it{within}, and "
            f"{self.confirmed} have: {why}",
            self.confirmed,
            tuple(missing),
        )

    def words(self) -> str:
        """The brokers that have not confirmed the worker, and why, for a message."""
        return ", ".join(f"{end} ({state})" for end, state in self.missing().items())
