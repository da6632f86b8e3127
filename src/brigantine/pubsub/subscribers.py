"""Who has subscribed, as far as a publisher sees: what comes out of its XPUB socket."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..config.pubsub import MOST_SUBSCRIBERS
from ..wire.pubsub import BEAT, SUBSCRIBE, UNSUBSCRIBE, welcomed

__all__ = ["Subscribers"]


class Subscribers:
    """Our subscribers by the token in the topic under which each waits to be welcomed.

    The topic is of one subscriber only, so it comes through forwarders whatever others have subscribed to,
    and its end does, however that one has gone.  The first one that is seen may have come before the
    subscriber's others (see ``Welcomes``); when the second is there, all are.
    """

    def __init__(self, stats: dict[str, int]) -> None:
        self._stats = stats
        #: Token -> its topics: while subscriptions change there may be two.
        self._known: dict[bytes, set[bytes]] = {}
        #: Tokens of which all subscriptions were read.
        self._whole: set[bytes] = set()
        #: What was said last of heartbeats.  Where an XPUB is told of subscriptions by hand, every one that
        #: ends is heard of, so that others may still listen.
        self._beats_told = False
        #: Whether there were more than are known.
        self._more = False
        #: Whether somebody has come or gone; to be reset by the reader.
        self.changed = False

    @property
    def count(self) -> int:
        """How many there are of which all subscriptions were read."""
        return len(self._whole)

    @property
    def beats_wanted(self) -> bool:
        """Whether anybody listens to heartbeats, or may: all of ours do."""
        return self._beats_told or self._more or bool(self._known)

    def hear(self, frames: Sequence[bytes]) -> Iterator[bytes]:
        """One message of the socket; topics under which a welcome is to be said."""
        first = frames[0]
        action, topic = first[:1], first[1:]
        if len(frames) > 1 or action not in (SUBSCRIBE, UNSUBSCRIBE):
            self._stats["drop_malformed"] += 1
        elif topic == BEAT:
            self._beats_told = action == SUBSCRIBE
        elif (token := welcomed(topic)) is not None:
            if action == SUBSCRIBE:
                self._come(token, topic)
                yield topic
            else:
                self._gone(token, topic)

    def _come(self, token: bytes, topic: bytes) -> None:
        topics = self._known.get(token)
        if topics is None:
            if len(self._known) >= MOST_SUBSCRIBERS:
                self._stats["drop_subscribers"] += 1
                self._more = True
                return
            topics = self._known[token] = set()
        elif topic not in topics and token not in self._whole:
            self._whole.add(token)
            self.changed = True
        topics.add(topic)

    def _gone(self, token: bytes, topic: bytes) -> None:
        topics = self._known.get(token)
        if topics is None:
            return
        topics.discard(topic)
        if not topics:
            del self._known[token]
            self._whole.discard(token)
            self.changed = True
