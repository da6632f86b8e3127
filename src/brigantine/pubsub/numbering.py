"""How a publisher numbers its messages: within each topic, and in a bounded table."""

from __future__ import annotations

import os
from collections import OrderedDict

from ..config.pubsub import TAIL_REPEATS, TAILS, TAILS_BYTES
from ..wire.pubsub import LIFE_BITS, Origin

__all__ = ["Numbering", "new_life"]


def new_life() -> int:
    """What tells this life of a publisher from all others: drawn, for a clock may be set back."""
    return int.from_bytes(os.urandom(LIFE_BITS // 8), "big") | 1


class Numbering:
    """The next number of each topic.

    At most ``most`` topics have one.  The topic that was not used for longest is forgotten then; when it
    is used again it begins a new epoch with 1, so that nobody takes its numbers for a sequel.
    """

    def __init__(self, publisher: str, most: int, life: int | None = None) -> None:
        self._origin = Origin(publisher)
        self._most = most
        self._life = (new_life() if life is None else life) << LIFE_BITS
        #: Topic -> epoch and last number; the one used last comes last.
        self._known: OrderedDict[bytes, list[int]] = OrderedDict()
        #: Topics used lately -> how many more times their last number is told; see :meth:`tails`.
        self._changed: dict[bytes, int] = {}
        #: Topics that were forgotten.
        self.forgotten = 0
        self._beats = 0

    def __len__(self) -> int:
        return len(self._known)

    def header(self, topic: bytes) -> bytes:
        """The third frame of the next message under a topic."""
        known = self._known.get(topic)
        if known is None:
            known = self._begin(topic)
        else:
            self._known.move_to_end(topic)
        known[1] += 1
        self._changed[topic] = TAIL_REPEATS
        return self._origin.header(known[0], known[1])

    def _begin(self, topic: bytes) -> list[int]:
        if len(self._known) >= self._most:
            oldest, _ = self._known.popitem(last=False)
            self._changed.pop(oldest, None)
            self.forgotten += 1
        known = self._known[topic] = [self._life | (self.forgotten & ((1 << LIFE_BITS) - 1)), 0]
        return known

    def beat(self) -> bytes:
        """The third frame of the next heartbeat or welcome."""
        self._beats += 1
        return self._origin.header(self._life, self._beats)

    def tails(self) -> list[tuple[bytes, int, int]]:
        """Last numbers of topics used lately, those not told yet first, as many as a heartbeat takes."""
        told: list[tuple[bytes, int, int]] = []
        again: dict[bytes, int] = {}
        size = 0
        while self._changed and len(told) < TAILS and size < TAILS_BYTES:
            topic = next(iter(self._changed))
            times = self._changed.pop(topic)
            if times > 1:
                again[topic] = times - 1
            told.append(self._tail(topic))
            size += len(topic)
        self._changed.update(again)  # behind those that were not told yet
        return told

    def recent(self) -> list[tuple[bytes, int, int]]:
        """Last numbers of the topics that were used last, for who comes back and has missed some."""
        told: list[tuple[bytes, int, int]] = []
        size = 0
        for topic in reversed(self._known):
            if len(told) >= TAILS or size >= TAILS_BYTES:
                break
            told.append(self._tail(topic))
            size += len(topic)
        return told

    def _tail(self, topic: bytes) -> tuple[bytes, int, int]:
        epoch, number = self._known[topic]
        return topic, epoch, number
