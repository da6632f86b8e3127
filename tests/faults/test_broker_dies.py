"""A broker that is killed, told to stop, or stopped for a while."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from clients import CountingClient
from harness import PATIENCE, Peers, wait_until
from programs import command_line_broker
from watch import SCHEDULING_SLACK, final_counters, lost, reaches

from brigantine import ledger_holds
from brigantine.config.limits import MAX_SLEEP
from brigantine.workers.lru import LRUWorker

INTERVAL = 0.2
#: So long an interval that what is noticed sooner is not noticed by it.
SELDOM = 30.0
LIVENESS = 3


class Handlers:
    """LRUWorkers in threads; each holds a request ``hold`` until ``release`` is set."""

    def __init__(self, endpoint: str, count: int) -> None:
        self.holding = threading.Event()
        self.release = threading.Event()
        self.workers = [
            LRUWorker(endpoint, self._handle, heartbeat_interval=INTERVAL).start()
            for _ in range(count)
        ]

    def close(self) -> None:
        self.release.set()
        for worker in self.workers:
            worker.stop()

    def _handle(self, body: bytes) -> bytes:
        if body == b"hold":
            self.holding.set()
            assert self.release.wait(PATIENCE)
        return body


@pytest.fixture
def handlers() -> Iterator[Any]:
    made: list[Handlers] = []

    def start(endpoint: str, count: int) -> Handlers:
        made.append(Handlers(endpoint, count))
        return made[-1]

    yield start
    for each in made:
        each.close()


def test_after_a_crash_all_workers_are_ready_again_at_the_broker_on_the_same_port(
    broker_process: Any, handlers: Any, peers: Peers, record: Any
) -> None:
    lru = broker_process()
    endpoints = lru.frontend, lru.backend
    workers = handlers(lru.backend, 3)
    reaches(lru, workers=3)
    client = CountingClient(peers, lru.frontend)
    client.ask(b"hold")
    assert workers.holding.wait(PATIENCE)
    lru.signal(signal.SIGKILL)
    lru.wait()
    began = time.monotonic()
    lru = broker_process(*endpoints)
    ready = time.monotonic()
    client.ask(b"again")
    assert client.answer() == [b"again"]
    replied = time.monotonic()
    workers.release.set()  # the one that was busy has nobody to give its reply to any more
    stats = reaches(lru, workers_idle=3)
    again = time.monotonic()
    twice = client.delivered_twice()
    record(
        "broker killed and started again",
        workers=stats["workers"],
        start_s=round(ready - began, 2),
        first_reply_s=round(replied - ready, 2),
        all_ready_s=round(again - ready, 2),
        delivered_twice=twice,
    )
    assert (twice, client.replies[b"hold"]) == (0, 0)
    assert (stats["workers"], stats["workers_joined"], stats["ready_again"]) == (3, 3, 0)


def test_sigterm_under_load_loses_no_accepted_request(
    impl: str, processes: Any, worker_process: Any, peers: Peers, tmp_path: Path, record: Any
) -> None:
    log = tmp_path / "log"
    lru, frontend, backend = command_line_broker(impl, log)
    processes.append(lru)
    # One worker is at work all the while, and ends only once the broker is draining.
    slow = worker_process(backend, "slow")
    held = CountingClient(peers, frontend)
    held.ask(b"hold this")
    slow.expect("got")
    for number in range(2):
        worker_process(backend, f"w{number}")
    load = _Load(peers, frontend, clients=20)
    wait_until(lambda: load.turn() >= 200, "the load runs")
    lru.signal(signal.SIGTERM)
    began = time.monotonic()
    wait_until(lambda: load.turn() and "draining" in log.read_text(), "the broker drains")
    draining = load.replies
    assert lru.running(), "a request is still in flight"
    slow.tell("go")
    wait_until(lambda: load.turn() and not lru.running(), "the broker has ended")
    took = time.monotonic() - began
    assert lru.wait() == 0
    assert held.answer() == [b"slow", b"hold this"]
    stats = final_counters(log)
    wait_until(lambda: load.turn() + 1 >= stats["replied"], "all replies have come")
    record(
        "broker told to stop under load (SIGTERM)",
        accepted=stats["accepted"],
        replied=stats["replied"],
        shed_draining=stats["shed_draining"],
        lost=lost(stats),
        exit_ms=took * 1000,
    )
    assert ledger_holds(stats)
    assert load.turn() + 1 == stats["replied"] >= draining
    assert stats["failed"] == stats["queued"] == stats["in_flight"] == 0
    assert stats["shed"] == stats["shed_draining"]


class _Load:
    """REQ clients that ask again as soon as they have their reply."""

    def __init__(self, peers: Peers, endpoint: str, clients: int) -> None:
        self._poller = zmq.Poller()
        self.replies = 0
        for _ in range(clients):
            client = peers.req(endpoint)
            client.send(b"load")
            self._poller.register(client, zmq.POLLIN)

    def turn(self) -> int:
        """Take the replies that are there; how many have come in all."""
        for client, _ in self._poller.poll(1):
            assert client.recv_multipart()[-1] == b"load"
            self.replies += 1
            client.send(b"load")
        return self.replies


@pytest.mark.parametrize(
    ("stopped", "interval"),
    [(1.5, INTERVAL), (2.5, SELDOM), pytest.param(10.0, INTERVAL, marks=pytest.mark.long)],
    ids=["1.5s", "2.5s-seldom-heartbeats", "10s"],
)
def test_a_broker_that_stood_still_neither_expires_workers_nor_requests(
    broker_process: Any,
    worker_process: Any,
    peers: Peers,
    record: Any,
    stopped: float,
    interval: float,
) -> None:
    ttl = 1.75
    lru = broker_process(heartbeat_interval=interval, liveness=LIVENESS, request_ttl=ttl)
    client = CountingClient(peers, lru.frontend)
    bodies = (b"hold and answer", b"hold for ever")
    busy = [worker_process(lru.backend, "busy") for _ in bodies]
    reaches(lru, workers_idle=len(busy))  # they come first in the order
    for number in range(3):
        worker_process(lru.backend, f"idle {number}")
    reaches(lru, workers_idle=5)
    for body in bodies:
        asked = time.monotonic()
        client.ask(body)
    reaches(lru, in_flight=len(bodies))
    lru.signal(signal.SIGSTOP)
    time.sleep(stopped)  # the fault itself: it has a length, and no end that could be waited for
    lru.signal(signal.SIGCONT)
    woken = time.monotonic()
    stats = lru.stats()
    first_look = time.monotonic() - woken
    holders = {worker.expect("got").encode(): worker for worker in busy}
    holders[b"hold and answer"].tell("go")
    assert client.answer() == [b"busy", b"hold and answer"]
    client.ask(b"and the idle ones?")
    assert client.answer()[0].startswith(b"idle")
    stats = reaches(lru, failed_expired_in_flight=1)
    lived = time.monotonic() - asked
    record(
        "broker frozen for a while (SIGSTOP)",
        stopped_s=stopped,
        false_expiries=stats["workers_lost"],
        pauses=stats["pauses"],
        first_look_ms=first_look * 1000,
        request_lived_s=round(lived, 2),
        lost=lost(stats),
    )
    assert stats["pauses"] >= 1
    assert (stats["workers"], stats["workers_lost"], stats["failed"]) == (5, 0, 1)
    # What the loop had meant to sleep when it was stopped counts as time that went by.
    assert stopped + ttl - MAX_SLEEP <= lived <= stopped + ttl + 1.0 + SCHEDULING_SLACK
