"""Error answers that their clients had no room for, in the order in which they are tried again."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from ...config.limits import FRAME_OVERHEAD, REQUEST_OVERHEAD, UNTOLD_BYTES, UNTOLD_OF_PEER

__all__ = ["End", "Untold"]


@dataclass
class End:
    """How a request ended, and whom to tell."""

    #: What comes before the body of the answer, the routing id first.
    head: list[bytes]
    #: The counter that the request went to.
    reason: str
    #: When it is given up.
    deadline: float

    @property
    def charge(self) -> int:
        """Bytes that it counts for."""
        return REQUEST_OVERHEAD + FRAME_OVERHEAD * (len(self.head) - 1) + sum(map(len, self.head))


class Untold:
    """The queue; who is told what is in ``telling``.

    Bounded in bytes together and in number for each peer, so that one that never reads keeps nobody
    else's out.
    """

    __slots__ = ("_charge", "_of_peer", "due", "ends")

    def __init__(self) -> None:
        #: The next one to try in front, and when that is; stale while there is none.
        self.ends: deque[End] = deque()
        self.due = 0.0
        self._charge = 0
        self._of_peer: Counter[bytes] = Counter()

    def keep(self, end: End) -> bool:
        """Whether there is room."""
        if self._charge + end.charge > UNTOLD_BYTES or self._of_peer[end.head[0]] >= UNTOLD_OF_PEER:
            return False
        self.ends.append(end)
        self._of_peer[end.head[0]] += 1
        self._charge += end.charge
        return True

    def drop(self) -> None:
        """Forget the one in front."""
        end = self.ends.popleft()
        self._charge -= end.charge
        self._of_peer[end.head[0]] -= 1
        if not self._of_peer[end.head[0]]:
            del self._of_peer[end.head[0]]

    def pass_over(self) -> None:
        """Put the first one after all others."""
        self.ends.rotate(-1)
