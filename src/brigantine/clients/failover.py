"""Where a client switches brokers: failover, with a circuit breaker for each broker.

The list is in order of preference.  A broker that let a try wait to its end without a word is *silent*
(its circuit is open): new requests go to the next one at once.  From then on a *probe* watches it, a
socket that is connected to it and never sends anything.  A broker that is dead or stopped can't finish
the handshake of a ZMTP connection, so no request is spent on asking whether it is back.

The handshake is the work of the broker's libzmq and proves less than an answer.  So a broker to which
the probe has been connected for ``HALF_OPEN_AFTER`` seconds, in which its workers may register again,
is *half-open*: it gets one request, while the others go on to the broker that works.  If it answers, it
is asked like before.  If not, that time doubles, up to ``HALF_OPEN_AFTER_MAX``: a broker that accepts
connections and no more costs one request its timeout, more and more seldom.

:meth:`Failover.next_broker` is the decision; a request whose broker can't be reached leaves it before
its timeout (``better_leave`` in :mod:`.witness`).

No lock and no clock: callers hold the pool's lock where there are threads.  Times are seconds on
any one clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from .pending import PendingRequest

__all__ = ["HALF_OPEN_AFTER", "HALF_OPEN_AFTER_MAX", "Failover", "Probe"]

#: Seconds that a silent broker must be connected before it is half-open and gets one request: at first,
#: and at most after requests that it let wait in vain.
HALF_OPEN_AFTER = 1.0
HALF_OPEN_AFTER_MAX = 60.0
#: What it is multiplied by after each of these.
GROWTH = 2.0


class Probe(Protocol):
    """Watches one broker from outside."""

    def connected(self) -> bool:
        """Whether a connection stands, handshake included.  Does not block."""

    def close(self) -> None:
        """Stop watching."""


class BrokerHealth:
    """The circuit breaker of one broker: what is known of it."""

    __slots__ = (
        "answered_at",
        "connected_at",
        "half_open_after",
        "half_open_for",
        "probe",
        "reserved_until",
        "silent_at",
    )  # fmt: skip

    def __init__(self) -> None:
        #: When it last answered any request.
        self.answered_at = -math.inf
        #: When it was last found silent; ``None`` while it is not.
        self.silent_at: float | None = None
        self.probe: Probe | None = None
        #: Since when the probe is known to be connected.
        self.connected_at: float | None = None
        #: Until then the one request of a half-open broker, if any, has it to itself.
        self.reserved_until = -math.inf
        #: That request, until it has met an answer or silence.
        self.half_open_for: PendingRequest | None = None
        self.half_open_after = HALF_OPEN_AFTER

    def recovered(self) -> None:
        """It has answered."""
        if self.probe is not None:
            self.probe.close()
        self.probe = self.silent_at = self.connected_at = self.half_open_for = None
        self.half_open_after = HALF_OPEN_AFTER

    def looks_connected(self, now: float) -> bool:
        """Whether it can be reached, as far as can be seen."""
        # No probe could be made, or none is needed: then time alone tells.
        connected = self.probe is None or self.probe.connected()
        if not connected:
            self.connected_at = None
        elif self.connected_at is None:
            self.connected_at = now
        return connected

    def rank(self, now: float) -> int:
        """Brokers with less are asked first: 0 well or half-open, 1 connected, 2 not."""
        if self.silent_at is None:
            return 0
        if not self.looks_connected(now) or self.connected_at is None:
            return 2
        due = now >= max(self.connected_at + self.half_open_after, self.reserved_until)
        return 0 if due else 1


class Failover:
    """The brokers of one client, and the health of each.

    ``watch(broker)`` begins to watch a broker, or answers ``None`` when that is not possible.
    """

    def __init__(self, brokers: int, watch: Callable[[int], Probe | None]) -> None:
        self._all = tuple(range(brokers))
        self._health = [BrokerHealth() for _ in self._all]
        self._watch = watch
        #: How many brokers are silent.
        self._silent = 0

    def next_broker(self, pending: PendingRequest, now: float) -> float:
        """Choose the broker of a request's next try; seconds to pause before it.

        Raises :class:`~brigantine.errors.NoReply` when it has none.
        """
        pause = pending.next_try(self.order(now))
        health = self._health[pending.broker]
        if health.silent_at is not None:
            health.reserved_until = now + pause + pending.timeout
            health.half_open_for = pending
        return pause

    def abandoned(self, pending: PendingRequest) -> None:
        """A request has ended.

        If it was the one of a half-open broker, and has met neither answer nor silence, another may be.
        """
        health = self._health[pending.broker]
        if health.half_open_for is pending:
            health.reserved_until = -math.inf
            health.half_open_for = None

    def has_alternative(self, pending: PendingRequest) -> bool:
        """Whether there is a broker that is not silent beside the one of a request's try."""
        return len(self._all) - self._silent > (self._health[pending.broker].silent_at is None)

    def order(self, now: float) -> Sequence[int]:
        """The brokers, the one to ask first in front."""
        if not self._silent:
            return self._all
        return sorted(self._all, key=lambda broker: self._health[broker].rank(now))

    def answered(self, broker: int, now: float) -> None:
        """It has said something that answers a request."""
        health = self._health[broker]
        health.answered_at = now
        if health.silent_at is not None:
            health.recovered()
            self._silent -= 1

    def silent(self, broker: int, began: float, now: float) -> None:
        """A request has waited for that broker since ``began`` in vain.

        A broker that has answered another request meanwhile is well: it is the worker of this
        request that is slow.  And with only one broker there is no choice to make.
        """
        health = self._health[broker]
        if len(self._all) == 1 or health.answered_at > began:
            return
        if health.silent_at is None:
            health.probe = self._watch(broker)
            self._silent += 1
        elif began < health.silent_at:
            return  # it was on the way when the broker fell silent, and tells nothing new
        elif health.looks_connected(now):
            # Not for want of a connection: half-open, it has failed.
            health.half_open_after = min(HALF_OPEN_AFTER_MAX, health.half_open_after * GROWTH)
        health.silent_at = now
        health.connected_at = health.half_open_for = None

    def close(self) -> None:
        """Close all probes."""
        for health in self._health:
            if health.probe is not None:
                health.probe.close()
                health.probe = None
