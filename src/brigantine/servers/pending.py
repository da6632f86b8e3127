"""The requests of an AsyncClient that have not ended: which wait, which were sent, and until when."""

from __future__ import annotations

import heapq
from collections import deque

from .calls import Call, Outcome

__all__ = ["Pending"]

#: What is kept of requests that have ended, beyond as many as there are.
SLACK = 64


class Pending:
    """Numbers them, and counts their ends in ``stats``."""

    def __init__(self, stats: dict[str, int]) -> None:
        self._stats = stats
        self._number = 0
        self.all: dict[int, Call] = {}
        #: Those that were sent, by number; and those that were not yet, with some that have ended.
        self.asked: dict[int, Call] = {}
        self.waiting: deque[Call] = deque()
        #: When they end at the latest: a heap, with some that have ended.
        self._deadlines: list[tuple[float, int]] = []

    @property
    def most(self) -> int:
        """How much may be kept of them, whatever has ended."""
        return 2 * len(self.all) + SLACK

    def add(self, call: Call) -> None:
        """Another one, which waits."""
        self._number += 1
        call.number = self._number
        self._stats["requests"] += 1
        self.all[call.number] = call
        self.waiting.append(call)
        heapq.heappush(self._deadlines, (call.deadline, call.number))
        if len(self._deadlines) > self.most:
            self._deadlines = [(call.deadline, number) for number, call in self.all.items()]
            heapq.heapify(self._deadlines)
        if len(self.waiting) > self.most:
            self.waiting = deque(call for call in self.waiting if not call.ended)

    def next(self) -> Call | None:
        """The one that has waited for longest: it is asked now."""
        while self.waiting:
            call = self.waiting.popleft()
            if not call.ended:
                self.asked[call.number] = call
                return call
        return None

    def of_session(self, token: bytes) -> list[Call]:
        """Those that were asked in it."""
        return [call for call in self.asked.values() if call.session == token]

    def drop(self, call: Call) -> bool:
        """Nobody waits for it; whether it was asked."""
        self.all.pop(call.number, None)
        return self.asked.pop(call.number, None) is not None

    def end(self, call: Call, outcome: Outcome, counter: str) -> None:
        """Tell how it has ended, and count that."""
        self.drop(call)
        if call.end(outcome):
            if counter != "replies":
                self._stats["failures"] += 1
            if counter != "failures":
                self._stats[counter] += 1

    @property
    def due(self) -> float | None:
        """When the first of them ends, or has ended."""
        return self._deadlines[0][0] if self._deadlines else None

    def overdue(self, now: float) -> list[Call]:
        """Those whose time is over; each is told of once."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            call = self.all.get(heapq.heappop(self._deadlines)[1])
            if call is not None:
                found.append(call)
        return found
