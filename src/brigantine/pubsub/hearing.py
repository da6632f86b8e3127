"""What a subscriber makes of what has come: messages for the reader, heartbeats, welcomes."""

from __future__ import annotations

from .gaps import Gaps, Place
from .inbox import Inbox
from .interest import Interest
from .message import Message
from .welcomes import Welcomes
from .wire import BEAT, NUL, WELCOME, Beat, Header, read_beat, read_header

__all__ = ["Hearing"]


class Hearing:
    """Sorts what comes, without a socket; counts into ``stats`` and fills ``inbox``."""

    def __init__(
        self,
        most_topics: int,
        interest: Interest,
        welcomes: Welcomes,
        stats: dict[str, int],
        inbox: Inbox,
    ) -> None:
        self._interest, self._welcomes = interest, welcomes
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

    def _give(self, frames: list[bytes], header: Header, place: Place) -> None:
        message = Message(
            frames[0], frames[1], header.publisher, header.number, place.missed,
            frames=(frames[0], frames[1]),
        )  # fmt: skip
        if self._inbox.put(message):
            self._stats["received"] += 1
            place.missed = 0
        else:
            self._shed(place)

    def _shed(self, place: Place | None) -> None:
        self._stats["shed"] += 1
        if place is not None and place.missed is not None:
            place.missed += 1

    def _give_foreign(self, frames: list[bytes]) -> None:
        message = Message(frames[0], frames[1] if len(frames) > 1 else b"", frames=tuple(frames))
        if self._inbox.put(message):
            self._stats["received"] += 1
            self._stats["unnumbered"] += 1
        else:
            self._shed(None)

    def _between_ours(self, topic: bytes, frames: list[bytes], now: float) -> Beat | None:
        if topic != BEAT and not topic.startswith(WELCOME):
            self._stats["drop_unwanted"] += 1
            return None
        header = read_header(frames[2]) if len(frames) == 3 else None
        beat = None if header is None else read_beat(frames[1])
        if header is None or beat is None:
            self._stats["drop_malformed"] += 1
            return None
        source = self.gaps.source(header, now)
        if topic != BEAT:
            self._welcomes.hear(topic, header)
            return beat
        self._stats["heartbeats"] += 1
        for tail, epoch, number in beat.tails:
            if self._interest.wants(tail):
                self.gaps.tail(tail, epoch, number, source)
        return beat
