"""Back-off between tries: exponential, with full jitter, bounded."""

from __future__ import annotations

import random
from collections.abc import Callable

__all__ = ["Backoff"]

#: What the bound of the pause is multiplied by after each try.
GROWTH = 2.0


class Backoff:
    """Pauses that grow: each is drawn evenly from 0 to a bound, and the bound doubles.

    ``first`` is the first bound and ``longest`` the greatest, both in seconds.  The draw spreads
    out peers that all lost the same broker at the same moment.  ``draw`` gives numbers from 0
    to 1.  Not thread-safe.
    """

    def __init__(
        self, first: float, longest: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._first = min(first, longest)
        self._longest = longest
        self._draw = draw
        #: The next pause is at most this long.
        self.bound = self._first

    def next(self) -> float:
        """Seconds to pause before the next try."""
        pause = self.bound * self._draw()
        self.bound = min(self._longest, self.bound * GROWTH)
        return pause

    def reset(self) -> None:
        """Begin again with the shortest pauses: the last try went well."""
        self.bound = self._first
