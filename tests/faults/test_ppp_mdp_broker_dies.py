"""PPP and MDP: long work, and a broker that is killed, drained, or stopped a while."""

from __future__ import annotations

import json
import signal
import time
from typing import Any

import pytest
from crew import DialectClient, Hand
from harness import Peers, wait_until
from protocol_frames import DIALECTS, MDP02, PPP, Dialect
from watch import SCHEDULING_SLACK, lost, reaches

from brigantine import ledger_holds

pytest_plugins = ("dialect_fixtures",)

INTERVAL = 0.15
LIVENESS = 3
TIMES = {"heartbeat_interval": INTERVAL, "liveness": LIVENESS}
#: What detection may take beyond interval x liveness.
MARGIN = 0.05
#: How old the loop's idea of the time may be: it looks at the clock once a turn, before it reads.
A_TURN = 0.05


@pytest.mark.parametrize("times", [4, pytest.param(10, marks=pytest.mark.long)])
def test_busy_workers_that_heartbeat_or_are_allowed_to_be_silent_are_not_expired(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, times: int
) -> None:
    """All protocols at once: the test is as long as the work."""
    interval = 0.1
    working = times * interval * LIVENESS
    busy_liveness = times * LIVENESS + 3
    beat = {"heartbeat_interval": interval, "liveness": LIVENESS}
    beating: list[tuple[Dialect, Any, Hand, DialectClient]] = []
    silent: list[tuple[Dialect, Any, Hand, DialectClient]] = []
    for dialect in DIALECTS.values():
        for scenes, options in ((beating, {}), (silent, {"busy_liveness": busy_liveness})):
            broker = dialect_broker(dialect, **beat, **options)
            worker = hand(dialect, broker.backend, interval=interval / 3)
            client = DialectClient(peers, broker.frontend, dialect)
            client.ask(b"hold this")
            worker.expect("got")
            scenes.append((dialect, broker, worker, client))
    since = {}
    for dialect, _, worker, _ in silent:
        worker.tell("mute")
        since[dialect] = float(worker.expect("muted"))
    _outlives([broker for _, broker, _, _ in beating + silent], working)
    for dialect, broker, worker, client in beating:
        worker.tell("go")
        assert client.answer() == [b"worker", b"hold this"]
        record(
            "worker busy for many times its liveness",
            protocol=dialect.name,
            busy_ms=working * 1000,
            false_expiries=_expired(broker),
        )
    for dialect, broker, _, _ in silent:  # allowed to, but not for ever
        reaches(broker, workers_expired=1, workers=0)
        took = time.monotonic() - since[dialect]
        record(
            "worker busy for many times its liveness",
            protocol=dialect.name,
            silent_and_busy_expired_ms=took * 1000,
        )
        assert interval * busy_liveness - A_TURN <= took
        assert took <= interval * busy_liveness + MARGIN + SCHEDULING_SLACK


def test_a_worker_that_was_silent_at_work_is_soon_expired_when_it_is_idle_and_silent(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any
) -> None:
    """All protocols at once."""
    idle_since = {}
    brokers = {}
    for dialect in DIALECTS.values():
        broker = brokers[dialect] = dialect_broker(dialect, busy_liveness=1000, **TIMES)
        worker = hand(dialect, broker.backend, interval=INTERVAL / 3)
        client = DialectClient(peers, broker.frontend, dialect)
        client.ask(b"hold this")
        worker.expect("got")
        worker.tell("mute")
        worker.expect("muted")
        worker.tell("go")
        assert client.answer() == [b"worker", b"hold this"]
        idle_since[dialect] = time.monotonic()
    for dialect, broker in brokers.items():
        reaches(broker, workers_expired=1, workers=0)
        took = time.monotonic() - idle_since[dialect]
        record(
            "worker busy for many times its liveness",
            protocol=dialect.name,
            idle_and_silent_expired_ms=took * 1000,
        )
        assert took <= INTERVAL * LIVENESS + MARGIN + SCHEDULING_SLACK


