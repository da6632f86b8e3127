"""PPP and MDP: workers that are killed, that freeze, that fall silent."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from crew import DialectClient, Hand
from harness import Peers, wait_until
from protocol_frames import MDP02, PPP, Dialect
from watch import SCHEDULING_SLACK, lost, reaches

pytest_plugins = ("dialect_fixtures",)

INTERVAL = 0.1
LIVENESS = 3
#: What detection may take beyond interval x liveness.
MARGIN = 0.05
LIMIT = INTERVAL * LIVENESS + MARGIN
#: How old the loop's idea of the time may be: it looks at the clock once a turn, before it reads.
A_TURN = 0.05
SHORT_TTL = 0.3
#: Where the two versions of MDP differ in nothing but their frames.
ONE_OF_EACH = pytest.mark.parametrize("dialect", [PPP, MDP02], ids=["ppp", "mdp02"])
TIMES = {"heartbeat_interval": INTERVAL, "liveness": LIVENESS}
#: Places in the order of five workers.
PLACES = {"head": 0, "middle": 2, "tail": 4}


@pytest.mark.parametrize(
    ("fault", "blow"),
    [
        ("idle worker killed (SIGKILL)", signal.SIGKILL),
        ("idle worker frozen (SIGSTOP)", signal.SIGSTOP),
    ],
    ids=["killed", "frozen"],
)
def test_idle_workers_lost_at_any_place_in_the_order_are_noticed_in_time(
    dialect_broker: Any,
    hand: Any,
    peers: Peers,
    record: Any,
    dialect: Dialect,
    fault: str,
    blow: int,
) -> None:
    broker = dialect_broker(dialect, **TIMES)
    workers = _row_of_workers(broker, hand, dialect, process=True)
    began = time.monotonic()
    for index in PLACES.values():
        workers[index].signal(blow)
    left = len(workers) - len(PLACES)
    stats = reaches(broker, workers=left, workers_idle=left)
    took = time.monotonic() - began
    record(fault, detection_ms=took * 1000, limit_ms=LIMIT * 1000)
    assert took <= LIMIT + SCHEDULING_SLACK
    assert stats["workers_lost"] == len(PLACES)
    _answer_in_order(peers, broker, dialect, [workers[1], workers[3]])


def test_a_worker_whose_application_fell_silent_is_expired_though_libzmq_answers(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **TIMES)
    workers = _row_of_workers(broker, hand, dialect)
    took = {}
    silent_since = {}
    for place, index in PLACES.items():
        workers[index].tell("mute")
        silent_since[place] = float(workers[index].expect("muted"))
    for gone, place in enumerate(PLACES, start=1):
        _at_least(broker, gone)
        took[place] = time.monotonic() - silent_since[place]
    record(
        "idle worker frozen (SIGSTOP)",
        case="silent",
        **{f"{place}_ms": each * 1000 for place, each in took.items()},
    )
    assert min(took.values()) >= INTERVAL * LIVENESS - A_TURN, "expired too early"
    assert max(took.values()) <= LIMIT + SCHEDULING_SLACK
    stats = broker.stats()
    assert (stats["workers"], stats["workers_expired"], stats["workers_lost"]) == (2, 3, 3)
    _answer_in_order(peers, broker, dialect, [workers[1], workers[3]])
    # The expired are told nothing more: what they have heard does not grow any longer.
    heard = workers[0].stats()["HEARTBEAT"]
    beats = broker.stats()["heartbeats"]
    wait_until(lambda: broker.stats()["heartbeats"] >= beats + 4, "the others are told something")
    assert workers[0].stats()["HEARTBEAT"] == heard


def test_the_request_of_a_killed_worker_is_done_by_another_once(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    # RFC 7 takes workers to be idempotent: for MDP one retry is the default.
    broker = dialect_broker(dialect, **({} if dialect.mdp else {"retries": 1}))
    victim = hand(dialect, broker.backend, "victim", process=True)
    reaches(broker, workers_idle=1)
    other = hand(dialect, broker.backend, "other")
    reaches(broker, workers_idle=2)
    client = DialectClient(peers, broker.frontend, dialect)
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
    stats = reaches(broker, in_flight=0)
    assert (stats["redispatched"], stats["replied"], stats["workers_lost"]) == (1, 2, 1)
    record(
        "busy worker killed (SIGKILL)",
        retries=1,
        redispatched_ms=moved * 1000,
        lost=lost(stats),
        delivered_twice=twice,
    )


def test_without_retries_the_request_of_a_killed_worker_fails_by_its_deadline_or_at_once(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    """At once where replies may come in parts: the first ones may be lost with the connection."""
    in_parts = dialect.name == "mdp02"
    reason = "failed_worker_lost" if in_parts else "failed_expired_in_flight"
    broker = dialect_broker(dialect, retries=0, request_ttl=SHORT_TTL)
    victim = hand(dialect, broker.backend, "victim", process=True)
    reaches(broker, workers_idle=1)
    client = DialectClient(peers, broker.frontend, dialect)
    began = time.monotonic()
    client.ask(b"hold this")
    victim.expect("got")
    victim.signal(signal.SIGKILL)
    stats = reaches(broker, **{reason: 1, "workers_lost": 1})
    took = time.monotonic() - began
    assert (0 if in_parts else SHORT_TTL - A_TURN) <= took <= SHORT_TTL + MARGIN + SCHEDULING_SLACK
    assert (stats["accepted"], stats["failed"], stats["replied"]) == (1, 1, 0)
    hand(dialect, broker.backend, "other")
    reaches(broker, workers_idle=1)
    twice = client.delivered_twice()
    assert twice == 0
    record(
        "busy worker killed (SIGKILL)",
        retries=0,
        failed_ms=took * 1000,
        lost=lost(broker.stats()),
        delivered_twice=twice,
    )


# -- busy worker frozen, then continued (SIGCONT): those that come back ---------------------------


@ONE_OF_EACH
def test_a_thawed_workers_reply_is_dropped_when_another_has_answered(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, retries=1, **TIMES)
    frozen, client = _frozen_with_a_request(broker, hand, peers, dialect)
    other = hand(dialect, broker.backend, "other", interval=INTERVAL / 3)
    assert other.expect("got") == "hold this"
    other.tell("go")
    assert client.answer() == [b"other", b"hold this"]
    _thaw(frozen)
    frozen.tell("go")
    stats = wait_until(lambda: _dropped(broker.stats()) and broker.stats(), "its reply is dropped")
    assert _dropped(stats) == 1
    if dialect.mdp:  # it is no worker of the broker any more, and is told so
        frozen.expect("disconnect")
    twice = client.delivered_twice()
    assert twice == 0
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="answered by another",
        delivered_twice=twice,
        lost=lost(broker.stats()),
    )


@ONE_OF_EACH
def test_a_thawed_workers_reply_is_delivered_when_nobody_else_could_answer(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, retries=0, **TIMES)
    # A name of its own is by what the broker knows it again on its new connection.
    frozen, client = _frozen_with_a_request(broker, hand, peers, dialect, identity="frozen")
    _thaw(frozen)
    frozen.tell("go")
    assert client.answer() == [b"frozen", b"hold this"]
    stats = reaches(broker, in_flight=0, replied=1)
    frozen.tell("ready")
    reaches(broker, workers=1)
    twice = client.delivered_twice()
    assert twice == 0
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="late but first",
        delivered_twice=twice,
        lost=lost(stats),
    )


@pytest.mark.parametrize("retries", [0, 1])
def test_an_expired_workers_late_reply_on_its_old_connection_is_delivered_once_at_most(
    dialect_broker: Any, hand: Any, peers: Peers, record: Any, dialect: Dialect, retries: int
) -> None:
    broker = dialect_broker(dialect, retries=retries, **TIMES)
    late = hand(dialect, broker.backend, "late", interval=INTERVAL / 3)
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"hold this")
    late.expect("got")
    late.tell("mute")
    since = float(late.expect("muted"))
    reaches(broker, workers_expired=1, workers=0)
    took = time.monotonic() - since
    assert INTERVAL * LIVENESS - A_TURN <= took <= LIMIT + SCHEDULING_SLACK
    prompt = hand(dialect, broker.backend, "prompt", interval=INTERVAL / 3)
    if retries:
        prompt.expect("got")
        late.tell("go")  # while the other is at work on the same request
        reaches(broker, drop_reply_late=1)
        prompt.tell("go")
        assert client.answer() == [b"prompt", b"hold this"]
    else:
        reaches(broker, workers_idle=1)
        late.tell("go")
        assert client.answer() == [b"late", b"hold this"]
    twice = client.delivered_twice()
    assert twice == 0
    stats = reaches(broker, in_flight=0)
    assert (stats["redispatched"], stats["replied"]) == (retries, 2)
    record(
        "busy worker frozen, then continued (SIGCONT)",
        case="silent and busy",
        retries=retries,
        detection_ms=took * 1000,
        delivered_twice=twice,
        lost=lost(stats),
    )


# -- parts of the scenes -----------------------------------------------------------------------


def _row_of_workers(broker: Any, hand: Any, dialect: Dialect, **options: Any) -> list[Hand]:
    """Five, ready one after the other, heartbeating three times an interval."""
    workers = []
    for number in range(5):
        workers.append(
            hand(dialect, broker.backend, f"w{number}", interval=INTERVAL / 3, **options)
        )
        reaches(broker, workers_idle=number + 1)
    return workers


def _answer_in_order(peers: Peers, broker: Any, dialect: Dialect, workers: list[Hand]) -> None:
    """Those that nobody touched are still there, in the order of before."""
    client = DialectClient(peers, broker.frontend, dialect)
    for worker in workers:
        client.ask(b"who?")
        assert client.answer() == [worker.name.encode(), b"who?"]


def _frozen_with_a_request(
    broker: Any, hand: Any, peers: Peers, dialect: Dialect, **options: Any
) -> tuple[Hand, DialectClient]:
    """A worker that was stopped with a request in hand and given up by the broker; the client."""
    worker = hand(dialect, broker.backend, "frozen", process=True, interval=INTERVAL / 3, **options)
    worker.expect("connected")
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"hold this")
    worker.expect("got")
    worker.signal(signal.SIGSTOP)
    reaches(broker, workers=0, workers_lost=1)
    # libzmq's own heartbeat ends the connection as well; what comes then comes on a new one.
    return worker, client


def _thaw(worker: Hand) -> None:
    worker.signal(signal.SIGCONT)


def _at_least(broker: Any, gone: int) -> None:
    """Wait until so many are expired; one sweep may find several."""
    wait_until(lambda: broker.stats()["workers_expired"] >= gone, f"{gone} expired")


def _dropped(stats: dict[str, int]) -> int:
    return sum(value for name, value in stats.items() if name.startswith("drop_reply_"))
