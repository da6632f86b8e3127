"""What publishers and subscribers promise, for threads and for tasks."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import zmq
from harness import PATIENCE, Peers, wait_until
from shells import bodies, header, subscribed

from brigantine import (
    ConfigError,
    ForwarderDevice,
    Message,
    NoPublisher,
    NotReady,
    Publisher,
    PublisherClosed,
    Subscriber,
    SubscriberClosed,
    WrongUse,
)
from brigantine.pubsub.feeds import Feeds

Maker = Callable[..., Any]


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_what_is_published_arrives_in_its_order(
    publisher: Maker, subscriber: Maker, shell: str, transport: str, tmp_path: Any, peers: Peers
) -> None:
    endpoint = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/p", "inproc": "inproc://p"}
    context = peers.context if transport == "inproc" else None
    out = publisher(endpoint[transport], shell=shell, context=context, name="p1")
    into = subscriber(out.endpoint, ["a.", "b"], shell=shell, context=context)
    assert into.wait_ready(10) == out.wait_ready(10) == 1
    for number in range(100):
        out.publish("a.x", b"%d" % number)
        out.publish("c", b"nobody wants this")
        out.publish(b"b", b"%d" % number)
    found = [into.recv(10) for _ in range(200)]
    assert [each.body for each in found] == [b"%d" % (each // 2) for each in range(200)]
    assert found[0] == Message(b"a.x", b"0", "p1", 1, None, frames=(b"a.x", b"0"))
    assert found[-1] == Message(b"b", b"99", "p1", 100, 0, frames=(b"b", b"99"))
    stats = into.stats()
    assert (stats["received"], stats["missed"], stats["shed"], stats["waiting"]) == (200, 0, 0, 0)
    assert out.stats()["published"] == 300


def test_objects_go_as_msgpack(publisher: Maker, subscriber: Maker, shell: str) -> None:
    out = publisher(shell=shell)
    into = subscriber(out.endpoint, "a", shell=shell)
    into.wait_ready(10)
    out.publish_object("a", {"t": [1, 2.5, b"x"]})
    out.publish("a", b"\xc1")
    assert into.recv(10).object() == {"t": [1, 2.5, b"x"]}
    with pytest.raises(ConfigError, match=r"the body of a message under b'a' is no msgpack"):
        into.recv(10).object()
    with pytest.raises(WrongUse, match="can't be sent as msgpack"):
        out.publish_object("a", object())


def test_nothing_published_is_a_good_silence(
    publisher: Maker, subscriber: Maker, shell: str
) -> None:
    out = publisher(shell=shell, heartbeat_interval=0.1)
    into = subscriber(out.endpoint, "a", shell=shell)
    into.wait_ready(10)
    assert into.recv(0.4) is None
    assert into.recv(0) is None
    assert into.stats()["silences"] == 0
    assert into.stats()["heartbeats"] > 2


def test_iteration_ends_when_it_is_closed(publisher: Maker) -> None:
    out = publisher()
    into = Subscriber(out.endpoint, "a")
    into.wait_ready(10)
    found = []

    def read() -> None:
        found.extend(into)

    thread = threading.Thread(target=read)
    thread.start()
    out.publish("a", b"1")
    wait_until(lambda: found)
    into.close()
    thread.join(10)
    assert not thread.is_alive()
    with pytest.raises(SubscriberClosed, match="closed; make a new one"):
        into.recv()


def test_who_waits_is_told_at_once_that_it_is_closed(
    publisher: Maker, subscriber: Maker, shell: str
) -> None:
    out = publisher(shell=shell)
    into = subscriber(out.endpoint, "a", shell=shell)
    told: list[BaseException] = []

    def read() -> None:
        try:
            into.recv()
        except SubscriberClosed as error:
            told.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    into.wait_ready(10)
    into.close()
    thread.join(10)
    assert len(told) == 1
    for call in (
        into.recv,
        into.wait_ready,
        lambda: into.subscribe("b"),
        lambda: into.unsubscribe("b"),
    ):
        with pytest.raises(SubscriberClosed):
            call()


def test_topics_come_and_go_while_it_runs(publisher: Maker, subscriber: Maker, shell: str) -> None:
    out = publisher(shell=shell)
    into = subscriber(out.endpoint, (), shell=shell)
    into.subscribe("a")
    into.subscribe("ab")
    into.subscribe("a")
    into.wait_ready(10)
    out.publish("abc", b"once")
    into.unsubscribe("a")
    into.unsubscribe("nothing")
    into.wait_ready(10)
    out.publish("a", b"no longer")
    out.publish("abx", b"still")
    assert bodies(into, 2) == [b"once", b"still"]
    assert into.recv(0) is None


def test_topics_that_are_named_while_it_connects_count(publisher: Maker, subscriber: Maker) -> None:
    out = publisher()
    for turn in range(30):
        into = subscriber(out.endpoint, ())
        for topic in (b"x%d" % turn, b"y%d" % turn):
            into.subscribe(topic)
        into.wait_ready(10)
        out.publish(b"y%d" % turn, b"1")
        assert bodies(into, 1) == [b"1"]
        into.close()


def test_several_publishers_through_a_forwarder_are_told_apart(
    impl: str, publisher: Maker, subscriber: Maker
) -> None:
    with ForwarderDevice("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl) as forwarder:
        made = [publisher(f">{forwarder.frontend}", name=f"p{each}") for each in range(3)]
        into = [subscriber(forwarder.backend, "a") for _ in range(2)]
        for each in into:
            assert each.wait_ready(10, publishers=3) == 3
        for each in made:
            assert each.wait_ready(10, subscribers=2) == 2
        for number in range(50):
            for each in made:
                each.publish("a", b"%d" % number)
        for each in into:
            found = [each.recv(10) for _ in range(150)]
            for name in ("p0", "p1", "p2"):
                of_it = [message for message in found if message.publisher == name]
                assert [message.number for message in of_it] == list(range(1, 51))
            assert each.stats()["publishers"] == 3
            assert each.missed() == {}
        for each in into:
            each.close()
        for each in made:
            wait_until(lambda each=each: each.stats()["subscribers"] == 0)


def test_publishers_that_number_nothing_can_be_read(
    subscriber: Maker, peers: Peers, shell: str
) -> None:
    """The three frames, two or one of anybody's PUB: never "none missed"."""
    pub = peers.context.socket(zmq.XPUB)
    peers.sockets.append(pub)
    pub.linger = 0
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    into = subscriber(f"tcp://127.0.0.1:{port}", "1", shell=shell)
    subscribed(pub, b"1")
    pub.send(b"10001 20 45")
    pub.send_multipart([b"10001", b"20 45"])
    pub.send_multipart([b"10001", b"20", b"45"])
    pub.send_multipart([b"10001", b"20", b"45", header()])
    found = [into.recv(10) for _ in range(4)]
    assert found[0] == Message(b"10001 20 45", b"", frames=(b"10001 20 45",))
    assert found[1] == Message(b"10001", b"20 45", frames=(b"10001", b"20 45"))
    assert found[2].frames == (b"10001", b"20", b"45")
    assert all(each.missed is None and each.publisher is None for each in found)
    wait_until(lambda: into.stats()["unnumbered"] == 4)
    # It never says that it has read; and its silence means nothing.
    with pytest.raises(
        NotReady, match=r"a PUB socket of others never says that it has read"
    ) as caught:
        into.wait_ready(0.5)
    assert caught.value.confirmed == 0
    assert into.stats()["silences"] == 0


