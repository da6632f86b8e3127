"""``broker.events()``: what is told, to how many, and what a reader that is too slow misses."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import msgpack
import pytest
import zmq
from doubles import program
from harness import Peers, wait_until

from brigantine import AnyBroker, BrokerConfig, ConfigError, Event, LRUBroker
from brigantine.broker.event_reader import Events
from brigantine.events import KINDS
from brigantine.wire.loop import STOP, TAG_BYTES, WATCH

ANY = "tcp://127.0.0.1:*"
INTERVAL = 0.1
Made = Callable[..., AnyBroker]


@pytest.fixture
def make(impl: str) -> Iterator[Made]:
    """``make(**options)`` starts an AnyBroker on free ports; all are stopped at the end."""
    made: list[AnyBroker] = []

    def start(**options: Any) -> AnyBroker:
        made.append(AnyBroker(ANY, ANY, impl=impl, **options))
        return made[-1]

    yield start
    for each in made:
        each.stop()


def told(events: Events, kind: str) -> Event:
    """The next event, which must come in time and be of that kind."""
    event = events.next(10)
    assert event is not None
    assert event.kind == kind, event
    return event


def shed(broker: AnyBroker, peers: Peers, count: int) -> None:
    """Have a broker with queue_limit=0 shed that many requests."""
    before = broker.stats()["shed"]
    client = peers.dealer(broker.frontend)
    for _ in range(count):
        client.send_multipart([b"", b"x"])
    wait_until(lambda: broker.stats()["shed"] == before + count, "all are shed")


# -- what is told ---------------------------------------------------------------------------------


def test_a_life_is_told_from_joined_to_stopped(make: Made, peers: Peers) -> None:
    began = time.monotonic()
    made = make(retries=1, queue_limit=1, heartbeat_interval=INTERVAL, request_ttl=60.0)
    events = made.events()
    mute = peers.dealer(made.backend, identity=b"mute")  # never heard of again
    mute.send_multipart([b"MDPW02", b"\x01", b"echo"])
    assert told(events, "joined")[2:] == (b"mute", b"echo", "workers_joined", 0)
    client = peers.dealer(made.frontend)
    client.send_multipart([b"MDPC02", b"\x01", b"echo", b"x"])
    assert told(events, "expired")[2:5] == (b"mute", b"echo", "workers_expired")
    assert told(events, "redispatched")[2:5] == (b"mute", b"echo", "redispatched")
    client.send_multipart([b"MDPC02", b"\x01", b"s" * 1000, b"x"])
    assert told(events, "shed")[2:5] == (None, b"s" * 255, "shed_queue_full")
    polite = peers.dealer(made.backend, identity=b"polite")
    polite.send_multipart([b"MDPW02", b"\x01", b"other"])
    told(events, "joined")
    polite.send_multipart([b"MDPW02", b"\x06"])
    assert told(events, "disconnected")[2:5] == (b"polite", b"other", "workers_disconnected")
    polite.send_multipart([b"MDPW02", b"\x01", b"mmi.mine"])
    assert told(events, "refused")[2:5] == (b"polite", b"mmi.mine", "drop_ready_refused")
    bare = peers.worker(made.backend, identity=b"bare")
    assert told(events, "joined")[2:4] == (b"bare", b"")
    bare.close()
    assert told(events, "lost")[2:5] == (b"bare", b"", "workers_lost")
    made.drain(timeout=0)
    assert told(events, "draining")[2:] == (None, None, None, 0)
    made.stop()
    assert told(events, "failed")[2:5] == (None, b"echo", "failed_stopped")
    last = told(events, "stopped")
    assert last[2:] == (None, None, None, 0)
    assert list(events) == []
    assert began <= last.time <= time.monotonic()
    assert made.stats()["events_missed"] == 0


#: HEARTBEATs to a worker that never leaves keep the loop awake, so that it knows how long it slept.
CHILD = """
import signal, zmq
from brigantine import MajordomoBroker
signal.alarm(30)
with (
    MajordomoBroker("tcp://127.0.0.1:*", heartbeat_interval=0.05, liveness=1000) as broker,
    broker.events() as events, zmq.Context() as context, context.socket(zmq.DEALER) as worker,
):
    worker.connect(broker.backend)
    worker.send_multipart([b"MDPW02", b"\\x01", b"echo"])
    for event in events:
        print(event.kind, event.reason, flush=True)
