"""A subscriber's questions for last values: what to ask, when to ask again, when all has come; no socket.

Their keeper answers with some at a time, in one message that arrives whole or not at all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from ..config.pubsub import (
    ASK_AFTER,
    ASK_AGAIN,
    ASK_BYTES,
    ASK_OTHERS,
    ASK_PREFIXES,
    ASK_TRIES,
    MOST_ASKS,
    PAGE,
)
from ..wire.pubsub import SUBSCRIBE, UNSUBSCRIBE, Ask, packed_ask, read_answer

__all__ = ["Asking"]


class _Open:
    """A question that was asked."""

    def __init__(self, ask: Ask, tries: int, now: float) -> None:
        self.ask, self.tries = ask, tries
        self.answered = False
        #: When it is over, or to be asked again.
        self.until = now + ASK_AGAIN


class Asking:
    """Used by one thread.  Times are seconds, monotonic."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._turn = 0
        #: Topic of the question -> what is known of it.
        self._open: dict[bytes, _Open] = {}
        #: Questions that are still to be asked, each with the tries it has had.
        self._waiting: deque[tuple[Ask, int]] = deque()
        #: Prefixes that nobody was asked for yet, and when that is due though no publisher has read them.
        self._new: dict[bytes, None] = {}
        self._new_at: float | None = None
        #: All others, and the publishers that had read them when they were asked for.
        self._old: dict[bytes, None] = {}
        self._covered: frozenset[str] = frozenset()

    @property
    def busy(self) -> bool:
        """Whether values may still come."""
        return bool(self._open or self._waiting or self._new)

    def disconnected(self, prefixes: Iterable[bytes]) -> None:
        """The connection has ended: everything is to be asked for again."""
        self._open.clear()
        self._waiting.clear()
        self._old.clear()
        self._covered = frozenset()
        self._new = dict.fromkeys(prefixes)
        self._new_at = None

    def connected(self, now: float) -> None:
        """There is a connection, on which all was subscribed."""
        self._new_at = now + ASK_AFTER

    def subscribed(self, prefix: bytes, now: float) -> None:
        """One more is wanted."""
        self._new[prefix] = None
        if self._new_at is None:
            self._new_at = now + ASK_AFTER

    def unsubscribed(self, prefix: bytes) -> None:
        """It is not wanted any more."""
        self._new.pop(prefix, None)
        self._old.pop(prefix, None)

    def confirmed(self, publishers: frozenset[str], now: float) -> None:
        """These have read all that is subscribed.

        A keeper that came after a question may have read it before the subscriptions, so it is asked
        once more.
        """
        if self._new and publishers and self._new_at is not None:
            self._new_at = now
        if not self._new:
            for publisher in publishers - self._covered:
                self._queue(self._old, publisher)
            self._covered |= publishers
        else:
            self._ask_new(publishers, now)

    def _ask_new(self, publishers: frozenset[str], now: float) -> None:
        if self._new and self._new_at is not None and now >= self._new_at:
            self._queue(self._new, None)
            # A keeper that has read the older ones but not these is then asked for all again.
            self._covered = (self._covered & publishers) if self._old else publishers
            self._old |= self._new
            self._new, self._new_at = {}, None

    def _queue(self, prefixes: Iterable[bytes], keeper: str | bytes | None) -> None:
        group: list[bytes] = []
        for prefix in _widest(prefixes):
            if group and (
                len(group) >= ASK_PREFIXES or sum(map(len, group)) + len(prefix) > ASK_BYTES
            ):
                self._waiting.append((Ask(group, None, keeper, PAGE), 0))
                group = []
            group.append(prefix)
        if group:
            self._waiting.append((Ask(group, None, keeper, PAGE), 0))

    def due(self) -> float | None:
        """When to call :meth:`says` at the latest."""
        times = [each.until for each in self._open.values()]
        if self._new and self._new_at is not None:
            times.append(self._new_at)
        if self._waiting and len(self._open) < MOST_ASKS:
            return 0.0
        return min(times, default=None)

    def says(self, publishers: frozenset[str], now: float) -> list[bytes]:
        """What is to be said to the publisher now."""
        self._ask_new(publishers, now)
        said: list[bytes] = []
        for topic, each in list(self._open.items()):
            if now >= each.until:
                del self._open[topic]
                said.append(UNSUBSCRIBE + topic)
                if not each.answered and each.tries < ASK_TRIES:
                    self._waiting.append((each.ask, each.tries))
        while self._waiting and len(self._open) < MOST_ASKS:
            ask, tries = self._waiting.popleft()
            self._turn += 1
            topic = packed_ask(self._token, self._turn, ask)
            self._open[topic] = _Open(ask, tries + 1, now)
            said.append(SUBSCRIBE + topic)
        return said

    def hear(self, frames: list[bytes], now: float) -> list[list[bytes]]:
        """An answer: the messages in it, none if it was not asked for."""
        each = self._open.get(frames[0])
        answer = read_answer(frames[1]) if len(frames) > 1 else None
        if each is None or answer is None or sum(answer.lengths) != len(frames) - 2:
            return []
        ask = each.ask
        each.answered = True
        each.until = now if isinstance(ask.keeper, bytes) else now + ASK_OTHERS
        if answer.last is not None:
            self._waiting.append((ask._replace(keeper=answer.keeper, after=answer.last), 0))
        found, at = [], 2
        for length in answer.lengths:
            found.append(frames[at : at + length])
            at += length
        return found


def _widest(prefixes: Iterable[bytes]) -> list[bytes]:
    """Sorted, without those that begin as another does: what these want comes with that one."""
    found: list[bytes] = []
    for prefix in sorted(prefixes):
        if not found or not prefix.startswith(found[-1]):
            found.append(prefix)
    return found
