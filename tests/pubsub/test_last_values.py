"""Last values: of each topic the last message, for who asks, in order with the live ones."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from hypothesis import given, settings
from hypothesis import strategies as st
from shells import bodies, header

from brigantine import ConfigError, ForwarderDevice, QueueDevice, core, pure
from brigantine.pubsub.asking import Asking
from brigantine.wire.pubsub import Answer, Ask, packed_answer, packed_ask, read_answer, read_ask

Maker = Callable[..., Any]
ANYWHERE = "tcp://127.0.0.1:*"
TOKEN = b"0123456789abcdef"
#: All topics, from the beginning, of whoever keeps them, 256 of them.
ASK_ALL = b"\0brigantine.last." + TOKEN + b".1." + bytes.fromhex("94 91 c4 00 c0 c0 cd 0100")


# -- the wire ---------------------------------------------------------------------------------


def test_a_question_and_its_answer_byte_by_byte() -> None:
    assert packed_ask(TOKEN, 1, Ask([b""], None, None, 256)) == ASK_ALL
    assert read_ask(ASK_ALL) == Ask([b""], None, None, 256)
    answer = bytes.fromhex("94 c4 01 6b a1 70 c4 01 61 92 02 03")
    assert packed_answer(Answer(b"k", "p", b"a", [2, 3])) == answer
    assert read_answer(answer) == Answer(b"k", "p", b"a", [2, 3])


@pytest.mark.parametrize(
    "packed", [b"", b"\xc1", b"\x93\x90\xc0\xc0", b"\x94\x91\x01\xc0\xc0\x01", b"\x94\x90\x01\xc0\x01",
               b"\x94\x90\xc0\x01\x01", b"\x94\x90\xc0\xc0\x00", b"\x94\xc0\xc0\xc0\x01"],
)  # fmt: skip
def test_what_is_no_question_is_not_taken_for_one(packed: bytes) -> None:
    assert read_ask(b"\0brigantine.last." + TOKEN + b".1." + packed) is None
    assert read_ask(b"\0brigantine.last." + TOKEN[:-1] + b".1." + ASK_ALL[-9:]) is None
    assert read_answer(packed) is None


def test_answers_byte_by_byte(impl: str, peers: Peers) -> None:
    """Any program can ask, through an XSUB socket."""
    with ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=100) as forwarder:
        pub = peers.socket(zmq.XPUB, forwarder.frontend)
        assert pub.recv() == b"\x01", "all is subscribed"
        for frames in (
            [b"b", b"1"],
            [b"a", b"2", b"third"],
            [b"b", b"3"],
            [b"one frame"],
            [b"\0x", b"4"],
        ):
            pub.send_multipart(frames)
        wait_until(lambda: forwarder.stats()["to_backend"] == 5)
        assert forwarder.stats()["last_values"] == 2
        asker = peers.socket(zmq.XSUB, forwarder.backend)
        asker.send(b"\x01" + ASK_ALL)
        topic, head, *values = asker.recv_multipart()
        assert topic == ASK_ALL
        assert head[:3] == bytes.fromhex("94 c4 08")
        assert head[11:] == bytes.fromhex("c0 c0 92 03 02")
        assert values == [b"a", b"2", b"third", b"b", b"3"]
        stats = forwarder.stats()
        assert (stats["last_values_asked"], stats["last_values_sent"]) == (1, 2)
        assert stats["to_frontend"] == 0, "nobody upstream was asked"


# -- what keeps them --------------------------------------------------------------------------


@pytest.fixture(params=[core, pure], ids=["core", "pure"])
def values(request: pytest.FixtureRequest) -> type:
    kind: type = request.param.LastValues
    return kind


def test_what_would_be_too_much_goes_the_longest_unused_first(values: Any) -> None:
    kept = values(2, 1 << 20)
    for topic in (b"a", b"b", b"a", b"c"):
        kept.keep([topic, b"x"])
    assert kept.page(b"", None, 10, 1 << 20) == ([[b"a", b"x"], [b"c", b"x"]], False)
    assert (kept.topic_count, kept.evicted) == (2, 1)


def test_one_that_is_too_large_is_not_kept_and_no_older_one_stands_for_it(values: Any) -> None:
    kept = values(10, 1000)
    kept.keep([b"a", b"small"])
    kept.keep([b"a", b"x" * 2000])
    assert kept.page(b"", None, 10, 1 << 20) == ([], False)
    assert (kept.topic_count, kept.held_bytes, kept.evicted) == (0, 0, 1)


def test_pages_go_on_behind_the_last_topic(values: Any) -> None:
    kept = values(100, 1 << 20)
    for number in range(20):
        kept.keep([b"t%02d" % number, b"x" * 10])
    kept.keep([b"u", b""])
    page, more = kept.page(b"t", None, 7, 1 << 20)
    assert ([each[0] for each in page], more) == ([b"t%02d" % each for each in range(7)], True)
    page, more = kept.page(b"t", b"t06", 100, 1 << 20)
    assert ([each[0] for each in page], more) == ([b"t%02d" % each for each in range(7, 20)], False)
    page, more = kept.page(b"t", b"t06", 100, 1)
    assert ([each[0] for each in page], more) == ([b"t07"], True)
    assert kept.page(b"t", b"zz", 1, 1) == ([], False)
    assert kept.page(b"t", b"", 1, 1)[0][0][0] == b"t00"


FRAMES = st.lists(st.binary(max_size=40), min_size=1, max_size=3)
TOPICS = st.sampled_from([b"", b"a", b"ab", b"abc", b"b", b"\0x", b"\xff", b"ab\0"])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(TOPICS, st.lists(st.binary(max_size=40), max_size=2)), max_size=60),
    st.integers(0, 5),
    st.integers(0, 2000),
    TOPICS,
    st.none() | TOPICS,
    st.integers(1, 5),
)
def test_both_implementations_keep_the_same_and_what_a_dict_would(
    messages: list[tuple[bytes, list[bytes]]],
    most: int,
    most_bytes: int,
    prefix: bytes,
    after: bytes | None,
    page: int,
) -> None:
    compiled, readable = core.LastValues(most, most_bytes), pure.LastValues(most, most_bytes)
    known: OrderedDict[bytes, list[bytes]] = OrderedDict()
    for topic, rest in messages:
        for each in (compiled, readable):
            each.keep([topic, *rest])
        if rest and not topic.startswith(b"\0"):
            known[topic] = rest
            known.move_to_end(topic)
    assert compiled.page(prefix, after, page, 50) == readable.page(prefix, after, page, 50)
    for name in ("topic_count", "held_bytes", "evicted"):
        assert getattr(compiled, name) == getattr(readable, name)
    found = {each[0]: each[1:] for each in readable.page(b"", None, 100, 1 << 20)[0]}
    assert all(known[topic] == rest for topic, rest in found.items())
    if not readable.evicted and most:
        assert found == known
    assert readable.topic_count <= most
    assert readable.held_bytes <= max(most_bytes, 0)


# -- who asks ---------------------------------------------------------------------------------


@pytest.mark.pairwise
@pytest.mark.parametrize("where", ["forwarder", "publisher"])
def test_who_comes_late_gets_the_last_message_of_each_topic_and_then_the_live_ones(
    impl: str, publisher: Maker, subscriber: Maker, shell: str, where: str
) -> None:
    with ForwarderDevice(
        ANYWHERE, ANYWHERE, impl=impl, last_values=2000 if where == "forwarder" else 0
    ) as forwarder:
        out = publisher(
            f">{forwarder.frontend}", name="p", last_values=2000 if where == "publisher" else 0
        )
        early = subscriber(forwarder.backend, "t")
        early.wait_ready(10)
        for number in range(900):
            out.publish(b"t%03d" % (number % 300), b"%d" % number)
            if number % 100 == 99:
                bodies(early, 100)
        into = subscriber(forwarder.backend, "t", shell=shell, last_values=True)
        found = {}
        for _ in range(300):
            message = into.recv(10)
            assert message.is_last_value
            assert message.topic not in found
            found[message.topic] = message.body
        assert found == {b"t%03d" % each: b"%d" % (600 + each) for each in range(300)}
        into.wait_ready(10)
        early.wait_ready(10)
        out.publish("t007", b"live")
        message = into.recv(10)
        assert (message.body, message.is_last_value, message.missed) == (b"live", False, 0)
        assert early.recv(10).body == b"live", "who has not asked got the live one alone"
        assert into.recv(0.5) is None
        assert into.stats()["last_values"] == 300
        assert early.stats()["last_values"] == early.stats()["drop_unwanted"] == 0


def test_plain_subscribers_see_nothing_of_it(impl: str, publisher: Maker, subscriber: Maker,
                                             peers: Peers) -> None:  # fmt: skip
    with ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=100) as forwarder:
        out = publisher(f">{forwarder.frontend}", name="p")
        wait_until(lambda: out.publish("a", b"old") or forwarder.stats()["to_backend"])
        plain = peers.socket(zmq.SUB, forwarder.backend)
        plain.subscribe(b"")
        into = subscriber(forwarder.backend, "a", last_values=True)
        assert into.recv(10).body == b"old"
        into.wait_ready(10)
        topics = set()

        def live() -> bool:
            out.publish("a", b"live")
            while plain.poll(10):
                topics.add(plain.recv_multipart()[0])
            return b"a" in topics

        wait_until(live)
        assert not any(topic.startswith(b"\0brigantine.last") for topic in topics)


@pytest.mark.parametrize("numbered", [True, False])
def test_never_an_older_one_after_a_newer_and_no_update_is_lost(
    impl: str, subscriber: Maker, peers: Peers, numbered: bool, record: Maker
) -> None:
    """While every topic changes all the time, subscribers come and ask."""
    topics, stop = 50, threading.Event()
    with ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=1000) as forwarder:
        counts = [0] * topics
        pub = peers.socket(zmq.XPUB, forwarder.frontend)
        assert pub.recv() == b"\x01"

        def publish() -> None:
            while not stop.wait(0.001):
                for topic in range(0, topics, 5):
                    counts[topic] += 1
                    frames = [b"t%d" % topic, b"%d" % counts[topic]]
                    third = [header("p", 1 << 32, counts[topic])] if numbered else []
                    pub.send_multipart([*frames, *third])

        thread = threading.Thread(target=publish)
        thread.start()
        older = torn = lost = 0
        try:
            wait_until(lambda: forwarder.stats()["last_values"] == topics // 5)
            for _ in range(20):
                into = subscriber(forwarder.backend, "t", last_values=True, queue_limit=100_000)
                last: dict[bytes, int] = {}
                for _ in range(200):
                    message = into.recv(10)
                    number = int(message.body)
                    before = last.get(message.topic, number - 1)
                    older += number <= before
                    lost += number > before + 1
                    torn += len(message.frames) != 2
                    last[message.topic] = number
                into.close()
        finally:
            stop.set()
            thread.join()
        assert (older, lost, torn) == (0, 0, 0)
        record(
            "last values for late subscribers",
            older_after_newer=older,
            torn=torn,
            lost=lost,
            numbered=numbered,
        )


def test_more_than_the_queues_hold_comes_in_pieces(
    impl: str, publisher: Maker, subscriber: Maker, record: Maker
) -> None:
    """The high-water mark of a forwarder is 10, and 2,000 topics are asked for."""
    with ForwarderDevice(
        ANYWHERE, ANYWHERE, impl=impl, last_values=5000, high_water_mark=10
    ) as forwarder:
        out = publisher(
            f">{forwarder.frontend}", name="p", last_values=5000, high_water_mark=100_000
        )
        wait_until(lambda: out.publish("warm", b"") or forwarder.stats()["to_backend"])
        for number in range(2000):
            out.publish(b"t%d" % number, b"%d" % number)
        wait_until(lambda: forwarder.stats()["last_values"] == 2001, timeout=30)
        into = subscriber(forwarder.backend, "t", last_values=True, high_water_mark=10)
        found = set()
        while len(found) < 2000:
            message = into.recv(10)
            assert message.is_last_value
            found.add(message.topic)
        record(
            "last values for late subscribers",
            topics=2000,
            asked=forwarder.stats()["last_values_asked"],
        )


def test_after_a_reconnection_only_what_is_new_is_given(
    impl: str, publisher: Maker, subscriber: Maker
) -> None:
    from relay import Relay

    with ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=100) as forwarder:
        out = publisher(f">{forwarder.frontend}", name="p", heartbeat_interval=0.3)
        wait_until(lambda: out.publish("a", b"0") or forwarder.stats()["to_backend"])
        with Relay(forwarder.backend) as relay:
            into = subscriber(relay.endpoint, ["a", "b"], last_values=True, heartbeat_interval=0.3)
            into.wait_ready(10)
            out.publish("a", b"1")
            out.publish("b", b"1")
            while into.recv(10).topic != b"b":
                pass
            connects = into.stats()["connects"]
            relay.cut()
            wait_until(lambda: into.stats()["connects"] > connects)
            into.wait_ready(10)
            wait_until(lambda: forwarder.stats()["last_values_asked"] >= 2)
            out.publish("a", b"2")
            assert into.recv(10).body == b"2"
            relay.swallow()
            out.publish("b", b"2")
            out.publish("b", b"3")
            message = into.recv(10)  # on a third connection
            assert (message.body, message.is_last_value, message.missed) == (b"3", True, 1)
            assert into.recv(0.5) is None


def test_a_spare_that_knows_less_gives_no_older_news(
    impl: str, publisher: Maker, subscriber: Maker
) -> None:
    """Its last value is of a life of the publisher that the subscriber has seen the end of."""
    with (
        ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=10) as one,
        ForwarderDevice(ANYWHERE, ANYWHERE, impl=impl, last_values=10) as two,
    ):
        both = publisher([f">{one.frontend}", f">{two.frontend}"], name="p")
        for each in (one, two):
            wait_until(lambda each=each: both.publish("a", b"old") or each.stats()["last_values"])
        both.close()
        new = publisher(f">{one.frontend}", name="p")
        into = subscriber([one.backend, two.backend], "a", last_values=True)
        assert into.recv(10).body == b"old"
        new.wait_ready(10)
        new.publish("a", b"new")
        message = into.recv(10)
        while message.body == b"old":
            message = into.recv(10)
        assert message.body == b"new"
        one.stop()
        wait_until(lambda: two.stats()["last_values_asked"])
        assert into.recv(1) is None


def test_a_question_is_asked_again_until_somebody_answers() -> None:
    asking = Asking(TOKEN)
    nobody: frozenset[str] = frozenset()
    asking.disconnected([b"a", b"ab", b"b"])
    assert asking.due() is None
    asking.connected(0.0)
    assert asking.says(nobody, 0.1) == []
    [said] = asking.says(nobody, 0.3)
    ask = read_ask(said[1:])
    assert ask == Ask([b"a", b"b"], None, None, 256)
    for turn in (1, 2):
        gone, again = asking.says(nobody, 0.3 + turn * 1.1)
        assert gone == b"\0" + said[1:]
        assert read_ask(again[1:]) == ask
        said = again
    assert asking.says(nobody, 10.0) == [b"\0" + said[1:]]
    assert not asking.busy
    assert asking.due() is None


def test_who_comes_after_a_question_is_asked_once_more() -> None:
    asking = Asking(TOKEN)
    asking.disconnected([b"a"])
    asking.connected(0.0)
    asking.confirmed(frozenset({"p"}), 0.01)
    [said] = asking.says(frozenset({"p"}), 0.01)
    asking.confirmed(frozenset({"p", "q"}), 0.02)
    [again] = asking.says(frozenset({"p", "q"}), 0.02)
    assert read_ask(again[1:]) == Ask([b"a"], None, "q", 256)
    assert said != again


def test_an_answer_that_is_not_whole_is_none() -> None:
    asking = Asking(TOKEN)
    asking.disconnected([b"a"])
    asking.connected(0.0)
    [said] = asking.says(frozenset(), 1.0)
    head = packed_answer(Answer(b"keeper01", None, b"a7", [2]))
    for frames in ([head], [head, b"a"], [head, b"a", b"x", b"y"], [b"", b"a", b"x"], []):
        assert asking.hear([said[1:], *frames], 1.0) == []
    assert asking.hear([said[1:], head, b"a7", b"x"], 1.0) == [[b"a7", b"x"]]
    [again] = asking.says(frozenset(), 1.0)
    assert read_ask(again[1:]) == Ask([b"a"], b"a7", b"keeper01", 256)


def test_who_may_keep_last_values_is_said() -> None:
    with pytest.raises(ConfigError, match="last_values is an option of a ForwarderDevice"):
        QueueDevice(ANYWHERE, ANYWHERE, last_values=1)
    with pytest.raises(ConfigError, match="last_values must be from 0 to"):
        ForwarderDevice(ANYWHERE, ANYWHERE, last_values=-1)
    with pytest.raises(ConfigError, match=r"last_values_bytes must be from 0 to .* bytes, not -1"):
        ForwarderDevice(ANYWHERE, ANYWHERE, last_values=1, last_values_bytes=-1)


def test_rooms_are_bounded_in_topics_and_bytes(rooms: ModuleType, record: Maker) -> None:
    kept = rooms.LastValues(1000, 100_000)
    for number in range(20_000):
        kept.keep([b"t%d" % number, b"x" * (number % 500)])
    assert kept.topic_count <= 1000
    assert kept.held_bytes <= 100_000
    assert kept.topic_count + kept.evicted == 20_000
    record("last values for late subscribers", kept=kept.topic_count, evicted=kept.evicted)