def test_a_message_of_endless_frames_is_dropped(subscriber: Maker, peers: Peers) -> None:
    pub = peers.context.socket(zmq.XPUB)
    peers.sockets.append(pub)
    pub.sndhwm = 0
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    into = subscriber(f"tcp://127.0.0.1:{port}", "a")
    subscribed(pub, b"a")
    pub.send_multipart([b"a"] * 100_000)
    for frames in ([b"\0brigantine.beat"], [b"\0brigantine.beat", b"x", b"y"], [b"\0x", b"y"]):
        pub.send_multipart(frames)
    pub.send_multipart([b"a", b"good"])
    assert bodies(into, 1) == [b"good"]
    assert into.stats()["drop_malformed"] == 3


def test_after_a_close_publishing_is_an_error(publisher: Maker, shell: str) -> None:
    out = publisher(shell=shell)
    assert out.close() == 0
    for call in (lambda: out.publish("a", b""), out.wait_ready):
        with pytest.raises(PublisherClosed, match="the publisher is closed; make a new one"):
            call()
    assert out.close() == 0


def test_what_can_not_be_sent_is_named(publisher: Maker, shell: str) -> None:
    out = publisher(shell=shell, max_message_bytes=1024)
    wrong: list[tuple[Any, Any, str]] = [
        ("a", "text", r"body must be bytes, not str; encode it first"),
        ("a", bytearray(b"x"), r"body must be bytes, not bytearray; use bytes"),
        ("a", {"x": 1}, r"body must be bytes, not dict; see publish_object"),
        ("a", b"x" * 1025, r"body must be at most max_message_bytes \(1024 bytes\) long, not 1025"),
        (7, b"", r"topic must be bytes or str, not int"),
        ("\0a", b"", r"topic: .* begins with a NUL byte"),
        (b"x" * 65536, b"", r"topic must be at most 65535 bytes long, not 65536"),
    ]
    for topic, body, words in wrong:
        with pytest.raises(ConfigError, match=words):
            out.publish(topic, body)
    assert out.stats()["published"] == 0