def _outlives(brokers: list[Any], seconds: float) -> None:
    """Watch for so long that no worker is lost."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for broker in brokers:
            assert broker.stats()["workers_lost"] == 0, broker.stats()
        time.sleep(0.01)


def _expired(broker: Any) -> int:
    expired: int = broker.stats()["workers_expired"]
    return expired


def test_after_a_crash_all_workers_are_ready_again_at_the_broker_on_the_same_port(
    dialect_process: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_process(dialect, **TIMES)
    endpoints = broker.frontend, broker.backend
    workers = [
        hand(dialect, broker.backend, f"w{number}", interval=INTERVAL, liveness=LIVENESS)
        for number in range(3)
    ]
    reaches(broker, workers=3)
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"hold this")
    wait_until(lambda: any(worker.has_said("got") for worker in workers), "one is busy")
    broker.signal(signal.SIGKILL)
    broker.wait()
    began = time.monotonic()
    broker = dialect_process(dialect, *endpoints, **TIMES)
    ready = time.monotonic()
    client.ask(b"again")
    assert client.answer()[-1] == b"again"
    replied = time.monotonic()
    for worker in workers:  # the one that was busy has nobody to give its reply to any more
        worker.tell("go")
    stats = reaches(broker, workers=3, workers_idle=3)
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
    assert (twice, client.replies[b"hold this"]) == (0, 0)


def test_sigterm_under_load_finishes_accepted_work_and_disconnects_the_workers(
    dialect_process: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_process(dialect)
    slow = hand(dialect, broker.backend, "slow")
    held = DialectClient(peers, broker.frontend, dialect)
    held.ask(b"hold this")
    slow.expect("got")
    quick = [hand(dialect, broker.backend, f"w{number}") for number in range(2)]
    reaches(broker, workers=3)
    client = DialectClient(peers, broker.frontend, dialect)
    asked = 200
    for number in range(asked):
        client.ask(b"%d" % number)
    for _ in range(asked // 4):
        client.answer()
    broker.signal(signal.SIGTERM)
    began = time.monotonic()
    refused = 0
    while not broker.stats()["shed_draining"]:  # it drains, and goes on with what it has
        client.ask(b"too late?")
        refused += 1
        time.sleep(0.01)
    assert broker.running(), "a request is still in flight"
    slow.tell("go")
    stats = json.loads(broker.expect("ended"))
    took = time.monotonic() - began
    assert held.answer() == [b"slow", b"hold this"]
    while sum(client.replies.values()) < stats["replied"] - 1:
        client.answer()
    for worker in (slow, *quick) if dialect.mdp else ():
        worker.expect("disconnect")
    record(
        "broker told to stop under load (SIGTERM)",
        accepted=stats["accepted"],
        replied=stats["replied"],
        shed_draining=stats["shed_draining"],
        lost=lost(stats),
        exit_ms=took * 1000,
    )
    assert ledger_holds(stats)
    assert stats["accepted"] - stats["shed_draining"] == stats["replied"] >= asked + 1
    assert stats["failed"] == stats["queued"] == stats["in_flight"] == 0
    assert stats["shed"] == stats["shed_draining"] <= refused


@pytest.mark.parametrize(
    "stopped", [0.8, pytest.param(10.0, marks=pytest.mark.long)], ids=["short", "10s"]
)
def test_a_broker_that_stood_still_expires_no_worker(
    dialect_process: Any, hand: Any, peers: Peers, record: Any, stopped: float
) -> None:
    """All protocols at once: they stand still together."""
    scenes = []
    for dialect in DIALECTS.values():
        broker = dialect_process(dialect, **TIMES)
        busy = hand(dialect, broker.backend, "busy", interval=INTERVAL / 3)
        client = DialectClient(peers, broker.frontend, dialect)
        client.ask(b"hold this")
        busy.expect("got")
        for number in range(5):
            hand(dialect, broker.backend, f"idle {number}", interval=INTERVAL / 3)
        # Heartbeats of the others wait in the broker's buffers when it wakes; of this one that
        # stands still as well (a suspended machine) there are none.
        twin = hand(dialect, broker.backend, "twin", process=True, interval=INTERVAL / 3)
        reaches(broker, workers=7)
        scenes.append((dialect, broker, busy, client, twin))
    for _, broker, _, _, twin in scenes:
        twin.signal(signal.SIGSTOP)
        broker.signal(signal.SIGSTOP)
    time.sleep(stopped)  # the fault itself: it has a length, and no end that could be waited for
    for _, broker, _, _, twin in scenes:
        broker.signal(signal.SIGCONT)
        twin.signal(signal.SIGCONT)
    _outlives([broker for _, broker, _, _, _ in scenes], INTERVAL * LIVENESS * 1.5)
    for dialect, broker, busy, client, _ in scenes:
        busy.tell("go")
        assert client.answer() == [b"busy", b"hold this"]
        for _ in range(6):
            client.ask(b"and the idle ones?")
            assert client.answer()[0] != b"busy"
        stats = broker.stats()
        record(
            "broker frozen for a while (SIGSTOP)",
            protocol=dialect.name,
            stopped_s=stopped,
            false_expiries=stats["workers_lost"],
            pauses=stats["pauses"],
            lost=lost(stats),
        )
        assert stats["pauses"] >= 1
        assert (stats["workers"], stats["workers_lost"], stats["workers_joined"]) == (7, 0, 7)


@pytest.mark.parametrize("dialect", [PPP, MDP02], ids=["ppp", "mdp02"])
def test_a_worker_that_lost_its_broker_gives_up_what_it_held(
    dialect_process: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    """A request whose worker has begun anew is done again, once, by whoever is free."""
    broker = dialect_process(dialect, retries=1, **TIMES)
    worker: Hand = hand(dialect, broker.backend, interval=INTERVAL, liveness=LIVENESS)
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"hold this")
    worker.expect("got")
    broker.signal(signal.SIGSTOP)
    worker.expect("silence")
    broker.signal(signal.SIGCONT)
    worker.expect("got")
    worker.tell("go")
    assert client.answer() == [b"worker", b"hold this"]
    twice = client.delivered_twice()
    assert twice == 0
    stats = reaches(broker, in_flight=0)
    record(
        "broker frozen for a while (SIGSTOP)",
        case="its worker gave it up",
        delivered_twice=twice,
        lost=lost(stats),
    )
    assert stats["redispatched"] == 1
