"""Which publisher a subscriber follows, for how long silence is good, and when it moves: without a socket.

A feed is an endpoint: a publisher, or a forwarder with any number of publishers connected to it.  One is
followed at a time.  The next one in turn follows when it can't be reached, when its connection ends, and
when nothing was heard of it for so long that heartbeats must have been missed.  There is no way back while
the present one is well: who comes back is the spare of the other one then.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..net.backoff import Backoff

__all__ = ["Feeds"]

#: Failures that an outage has at least: who falls silent may be well on another connection.
AGAIN = 2


class Feeds:
    """Endpoints in order of preference; used by one thread.  Times are in seconds, monotonic.

    ``interval`` is between heartbeats of publishers that have not told theirs, ``liveness`` how many
    may be missing.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        interval: float,
        liveness: int,
        backoff: Backoff,
        now: float,
    ) -> None:
        self.endpoints = tuple(endpoints)
        self._interval, self._liveness, self._backoff = interval, liveness, backoff
        self._at = 0
        #: Heartbeats were heard in the life of this subscriber: silence means something.
        self.beating = False
        #: Seconds between heartbeats of the present feed, as far as it has told.
        self._told: float | None = None
        #: When it was heard last, or connected; ``None`` while it is not connected.
        self._heard_at: float | None = None
        #: When the next try may begin.
        self.open_at = now
        #: Since when no feed is well; ``None`` while one is.
        self._lost_at: float | None = now
        #: What each has met since the last one was well.
        self.met: dict[str, str] = {}
        self._reported = False
        #: Tries that have failed since then, a silence among them.
        self._failures = 0

    @property
    def endpoint(self) -> str:
        """The one that is followed, or tried."""
        return self.endpoints[self._at]

    @property
    def patience(self) -> float:
        """Seconds of silence that are good."""
        return (self._told or self._interval) * self._liveness

    @property
    def well(self) -> bool:
        """Whether the present one is there, as far as is known."""
        return self._lost_at is None

    def connected(self, now: float) -> None:
        """Its connection is established.  Whether it speaks is seen later, if it is one that does."""
        self._heard_at = now
        if not self.beating:
            self._is_well()

    def heard(self, now: float) -> None:
        """Something came from it."""
        self._heard_at = now
        self._is_well()

    def beat(self, now: float, interval: float) -> None:
        """A heartbeat came from it, with the seconds to the next."""
        self.beating = True
        # Behind a forwarder the most patient one counts: the others are heard in between.
        self._told = max(interval, self._told or 0.0)
        self.heard(now)

    def _is_well(self) -> None:
        self._lost_at, self._reported, self._failures = None, False, 0
        self.met.clear()
        self._backoff.reset()

    def due(self) -> float | None:
        """When to ask :meth:`silent`; ``None`` where silence means nothing."""
        if self._heard_at is None or not self.beating:
            return None
        return self._heard_at + self.patience

    def sample_at(self) -> float | None:
        """When to look how much has come, to know by :meth:`due` whether anything still does."""
        due = self.due()
        return None if due is None else due - (self._told or self._interval)

    def silent(self, now: float) -> bool:
        """Whether it was silent for too long."""
        due = self.due()
        return due is not None and now >= due

    def moving(self, now: float) -> None:
        """No message has come whole, but bytes of one have: another interval is given to it."""
        self._heard_at = now - self.patience + (self._told or self._interval)

    def alive(self, now: float) -> None:
        """It is not known to be silent: nobody has listened for a while."""
        if self._heard_at is not None:
            self._heard_at = now
        elif self._lost_at is not None:
            self._lost_at = now

    def failed(self, now: float, why: str) -> bool:
        """It is not there, or not any more; whether another endpoint follows.  The next try is planned."""
        if self._lost_at is None:
            self._lost_at = now if self._heard_at is None else self._heard_at
        self.met[self.endpoint] = why
        self._failures += 1
        self._heard_at = self._told = None
        self._at = (self._at + 1) % len(self.endpoints)
        self.open_at = now + self._backoff.next()
        return len(self.endpoints) > 1

    def outage_at(self) -> float | None:
        """When to ask :meth:`outage`; ``None`` while there is none to tell of."""
        if self._lost_at is None or self._reported or len(self.met) < len(self.endpoints):
            return None
        if self._failures < AGAIN:
            return None
        return self._lost_at + self._interval * self._liveness

    def outage(self, now: float) -> float | None:
        """Seconds for which no feed has been well, once each time: all were tried, and it is too long."""
        at = self.outage_at()
        if self._lost_at is None or at is None or now < at:
            return None
        self._reported = True
        return now - self._lost_at

    def words(self) -> str:
        """What was met at each endpoint, for a message."""
        return ", ".join(f"{endpoint} ({why})" for endpoint, why in self.met.items())