def test_options_that_can_not_work_are_named() -> None:
    port = "tcp://127.0.0.1:*"
    wrong: list[tuple[Callable[[], Any], str]] = [
        (lambda: Publisher(port, heartbeat_intervall=1), "did you mean heartbeat_interval"),
        (lambda: Publisher(port, linger=-1), "linger must be from 0 to 86400 seconds, not -1"),
        (
            lambda: Publisher(port, queue_bytes=1),
            "queue_bytes must be from 1024 to .* bytes, not 1",
        ),
        (lambda: Publisher(port, name=""), "name must be 1 to 255 characters"),
        (lambda: Publisher(port, name=7), "name must be a string, not 7"),
        (lambda: Publisher([]), "at least one endpoint is needed"),
        (lambda: Publisher("inproc://x"), ""),
        (lambda: Subscriber(port, ""), "can be bound but not connected to"),
        (lambda: Subscriber("inproc://x", ""), "pass context="),
        (
            lambda: Subscriber("tcp://127.0.0.1:1", 7),
            "topics must be bytes, str or several of them, not 7",
        ),
        (lambda: Subscriber("tcp://127.0.0.1:1", "\0"), "begins with a NUL byte"),
        (
            lambda: Subscriber("tcp://127.0.0.1:1", "", liveness=1),
            "liveness must be from 2 to 1000, not 1",
        ),
        (
            lambda: Subscriber("tcp://127.0.0.1:1", "", conflate=1),
            "conflate must be True or False, not 1",
        ),
        (lambda: Subscriber("tcp://127.0.0.1:1"), "missing a required argument: 'topics'"),
    ]
    for make, words in wrong:
        if not words:
            make().close()
            continue
        with pytest.raises(ConfigError, match=words):
            make()


def test_a_publisher_without_room_waits_and_loses_nothing(
    publisher: Maker, subscriber: Maker, shell: str
) -> None:
    out = publisher(shell=shell, queue_limit=1, high_water_mark=100_000)
    into = subscriber(out.endpoint, "a", shell=shell, queue_limit=100_000, high_water_mark=100_000)
    into.wait_ready(10)
    for number in range(2000):
        out.publish("a", b"%d" % number)
    assert bodies(into, 2000) == [b"%d" % each for each in range(2000)]


