"""A copy of what a device passes on: whole, bounded, counted, and never in the device's way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from commands import Command
from doubles import free_endpoint
from harness import Peers, wait_until

from brigantine import ConfigError, ForwarderDevice, QueueDevice, StreamerDevice
from brigantine.devices.base import Device

ANY = "tcp://127.0.0.1:*"
Start = Callable[..., Any]


@pytest.fixture
def start(impl: str) -> Iterator[Start]:
    """``start(kind, **options)`` runs a device on free tcp ports; all are stopped at the end."""
    running: list[Device] = []

    def make(kind: type[Device], **options: Any) -> Device:
        running.append(kind(ANY, ANY, impl=impl, **options))
        return running[-1]

    yield make
    for each in running:
        each.stop()


def observer(peers: Peers, device: Any) -> zmq.Socket[bytes]:
    """A SUB whose subscription has arrived: it has seen a first message, which ``poke`` sends."""
    return peers.socket(zmq.SUB, device.captures[0], subscribe=b"")


def watching(looks: list[zmq.Socket[bytes]], poke: Callable[[], object]) -> None:
    """Poke until all of them see something; then read what is left of it."""
    waiting = list(looks)
    while waiting:
        poke()
        waiting = [each for each in waiting if not each.poll(20)]
    for each in looks:
        while each.poll(50):
            each.recv_multipart()


def test_replies_and_requests_of_a_queue_are_copied(start: Start, peers: Peers) -> None:
    device = start(QueueDevice, capture=ANY)
    client = peers.socket(zmq.DEALER, device.frontend, identity=b"client")
    server = peers.socket(zmq.ROUTER, device.backend, identity=b"server")
    looks = observer(peers, device)

    def poke() -> None:
        client.send_multipart([b"", b"poke"])
        server.recv_multipart()

    watching([looks], poke)
    client.send_multipart([b"", b"request", b"x" * 10_000])
    request = server.recv_multipart()
    assert looks.recv_multipart() == [b"client", b"", b"request", b"x" * 10_000]
    server.send_multipart([*request[:3], b"y" * 10_000])
    assert client.recv_multipart() == [b"", b"y" * 10_000]
    assert looks.recv_multipart() == [b"client", b"", b"y" * 10_000]
    wait_until(lambda: device.stats()["to_frontend"] == 1)
    passed = device.stats()["to_backend"] + 1
    wait_until(lambda: device.stats()["captured"] == passed)
    assert device.stats()["drop_capture"] == 0


def test_what_is_published_and_subscribed_is_copied(start: Start, peers: Peers) -> None:
    device = start(ForwarderDevice, capture=ANY)
    publisher = peers.socket(zmq.XPUB, device.frontend)
    subscriber = peers.socket(zmq.SUB, device.backend, subscribe=b"news")
    assert publisher.recv() == b"\1news"
    looks = observer(peers, device)
    watching([looks], lambda: publisher.send_multipart([b"news", b"poke"]))
    publisher.send_multipart([b"news", b"of today"])
    assert looks.recv_multipart() == [b"news", b"of today"]
    subscriber.subscribe(b"more")
    assert publisher.recv() == b"\1more"
    assert looks.recv_multipart() == [b"\1more"]


@pytest.mark.parametrize("capture_as", ["pub", "push"])
def test_every_task_of_a_streamer_is_copied_in_order(
    start: Start, peers: Peers, capture_as: str
) -> None:
    device = start(StreamerDevice, capture=ANY, capture_as=capture_as)
    source = peers.socket(zmq.PUSH, device.frontend)
    target = peers.socket(zmq.PULL, device.backend)
    copies = {"pub": observer, "push": lambda *_: peers.socket(zmq.PULL, device.captures[0])}
    looks = copies[capture_as](peers, device)
    watching([looks], lambda: (source.send(b"poke"), target.recv()))
    messages = [[b"%d" % n, b"", b"z" * n] for n in range(500)]
    for each in messages:
        source.send_multipart(each)
    assert [target.recv_multipart() for _ in messages] == messages
    assert [looks.recv_multipart() for _ in messages] == messages


@pytest.mark.parametrize("capture_as", ["pub", "push"])
def test_an_observer_that_does_not_read_holds_up_nobody(
    start: Start, peers: Peers, capture_as: str
) -> None:
    device = start(StreamerDevice, capture=ANY, capture_as=capture_as, high_water_mark=100)
    source = peers.socket(zmq.PUSH, device.frontend)
    target = peers.socket(zmq.PULL, device.backend)
    kind = zmq.SUB if capture_as == "pub" else zmq.PULL
    sleeper = peers.socket(kind, rcvhwm=1)
    if capture_as == "pub":
        sleeper.subscribe(b"")
    sleeper.connect(device.captures[0])
    reads = [observer(peers, device)] if capture_as == "pub" else []
    watching([sleeper], lambda: (source.send(b"poke"), target.recv()))
    if reads:
        watching(reads, lambda: (source.send(b"poke"), target.recv()))
        while sleeper.poll(50):
            sleeper.recv()
    before = device.stats()
    count, body = 400, b"x" * 100_000
    for number in range(count):
        source.send_multipart([b"%d" % number, body])
        assert target.recv_multipart()[0] == b"%d" % number
        for each in reads:  # who reads gets every one, whatever the other does
            assert each.recv_multipart() == [b"%d" % number, body]
    told = 1 if capture_as == "pub" else 2  # each copy is taken, or else counted as missed
    counters = ("captured", "drop_capture")[:told]
    known = sum(before[name] for name in counters)
    wait_until(lambda: sum(device.stats()[name] for name in counters) == known + count)
    stats = device.stats()
    missed = stats["drop_capture"] - before["drop_capture"]
    captured = stats["captured"] - before["captured"]
    assert captured == (count if capture_as == "pub" else count - missed)
    got = 0
    while sleeper.poll(100):
        assert sleeper.recv_multipart()[1] == body  # whole ones
        got += 1
    if capture_as == "pub":  # libzmq tells when somebody begins to miss, not how many
        assert missed >= 1
        assert got < count
    else:
        assert missed > 50
        assert got == count - missed


def test_copies_that_nobody_takes_are_counted(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice, capture=ANY, capture_as="push")
    source = peers.socket(zmq.PUSH, device.frontend)
    target = peers.socket(zmq.PULL, device.backend)
    for _ in range(10):
        source.send(b"x")
        target.recv()
    wait_until(lambda: device.stats()["drop_capture"] == 10)
    assert device.stats()["captured"] == 0


def test_what_is_dropped_is_not_copied(start: Start, peers: Peers) -> None:
    device = start(QueueDevice, capture=ANY)
    client = peers.socket(zmq.DEALER, device.frontend, identity=b"client")
    server = peers.socket(zmq.ROUTER, device.backend, identity=b"server")
    looks = observer(peers, device)

    def poke() -> None:
        client.send_multipart([b"", b"poke"])
        server.recv_multipart()

    watching([looks], poke)
    client.send_multipart([b"", b"x"])
    route = server.recv_multipart()[0]
    looks.recv_multipart()
    server.send_multipart([route, b"nobody", b"", b"lost"])
    server.send_multipart([route, b"client", b"", b"found"])
    assert client.recv_multipart() == [b"", b"found"]
    assert looks.recv_multipart() == [b"client", b"", b"found"]
    assert device.stats()["drop_unroutable"] == 1


def test_copies_may_be_sent_to_a_collector(start: Start, peers: Peers) -> None:
    where = free_endpoint()
    device = start(StreamerDevice, capture=f">{where}", capture_as="push")
    assert device.captures == (f">{where}",)
    collector = peers.socket(zmq.PULL)
    collector.bind(where)
    source = peers.socket(zmq.PUSH, device.frontend)
    target = peers.socket(zmq.PULL, device.backend)
    watching([collector], lambda: (source.send(b"poke"), target.recv()))
    source.send(b"task")
    assert collector.recv() == b"task"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"capture": ANY, "capture_as": "pair"}, "capture_as must be 'pub' or 'push', not 'pair'"),
        ({"capture": "nowhere"}, "capture: 'nowhere' must begin with"),
        ({"capture": []}, "capture: at least one endpoint is needed"),
    ],
)
def test_a_mistake_is_named(impl: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        StreamerDevice(ANY, ANY, impl=impl, **options)


def test_a_place_is_bound_once(impl: str) -> None:
    where = free_endpoint()
    with pytest.raises(ConfigError, match="for frontend as well"):
        StreamerDevice(where, ANY, impl=impl, capture=where)


def test_the_command_captures(impl: str, peers: Peers) -> None:
    options = ("--frontend", ANY, "--backend", ANY, "--capture", ANY, "--capture-as", "push")
    with contextlib.closing(Command("device", "streamer", *options, "--impl", impl)) as command:
        ready = command.ready()
        source = peers.socket(zmq.PUSH, ready["frontend"])
        target = peers.socket(zmq.PULL, ready["backend"])
        looks = peers.socket(zmq.PULL, ready["capture"])
        watching([looks], lambda: (source.send(b"poke"), target.recv()))
        source.send(b"task")
        assert looks.recv() == b"task"
