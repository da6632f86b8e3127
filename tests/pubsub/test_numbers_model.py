"""Numbers told apart from a lossy, doubling way: what is missed is counted, and nothing else is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brigantine.pubsub.asking import Asking
from brigantine.pubsub.counters import SUBSCRIBER_COUNTERS
from brigantine.pubsub.gaps import Gaps
from brigantine.pubsub.hearing import Hearing
from brigantine.pubsub.inbox import AllOfThem
from brigantine.pubsub.interest import Interest
from brigantine.pubsub.numbering import Numbering
from brigantine.pubsub.welcomes import Welcomes
from brigantine.wire.pubsub import BEAT, packed_beat, read_header

#: What happens to the next message: its publisher, its topic, and whether it is lost, doubled or read late.
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 4),
        st.sampled_from(["comes", "lost", "twice", "beat", "read", "restart"]),
    ),
    max_size=200,
)


class World:
    """Publishers, a subscriber, and what is known from outside of both."""

    def __init__(self, most: int, places: int, room: int) -> None:
        self.most = most
        self.lives = [1, 1]
        self.publishers = [Numbering(f"p{each}", most, life=1) for each in range(2)]
        self.stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
        interest, asking = Interest(), Asking(b"0123456789abcdef")
        interest.add(b"")
        self.inbox = AllOfThem(room, 1 << 30)
        self.hearing = Hearing(places, interest, Welcomes(), asking, self.stats, self.inbox)
        self.sent: Counter[str] = Counter()
        self.read: Counter[str] = Counter()

    def step(self, who: int, topic: int, what: str) -> None:
        numbering = self.publishers[who]
        if what == "read":
            message = self.inbox.get(0)
            if message is not None:
                self.read["messages"] += 1
                self.read["missed"] += message.missed or 0
        elif what == "restart":
            self.lives[who] += 1
            self.publishers[who] = Numbering(f"p{who}", self.most, life=self.lives[who])
        elif what == "beat":
            body = packed_beat(50, numbering.tails())
            self.hearing.hear([BEAT, body, numbering.beat()], 0.0)
        else:
            name = b"t%d" % topic
            frames = [name, b"x", numbering.header(name)]
            self.sent["lost" if what == "lost" else "came"] += 1
            for _ in range({"comes": 1, "lost": 0, "twice": 2}[what]):
                self.hearing.hear(frames, 0.0)


@settings(max_examples=300, deadline=None)
@given(
    STEPS, st.sampled_from([1, 3, 100]), st.sampled_from([1, 3, 100]), st.sampled_from([1, 5, 1000])
)
def test_nothing_is_missed_that_was_not_lost(
    steps: list[tuple[int, int, str]], most: int, places: int, room: int
) -> None:
    """Whatever is forgotten on either side, and however small the queue."""
    world = World(most, places, room)
    for step in steps:
        world.step(*step)
    stats = world.stats
    assert stats["missed"] <= world.sent["lost"]
    if places == 100:
        assert stats["received"] + stats["shed"] == world.sent["came"]
    assert stats["missed"] == sum(world.hearing.gaps.missed().values())
    assert world.read["missed"] <= stats["missed"] + stats["shed"]
    assert stats["restarts"] <= sum(world.lives) - 2


@settings(max_examples=300, deadline=None)
@given(STEPS)
def test_all_that_is_lost_is_counted_once_a_topic_was_heard(
    steps: list[tuple[int, int, str]],
) -> None:
    """With all topics heard first, nothing forgotten, and a heartbeat at the end."""
    world = World(100, 100, 100_000)
    for who in range(2):
        for topic in range(5):
            world.step(who, topic, "comes")
    for who, topic, what in steps:
        if what != "restart":
            world.step(who, topic, what)
    for who in range(2):
        world.step(who, 0, "beat")
    assert world.stats["missed"] == world.sent["lost"]
    assert world.stats["received"] == world.sent["came"]
    assert world.stats["renumbered"] == world.stats["restarts"] == 0


def test_a_forgotten_topic_begins_anew_and_what_came_before_is_unknown() -> None:
    """Never "none missed": the first number of the new epoch is 1."""
    stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
    numbering, gaps = Numbering("p", 1, life=7), Gaps(10, stats)
    for topic, missed, number in ((b"a", None, 1), (b"b", None, 1), (b"a", None, 1), (b"a", 0, 2)):
        header = read_header(numbering.header(topic))
        assert header is not None
        assert header.number == number
        place = gaps.message(topic, header, 0.0)
        assert place is not None
        assert place.missed == missed
        place.missed = 0
    assert (stats["renumbered"], stats["missed"], numbering.forgotten) == (1, 0, 2)


def test_tables_of_publishers_and_topics_are_bounded() -> None:
    stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
    gaps, numbering = Gaps(100, stats), Numbering("p", 100)
    for each in range(1000):
        header = read_header(Numbering(f"p{each}", 1).header(b"a"))
        assert header is not None
        gaps.message(b"a", header, 0.0)
        numbering.header(b"%d" % each)
    assert (gaps.topics, len(numbering), numbering.forgotten) == (100, 100, 900)
    assert sum(len(numbering.tails()) for _ in range(10)) == 300, "each is told three times"
    assert numbering.tails() == []
    assert [topic for topic, _, _ in numbering.recent()] == [
        b"%d" % each for each in range(999, 899, -1)
    ]


def test_publishers_that_come_and_go_make_nobody_forget_what_others_owe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bounded are the publishers that were heard last."""
    monkeypatch.setattr("brigantine.pubsub.gaps.MOST_PUBLISHERS", 3)
    stats = dict.fromkeys(SUBSCRIBER_COUNTERS, 0)
    gaps, stays = Gaps(100, stats), Numbering("stays", 10)

    def hear(numbering: Numbering) -> None:
        header = read_header(numbering.header(b"a"))
        assert header is not None
        gaps.message(b"a", header, 0.0)

    hear(stays)
    for each in range(10):
        hear(Numbering(f"passes {each}", 10))
        stays.header(b"a")  # lost
        hear(stays)
    assert gaps.missed() == {"stays": 10}
    for each in range(3):  # it is silent, and forgotten
        hear(Numbering(f"comes {each}", 10))
    stays.header(b"a")
    hear(stays)
    assert gaps.missed() == {"stays": 1}
