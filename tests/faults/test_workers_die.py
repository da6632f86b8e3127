"""Workers that are killed, that freeze, and that only look dead."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from clients import CountingClient
from harness import Peers
from watch import SCHEDULING_SLACK, lost, reaches, stays

INTERVAL = 0.2
LIVENESS = 3
#: What detection may take beyond interval x liveness.
MARGIN = 0.05
#: Requests live that long where a test waits for their end.
SHORT_TTL = 0.5


@pytest.mark.parametrize(
    ("fault", "blow"),
    [
        ("idle worker killed (SIGKILL)", signal.SIGKILL),
        ("idle worker frozen (SIGSTOP)", signal.SIGSTOP),
    ],
    ids=["killed", "frozen"],
)
def test_an_idle_worker_lost_at_any_place_in_the_order_is_noticed_in_time(
    broker: Any, peers: Peers, worker_process: Any, record: Any, fault: str, blow: int
) -> None:
    lru = broker(heartbeat_interval=INTERVAL, liveness=LIVENESS)
    living = []
    for number in range(5):
        living.append(worker_process(lru.backend, f"w{number}"))
        reaches(lru, workers_idle=number + 1)
    places: dict[str, Callable[[int], int]] = {
        "head": lambda _: 0,
        "middle": lambda count: count // 2,
        "tail": lambda count: count - 1,
    }
    detection = {}
    for place, index in places.items():
        victim = living.pop(index(len(living)))
        began = time.monotonic()
        victim.signal(blow)
        reaches(lru, workers=len(living), workers_idle=len(living))
        detection[place] = time.monotonic() - began
    record(fault, **{f"{place}_ms": seconds * 1000 for place, seconds in detection.items()})
    assert max(detection.values()) <= INTERVAL * LIVENESS + MARGIN + SCHEDULING_SLACK

    client = peers.req(lru.frontend)
    for worker in living:  # nobody else was touched: they answer, and in the order of before
        client.send(b"who?")
        assert client.recv_multipart() == [worker.name.encode(), b"who?"]
    assert lru.stats()["workers_lost"] == len(places)


def test_the_request_of_a_killed_worker_is_done_by_another_once(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(retries=1)
    victim = worker_process(lru.backend, "victim")
    reaches(lru, workers_idle=1)
    other = worker_process(lru.backend, "other")
    reaches(lru, workers_idle=2)
    client = CountingClient(peers, lru.frontend)
    client.ask(b"hold this")
    assert victim.expect("got") == "hold this"
    began = time.monotonic()
    victim.signal(signal.SIGKILL)
    assert other.expect("got") == "hold this"
    moved = time.monotonic() - began
    other.tell("go")
    assert client.answer() == [b"other", b"hold this"]
    twice = client.delivered_twice()
    assert twice == 0
    stats = reaches(lru, in_flight=0)
    assert (stats["redispatched"], stats["replied"], stats["workers_lost"]) == (1, 2, 1)
    record(
        "busy worker killed (SIGKILL)",
        retries=1,
        redispatched_ms=moved * 1000,
        lost=lost(stats),
        delivered_twice=twice,
    )


def test_the_request_of_a_killed_worker_fails_by_its_deadline_without_retries(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(retries=0, request_ttl=SHORT_TTL)
    victim = worker_process(lru.backend, "victim")
    reaches(lru, workers_idle=1)
    client = CountingClient(peers, lru.frontend)
    began = time.monotonic()
    client.ask(b"hold this")
    victim.expect("got")
    victim.signal(signal.SIGKILL)
    stats = reaches(lru, workers_lost=1)
    assert stats["in_flight"] == 1 or stats["failed"] == 1
    stats = reaches(lru, failed_expired_in_flight=1)
    took = time.monotonic() - began
    assert took <= SHORT_TTL + MARGIN + SCHEDULING_SLACK
    assert (stats["accepted"], stats["failed"], stats["replied"]) == (1, 1, 0)
    worker_process(lru.backend, "other")
    reaches(lru, workers_idle=1)  # a process takes its time to start, and a request has little
    twice = client.delivered_twice()
    assert twice == 0
    record(
        "busy worker killed (SIGKILL)",
        retries=0,
        failed_ms=took * 1000,
        lost=lost(lru.stats()),
        delivered_twice=twice,
    )


def test_a_thawed_workers_reply_is_dropped_when_another_has_answered(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(retries=1, heartbeat_interval=INTERVAL, liveness=LIVENESS)
    frozen, client = _frozen_with_a_request(lru, peers, worker_process)
    other = worker_process(lru.backend, "other")
    assert other.expect("got") == "hold this"
    other.tell("go")
    assert client.answer() == [b"other", b"hold this"]
    _thaw(frozen)
    frozen.tell("go")
    stats = reaches(lru, workers=2)  # its late reply tells that it is free again
    assert stats["drop_reply_late"] + stats["drop_reply_duplicate"] == 1
    twice = client.delivered_twice()
    assert twice == 0
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="answered by another",
        delivered_twice=twice,
        lost=lost(lru.stats()),
    )


def test_a_thawed_worker_gets_its_request_again_when_there_is_no_other(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(retries=1, heartbeat_interval=INTERVAL, liveness=LIVENESS)
    frozen, client = _frozen_with_a_request(lru, peers, worker_process)
    reaches(lru, queued=1, in_flight=0)
    _thaw(frozen)
    frozen.tell("go")  # the reply to the ticket that is void now
    assert frozen.expect("got") == "hold this"
    frozen.tell("go")
    assert client.answer() == [b"frozen", b"hold this"]
    twice = client.delivered_twice()
    assert twice == 0
    stats = reaches(lru, in_flight=0)
    assert (stats["drop_reply_late"], stats["redispatched"]) == (1, 1)
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="done again",
        delivered_twice=twice,
        lost=lost(stats),
    )


def test_a_thawed_workers_reply_is_delivered_when_nobody_else_could_answer(
    broker: Any, peers: Peers, worker_process: Any, record: Any
) -> None:
    lru = broker(retries=0, heartbeat_interval=INTERVAL, liveness=LIVENESS)
    # A name of its own is by what the broker knows it again on its new connection.
    frozen, client = _frozen_with_a_request(lru, peers, worker_process, identity="frozen")
    _thaw(frozen)
    frozen.tell("go")
    assert client.answer() == [b"frozen", b"hold this"]
    twice = client.delivered_twice()
    assert twice == 0
    stats = reaches(lru, in_flight=0, workers=1)
    assert stats["replied"] == 2
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="late but first",
        delivered_twice=twice,
        lost=lost(stats),
    )


@pytest.mark.parametrize("times", [4, pytest.param(10, marks=pytest.mark.long)])
def test_a_worker_that_only_computes_for_long_is_not_taken_for_dead(
    broker: Any, peers: Peers, worker_process: Any, record: Any, times: int
) -> None:
    interval = 0.1
    lru = broker(heartbeat_interval=interval, liveness=LIVENESS)
    worker = worker_process(lru.backend, "slow")
    client = CountingClient(peers, lru.frontend)
    client.ask(b"hold this")
    worker.expect("got")
    stays(lru, times * interval * LIVENESS, workers=1, workers_lost=0, in_flight=1)
    worker.tell("go")
    assert client.answer() == [b"slow", b"hold this"]
    stats = lru.stats()
    record(
        "worker busy for many times its liveness",
        false_expiries=stats["workers_lost"],
        busy_ms=times * interval * LIVENESS * 1000,
    )
    assert (stats["workers_lost"], stats["workers_joined"]) == (0, 1)


# -- parts of the scenes -----------------------------------------------------------------------


def _frozen_with_a_request(
    lru: Any, peers: Peers, worker_process: Any, **options: str
) -> tuple[Any, CountingClient]:
    """A worker that was stopped with a request in hand and given up by the broker; the client."""
    worker = worker_process(lru.backend, "frozen", **options)
    worker.expect("connected")
    client = CountingClient(peers, lru.frontend)
    client.ask(b"hold this")
    worker.expect("got")
    worker.signal(signal.SIGSTOP)
    reaches(lru, workers=0, workers_lost=1)
    return worker, client


def _thaw(worker: Any) -> None:
    """Let it run; what it says before it has a new connection would be lost with the old one."""
    worker.signal(signal.SIGCONT)
    worker.expect("connected")
