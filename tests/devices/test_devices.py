"""Devices from outside: raw sockets on both sides, and the handle in the middle."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import zmq
from commands import Command
from doubles import free_endpoint, open_files
from harness import PATIENCE, Peers, wait_until

from brigantine import (
    DEVICE_COUNTERS,
    BindError,
    BrokerStopped,
    ConfigError,
    ForwarderDevice,
    QueueDevice,
    StreamerDevice,
)
from brigantine.devices.base import Device
from brigantine.net import sockets
from brigantine.pure import Relay
from brigantine.wire.loop import STOP

ANY = "tcp://127.0.0.1:*"
KINDS = (QueueDevice, ForwarderDevice, StreamerDevice)
#: Milliseconds in which something that must not come would have come.
SILENCE = 150
Start = Callable[..., Any]


@pytest.fixture
def start(impl: str) -> Iterator[Start]:
    """``start(kind, **options)`` runs a device on free tcp ports; all are stopped at the end."""
    running: list[Device] = []

    def make(kind: type[Device], frontend: Any = ANY, backend: Any = ANY, **options: Any) -> Device:
        running.append(kind(frontend, backend, impl=impl, **options))
        return running[-1]

    yield make
    for each in running:
        each.stop()


def reaches(device: Device, **wanted: int) -> None:
    """Wait until the counters have these values: a message is counted when it has been passed on."""
    wait_until(lambda: wanted.items() <= device.stats().items(), f"{wanted}, not {device.stats()}")


def subscriber(peers: Peers, device: Device, topic: bytes = b"") -> zmq.Socket[bytes]:
    made = peers.socket(zmq.SUB, device.backend)
    made.subscribe(topic)
    return made


def publisher(peers: Peers, device: Device, topics: int) -> zmq.Socket[bytes]:
    """A publisher to which so many subscriptions have come."""
    made = peers.socket(zmq.XPUB, device.frontend)
    for _ in range(topics):
        made.recv()
    return made


def arbitrary_messages(count: int) -> list[list[bytes]]:
    numbers = random.Random(count)
    return [
        [numbers.randbytes(numbers.choice((0, 1, 30, 300, 9000))) for _ in range(numbers.randint(1, 9))]
        for _ in range(count)
    ]  # fmt: skip


# -- what is passed on ----------------------------------------------------------------------------


def test_a_queue_passes_requests_and_replies_on_as_they_are(start: Start, peers: Peers) -> None:
    device = start(QueueDevice)
    messages = arbitrary_messages(200)
    client, server = peers.dealer(device.frontend, identity=b"me"), peers.dealer(device.backend)
    for each in messages:
        client.send_multipart(each)
    for each in messages:
        got = server.recv_multipart()
        assert got == [b"me", *each]
        server.send_multipart([b"me", b"reply to", *got])
    for each in messages:
        assert client.recv_multipart() == [b"reply to", b"me", *each]
    size = sum(len(frame) for each in messages for frame in each)
    # How often the queue found no room is for libzmq to say: the server was connecting.
    expected = dict.fromkeys(set(DEVICE_COUNTERS) - {"waits"}, 0) | {
        "to_backend": 200, "to_backend_bytes": size + 2 * 200,
        "to_frontend": 200, "to_frontend_bytes": size + (2 + 8 + 2) * 200,
    }  # fmt: skip
    reaches(device, **expected)


def test_servers_get_requests_in_turn(start: Start, peers: Peers) -> None:
    device = start(QueueDevice)
    servers = [peers.dealer(device.backend) for _ in range(3)]
    for server in servers:  # by this the device knows it
        server.send_multipart([b"nobody", b""])
    reaches(device, drop_unroutable=3)
    clients = [peers.req(device.frontend) for _ in range(3)]
    for client in clients:
        client.send(b"hello")
    for server in servers:
        *address, body = server.recv_multipart()
        server.send_multipart([*address, body + b" world"])
    assert [client.recv() for client in clients] == [b"hello world"] * 3


def test_a_forwarder_passes_on_what_is_subscribed_to(start: Start, peers: Peers) -> None:
    device = start(ForwarderDevice)
    weather, sport = subscriber(peers, device, b"weather"), subscriber(peers, device, b"sport")
    wait_until(lambda: device.stats()["to_frontend"] == 2, "the subscriptions")
    source = peers.socket(zmq.XPUB, device.frontend)
    assert {source.recv(), source.recv()} == {b"\x01weather", b"\x01sport"}
    for topic in (b"news", b"weather", b"sport", b"weather"):
        source.send_multipart([topic, b"", b"body of " + topic])
    assert [weather.recv_multipart() for _ in range(2)] == [
        [b"weather", b"", b"body of weather"]
    ] * 2
    assert sport.recv_multipart() == [b"sport", b"", b"body of sport"]
    wait_until(lambda: device.stats()["to_backend"] == 3, "what nobody wants is not even sent")
    weather.unsubscribe(b"weather")
    assert source.recv() == b"\x00weather"


def test_many_publishers_and_many_subscribers_need_not_know_each_other(
    start: Start, peers: Peers
) -> None:
    device = start(ForwarderDevice)
    subscribers = [subscriber(peers, device) for _ in range(5)]
    publishers = [publisher(peers, device, 1) for _ in range(5)]
    # The first subscription is passed on at once, maybe before the others have come.
    wait_until(lambda: all(_hears(publishers[0], each) for each in subscribers), "all are there")
    for number, source in enumerate(publishers):
        for turn in range(20):
            source.send_multipart([b"%d" % number, b"%d" % turn])
    for each in subscribers:
        seen: dict[bytes, list[int]] = {}
        while sum(map(len, seen.values())) < 100:
            name, *rest = each.recv_multipart()
            if name != b"probe":
                seen.setdefault(name, []).append(int(rest[0]))
        assert list(seen.values()) == [list(range(20))] * 5


def _hears(source: zmq.Socket[bytes], listener: zmq.Socket[bytes]) -> bool:
    source.send(b"probe")
    return bool(listener.poll(20))


def test_a_streamer_passes_tasks_on_in_order_and_to_workers_in_turn(
    start: Start, peers: Peers
) -> None:
    device = start(StreamerDevice)
    source = peers.socket(zmq.PUSH, device.frontend)
    first = peers.socket(zmq.PULL, device.backend)
    messages = arbitrary_messages(200)
    for each in messages:
        source.send_multipart(each)
    assert [first.recv_multipart() for _ in messages] == messages
    second = peers.socket(zmq.PULL, device.backend)
    wait_until(lambda: _shared(source, first, second), "a share for the second worker")
    assert device.stats()["to_frontend"] == 0


def _shared(source: zmq.Socket[bytes], *workers: zmq.Socket[bytes]) -> bool:
    for _ in workers:
        source.send(b"task")
    ready = [bool(worker.poll(100)) for worker in workers]
    for worker in workers:
        while worker.poll(20):
            worker.recv()
    return all(ready)


def test_a_message_of_very_many_frames_passes_whole(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice)
    source = peers.socket(zmq.PUSH, device.frontend)
    worker = peers.socket(zmq.PULL, device.backend)
    frames = [b"%d" % number for number in range(20_000)]
    source.send_multipart(frames)
    source.send(b"next")
    assert worker.recv_multipart() == frames
    assert worker.recv_multipart() == [b"next"]
    reaches(device, to_backend=2, to_backend_bytes=sum(map(len, frames)) + 4)


@pytest.mark.parametrize("transport", ["ipc", "inproc"])
def test_other_transports(start: Start, peers: Peers, tmp_path: Any, transport: str) -> None:
    ends = [f"{transport}://{tmp_path}/{side}" for side in ("front", "back")]
    context = peers.context if transport == "inproc" else None
    device = start(QueueDevice, *ends, context=context)
    assert (device.frontend, device.backend) == tuple(ends)
    client, server = peers.req(ends[0]), peers.socket(zmq.REP, ends[1])
    client.send(b"question")
    assert server.recv() == b"question"
    server.send(b"answer")
    assert client.recv() == b"answer"
    device.stop()
    start(QueueDevice, *ends, context=context)  # they are free again


def test_a_bridge_connects_on_one_side_and_binds_on_the_other(start: Start, peers: Peers) -> None:
    inner = peers.socket(zmq.XPUB)
    inner.bind(ANY)
    address = inner.last_endpoint.decode()
    device = start(ForwarderDevice, f">{address}", f"@{ANY}")
    assert device.frontends == (f">{address}",)
    outside = subscriber(peers, device, b"a")
    assert inner.recv() == b"\x01a"
    inner.send(b"a message")
    assert outside.recv() == b"a message"


def test_one_connection_to_an_endpoint_that_is_given_twice(start: Start, peers: Peers) -> None:
    inner = peers.socket(zmq.XPUB)
    inner.bind(ANY)
    address = f">{inner.last_endpoint.decode()}"
    outside = subscriber(peers, start(ForwarderDevice, [address, address]))
    assert inner.recv() == b"\x01"
    for number in range(3):
        inner.send(b"%d" % number)
    assert [outside.recv() for _ in range(3)] == [b"0", b"1", b"2"]


def test_several_endpoints_on_one_side(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice, [ANY, ANY])
    worker = peers.socket(zmq.PULL, device.backend)
    for number, endpoint in enumerate(device.frontends):
        peers.socket(zmq.PUSH, endpoint).send(b"%d" % number)
    assert {worker.recv(), worker.recv()} == {b"0", b"1"}


# -- back-pressure, and what is dropped -----------------------------------------------------------


def processor_time() -> float:
    times = os.times()
    return times.user + times.system


def test_without_room_messages_wait_none_is_lost_and_no_time_is_burnt(
    start: Start, peers: Peers
) -> None:
    """libzmq's own proxy keeps a CPU busy all the time that it has nobody to pass a message to."""
    device = start(StreamerDevice, high_water_mark=5)
    source = peers.socket(zmq.PUSH, device.frontend, sndhwm=1000)
    for number in range(500):
        source.send(b"%d" % number)
    wait_until(lambda: device.stats()["held"] == 1, "the first message")
    before, began = processor_time(), time.monotonic()
    time.sleep(0.3)
    assert processor_time() - before < (time.monotonic() - began) / 3
    stats = device.stats()
    assert (stats["to_backend"], stats["held"], stats["waits"]) == (0, 1, 1)
    worker = peers.socket(zmq.PULL, device.backend)
    assert [int(worker.recv()) for _ in range(500)] == list(range(500))
    reaches(device, to_backend=500, held=0)


