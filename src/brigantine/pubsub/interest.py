"""Which topics are wanted: all that begin with one of a set of prefixes, as ZeroMQ has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

__all__ = ["Interest"]


class Interest:
    """A set of prefixes.  A look costs one step for each different length of them."""

    def __init__(self) -> None:
        self._prefixes: set[bytes] = set()
        self._lengths: Counter[int] = Counter()
        #: The lengths that there are, the shortest first.
        self._ordered: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._prefixes)

    def __len__(self) -> int:
        return len(self._prefixes)

    def add(self, prefix: bytes) -> bool:
        """Want topics that begin so; whether that is new."""
        if prefix in self._prefixes:
            return False
        self._prefixes.add(prefix)
        self._lengths[len(prefix)] += 1
        self._order()
        return True

    def discard(self, prefix: bytes) -> bool:
        """Want them no more; whether they were wanted."""
        if prefix not in self._prefixes:
            return False
        self._prefixes.discard(prefix)
        self._lengths[len(prefix)] -= 1
        if not self._lengths[len(prefix)]:
            del self._lengths[len(prefix)]
        self._order()
        return True

    def _order(self) -> None:
        if len(self._ordered) != len(self._lengths):
            self._ordered = tuple(sorted(self._lengths))

    def wants(self, topic: bytes) -> bool:
        """Whether a topic begins with one of them."""
        prefixes, size = self._prefixes, len(topic)
        for length in self._ordered:
            if length > size:
                return False
            if topic[:length] in prefixes:
                return True
        return False
