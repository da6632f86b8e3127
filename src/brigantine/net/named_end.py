"""Where a socket that connects to a name is connected, and when it moves: without socket or clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import zmq

from ..backoff import Backoff
from .names import Lookup, look_up, name_in

__all__ = ["WATCHED", "NamedEnd"]

#: What is to be told of the socket's connections, see :meth:`NamedEnd.heard`.
WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED

#: Seconds for which a connection that was lost may come back where it was: libzmq tries that by itself.
LOST_FOR = 2.0
#: Seconds after which the next address of a name gets its turn.
NEXT_ADDRESS = 1.0
#: Seconds to another look-up when no address was good: at least, and what is added at first and at most.
LOOK_AGAIN, ADDED, ADDED_MAX = 0.5, 0.5, 5.0
#: Seconds after which it is told that a look-up has no answer yet.
UNANSWERED = 1.0


class NamedEnd:
    """The name is looked up until a connection stands, and again whenever one is lost for some time.

    libzmq goes on trying to reach the address that it was given meanwhile.  ``wake`` may be called from
    any thread: it is time for another :meth:`turn`.
    """

    def __init__(self, endpoint: str, wake: Callable[[], object]) -> None:
        self.endpoint = endpoint
        self._wake = wake
        #: Where the socket is connected, or tries to be; empty at first.
        self.address = ""
        #: Whether what was received from there may still be unread.
        self.used = False
        #: What keeps it from being connected, in words.
        self.trouble = ""
        self._up = False
        #: libzmq does not try to reach this address any more.
        self._given_up = False
        #: libzmq tells of a try to come as of one that has failed, once after a connection has ended.
        self._pardoned = False
        self._addresses: deque[str] = deque()
        self._lookup: Lookup | None = None
        self._backoff = Backoff(ADDED, ADDED_MAX)
        #: When something is to be done, while no connection stands.
        self._at = 0.0

    def due(self) -> float | None:
        """When to call :meth:`turn` at the latest; ``None``: when ``wake`` or what is heard says so."""
        if self._up:
            return None
        if self._lookup is None:
            return self._at
        return self._lookup.stale_at if self.trouble else min(self._at, self._lookup.stale_at)

    def turn(self, now: float) -> str | None:
        """The address to move to now, if there is one; :meth:`moved` or :meth:`later` is to follow."""
        if self._lookup is not None:
            self._take_answer(self._lookup, now)
        if self._up or self._lookup is not None or now < self._at:
            return None
        if not self._addresses:
            self._at = now + UNANSWERED
            self._lookup = look_up(self.endpoint, self._wake)
            self._take_answer(self._lookup, now)
            if not self._addresses:
                return None
        address = self._addresses[0]
        if address != self.address or self._given_up:
            return address
        self.moved(now)
        return None

    def _take_answer(self, lookup: Lookup, now: float) -> None:
        if lookup.stale:
            lookup.cancel()
            self._lookup = look_up(self.endpoint, self._wake)
        elif lookup.endpoints is None:
            if now >= self._at and not self.trouble:
                self.trouble = f"can't look up {name_in(self.endpoint)}: no answer yet"
        elif lookup.endpoints:
            self._lookup = None
            self._addresses.extend(lookup.endpoints)
            self._at = now
        else:
            self._lookup = None
            self.trouble = lookup.error
            self._at = self._look_again(now)

    def moved(self, now: float, trouble: str = "") -> None:
        """The socket is told to connect to what :meth:`turn` has answered, or why that can't be."""
        address = self._addresses.popleft()
        if trouble:
            self.address, self.trouble = "", trouble
            self._at = now if self._addresses else self._look_again(now)
            return
        if address != self.address:
            self.used = False
        self.address, self._given_up, self._pardoned = address, False, False
        self._at = now + NEXT_ADDRESS if self._addresses else self._look_again(now)

    def later(self, at: float) -> None:
        """It can't move before then."""
        self._at = at

    def heard(self, event: int, now: float) -> None:
        """One of WATCHED has happened to a connection to its address."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._up = self.used = True
            self.trouble = ""
            self._addresses.clear()
            self._backoff.reset()
        elif event == zmq.EVENT_DISCONNECTED and self._up:
            self._up, self._pardoned = False, True
            self._at = now + LOST_FOR
        elif event == zmq.EVENT_CONNECT_RETRIED and self._pardoned:
            self._pardoned = False
        elif not self._up:
            # After a handshake that has failed libzmq does not always try again.
            hung_up = event == zmq.EVENT_DISCONNECTED
            self._given_up = self._given_up or hung_up
            self._pardoned = hung_up
            self.trouble = f"{_MET[hung_up]} at {self.endpoint}"
            if self._addresses:
                self._at = now

    def _look_again(self, now: float) -> float:
        return now + LOOK_AGAIN + self._backoff.next()

    def close(self) -> None:
        """Nothing more is of interest."""
        if self._lookup is not None:
            self._lookup.cancel()


#: What a try has met; whether somebody has hung up -> how the log begins that tells of it.
_MET = {False: "nobody accepts connections", True: "connections are ended before they can be used"}