def test_the_other_way_goes_on_while_one_has_no_room(start: Start, peers: Peers) -> None:
    device = start(QueueDevice, high_water_mark=5)
    server = peers.socket(zmq.DEALER, device.backend, rcvhwm=1, rcvbuf=4096)
    client = peers.dealer(device.frontend, identity=b"client", sndhwm=10_000)
    client.send(b"the first")
    assert server.recv_multipart() == [b"client", b"the first"]
    for _ in range(300):
        client.send(bytes(50_000))
    wait_until(lambda: device.stats()["held"] == 1, "the queue is full")
    server.send_multipart([b"client", b"reply"])
    assert client.recv() == b"reply"
    assert device.stats()["to_backend"] < 301, "that way is still full"
    for _ in range(300):
        assert len(server.recv_multipart()[1]) == 50_000


def test_a_reply_that_can_t_be_delivered_is_counted(start: Start, peers: Peers) -> None:
    device = start(QueueDevice)
    server = peers.dealer(device.backend)
    server.send_multipart([b"nobody", b"", b"reply"])
    wait_until(lambda: device.stats()["drop_unroutable"] == 1, "an unknown peer")
    server.send(b"no address at all")
    wait_until(lambda: device.stats()["drop_malformed"] == 1, "a routing id and nothing behind it")
    assert device.stats()["to_frontend"] == 0
    client = peers.dealer(device.frontend, identity=b"somebody")
    client.send(b"hello")
    assert server.recv_multipart() == [b"somebody", b"hello"]
    server.send_multipart([b"somebody", b"reply"])  # what was dropped is gone whole
    assert client.recv_multipart() == [b"reply"]