def test_what_is_wanted_is_only_the_latest_of_each_topic(
    publisher: Maker, subscriber: Maker, shell: str
) -> None:
    out = publisher(shell=shell)
    into = subscriber(out.endpoint, "", shell=shell, conflate=True)
    into.wait_ready(10)
    for number in range(50):
        for topic in ("a", "b"):
            out.publish(topic, b"%d" % number)
    wait_until(lambda: into.stats()["received"] == 100)
    assert [(each.topic, each.body) for each in (into.recv(1), into.recv(1))] == [
        (b"a", b"49"), (b"b", b"49")
    ]  # fmt: skip
    assert into.recv(0) is None
    stats = into.stats()
    assert (stats["conflated"], stats["waiting_bytes"]) == (98, 0)
    out.publish("a", b"50")
    assert into.recv(10).missed == 0


def test_a_header_of_somebody_else_is_taken_by_its_numbers(subscriber: Maker, peers: Peers) -> None:
    """Whoever writes the third frame as the page says it is told what is missed, too."""
    pub = peers.context.socket(zmq.XPUB)
    peers.sockets.append(pub)
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    into = subscriber(f"tcp://127.0.0.1:{port}", "a")
    subscribed(pub, b"a")
    for number in (7, 8, 12, 12, 11, 13):
        pub.send_multipart([b"a", b"%d" % number, msgpack.packb(["them", 1, number])])
    found = [into.recv(10) for _ in range(4)]
    assert [(each.number, each.missed) for each in found] == [(7, None), (8, 0), (12, 3), (13, 0)]
    stats = into.stats()
    assert (stats["missed"], stats["duplicates"]) == (3, 2)
    assert into.missed() == {"them": 3}


@pytest.mark.parametrize("last_values", [0, 10])
def test_heartbeats_go_on_for_the_subscriber_that_stays(
    publisher: Maker, subscriber: Maker, last_values: int
) -> None:
    out = publisher(last_values=last_values, heartbeat_interval=0.02)
    stays = subscriber(out.endpoint, "a", heartbeat_interval=1.0)
    leaves = subscriber(out.endpoint, "a", heartbeat_interval=1.0)
    out.wait_ready(10, subscribers=2)
    leaves.close()
    wait_until(lambda: out.stats()["subscribers"] == 1)
    heard = stays.stats()["heartbeats"]
    wait_until(lambda: stays.stats()["heartbeats"] > heard + 2)


def test_closing_takes_no_longer_than_linger_though_subscribers_are_waited_for(
    publisher: Maker, peers: Peers, shell: str
) -> None:
    out = publisher(shell=shell, high_water_mark=1, stall_timeout=3600.0)
    never = peers.socket(zmq.SUB, out.endpoint, rcvhwm=1)
    never.subscribe(b"a")
    wait_until(lambda: out.publish("a", b"first") or never.poll(10))
    before = out.stats()["published"]
    for _ in range(50):  # fewer than publish() waits for
        out.publish("a", b"x" * 1_000_000)
    wait_until(lambda: out.stats()["stalls"])
    began = time.monotonic()
    unsent = out.close(linger=0.05)
    assert time.monotonic() - began < PATIENCE
    assert 0 < unsent <= 51
    assert unsent == out.stats()["unsent"]
    assert out.stats()["cut_off"] == 0
    assert before <= out.stats()["published"] < before + 50


def test_tries_in_vain_are_no_pause_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each would put off the error that nothing is heard of any publisher."""
    pauses: list[float] = []
    failures: list[Any] = []
    failed = Feeds.failed
    monkeypatch.setattr(Feeds, "alive", lambda _, now: pauses.append(now))

    def told(*known: Any) -> bool:
        failures.append(known)
        return failed(*known)

    monkeypatch.setattr(Feeds, "failed", told)
    into = Subscriber("tcp://127.0.0.1:9", "a", heartbeat_interval=0.05)
    with into, pytest.raises(NoPublisher):
        into.recv(PATIENCE)
    assert len(pauses) < len(failures)
