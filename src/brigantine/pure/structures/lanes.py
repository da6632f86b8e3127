"""Deadlines of workers, each at its own distance: a lane for each distance, in which all are the same.

The first lane is for those who announce nothing; of others there are as many as workers announce
different intervals, bounded.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from ...config.limits import MAX_LANES
from .expiry import ExpiryQueue

__all__ = ["IntervalDeadlines"]

Key = TypeVar("Key", bound=Hashable)


class _Lane(Generic[Key]):
    """Those with one distance to their deadlines."""

    __slots__ = ("members", "order")

    def __init__(self, timeout: float) -> None:
        self.order: ExpiryQueue[Key] = ExpiryQueue(timeout)
        #: Keys assigned to it; a lane without any but the first may be given away.
        self.members = 0


class IntervalDeadlines(Generic[Key]):
    """Deadlines by key; :meth:`assign` comes first."""

    def __init__(self, timeout: float) -> None:
        """``timeout`` (seconds) is for those who announce nothing."""
        self._lanes: list[_Lane[Key]] = [_Lane(timeout)]
        self._lane_of: dict[Key, _Lane[Key]] = {}

    def assign(self, key: Key, timeout: float) -> None:
        """Choose the distance for a key that has no deadline; 0 is the usual one."""
        lane = self._find(timeout)
        lane.members += 1
        self._lane_of[key] = lane

    def _find(self, timeout: float) -> _Lane[Key]:
        """The lane of a distance, made if need be; where there are too many, the next shorter one."""
        usual = self._lanes[0]
        if not timeout:
            return usual
        used = [lane for lane in self._lanes if lane.members or lane is usual]
        for lane in used:
            if lane.order.timeout == timeout:
                return lane
        for at, lane in enumerate(self._lanes):
            if lane not in used:
                self._lanes[at] = _Lane(timeout)
                return self._lanes[at]
        if len(self._lanes) < MAX_LANES:
            self._lanes.append(_Lane(timeout))
            return self._lanes[-1]
        # In time for whoever waits, if a little early.
        shorter = [lane for lane in used if lane.order.timeout < timeout]
        if shorter:
            return max(shorter, key=lambda lane: lane.order.timeout)
        return min(used, key=lambda lane: lane.order.timeout)

    def release(self, key: Key) -> None:
        """Forget a key and its distance."""
        lane = self._lane_of.pop(key)
        lane.members -= 1
        lane.order.remove(key)

    def refresh(self, key: Key, now: float) -> None:
        """Set the deadline of a key, new or known."""
        self._lane_of[key].order.refresh(key, now)

    def remove(self, key: Key) -> None:
        """Take away the deadline of a key, if it has one."""
        self._lane_of[key].order.remove(key)

    def sweep(self, now: float) -> list[Key]:
        """Take out and return the keys whose deadline is at or before ``now``, lane by lane."""
        return [key for lane in self._lanes for key in lane.order.sweep(now)]

    def next_deadline(self) -> float | None:
        """The earliest deadline; ``None`` when there is none."""
        deadlines = (lane.order.next_deadline() for lane in self._lanes)
        return min((each for each in deadlines if each is not None), default=None)