def test_a_client_that_does_not_read_loses_its_replies_and_no_others(
    start: Start, peers: Peers
) -> None:
    device = start(QueueDevice, high_water_mark=5)
    mute = peers.dealer(device.frontend, identity=b"mute", rcvhwm=1, rcvbuf=4096)
    good = peers.dealer(device.frontend, identity=b"good")
    server = peers.dealer(device.backend, sndhwm=10_000)
    for client in (mute, good):
        client.send(b"hello")
        server.recv_multipart()
    for _ in range(300):
        server.send_multipart([b"mute", bytes(50_000), b"more"])
    server.send_multipart([b"good", b"reply"])
    assert good.recv_multipart() == [b"reply"]
    stats = wait_until(lambda: _all_seen(device, 301))
    assert stats["drop_peer_full"] > 0
    assert (stats["held"], stats["drop_unroutable"]) == (0, 0)
    for _ in range(stats["to_frontend"] - 1):
        assert mute.recv_multipart() == [bytes(50_000), b"more"]


def _all_seen(device: Device, count: int) -> dict[str, int] | None:
    stats = device.stats()
    dropped = stats["drop_peer_full"] + stats["drop_peer_behind"]
    return stats if stats["to_frontend"] + dropped == count else None


@pytest.mark.parametrize("cut", [1, 250], ids=["one frame", "250 frames"])
def test_replies_that_a_client_does_not_read_are_bounded_in_bytes(
    start: Start, peers: Peers, cut: int
) -> None:
    limit, size, count = 4 << 20, 1 << 20, 40
    device = start(QueueDevice, peer_bytes=limit)
    mute = peers.dealer(device.frontend, identity=b"mute", rcvhwm=1, rcvbuf=4096)
    good = peers.dealer(device.frontend, identity=b"good")
    server = peers.dealer(device.backend)
    for client in (mute, good):
        client.send(b"hello")
        server.recv_multipart()
    reply = [bytes(size // cut)] * cut
    for _ in range(count):
        server.send_multipart([b"mute", *reply])
    server.send_multipart([b"good", *reply])
    assert good.recv_multipart() == reply
    stats = wait_until(lambda: _all_seen(device, count + 1))
    assert stats["drop_peer_behind"] > 0
    assert stats["unsent_bytes"] <= limit + 2 * size
    for _ in range(stats["to_frontend"] - 1):
        assert mute.recv_multipart() == reply
    reaches(device, unsent_bytes=0)
    server.send_multipart([b"mute", *reply])  # it reads again, so it is sent to again
    assert mute.recv_multipart() == reply


@pytest.mark.parametrize("kind", [ForwarderDevice, StreamerDevice])
def test_a_limit_that_would_do_nothing_is_refused(kind: type[Device]) -> None:
    with pytest.raises(ConfigError, match="peer_bytes is an option of a QueueDevice, not of a"):
        kind(ANY, ANY, peer_bytes=1)


def test_a_publisher_that_comes_late_learns_of_every_subscription(
    start: Start, peers: Peers
) -> None:
    """libzmq drops subscriptions beyond a high-water mark, and tells nobody."""
    device = start(ForwarderDevice, high_water_mark=10)
    listener = peers.socket(zmq.SUB, device.backend, sndhwm=0)
    topics = {b"topic %d" % number for number in range(2000)}
    for topic in topics:
        listener.subscribe(topic)
    reaches(device, to_frontend=2000)
    source = peers.socket(zmq.XPUB, device.frontend, rcvhwm=0)
    assert {source.recv()[1:] for _ in topics} == topics
    listener.close()
    assert {source.recv() for _ in topics} == {b"\x00" + topic for topic in topics}


def test_nothing_is_sent_to_where_nobody_is(start: Start, peers: Peers) -> None:
    worker = peers.socket(zmq.PULL)
    worker.bind(ANY)
    there, not_there = f">{worker.last_endpoint.decode()}", f">{free_endpoint()}"
    device = start(StreamerDevice, ANY, [there, not_there])
    source = peers.socket(zmq.PUSH, device.frontend)
    for number in range(100):
        source.send(b"%d" % number)
    assert [int(worker.recv()) for _ in range(100)] == list(range(100))
    other = start(StreamerDevice, ANY, not_there)
    peers.socket(zmq.PUSH, other.frontend).send(b"task")
    reaches(other, held=1, to_backend=0)


class LeavesInTheMidst:
    """A PUSH socket whose peer goes behind the first frame: libzmq then refuses one, and takes the rest."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def send(self, frame: bytes, flags: int) -> None:
        if len(self.taken) == 1 and frame == b"second":
            raise zmq.Again
        self.taken.append(frame)
        assert bool(flags & zmq.SNDMORE) is (frame != b"third")


def test_the_baseline_counts_a_message_whose_peer_goes_in_its_midst(peers: Peers) -> None:
    kinds = (zmq.PULL, zmq.PUSH, zmq.PAIR)
    relay = Relay(*(peers.socket(kind) for kind in kinds))
    target: Any = LeavesInTheMidst()
    relay._ways[0].target = target
    assert relay._pass_on(relay._ways[0], [b"first", b"second", b"third"])
    assert target.taken == [b"first", b"third"]
    stats = relay.stats()
    assert (stats["drop_unroutable"], stats["to_backend"], stats["held"]) == (1, 0, 0)


def test_a_frame_above_the_limit_ends_its_connection(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice, max_message_bytes=2000)
    worker = peers.socket(zmq.PULL, device.backend)
    bad, good = (peers.socket(zmq.PUSH, device.frontend) for _ in range(2))
    bad.send(bytes(2001))
    good.send(bytes(2000))
    assert worker.recv() == bytes(2000)
    reaches(device, to_backend=1)


# -- pause and resume -----------------------------------------------------------------------------


def test_a_paused_queue_passes_nothing_on_and_loses_nothing(start: Start, peers: Peers) -> None:
    device = start(QueueDevice)
    client, server = peers.dealer(device.frontend, identity=b"c"), peers.dealer(device.backend)
    client.send(b"0")
    assert server.recv_multipart() == [b"c", b"0"]
    device.pause()
    device.pause()  # it is already
    assert device.paused
    for number in range(1, 100):
        client.send(b"%d" % number)
        server.send_multipart([b"c", b"%d" % number])
    before, began = processor_time(), time.monotonic()
    assert not server.poll(SILENCE)
    assert not client.poll(SILENCE)
    assert processor_time() - before < (time.monotonic() - began) / 3
    device.resume()
    assert not device.paused
    assert [int(server.recv_multipart()[1]) for _ in range(99)] == list(range(1, 100))
    assert [int(client.recv()) for _ in range(99)] == list(range(1, 100))


def test_once_pause_returns_nothing_is_passed_on(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice)
    worker = peers.socket(zmq.PULL, device.backend, rcvhwm=0)
    stop = threading.Event()

    def send() -> None:
        with Peers() as own:
            source = own.socket(zmq.PUSH, device.frontend, sndtimeo=50)
            number = 0
            while not stop.is_set():
                with contextlib.suppress(zmq.Again):
                    source.send(b"%d" % number)
                    number += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        received = -1
        for _ in range(10):
            passed = device.stats()["to_backend"]
            wait_until(lambda so_far=passed: device.stats()["to_backend"] > so_far + 20)
            device.pause()
            passed = device.stats()["to_backend"]
            while received + 1 < passed:
                received += 1
                assert int(worker.recv()) == received
            assert not worker.poll(20)
            assert device.stats()["to_backend"] == passed
            device.resume()
    finally:
        stop.set()
        sender.join()


def test_pause_does_not_wait_behind_messages_of_many_frames(start: Start, peers: Peers) -> None:
    ends = ("inproc://front", "inproc://back")
    device = start(StreamerDevice, *ends, context=peers.context)
    source, worker = peers.socket(zmq.PUSH, ends[0]), peers.socket(zmq.PULL, ends[1], rcvhwm=0)
    count = 80

    def all_pass() -> bool:
        """Whether a pause that comes with the first of many messages comes after the last."""
        device.pause()
        before = device.stats()["to_backend"]
        for _ in range(count):
            source.send_multipart([b""] * 5_000)
        device.resume()
        worker.recv_multipart()
        device.pause()
        passed = device.stats()["to_backend"] - before
        device.resume()
        for _ in range(count - 1):
            assert len(worker.recv_multipart()) == 5_000
        return passed == count

    # On a busy machine it may.
    assert not all(all_pass() for _ in range(5))


def test_a_forwarder_keeps_its_subscriptions_while_it_is_paused(start: Start, peers: Peers) -> None:
    device = start(ForwarderDevice)
    listener = subscriber(peers, device, b"a")
    source = publisher(peers, device, 1)
    device.pause()
    source.send(b"a: while it was paused")
    assert not listener.poll(SILENCE)
    device.resume()
    assert listener.recv() == b"a: while it was paused"


def test_a_message_without_room_waits_out_a_pause(start: Start, peers: Peers) -> None:
    device = start(StreamerDevice)
    source = peers.socket(zmq.PUSH, device.frontend)
    source.send_multipart([b"one", b"message"])
    wait_until(lambda: device.stats()["held"] == 1)
    device.pause()
    worker = peers.socket(zmq.PULL, device.backend)
    assert not worker.poll(SILENCE)
    device.resume()
    assert worker.recv_multipart() == [b"one", b"message"]


# -- how it ends ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_stops_at_once_and_can_still_be_looked_at(
    start: Start, kind: type[Device]
) -> None:
    device = start(kind, control=ANY)
    assert (device.running, device.told_to_end) == (True, False)
    assert kind.__name__ in repr(device)
    assert "running" in repr(device)
    device.stop()
    device.stop()
    assert (device.running, device.told_to_end) == (False, True)
    assert device.join(0)
    assert "stopped" in repr(device)
    assert device.stats() == dict.fromkeys(DEVICE_COUNTERS, 0)
    for method in (device.pause, device.resume):
        with pytest.raises(BrokerStopped, match="the device has ended"):
            method()


@pytest.mark.parametrize("paused", [False, True])
def test_a_device_stops_while_a_message_waits(start: Start, peers: Peers, paused: bool) -> None:
    device = start(StreamerDevice)
    peers.socket(zmq.PUSH, device.frontend).send_multipart([b"to", b"nobody"])
    wait_until(lambda: device.stats()["held"] == 1)
    if paused:
        device.pause()
    began = time.monotonic()
    device.stop()
    assert time.monotonic() - began < PATIENCE / 2
    stats = device.stats()
    assert (stats["held"], stats["drop_stopped"], stats["to_backend"]) == (0, 1, 0)


@pytest.mark.parametrize("size", [1, 50_000])
def test_what_was_passed_on_before_the_end_arrives(
    start: Start, peers: Peers, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Also what the kernel's buffers don't hold: it is on its way in libzmq when the end comes."""
    monkeypatch.setattr(sockets, "LINGER", PATIENCE)  # a second is short on a busy machine
    device = start(StreamerDevice)
    source = peers.socket(zmq.PUSH, device.frontend)
    worker = peers.socket(zmq.PULL, device.backend, rcvhwm=1, rcvbuf=1 << 16)
    for _ in range(300):
        source.send(bytes(size))
    reaches(device, to_backend=300)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(lambda: [len(worker.recv()) for _ in range(300)])
        device.stop()
        assert read.result() == [size] * 300


def test_an_endpoint_in_a_context_that_goes_on_is_free_once_stop_returns(
    start: Start, peers: Peers, tmp_path: Any
) -> None:
    device = start(StreamerDevice, ANY, f"ipc://{tmp_path}/back", context=peers.context)
    ends = (device.frontend, device.backend)
    for _ in range(5):
        source, worker = peers.socket(zmq.PUSH, ends[0]), peers.socket(zmq.PULL, ends[1])
        source.send(b"task")
        assert worker.recv() == b"task"
        for each in (source, worker):
            each.close()
        device.stop()
        device = start(StreamerDevice, *ends, context=peers.context)


def test_a_program_ends_though_its_device_was_not_stopped(impl: str) -> None:
    program = (
        "import brigantine\n"
        f"made = brigantine.QueueDevice({ANY!r}, {ANY!r}, impl={impl!r})\n"
        "print(made.frontend, flush=True)"
    )
    with Command(program=program) as command:
        assert command.line().startswith("tcp://")
        assert command.finish() == (0, b"")


def test_a_context_that_is_terminated_ends_its_device(impl: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    device = QueueDevice("inproc://front", "inproc://back", impl=impl, context=context)
    context.term()
    with pytest.raises(BrokerStopped, match="the device ended with"):
        device.join(PATIENCE)
    device.stop()


def test_a_message_that_waits_when_the_context_is_terminated_is_counted(impl: str) -> None:
    context: zmq.Context[Any] = zmq.Context()
    device = StreamerDevice("inproc://front", "inproc://back", impl=impl, context=context)
    source = context.socket(zmq.PUSH)
    source.connect(device.frontend)
    source.send(b"task")
    reaches(device, held=1)
    source.close()
    context.term()
    with pytest.raises(BrokerStopped):
        device.join(PATIENCE)
    reaches(device, held=0, drop_stopped=1)


def test_nothing_is_left_where_no_thread_can_be_started(
    impl: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    QueueDevice(ANY, ANY, impl=impl).stop()
    before = open_files()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(3):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                QueueDevice(ANY, ANY, impl=impl)
    wait_until(lambda: open_files() <= before, "the end of the contexts")


def test_a_signal_handler_may_stop_it(start: Start) -> None:
    device = start(QueueDevice)
    before = signal.signal(signal.SIGUSR1, lambda *_: device.stop())
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert device.join(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        (("tcp://127.0.0.1", ANY), {}, "frontend: 'tcp://127.0.0.1' must be tcp://HOST:PORT"),
        ((ANY, ">tcp://127.0.0.1:*"), {}, "backend: 'tcp://127.0.0.1:\\*' can be bound but not connected"),
        ((ANY, ">inproc://a"), {}, "backend: 'inproc://a' is reached only within one context"),
        ((ANY, ">ipc://*"), {}, "backend: 'ipc://\\*' can be bound but not connected to"),
        (("tcp://127.0.0.1:5", ">tcp://127.0.0.1:5"), {}, "backend: >tcp:.* is where this device"),
        (([], ANY), {}, "frontend: at least one endpoint is needed"),
        ((ANY, [5]), {}, "backend: an endpoint is a string, not 5"),
        (("ipc:///tmp/a", "@ipc:///tmp/a"), {}, "backend: 'ipc:///tmp/a' is given for frontend as well"),
        ((ANY, ANY), {"high_water_mark": 0}, "high_water_mark must be from 1"),
        ((ANY, ANY), {"max_message_bytes": 1.5}, "max_message_bytes must be a whole number"),
        ((ANY, ANY), {"control": "tcp://10.0.0.1:5"}, "control: .* can be reached from other"),
    ],
)  # fmt: skip
def test_mistakes_are_named_at_once(
    impl: str, arguments: tuple[Any, Any], options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        QueueDevice(*arguments, impl=impl, **options)


def test_an_address_in_use_is_named(start: Start) -> None:
    device = start(QueueDevice)
    with pytest.raises(BindError, match="the address is in use"):
        start(QueueDevice, device.frontend)


def test_a_relay_takes_only_the_sockets_of_a_device(rooms: Any, peers: Peers) -> None:
    router, control = peers.socket(zmq.ROUTER), peers.socket(zmq.PAIR)
    for other in (zmq.ROUTER, zmq.PUSH, zmq.XPUB):
        with pytest.raises(TypeError, match="ROUTER and DEALER, XSUB and XPUB, PULL and PUSH"):
            rooms.Relay(router, peers.socket(other), control)


LAST_WORDS = {
    "replies": (zmq.ROUTER, zmq.DEALER, False),
    "tasks": (zmq.PULL, zmq.PUSH, True),
    "what is published": (zmq.XSUB, zmq.XPUB, True),
}


@pytest.mark.parametrize("what", LAST_WORDS)
def test_what_had_come_before_the_end_was_asked_for_is_passed_on(
    rooms: Any, peers: Peers, what: str
) -> None:
    """More than is read in one turn, and the word to stop, all unread."""
    front_kind, back_kind, to_backend = LAST_WORDS[what]
    count = 900
    frontend, backend = peers.socket(front_kind), peers.socket(back_kind)
    control, told = peers.socket(zmq.PAIR), peers.socket(zmq.PAIR)
    for socket, name in ((frontend, "front"), (backend, "back"), (control, "control")):
        socket.bind(f"inproc://{name}")
    told.connect("inproc://control")
    relay = rooms.Relay(frontend, backend, control)
    if what == "replies":
        sender, taker = peers.socket(zmq.ROUTER), peers.socket(zmq.DEALER)
        taker.setsockopt(zmq.ROUTING_ID, b"client")
    elif what == "tasks":
        sender, taker = peers.socket(zmq.PUSH), peers.socket(zmq.PULL)
    else:
        sender, taker = peers.socket(zmq.PUB), peers.socket(zmq.SUB)
        taker.subscribe(b"")
    sender.connect(f"inproc://{'front' if to_backend else 'back'}")
    taker.connect(f"inproc://{'back' if to_backend else 'front'}")
    thread = threading.Thread(target=relay.run)
    head: list[bytes] = []
    if what == "replies":
        thread.start()
        taker.send_multipart([b"", b"hello"])
        head = sender.recv_multipart()[:3]
        told.send(STOP)
        thread.join(10)
        for number in range(count):
            sender.send_multipart([*head, b"%d" % number])
        relay = rooms.Relay(frontend, backend, control)
        thread = threading.Thread(target=relay.run)
    elif what == "tasks":
        for number in range(count):
            sender.send(b"%d" % number)
    else:
        backend.recv()  # the subscription
        frontend.send(b"\x01")
        sender.poll(0)
        for number in range(count):
            sender.send(b"%d" % number)
    told.send(STOP)
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    got = [taker.recv_multipart()[-1] for _ in range(count)]
    assert got == [b"%d" % number for number in range(count)]
    assert relay.stats()["to_backend" if to_backend else "to_frontend"] == count
