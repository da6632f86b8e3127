"""The last message of each topic, for those who come late."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence

from ...config.limits import LAST_VALUE_OVERHEAD

__all__ = ["LastValues"]

#: What the size of each frame takes.
_SIZE_BYTES = 8


class LastValues:
    """The last message of each topic, at most ``most`` of them in ``most_bytes`` bytes.

    Where there would be more, that goes whose topic has had no message for longest.  A message of a single
    frame has no topic to keep it by, and one that begins with a NUL is no program's.  Used by one
    thread; ``topic_count``, ``held_bytes`` and ``evicted`` may be read by any.
    """

    def __init__(self, most: int, most_bytes: int) -> None:
        self._most, self._most_bytes = most, most_bytes
        #: Topic -> the frames after it; that first which has had no message for longest.
        self._kept: OrderedDict[bytes, list[bytes]] = OrderedDict()
        #: Topics as of the last question, sorted; those that have come since; whether some have gone.
        self._sorted: list[bytes] = []
        self._fresh: list[bytes] = []
        self._stale = False
        self.topic_count = self.held_bytes = 0
        self.evicted = 0

    def keep(self, frames: Sequence[bytes]) -> None:
        """A message has passed."""
        topic, *rest = frames
        if not rest or topic.startswith(b"\0") or not self._most:
            return
        before = self._kept.get(topic)
        if before is None:
            self._fresh.append(topic)
        else:
            self.held_bytes -= _cost(topic, before)
        self._kept[topic] = rest
        self._kept.move_to_end(topic)
        self.held_bytes += _cost(topic, rest)
        while len(self._kept) > self._most or self.held_bytes > self._most_bytes:
            self._evict()
        self.topic_count = len(self._kept)

    def _evict(self) -> None:
        topic, frames = self._kept.popitem(last=False)
        self._stale = True
        self.held_bytes -= _cost(topic, frames)
        self.evicted += 1

    def _sort(self) -> None:
        """Only when somebody asks: to put each topic in its place at once would move half of the list."""
        if self._fresh:
            self._sorted += sorted(self._fresh)
            self._sorted.sort()  # of two runs that are sorted: one pass
            self._fresh.clear()
        if self._stale:
            # One that has gone and come again may stand there twice.
            self._sorted = list(dict.fromkeys(each for each in self._sorted if each in self._kept))
            self._stale = False

    def page(
        self, prefix: bytes, after: bytes | None, most: int, most_bytes: int
    ) -> tuple[list[list[bytes]], bool]:
        """Messages under topics that begin so, sorted by topic; those after ``after``, if there is one.

        Returns them, each a list of frames, and whether there are more: ``most`` messages of ``most_bytes``
        together are enough for once, one is always given.
        """
        self._sort()
        at = bisect_left(self._sorted, prefix)
        if after is not None:
            at = max(at, bisect_right(self._sorted, after))
        found: list[list[bytes]] = []
        size = 0
        while at < len(self._sorted) and self._sorted[at].startswith(prefix):
            if found and (len(found) >= most or size >= most_bytes):
                return found, True
            topic = self._sorted[at]
            found.append([topic, *self._kept[topic]])
            size += sum(map(len, found[-1]))
            at += 1
        return found, False


def _cost(topic: bytes, frames: Sequence[bytes]) -> int:
    return LAST_VALUE_OVERHEAD + 2 * len(topic) + sum(_SIZE_BYTES + len(each) for each in frames)