"""


def test_a_pause_is_told(impl: str) -> None:
    with program(CHILD, impl=impl) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "joined workers_joined\n"
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 0.3
        wait_until(lambda: time.monotonic() > until)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.readline() == "pause pauses\n"


def test_every_kind_says_what_it_means() -> None:
    assert all(KINDS.values())
    event = Event("joined", 1.5, b"w", b"s", "workers_joined")
    assert event.missed == 0
    with pytest.raises(AttributeError):
        event.kind = "lost"  # type: ignore[misc]


# -- readers --------------------------------------------------------------------------------------


def test_whoever_waits_is_told_that_the_broker_has_ended(make: Made) -> None:
    made = make()
    seen: list[list[str]] = []
    readers = [made.events() for _ in range(3)]
    threads = [
        threading.Thread(target=lambda each=each: seen.append([event.kind for event in each]))
        for each in readers
    ]
    for each in threads:
        each.start()
    made.stop()
    for each in threads:
        each.join(10)
        assert not each.is_alive()
    assert seen == [["stopped"]] * 3


def test_close_ends_one_reader_and_no_other(make: Made, peers: Peers) -> None:
    made = make(queue_limit=0)
    stays = made.events()
    with made.events() as leaves:
        shed(made, peers, 1)
        told(leaves, "shed")
        waiting = threading.Thread(target=lambda: list(leaves))
        waiting.start()
    waiting.join(10)
    assert not waiting.is_alive()
    assert leaves.next() is None
    shed(made, peers, 1)
    for _ in range(2):
        told(stays, "shed")


def test_nobody_is_told_before_or_after(make: Made, peers: Peers) -> None:
    made = make(queue_limit=0)
    shed(made, peers, 1)
    events = made.events()
    assert events.next(0) is None, "what was before is not told"
    assert events.next(0.01) is None
    made.stop()
    assert [event.kind for event in events] == ["stopped"]
    assert list(made.events()) == []


def test_a_forgotten_reader_is_fed_no_more(make: Made, peers: Peers) -> None:
    made = make(queue_limit=0)
    next_events = made.events(limit=1)
    del next_events
    gc.collect()
    shed(made, peers, 50)  # far more than it could keep
    with made.events() as events:
        shed(made, peers, 1)
        assert events.next(10) is not None
    assert made.stats()["events_missed"] == 0


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_a_limit_that_makes_no_sense_is_refused(make: Made, limit: Any) -> None:
    with pytest.raises(ConfigError, match="limit"):
        make().events(limit=limit)


# -- what is missed -------------------------------------------------------------------------------


def test_a_slow_reader_misses_events_and_is_told_how_many(make: Made, peers: Peers) -> None:
    made = make(queue_limit=0)
    slow, quick = made.events(limit=3), made.events()
    shed(made, peers, 10)
    assert [told(quick, "shed").missed for _ in range(10)] == [0] * 10
    wait_until(lambda: made.stats()["events_missed"] == 7, "the rest is counted")
    assert [told(slow, "shed").missed for _ in range(3)] == [0] * 3
    shed(made, peers, 2)
    assert [told(slow, "shed").missed for _ in range(2)] == [7, 0]
    shed(made, peers, 5)
    made.stop()
    assert [event.missed for event in slow] == [0, 0, 0, 2], "the last one always fits"
    assert made.stats()["events_missed"] == 9


def test_a_loop_whose_events_nobody_takes_goes_on_and_counts(
    rooms: ModuleType, peers: Peers
) -> None:
    room = 8
    ends = [peers.socket(zmq.ROUTER) for _ in range(2)]
    for name, each in zip(("front", "back"), ends, strict=True):
        each.bind(f"inproc://{name}")
    pairs: dict[str, list[zmq.Socket[bytes]]] = {}
    for name in ("control", "events"):
        ours = peers.socket(zmq.PAIR, sndhwm=room // 2, rcvhwm=room // 2)
        ours.bind(f"inproc://{name}")
        theirs = peers.socket(zmq.PAIR, f"inproc://{name}", sndhwm=room // 2, rcvhwm=room // 2)
        pairs[name] = [ours, theirs]
    control, events = pairs["control"][0], pairs["events"][0]
    loop = rooms.Loop(*ends, pairs["control"][1], BrokerConfig(queue_limit=0), None, 1, b"",
                      pairs["events"][1])  # fmt: skip
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        question = WATCH + bytes(TAG_BYTES)
        control.send(question)
        assert control.recv() == question
        client = peers.dealer("inproc://front")
        for _ in range(50):
            client.send_multipart([b"", b"x"])
        wait_until(lambda: loop.stats()["shed"] == 50, "the loop has gone on")
        assert loop.stats()["events_missed"] == 50 - room
        missed = [msgpack.unpackb(events.recv())[-1] for _ in range(room)]
        assert missed == [0] * room

        def next_is_told() -> bool:
            client.send_multipart([b"", b"x"])  # libzmq may need some time to see the room
            return bool(events.poll(1))

        wait_until(next_is_told)
        assert msgpack.unpackb(events.recv())[-1] >= 50 - room
    finally:
        control.send(STOP)
        # The last event waits for room: nothing is routed any more.
        while thread.is_alive():
            if events.poll(10):
                events.recv()
        thread.join()


def test_events_cost_nothing_while_nobody_watches(broker: Callable[..., LRUBroker]) -> None:
    lru = broker()
    assert "brigantine-events" not in {each.name for each in threading.enumerate()}
    lru.events().close()
    assert lru.stats()["events_missed"] == 0
