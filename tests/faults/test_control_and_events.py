"""Control endpoint and events under abuse: who routes requests must not notice."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from typing import Any

import msgpack
import pytest
from clients import Bystander
from harness import Peers, wait_until
from watch import lost, reaches
from zmtp import QUIET, RawPeer, frame_header, message, opening

from brigantine import AnyBroker, ledger_holds

ANY = "tcp://127.0.0.1:*"

#: What the figures are printed under.
FAULT = "crowds and junk at the control endpoint and the events"
#: The longest that a round trip of the bystander may take: far more than it does, and far less than
#: a loop that waits for somebody.
PATIENCE_MS = 5000.0


def nonsense(chance: random.Random) -> list[bytes]:
    words = [b"", b"stats", b"stop\0", b"STOP", b"drain ", b"\xff" * 1024, chance.randbytes(20)]
    frames = chance.choices(words, k=chance.randint(1, 8))
    return [b"\0not a command", *frames]


def test_garbage_on_the_control_endpoint_disturbs_nobody(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(control=ANY, heartbeat_interval=QUIET)
    worker_process(lru.backend)
    reaches(lru, workers=1)
    chance, count = random.Random(1), 2000
    with Bystander(lru.frontend) as bystander:
        bystander.round_trips(5)
        for garbage in (
            b"GET / HTTP/1.1\r\n\r\n",
            chance.randbytes(4096),
            opening() + frame_header(0, 1 << 40),
            opening() + message([bytes(1 << 20)]),
        ):
            with RawPeer(lru.control, shake_hands=False) as raw:
                with contextlib.suppress(OSError):  # it may hang up in the middle
                    raw.send_bytes(garbage)
                    raw.finish_sending()
                assert raw.hung_up()
        with RawPeer(lru.control) as half:  # a message without an end
            half.send_bytes(frame_header(1, 5) + b"stats")
            with RawPeer(lru.control) as deaf:  # reads no answer
                deaf.send_bytes(b"".join(message(nonsense(chance)) for _ in range(count)))
                wait_until(lambda: lru.stats()["drop_control"] >= count, "all of it is counted")
                req = peers.req(lru.control)
                req.send(b"stats")
                status, body = req.recv_multipart()
        bystander.round_trips(5)
    assert status == b"200"
    stats = msgpack.unpackb(body)
    assert stats["control_requests"] == 1
    assert not lru.told_to_end
    assert bystander.longest_ms < PATIENCE_MS
    record(FAULT, refused=lru.stats()["drop_control"], longest_ms=bystander.longest_ms,
           lost=lost(lru.stats()))  # fmt: skip


@pytest.mark.parametrize(
    "count", [3000, pytest.param(100_000, marks=pytest.mark.long)], ids=["3k", "100k"]
)
def test_a_slow_reader_of_events_never_slows_the_loop(
    impl: str, worker_process: Any, record: Any, count: int
) -> None:
    """Workers come and go, and requests are shed, for a service that the bystander does not use."""
    limit, joins = 10, 20
    ask = [b"MDPC02", b"\x01", b"storm", b"x"]
    with contextlib.ExitStack() as stack:
        made = stack.enter_context(
            AnyBroker(ANY, ANY, impl=impl, queue_limit=1, heartbeat_interval=QUIET)
        )
        worker_process(made.backend)
        reaches(made, workers=1)
        bystander = stack.enter_context(Bystander(made.frontend))
        storm = stack.enter_context(RawPeer(made.frontend))
        with made.events(limit=limit) as slow, made.events(limit=10 * count) as quick:
            for number in range(1, joins + 1):
                with RawPeer(made.backend) as worker:
                    worker.send([b"MDPW02", b"\x01", b"storm"])
                    reaches(made, workers_joined=1 + number)
                reaches(made, workers_lost=number)
            storm.send_bytes(message(ask) * (count + 1))
            reaches(made, shed=count, queued=1)
            happened = 2 * joins + count
            told, accounted = [], 0
            while accounted < happened:
                event = quick.next(0.2)
                if event is not None:
                    told.append(event)
                    accounted += 1 + event.missed
                else:  # how many were missed last is told by what comes next
                    storm.send(ask)
                    happened += 1
            stats = reaches(made, shed=happened - 2 * joins)
            assert Counter(event.kind for event in told[: 2 * joins]) == {
                "joined": joins,
                "lost": joins,
            }
            assert {event[2:5] for event in told[2 * joins :]} == {
                (None, b"storm", "shed_queue_full")
            }
            assert [slow.next(0) for _ in range(limit)] == told[:limit]
            assert slow.next(0) is None
            assert stats["events_missed"] >= happened - limit
        bystander.round_trips(5)
        assert ledger_holds(made.stats())
        record(
            FAULT, events=happened, missed=stats["events_missed"],
            missed_by_a_quick_reader=happened - len(told), longest_ms=bystander.longest_ms,
            lost=lost(stats),
        )  # fmt: skip
    assert bystander.longest_ms < PATIENCE_MS
