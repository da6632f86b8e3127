"""Names that a device connects to: looked up beside its loop, and followed where they lead."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from doubles import free_endpoint, outcome, program
from harness import PATIENCE, Peers, wait_until
from name_doubles import Names, named, v4

from brigantine import ForwarderDevice, QueueDevice, StreamerDevice
from brigantine.devices.base import Device
from brigantine.net import named_end, names

ANY = "tcp://127.0.0.1:*"
#: A time that nothing here takes unless it waits for what it should not.
SOON = 1.0
Start = Callable[..., Any]


@pytest.fixture
def start(impl: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """``start(kind, **options)`` runs a device that takes little time to look a name up anew."""
    monkeypatch.setattr(named_end, "LOST_FOR", 0.2)
    monkeypatch.setattr(named_end, "LOOK_AGAIN", 0.1)
    monkeypatch.setattr(named_end, "ADDED", 0.1)
    monkeypatch.setattr(named_end, "ADDED_MAX", 0.1)
    monkeypatch.setattr(named_end, "UNANSWERED", 0.2)
    running: list[Device] = []

    def make(kind: type[Device], frontend: Any = ANY, backend: Any = ANY, **options: Any) -> Device:
        running.append(kind(frontend, backend, impl=impl, **options))
        return running[-1]

    yield make
    for each in running:
        each.stop()


def bound(peers: Peers, kind: int, host: str = "127.0.0.1", port: str = "*") -> Any:
    made = peers.socket(kind, ipv6=int(host.startswith("[")))
    with contextlib.suppress(AttributeError):
        made.bind(f"tcp://{host}:{port}")
    return made


def at(made: zmq.Socket[bytes]) -> str:
    return made.getsockopt_string(zmq.LAST_ENDPOINT)


def answered(client: zmq.Socket[bytes], server: zmq.Socket[bytes], word: bytes) -> None:
    """A request goes through, and its reply back."""
    client.send(word)
    assert server.recv() == word
    server.send(word.upper())
    assert client.recv() == word.upper()


def answered_again(peers: Peers, queue: Any, server: zmq.Socket[bytes]) -> None:
    """The same with clients that ask until one is heard: the device may not know yet who has gone."""

    def heard() -> bool:
        peers.req(queue.frontend).send(b"again")
        return bool(server.poll(100))

    wait_until(heard, "a request")
    server.recv()


# -- the name is looked up ----------------------------------------------------------------------------


def test_a_queue_finds_the_address_of_a_name_that_accepts_connections(
    start: Start, peers: Peers, resolver: Names
) -> None:
    server = bound(peers, zmq.REP)
    resolver.answers["broker.test"] = v4("127.0.0.3", "127.0.0.2", "127.0.0.1")
    queue = start(QueueDevice, ANY, ">" + named(at(server)))
    assert queue.backends == (">" + named(at(server)),)
    answered(peers.req(queue.frontend), server, b"q")


@pytest.mark.parametrize("side", ["frontend", "backend"])
def test_a_streamer_reaches_a_name_with_ipv6_only_on_either_side(
    start: Start, peers: Peers, resolver: Names, side: str
) -> None:
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    far = bound(peers, zmq.PUSH if side == "frontend" else zmq.PULL, "[::1]")
    streamer = start(StreamerDevice, **{side: ">" + named(at(far), "six.test")})
    if side == "frontend":
        near = peers.socket(zmq.PULL, streamer.backend)
        far.send(b"task")
        assert near.recv() == b"task"
    else:
        peers.socket(zmq.PUSH, streamer.frontend).send(b"task")
        assert far.recv() == b"task"


def test_a_forwarder_subscribes_at_a_name(start: Start, peers: Peers, resolver: Names) -> None:
    publisher = bound(peers, zmq.XPUB)
    resolver.answers["broker.test"] = v4("127.0.0.1")
    forwarder = start(ForwarderDevice, ">" + named(at(publisher)), ANY)
    subscriber = peers.socket(zmq.SUB, forwarder.backend)
    subscriber.subscribe(b"t")
    assert publisher.recv() == b"\1t"
    publisher.send(b"t1")
    assert subscriber.recv() == b"t1"


def test_copies_are_sent_to_a_name(start: Start, peers: Peers, resolver: Names) -> None:
    resolver.answers["six.test"] = lambda: [(socket.AF_INET6, "::1")]
    collector = bound(peers, zmq.PULL, "[::1]")
    where = ">" + named(at(collector), "six.test")
    device = start(StreamerDevice, capture=where, capture_as="push")
    assert device.captures == (where,)
    source = peers.socket(zmq.PUSH, device.frontend)
    target = peers.socket(zmq.PULL, device.backend)

    def copied() -> bool:
        source.send(b"task")
        target.recv()
        return bool(collector.poll(20))

    wait_until(copied, "a copy")


def test_a_name_that_is_never_answered_keeps_no_device_from_its_other_end(
    start: Start, peers: Peers, resolver: Names, caplog: pytest.LogCaptureFixture
) -> None:
    resolver.answers["dead.test"] = resolver.never
    server = bound(peers, zmq.REP)
    began = time.monotonic()
    queue = start(QueueDevice, ANY, [">tcp://dead.test:1", ">" + at(server)])
    assert time.monotonic() - began < SOON
    answered(peers.req(queue.frontend), server, b"q")
    said = "can't look up dead.test: no answer yet; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")
    began = time.monotonic()
    queue.stop()
    assert time.monotonic() - began < SOON


def test_a_look_up_that_hangs_is_not_the_last_one(
    start: Start, peers: Peers, resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "SHARED_FOR", 0.3)
    resolver.answers["broker.test"] = resolver.never
    server = bound(peers, zmq.REP)
    queue = start(QueueDevice, ANY, ">" + named(at(server)))
    wait_until(lambda: resolver.asked, "the look-up")
    resolver.answers["broker.test"] = v4("127.0.0.1")
    answered(peers.req(queue.frontend), server, b"q")


def test_a_name_that_is_known_later_is_connected_to(
    start: Start, peers: Peers, resolver: Names, caplog: pytest.LogCaptureFixture
) -> None:
    resolver.answers["broker.test"] = resolver.unknown
    server = bound(peers, zmq.REP)
    queue = start(QueueDevice, ANY, ">" + named(at(server)))
    client = peers.req(queue.frontend)
    client.send(b"q")
    said = "can't look up broker.test: Name or service not known; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")
    resolver.answers["broker.test"] = v4("127.0.0.1")
    assert server.recv() == b"q"
    assert caplog.messages.count(said) == 1


def test_all_look_ups_are_bounded_together(
    start: Start, resolver: Names, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(names, "MOST", 3)
    dead = [f"dead{number}.test" for number in range(6)]
    resolver.answers |= dict.fromkeys(dead, resolver.never)
    before = threads("brigantine-lookup")
    for each in dead:
        start(QueueDevice, ANY, f">tcp://{each}:1")
    said = "3 look-ups of other names have no answer yet"
    wait_until(lambda: sum(said in each for each in caplog.messages) == 3, "the words in the log")
    assert threads("brigantine-lookup") - before == 3


def threads(name: str) -> int:
    return sum(each.name == name for each in threading.enumerate())


# -- and looked up anew -------------------------------------------------------------------------------


def test_a_server_that_moves_is_followed(start: Start, peers: Peers, resolver: Names) -> None:
    first = bound(peers, zmq.REP)
    port = at(first).rpartition(":")[2]
    resolver.answers["broker.test"] = v4("127.0.0.1")
    queue = start(QueueDevice, ANY, f">tcp://broker.test:{port}")
    answered(peers.req(queue.frontend), first, b"one")
    first.close(0)
    resolver.answers["broker.test"] = v4("127.0.0.2")
    second = bound(peers, zmq.REP, "127.0.0.2", port)
    answered_again(peers, queue, second)


def test_subscriptions_reach_a_publisher_that_has_moved(
    start: Start, peers: Peers, resolver: Names
) -> None:
    first = bound(peers, zmq.XPUB)
    port = at(first).rpartition(":")[2]
    resolver.answers["broker.test"] = v4("127.0.0.1")
    forwarder = start(ForwarderDevice, f">tcp://broker.test:{port}", ANY)
    subscriber = peers.socket(zmq.SUB, forwarder.backend)
    subscriber.subscribe(b"t")
    assert first.recv() == b"\1t"
    first.close(0)
    second = bound(peers, zmq.XPUB, "127.0.0.2", port)
    resolver.answers["broker.test"] = v4("127.0.0.2")
    assert second.recv() == b"\1t"
    # The old address is left for good: otherwise whoever comes to it would be heard twice.
    third = bound(peers, zmq.XPUB, "127.0.0.1", port)
    second.send(b"t2")
    assert subscriber.recv() == b"t2"
    assert third.poll(300) == 0


def test_a_connection_that_comes_back_where_it_was_is_not_moved(
    start: Start, peers: Peers, resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_end, "LOST_FOR", PATIENCE)
    first = bound(peers, zmq.PULL)
    port = at(first).rpartition(":")[2]
    resolver.answers["broker.test"] = v4("127.0.0.1")
    streamer = start(StreamerDevice, ANY, f">tcp://broker.test:{port}")
    source = peers.socket(zmq.PUSH, streamer.frontend)
    source.send(b"one")
    assert first.recv() == b"one"
    first.close(0)
    again = peers.socket(zmq.PULL)
    wait_until(lambda: bindable(again, f"tcp://127.0.0.1:{port}"), "the port")
    wait_until(lambda: not source.send(b"two") and again.poll(100), "a task")
    assert resolver.asked == ["broker.test"]


def test_a_queue_looks_a_name_up_for_each_connection(
    start: Start, peers: Peers, resolver: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_end, "LOST_FOR", PATIENCE)
    first = bound(peers, zmq.REP)
    port = at(first).rpartition(":")[2]
    second = bound(peers, zmq.REP, "127.0.0.2", port)
    resolver.answers["broker.test"] = v4("127.0.0.1")
    queue = start(QueueDevice, ANY, f">tcp://broker.test:{port}")
    answered(peers.req(queue.frontend), first, b"one")
    resolver.answers["broker.test"] = v4("127.0.0.2")
    first.close(0)
    answered_again(peers, queue, second)
    assert resolver.asked == ["broker.test"] * 2


def bindable(made: zmq.Socket[bytes], endpoint: str) -> bool:
    try:
        made.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True


def test_what_came_from_the_old_address_is_passed_on_before_it_is_left(
    start: Start, peers: Peers, resolver: Names
) -> None:
    """A connection that is left takes with it what was received and not read yet."""
    first = bound(peers, zmq.PUSH)
    port = at(first).rpartition(":")[2]
    resolver.answers["broker.test"] = v4("127.0.0.1")
    streamer = start(StreamerDevice, f">tcp://broker.test:{port}", ANY)
    first.send(b"before")
    sink = peers.socket(zmq.PULL, streamer.backend)
    assert sink.recv() == b"before"
    streamer.pause()
    tasks = [b"%d" % number for number in range(100)]
    for task in tasks:
        first.send(task)
    first.close(int(PATIENCE * 1000))
    second = bound(peers, zmq.PUSH, "127.0.0.2", port)
    asked = len(resolver.asked)
    resolver.answers["broker.test"] = v4("127.0.0.2")
    wait_until(lambda: len(resolver.asked) > asked, "another look-up")
    time_of_grace = time.monotonic() + 0.5
    wait_until(lambda: time.monotonic() > time_of_grace, "questions to the loop")
    streamer.resume()
    assert [sink.recv() for _ in tasks] == tasks
    second.send(b"after")
    assert sink.recv() == b"after"


def test_two_names_of_one_place_are_one_connection(
    start: Start, peers: Peers, resolver: Names
) -> None:
    publisher = bound(peers, zmq.XPUB)
    resolver.answers["one.test"] = resolver.answers["two.test"] = v4("127.0.0.1")
    one, two = (">" + named(at(publisher), f"{each}.test") for each in ("one", "two"))
    forwarder = start(ForwarderDevice, [one, two, ">" + at(publisher)], ANY)
    wait_until(lambda: set(resolver.asked) == {"one.test", "two.test"}, "both look-ups")
    subscriber = peers.socket(zmq.SUB, forwarder.backend)
    subscriber.subscribe(b"")
    assert publisher.recv() == b"\1"
    for number in range(20):
        publisher.send(b"%d" % number)
    assert [subscriber.recv() for _ in range(20)] == [b"%d" % number for number in range(20)]


def test_a_device_is_not_connected_to_itself_by_a_name(
    start: Start, resolver: Names, caplog: pytest.LogCaptureFixture
) -> None:
    here = free_endpoint()
    resolver.answers["self.test"] = v4("127.0.0.1")
    start(QueueDevice, here, ">" + named(here, "self.test"))
    said = f"{here} is where this device itself is bound; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")


def test_who_hangs_up_is_tried_again_when_it_understands(
    start: Start, peers: Peers, resolver: Names, caplog: pytest.LogCaptureFixture
) -> None:
    """libzmq does not try again by itself after a peer of the wrong kind."""
    wrong = bound(peers, zmq.PUB)
    port = at(wrong).rpartition(":")[2]
    resolver.answers["broker.test"] = v4("127.0.0.1")
    queue = start(QueueDevice, ANY, f">tcp://broker.test:{port}")
    said = f"wrong socket type at tcp://broker.test:{port}: a PUB is bound there"
    wait_until(lambda: any(m.startswith(said) for m in caplog.messages), "the word in the log")
    wrong.close(0)
    right = peers.socket(zmq.REP)
    wait_until(lambda: bindable(right, f"tcp://127.0.0.1:{port}"), "the port")
    answered(peers.req(queue.frontend), right, b"q")


def test_a_program_ends_at_once_whatever_its_device_looks_up(impl: str) -> None:
    source = f"""
        import socket, threading, time
        import brigantine
        asked = threading.Event()
        def never(*_, **__):
            asked.set()
            time.sleep(3600)
        socket.getaddrinfo = never
        device = brigantine.QueueDevice("tcp://127.0.0.1:*", ">tcp://dead.test:1", impl="{impl}")
        assert asked.wait(10)
    """
    with program(source) as process:
        code, _, errors = outcome(process)
    assert code == 0, errors
