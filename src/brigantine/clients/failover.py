"""Which broker to ask: the first of the list that is not silent.

The list is in order of preference.  A broker that let a try wait to its end without a word is
*silent*: new requests go to the next one at once.  From then on a *scout* watches it, a socket that
is connected to it and never sends anything.  A broker that is dead or stopped can't finish the
handshake of a ZMTP connection, so no request is spent on asking whether it is back.

The handshake is the work of the broker's libzmq and proves less than an answer.  So a broker on which
the scout has been connected for ``TRIAL_AFTER`` seconds, in which its workers may register again,
gets one request *on trial*, while the others go on to the broker that works.  If it answers, it is
asked like before.  If not, that time doubles, up to ``TRIAL_AFTER_MAX``: a broker that accepts
connections and no more costs one request its timeout, more and more seldom.

No lock and no clock: callers hold the pool's lock where there are threads.  Times are seconds on
any one clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from .dialog import Dialog

__all__ = ["TRIAL_AFTER", "TRIAL_AFTER_MAX", "Roster", "Scout"]

#: Seconds that a silent broker must be connected before a request is given to it on trial: at
#: first, and at most after trials that failed.
TRIAL_AFTER = 1.0
TRIAL_AFTER_MAX = 60.0
#: What it is multiplied by after each trial that failed.
GROWTH = 2.0


class Scout(Protocol):
    """Watches one broker from outside."""

    def connected(self) -> bool:
        """Whether a connection stands, handshake included.  Does not block."""

    def close(self) -> None:
        """Stop watching."""


class _Standing:
    """What is known of one broker."""

    __slots__ = (
        "answered_at", "connected_at", "on_trial", "scout", "silent_at", "taken_until", "trial_after",
    )  # fmt: skip

    def __init__(self) -> None:
        #: When it last answered any request.
        self.answered_at = -math.inf
        #: When it was last found silent; ``None`` while it is not.
        self.silent_at: float | None = None
        self.scout: Scout | None = None
        #: Since when the scout is known to be connected.
        self.connected_at: float | None = None
        #: Until then the request that is on trial, if any, has the broker to itself.
        self.taken_until = -math.inf
        #: That request, until it has met an answer or silence.
        self.on_trial: Dialog | None = None
        self.trial_after = TRIAL_AFTER

    def well_again(self) -> None:
        """It has answered."""
        if self.scout is not None:
            self.scout.close()
        self.scout = self.silent_at = self.connected_at = self.on_trial = None
        self.trial_after = TRIAL_AFTER

    def looks_connected(self, now: float) -> bool:
        """Whether it can be reached, as far as can be seen."""
        # No scout could be made, or none is needed: then time alone tells.
        connected = self.scout is None or self.scout.connected()
        if not connected:
            self.connected_at = None
        elif self.connected_at is None:
            self.connected_at = now
        return connected

    def rank(self, now: float) -> int:
        """Brokers with less are asked first: 0 well or due for a trial, 1 connected, 2 not."""
        if self.silent_at is None:
            return 0
        if not self.looks_connected(now) or self.connected_at is None:
            return 2
        due = now >= max(self.connected_at + self.trial_after, self.taken_until)
        return 0 if due else 1


class Roster:
    """The brokers of one client, and how each of them stands.

    ``scout(broker)`` begins to watch a broker, or answers ``None`` when that is not possible.
    """

    def __init__(self, brokers: int, scout: Callable[[int], Scout | None]) -> None:
        self._all = tuple(range(brokers))
        self._standings = [_Standing() for _ in self._all]
        self._scout = scout
        #: How many brokers are silent.
        self._silent = 0

    def turn(self, dialog: Dialog, now: float) -> float:
        """Turn a request to its next try; seconds to pause before it.

        Raises :class:`~brigantine.errors.NoReply` when it has none.
        """
        pause = dialog.next_try(self.order(now))
        standing = self._standings[dialog.broker]
        if standing.silent_at is not None:
            standing.taken_until = now + pause + dialog.timeout
            standing.on_trial = dialog
        return pause

    def left(self, dialog: Dialog) -> None:
        """A request has ended: was it on trial, and has met neither answer nor silence, another may be."""
        standing = self._standings[dialog.broker]
        if standing.on_trial is dialog:
            standing.taken_until = -math.inf
            standing.on_trial = None

    def others(self, dialog: Dialog) -> bool:
        """Whether there is a broker that is not silent beside the one of a request's try."""
        return len(self._all) - self._silent > (self._standings[dialog.broker].silent_at is None)

    def order(self, now: float) -> Sequence[int]:
        """The brokers, the one to ask first in front."""
        if not self._silent:
            return self._all
        return sorted(self._all, key=lambda broker: self._standings[broker].rank(now))

    def answered(self, broker: int, now: float) -> None:
        """It has said something that answers a request."""
        standing = self._standings[broker]
        standing.answered_at = now
        if standing.silent_at is not None:
            standing.well_again()
            self._silent -= 1

    def silent(self, broker: int, began: float, now: float) -> None:
        """A request has waited for that broker since ``began`` in vain.

        A broker that has answered another request meanwhile is well: it is the worker of this
        request that is slow.  And with only one broker there is no choice to make.
        """
        standing = self._standings[broker]
        if len(self._all) == 1 or standing.answered_at > began:
            return
        if standing.silent_at is None:
            standing.scout = self._scout(broker)
            self._silent += 1
        elif began < standing.silent_at:
            return  # it was on the way when the broker fell silent, and tells nothing new
        elif standing.looks_connected(now):
            # Not for want of a connection: a trial that failed.
            standing.trial_after = min(TRIAL_AFTER_MAX, standing.trial_after * GROWTH)
        standing.silent_at = now
        standing.connected_at = standing.on_trial = None

    def close(self) -> None:
        """Close all scouts."""
        for standing in self._standings:
            if standing.scout is not None:
                standing.scout.close()
                standing.scout = None
