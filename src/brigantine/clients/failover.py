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

:meth:`Failover.next_broker` is the decision for a try that begins, :meth:`Failover.should_leave` for one
that waits: a request whose broker can't be reached leaves it before its timeout.

No lock and no clock: callers hold the pool's lock where there are threads.  Times are seconds on
any one clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from .pending import PendingRequest
from .sight import OUT_OF_REACH, Sight

__all__ = ["HALF_OPEN_AFTER", "HALF_OPEN_AFTER_MAX", "Balancer", "Failover", "Probe"]

#: Seconds that a silent broker must be connected before it is half-open and gets one request: at first,
#: and at most after requests that it let wait in vain.
HALF_OPEN_AFTER = 1.0
HALF_OPEN_AFTER_MAX = 60.0
#: What it is multiplied by after each of these.
GROWTH = 2.0


class Probe(Protocol):
    """Watches one broker from outside."""

    def connected(self) -> bool:
        """Whether a connection is established, handshake included.  Does not block."""

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

    def began(self, broker: int) -> None:
        """A try is under way at that broker."""

    def ended(self, broker: int) -> None:
        """It is over."""

    def may_keep(self, _broker: int) -> bool:
        """Whether idle sockets to that broker are of use."""
        return True

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

    def should_leave(self, pending: PendingRequest, seen: Callable[[], Sight]) -> bool:
        """Whether a request should not wait on for its broker: that is out of reach, and another is not.

        ``seen()`` looks at its broker.
        """
        if pending.last or pending.patient or not self.has_alternative(pending):
            return False
        return seen() in OUT_OF_REACH

    def has_alternative(self, pending: PendingRequest) -> bool:
        """Whether another broker than that of a request's try is not silent."""
        # One that was removed is no choice, nor counted.
        broker = pending.broker
        mine = broker in self._all and self._health[broker].silent_at is None
        return len(self._all) - self._silent > mine

    def order(self, now: float) -> Sequence[int]:
        """The brokers, the one to ask first in front."""
        if not self._silent:
            return self._all
        return sorted(self._all, key=lambda broker: self._health[broker].rank(now))

    def answered(self, broker: int, now: float) -> None:
        """It has sent something that answers a request."""
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


class Balancer(Failover):
    """Requests spread over services that are all alike; services come and go while it is in use.

    Of the services that are well, the one with the fewest requests in hand is next, in turn where several
    have as few.  What is known of the others is as in :class:`Failover`.
    """

    def __init__(self, services: int, watch: Callable[[int], Probe | None]) -> None:
        super().__init__(services, watch)
        self._in_hand = [0] * services
        #: How often each was chosen: turns are taken by that.
        self._turns = [0] * services

    def add(self, service: int) -> None:
        """One more, the next number or one that was removed."""
        if service == len(self._health):
            self._health.append(BrokerHealth())
            self._in_hand.append(0)
            self._turns.append(0)
        self._all = tuple(sorted({*self._all, service}))
        self._takes_turns(service)

    def _takes_turns(self, service: int) -> None:
        """From now on: what it has missed is not made up for, or it would get all for a while."""
        self._turns[service] = max(self._turns[each] for each in self._all)

    def answered(self, broker: int, now: float) -> None:
        was_silent = self._health[broker].silent_at is not None
        super().answered(broker, now)
        if was_silent and broker in self._all:
            self._takes_turns(broker)

    def remove(self, service: int) -> None:
        """It gets no request any more."""
        self._all = tuple(each for each in self._all if each != service)
        health = self._health[service]
        if health.silent_at is not None:
            self._silent -= 1
        health.recovered()

    def may_keep(self, broker: int) -> bool:
        return broker in self._all

    def began(self, broker: int) -> None:
        self._in_hand[broker] += 1

    def ended(self, broker: int) -> None:
        self._in_hand[broker] -= 1

    def next_broker(self, pending: PendingRequest, now: float) -> float:
        pause = super().next_broker(pending, now)
        self._turns[pending.broker] += 1
        return pause

    def order(self, now: float) -> Sequence[int]:
        return sorted(self._all, key=lambda each: self._place(each, now))

    def _place(self, service: int, now: float) -> tuple[int, int, int]:
        rank = self._health[service].rank(now) if self._silent else 0
        return rank, self._in_hand[service], self._turns[service]

    def silent(self, broker: int, began: float, now: float) -> None:
        if broker in self._all:
            super().silent(broker, began, now)
