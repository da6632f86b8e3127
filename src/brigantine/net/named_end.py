"""Where a socket is connected, and when it is reconnected or moves: without socket or clock."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import zmq

from .backoff import Backoff
from .names import Lookup, is_numeric, look_up, name_in

__all__ = ["WATCHED", "NamedEnd"]

#: What is to be told of the socket's connections, see :meth:`NamedEnd.heard`.
WATCHED = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CONNECT_RETRIED

#: Seconds for which a connection that was lost may come back where it was: libzmq tries that by itself.
LOST_FOR = 2.0
#: Seconds after which the next address of a name gets its turn.
NEXT_ADDRESS = 1.0
#: Seconds to another look-up when no address was good: at least, and what is added at first and at most.
LOOK_AGAIN, ADDED, ADDED_MAX = 0.5, 0.5, 5.0
#: The same where each connection is made here: what was cut comes back as soon as libzmq would have it.
DIAL_AGAIN, DIAL_ADDED, DIAL_ADDED_MAX = 0.1, 0.1, 1.0
#: Seconds that connecting, and the handshake after it, may take each; and those beyond both in which libzmq
#: tells that a try has failed, which it does not always.
PATIENCE, GRACE = 3.0, 1.0
#: Seconds after which it is told that a look-up has no answer yet.
UNANSWERED = 1.0


class NamedEnd:
    """A name that is looked up until a connection is established, and again when one is lost for some time.

    libzmq goes on trying to reach the address that it was given meanwhile.  ``wake`` may be called from
    any thread: it is time for another :meth:`advance`.  With ``once`` libzmq connects once, as the socket's
    routing id is for one connection: then a name is looked up for each, and :meth:`advance` asks for each,
    also for those to an endpoint of numbers.  ``address`` is where it has begun to connect already.
    """

    def __init__(
        self,
        endpoint: str,
        wake: Callable[[], object],
        *,
        once: bool = False,
        address: str = "",
    ) -> None:
        self.endpoint = endpoint
        self.once = once
        self._wake = wake
        #: Where the socket is connected, or tries to be; empty at first.
        self.address = address
        #: Whether what was received from there may still be unread.
        self.used = False
        #: What keeps it from being connected, in words.
        self.trouble = ""
        #: Whether a connection is established.
        self.up = False
        #: libzmq does not try to reach this address any more; when it must have given up.
        self._given_up = False
        self._fails_at = math.inf
        #: libzmq tells of a try to come as of one that has failed, once after a connection has ended.
        self._pardoned = False
        self._addresses: deque[str] = deque()
        self._lookup: Lookup | None = None
        self._backoff = Backoff(DIAL_ADDED, DIAL_ADDED_MAX) if once else Backoff(ADDED, ADDED_MAX)
        #: When something is to be done, while no connection stands.
        self._at = 0.0

    def due(self) -> float | None:
        """When to call :meth:`advance` at the latest; ``None``: when ``wake`` or what is heard says so."""
        if self.up:
            return None
        if self._lookup is None:
            return self._at
        return self._lookup.stale_at if self.trouble else min(self._at, self._lookup.stale_at)

    def advance(self, now: float) -> str | None:
        """The address to move to now, if there is one; :meth:`moved` or :meth:`later` is to follow."""
        if self._lookup is not None:
            self._take_answer(self._lookup, now)
        if self.up or self._lookup is not None or now < self._at:
            return None
        if not self._addresses and is_numeric(self.endpoint):
            self._addresses.append(self.endpoint)
        if not self._addresses:
            self._at = now + UNANSWERED
            self._lookup = look_up(self.endpoint, self._wake)
            self._take_answer(self._lookup, now)
            if not self._addresses:
                return None
        address = self._addresses[0]
        if address != self.address or self._given_up or now >= self._fails_at:
            return address
        self._addresses.popleft()
        self._tries(now)  # it is at it
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
        """The socket is told to connect to what :meth:`advance` has answered, or why that can't be."""
        address = self._addresses.popleft()
        if trouble:
            self.address, self.trouble = "", trouble
            self._at = now if self._addresses else self._look_again(now)
            return
        if address != self.address:
            self.used = False
        self.address, self._given_up, self._fails_at = address, False, math.inf
        self._tries(now)

    def follow(self, other: NamedEnd) -> None:
        """The connection of both, which are at one address, is how another one knows it."""
        self.up, self.used, self.trouble = other.up, other.used, other.trouble
        self._given_up, self._pardoned = other._given_up, other._pardoned
        self._fails_at = other._fails_at
        if self.up:
            self._addresses.clear()
        if not self._addresses:
            self._at = other._at

    def later(self, at: float) -> None:
        """It can't move before then."""
        self._at = at

    def _tries(self, now: float) -> None:
        """libzmq tries to reach the address; when the next one gets its turn."""
        self._pardoned = False
        if self.once and self._fails_at == math.inf:
            self._fails_at = now + PATIENCE * 2 + GRACE
        if self._addresses:
            self._at = now + NEXT_ADDRESS
        else:
            self._at = self._fails_at if self.once else self._look_again(now)

    def heard(self, event: int, now: float) -> None:
        """One of WATCHED has happened to a connection to its address."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.up = self.used = True
            self._given_up = False
            self.trouble = ""
            self._addresses.clear()
            self._backoff.reset()
        elif event == zmq.EVENT_DISCONNECTED and self.up:
            self.up, self._pardoned = False, True
            self._given_up = self.once
            self._at = self._look_again(now) if self.once else now + LOST_FOR
        elif event == zmq.EVENT_CONNECT_RETRIED and self._pardoned:
            self._pardoned = False
        elif not self.up:
            # After a handshake that has failed libzmq does not always try again.
            hung_up = event == zmq.EVENT_DISCONNECTED
            self._given_up = self._given_up or hung_up or self.once
            self._pardoned = hung_up
            self.trouble = f"{_MET[hung_up]} at {self.endpoint}"
            if self._addresses:
                self._at = now
            elif self.once:
                self._at = self._look_again(now)

    def _look_again(self, now: float) -> float:
        return now + (DIAL_AGAIN if self.once else LOOK_AGAIN) + self._backoff.next()

    def close(self) -> None:
        """Nothing more is of interest."""
        if self._lookup is not None:
            self._lookup.cancel()


#: What a try has met; whether somebody has hung up -> how the log begins that tells of it.
_MET = {False: "nobody accepts connections", True: "connections are ended before they can be used"}
