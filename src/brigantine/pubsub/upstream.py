"""What a subscriber says to its publisher: subscriptions, and questions after them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import zmq

from ..wire.pubsub import BEAT, SUBSCRIBE, UNSUBSCRIBE
from .asking import Asking
from .interest import Interest
from .welcomes import Welcomes

__all__ = ["Upstream"]


class Upstream:
    """Used by the subscriber's thread, but for :meth:`change`, :meth:`ready` and :attr:`confirmed`.

    ``socket`` is ``None`` while there is no connection; on the next one all is said anew.
    """

    def __init__(self, topics: tuple[bytes, ...], *, last_values: bool) -> None:
        self._last_values = last_values
        #: Changes that were asked for, each with whether the topic is wanted.
        self._changes: deque[tuple[bool, bytes]] = deque((True, each) for each in topics)
        self._connected = False
        self.interest = Interest()
        self.welcomes = Welcomes()
        self.asking = Asking(self.welcomes.token)

    # -- any thread ---------------------------------------------------------------------------

    def change(self, topic: bytes, *, wanted: bool) -> None:
        """Subscribe, or unsubscribe."""
        self._changes.append((wanted, topic))

    def ready(self, publishers: int) -> bool:
        """Whether so many publishers have read all that was subscribed by now."""
        return not self._changes and self.confirmed >= publishers

    @property
    def confirmed(self) -> int:
        """How many publishers have read all subscriptions of now."""
        return self.welcomes.confirmed

    # -- the thread ---------------------------------------------------------------------------

    def apply(self, socket: zmq.Socket[bytes] | None) -> None:
        """Say what was asked for, and ask for a word once that was read."""
        if not self._changes:
            return
        self.welcomes.begin()  # before the last change is taken; see ready()
        while self._changes:
            wanted, topic = self._changes[0]
            change = self.interest.add if wanted else self.interest.discard
            if change(topic):
                self._changed(topic, wanted=wanted)
                if socket is not None:
                    socket.send((SUBSCRIBE if wanted else UNSUBSCRIBE) + topic)
            self._changes.popleft()
        self._ask_for_welcomes(socket, time.monotonic())

    def _changed(self, topic: bytes, *, wanted: bool) -> None:
        if not wanted:
            self.asking.unsubscribed(topic)
        elif self._last_values and self._connected:
            self.asking.subscribed(topic, time.monotonic())

    def say_all(self, socket: zmq.Socket[bytes]) -> None:
        """To a socket that is not connected yet."""
        for topic in self.interest:
            socket.send(SUBSCRIBE + topic)
        socket.send(SUBSCRIBE + BEAT)
        self.welcomes.connect()
        socket.send(SUBSCRIBE + self.welcomes.ask(time.monotonic()))

    def connected(self, now: float) -> None:
        """There is a connection, on which all was said."""
        self._connected = True
        if self._last_values:
            self.asking.disconnected(self.interest)
            self.asking.connected(now)

    def disconnected(self) -> None:
        """It has ended."""
        self._connected = False
        self.welcomes.connect()
        self.asking.disconnected(())

    def due(self) -> float | None:
        """When to call :meth:`ask` at the latest, while there is a connection."""
        dues = (self.welcomes.due_at(), self.asking.due())
        return min((due for due in dues if due is not None), default=None)

    def ask(self, socket: zmq.Socket[bytes] | None, now: float, tell: Callable[[], object]) -> None:
        """Ask what is to be asked now; ``tell`` whoever waits of what was answered."""
        if self.welcomes.changed:
            self.welcomes.changed = False
            self.asking.confirmed(self.welcomes.publishers, now)
            tell()
        self._ask_for_welcomes(socket, now)
        due = self.asking.due()
        if socket is not None and due is not None and now >= due:
            for said in self.asking.says(self.welcomes.publishers, now):
                socket.send(said)

    def _ask_for_welcomes(self, socket: zmq.Socket[bytes] | None, now: float) -> None:
        """After all other subscriptions, if it is time to: who answers has read those."""
        if socket is not None and self.welcomes.due(now):
            before, topic = self.welcomes.topic, self.welcomes.ask(now)
            socket.send(SUBSCRIBE + topic)
            socket.send(UNSUBSCRIBE + before)
