"""What a subscriber has missed, and from whom: the numbers of messages, compared with those before."""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass, field

from ..config.pubsub import MOST_LIVES, MOST_PUBLISHERS
from ..wire.pubsub import Header, life_of

__all__ = ["Gaps", "Place", "Source"]

_log = logging.getLogger("brigantine.subscriber")


@dataclass(slots=True)
class Source:
    """A publisher, by the name it gives."""

    name: str
    #: Those of its lives that were seen, the present one last.
    lives: list[int]
    #: Messages that never came.
    missed: int = 0
    #: When it was heard last, on the monotonic clock.
    heard_at: float = 0.0
    #: Two of its lives go on at once.
    twins: bool = False


@dataclass(slots=True)
class Place:
    """How far a topic of a publisher's life has come."""

    epoch: int
    #: The last number seen.
    number: int
    #: What the next message that is handed out is to tell as missed; ``None``: unknown.
    missed: int | None = None
    source: Source = field(repr=False, kw_only=True)


class Gaps:
    """Told of every numbered message and heartbeat; counts into ``stats``.

    At most ``most`` places are kept, the one not used for longest goes first.  Of a topic seen for the
    first time, again or not, nobody knows what came before.
    """

    def __init__(self, most: int, stats: dict[str, int]) -> None:
        self._most = most
        self._stats = stats
        self._places: OrderedDict[tuple[str, int, bytes], Place] = OrderedDict()
        self._sources: OrderedDict[str, Source] = OrderedDict()

    @property
    def topics(self) -> int:
        """How many places are kept."""
        return len(self._places)

    @property
    def publishers(self) -> int:
        """How many publishers are known."""
        return len(self._sources)

    def missed(self) -> dict[str, int]:
        """How many messages of each publisher never came, where there are any."""
        return {each.name: each.missed for each in list(self._sources.values()) if each.missed}

    def source(self, header: Header, now: float) -> Source:
        """Whose message or heartbeat it is."""
        life = life_of(header.epoch)
        source = self._sources.get(header.publisher)
        if source is None:
            if len(self._sources) >= MOST_PUBLISHERS:
                self._sources.popitem(last=False)
            source = self._sources[header.publisher] = Source(header.publisher, [life])
        else:
            self._sources.move_to_end(header.publisher)  # the one not heard for longest goes first
            if source.lives[-1] != life:
                self._other_life(source, life)
        source.heard_at = now
        return source

    def _other_life(self, source: Source, life: int) -> None:
        if life in source.lives:
            if not source.twins:
                _log.warning(
                    "two publishers are alive under the name %r: give each its own, or nobody knows whose "
                    "a message is",
                    source.name,
                )
            source.twins = True
            source.lives.remove(life)
        else:
            self._stats["restarts"] += 1
        source.lives.append(life)
        del source.lives[:-MOST_LIVES]

    def moved(self) -> None:
        """What is read comes another way from now on: what is heard of an older life is no second one."""
        for source in self._sources.values():
            del source.lives[:-1]

    def message(self, topic: bytes, header: Header, now: float) -> Place | None:
        """The place of the message; ``None`` for one that is, or may be, given a second time."""
        place = self._advance(topic, header, self.source(header, now))
        self._stats["duplicates"] += place is None
        return place

    def last_value(self, topic: bytes, header: Header) -> Place | None:
        """The same of a last value, which may be of a former life; ``None`` for one that is older news."""
        source = self._sources.get(header.publisher)
        if source is None:
            source = self.source(header, 0.0)
        life = life_of(header.epoch)
        at = source.lives.index(life) + 1 if life in source.lives else 0
        if any((header.publisher, later, topic) in self._places for later in source.lives[at:]):
            return None
        return self._advance(topic, header, source)

    def _advance(self, topic: bytes, header: Header, source: Source) -> Place | None:
        key = (header.publisher, life_of(header.epoch), topic)
        place = self._places.get(key)
        if place is None:
            return self._begin(key, header, source)
        place.source = source  # another one, where it had been forgotten
        if header.epoch == place.epoch:
            gap = header.number - place.number - 1
            if gap < 0:
                return None
            if gap:
                self._lose(place, gap)
            place.number = header.number
        elif header.epoch < place.epoch:
            return None
        else:
            self._renumber(place, header.epoch, header.number)
        self._places.move_to_end(key)
        return place

    def tail(self, topic: bytes, epoch: int, number: int, source: Source) -> None:
        """A heartbeat tells how far a topic has come: what was not heard by now was missed."""
        place = self._places.get((source.name, life_of(epoch), topic))
        if place is None or epoch < place.epoch:
            return
        place.source = source
        if epoch > place.epoch:
            self._renumber(place, epoch, number)
        elif number > place.number:
            self._lose(place, number - place.number)
            place.number = number

    def _begin(self, key: tuple[str, int, bytes], header: Header, source: Source) -> Place:
        if len(self._places) >= self._most:
            self._places.popitem(last=False)
        place = self._places[key] = Place(header.epoch, header.number, source=source)
        return place

    def _renumber(self, place: Place, epoch: int, number: int) -> None:
        self._stats["renumbered"] += 1
        place.epoch, place.number, place.missed = epoch, number, None

    def _lose(self, place: Place, count: int) -> None:
        self._stats["missed"] += count
        place.source.missed += count
        if place.missed is not None:
            place.missed += count
