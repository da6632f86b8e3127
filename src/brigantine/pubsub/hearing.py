"""What a subscriber makes of what has come: messages for the reader, heartbeats, welcomes."""

from __future__ import annotations

from ..wire.pubsub import ASK, BEAT, NUL, WELCOME, Beat, Header, read_beat, read_header
from .asking import Asking
from .gaps import Gaps, Place
from .inbox import Inbox
from .interest import Interest
from .message import Message
from .welcomes import Welcomes

__all__ = ["Hearing"]


class Hearing:
    """Sorts what comes, without a socket; counts into ``stats`` and fills ``inbox``."""

    def __init__(
        self,
        most_topics: int,
        interest: Interest,
        welcomes: Welcomes,
        asking: Asking,
        stats: dict[str, int],
        inbox: Inbox,
    ) -> None:
        self._interest, self._welcomes, self._asking = interest, welcomes, asking
        #: Topic -> what tells the last message without a number, while last values may come that are the
        #: same; the topic used last comes last.
        self._lately: dict[bytes, int] = {}
        self._most_topics = most_topics
        self._stats, self._inbox = stats, inbox
        self.gaps = Gaps(most_topics, stats)

    def hear(self, frames: list[bytes], now: float) -> Beat | None:
        """Deal with a message; what it tells of heartbeats, if it is one of these or a welcome."""
        topic = frames[0]
        if topic.startswith(NUL):
            return self._between_ours(topic, frames, now)
        if not self._interest.wants(topic):
            self._stats["drop_unwanted"] += 1
            return None
        header = read_header(frames[2]) if len(frames) == 3 else None
        if header is None:
            self._give_foreign(frames)
        elif (place := self.gaps.message(topic, header, now)) is not None:
            self._give(frames, header, place)
        return None

    def _hear_last_value(self, frames: list[bytes]) -> None:
        """It is news only if no live message of its topic was, that is as new."""
        header = read_header(frames[2]) if len(frames) == 3 else None
        if not self._interest.wants(frames[0]):
            return
        if header is None:
            if self._lately.get(frames[0]) != hash(tuple(frames)):
                self._give_foreign(frames, is_last=True)
        elif (place := self.gaps.last_value(frames[0], header)) is not None:
            self._give(frames, header, place, is_last=True)

    def _give(
        self, frames: list[bytes], header: Header, place: Place, *, is_last: bool = False
    ) -> None:
        message = Message(
            frames[0], frames[1], header.publisher, header.number, place.missed, is_last,
            (frames[0], frames[1]),
        )  # fmt: skip
        if self._inbox.put(message):
            self._stats["received"] += 1
            self._stats["last_values"] += is_last
            place.missed = 0
        else:
            self._shed(place)

    def _shed(self, place: Place | None) -> None:
        self._stats["shed"] += 1
        if place is not None and place.missed is not None:
            place.missed += 1

    def _give_foreign(self, frames: list[bytes], *, is_last: bool = False) -> None:
        if self._asking.busy:
            self._lately.pop(frames[0], None)
            self._lately[frames[0]] = hash(tuple(frames))
            if len(self._lately) > self._most_topics:
                del self._lately[next(iter(self._lately))]
        else:
            self._lately.clear()
        body = frames[1] if len(frames) > 1 else b""
        message = Message(frames[0], body, is_last_value=is_last, frames=tuple(frames))
        if self._inbox.put(message):
            self._stats["received"] += 1
            self._stats["unnumbered"] += 1
            self._stats["last_values"] += is_last
        else:
            self._shed(None)

    def _between_ours(self, topic: bytes, frames: list[bytes], now: float) -> Beat | None:
        if topic.startswith(ASK):
            for value in self._asking.hear(frames, now):
                self._hear_last_value(value)
            return None
        if topic != BEAT and not topic.startswith(WELCOME):
            self._stats["drop_unwanted"] += 1
            return None
        header = read_header(frames[2]) if len(frames) == 3 else None
        beat = None if header is None else read_beat(frames[1])
        if header is None or beat is None:
            self._stats["drop_malformed"] += 1
            return None
        source = self.gaps.source(header, now)
        if topic == BEAT:
            self._stats["heartbeats"] += 1
        else:
            self._welcomes.hear(topic, header)
        # What is not here yet may still come as a last value.
        for tail, epoch, number in () if self._asking.busy else beat.tails:
            if self._interest.wants(tail):
                self.gaps.tail(tail, epoch, number, source)
        return beat
