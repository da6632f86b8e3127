"""Heartbeats and expiry of the workers that have them: PPP, MDP 0.1 and MDP 0.2.

The interval is 1 s and the liveness 3, so a worker is gone after 3 s of silence.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import DIALECTS, TalkRig
from models import BACKEND, EIGHTH, FRONTEND, FULL, GONE

C = b"client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"
INTERVAL, GONE_AFTER = 1.0, 3.0


@pytest.fixture(params=["PPP", "MDP01", "MDP02"])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard whose workers speak one of the protocols."""
    return partial(TalkRig, rooms, DIALECTS[request.param])


def pass_time(rig: TalkRig, seconds: float, *alive: bytes) -> None:
    """Time goes by in steps of an interval or less; the workers that are alive heartbeat."""
    while seconds > 0:
        step = min(INTERVAL, seconds)
        rig.wait(step)
        seconds -= step
        for worker in alive:
            rig.beat(worker)


@pytest.mark.parametrize("silent", [0, 1, 2])
def test_a_silent_worker_is_expired_wherever_it_stands(
    make: Callable[..., TalkRig], silent: int
) -> None:
    rig, workers = make(), [V, W, X]
    for worker in workers:
        rig.join(worker)
    gone = workers.pop(silent)
    pass_time(rig, GONE_AFTER - EIGHTH, *workers)
    assert rig["workers"] == 3
    rig.wait(EIGHTH)
    assert rig.idle() == workers
    assert (rig["workers"], rig["workers_expired"], rig["workers_lost"]) == (2, 1, 1)
    assert [call.to for call in rig.request(C, b"x")] == workers[:1]
    assert gone not in rig.idle()


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("silent", [0, 1])
def test_a_silent_worker_is_expired_while_it_is_busy(
    make: Callable[..., TalkRig], silent: int, retries: int
) -> None:
    rig, workers = make(retries=retries), [V, W]
    for worker in workers:
        rig.join(worker)
    tickets = [rig.sent(C, worker, worker) for worker in workers]
    gone = workers.pop(silent)
    pass_time(rig, GONE_AFTER - EIGHTH, *workers)
    assert rig["workers"] == 2
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"]) == (1, 1)
    assert (rig["queued"], rig["in_flight"]) == (retries, 2 - retries)
    calls = rig.final(gone, tickets[silent], b"late")
    assert [call.to for call in calls if call.side == FRONTEND] == [C] * (1 - retries)
    assert rig["drop_reply_late"] == retries


def test_busy_liveness_is_for_workers_at_work_only(make: Callable[..., TalkRig]) -> None:
    rig = make(busy_liveness=10)
    rig.join(V)
    rig.join(W)
    rig.wait(1.0)
    ticket = rig.sent(C, V, b"1")
    rig.wait(2.0)
    assert (rig["workers"], rig["workers_expired"]) == (1, 1)
    rig.wait(8.0 - EIGHTH)
    assert rig["workers"] == 1
    rig.final(V, ticket, b"done")
    rig.wait(GONE_AFTER - EIGHTH)
    assert rig.idle() == [V]
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"]) == (0, 2)


def test_a_worker_at_work_is_expired_after_busy_liveness(make: Callable[..., TalkRig]) -> None:
    rig = make(busy_liveness=10)
    rig.join(V)
    rig.sent(C, V, b"1")
    rig.wait(10.0 - EIGHTH)
    assert rig["workers"] == 1
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"]) == (0, 1)


def test_a_heartbeat_moves_the_deadline_by_the_liveness(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    for _ in range(5):
        rig.wait(GONE_AFTER - EIGHTH)
        assert rig.beat(V) == []
    rig.wait(GONE_AFTER - EIGHTH)
    assert rig.idle() == [V]
    rig.wait(EIGHTH)
    assert rig["workers"] == 0


def test_an_answer_counts_as_a_heartbeat(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(GONE_AFTER - EIGHTH)
    rig.final(V, ticket, b"done")
    rig.wait(GONE_AFTER - EIGHTH)
    rig.final(V, b"0" * 16, b"what nobody asked for")
    rig.wait(GONE_AFTER - EIGHTH)
    assert (rig.idle(), rig["drop_reply_unknown"] + rig["drop_reply_duplicate"]) == ([V], 1)
    rig.wait(EIGHTH)
    assert rig["workers"] == 0


def test_a_job_for_a_silent_worker_does_not_keep_it_alive(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    rig.wait(GONE_AFTER - EIGHTH)
    rig.sent(C, V, b"1")
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"], rig["in_flight"]) == (0, 1, 1)


def test_the_heartbeat_of_a_busy_worker_does_not_make_it_free(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    rig.sent(C, V, b"1")
    for _ in range(10):
        assert rig.beat(V) == []
    assert rig.request(C, b"2") == []
    assert (rig["in_flight"], rig["queued"], rig["workers_idle"]) == (1, 1, 0)


def test_a_heartbeat_is_sent_only_into_silence(make: Callable[..., TalkRig]) -> None:
    rig = make(liveness=100)
    rig.join(V)
    assert rig.wait(INTERVAL - EIGHTH) == []
    rig.is_told(rig.wait(EIGHTH), V, rig.dialect.heartbeat)
    rig.wait(0.5)
    rig.sent(C, V, b"1")
    assert rig.wait(INTERVAL - EIGHTH) == [], "a job is a heartbeat, too"
    rig.is_told(rig.wait(EIGHTH), V, rig.dialect.heartbeat)
    assert rig["heartbeats"] == 2
    assert rig.board.next_deadline() == rig.now + INTERVAL


def test_what_a_worker_says_does_not_put_off_its_heartbeat(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    rig.wait(0.5)
    rig.beat(V)
    rig.is_told(rig.wait(0.5), V, rig.dialect.heartbeat)


def test_a_worker_that_is_expired_is_sent_nothing(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    assert rig.wait(GONE_AFTER) == [], "not even in the moment in which both are due"
    assert rig.wait(10 * INTERVAL) == []
    assert rig.request(C, b"x") == []
    assert rig["heartbeats"] == 0


def test_a_worker_without_a_connection_is_lost_at_its_next_heartbeat(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=1)
    rig.join(V)
    rig.join(W)
    rig.sent(C, V, b"1")
    rig.results[BACKEND, V] = GONE
    calls = rig.wait(INTERVAL)
    assert [(call.to, call.result == GONE) for call in calls] == [(W, False), (V, True), (W, False)]
    assert (rig["workers"], rig["heartbeats"], rig["redispatched"]) == (1, 1, 1)


def test_a_worker_that_does_not_read_is_offered_a_heartbeat_an_interval(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(liveness=100)
    rig.join(V)
    rig.results[BACKEND, V] = FULL
    for _ in range(3):
        assert rig.wait(INTERVAL / 2) == []
        assert [call.result for call in rig.wait(INTERVAL / 2)] == [FULL]
    assert (rig["worker_full"], rig["heartbeats"], rig.idle()) == (3, 0, [V])


def test_all_may_expire_at_once_and_come_back(make: Callable[..., TalkRig]) -> None:
    rig = make()
    names = [b"worker %d" % number for number in range(100)]
    for _ in range(2):
        for name in names:
            rig.join(name)
        assert rig.idle() == names
        rig.wait(GONE_AFTER)
        assert (rig["workers"], rig.idle(), rig["services"]) == (0, [], 0)
    assert rig["workers_expired"] == 200
    assert rig.board.next_deadline() is None


def test_busy_liveness_goes_on_while_a_worker_is_at_work_on_what_has_expired(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(busy_liveness=10, request_ttl=2.0)
    rig.join(V)
    rig.sent(C, V, b"1")
    rig.wait(2.0)
    assert (rig["failed_expired_in_flight"], rig["workers_idle"]) == (1, 0)
    rig.beat(V)
    rig.wait(GONE_AFTER)
    assert rig["workers"] == 1


def test_only_the_first_job_begins_the_time_of_a_busy_worker(make: Callable[..., TalkRig]) -> None:
    rig = make(busy_liveness=10, request_ttl=4.0)
    rig.join(V, b"\x02")
    rig.sent(C, V, b"1")
    rig.wait(5.0)
    assert rig["failed_expired_in_flight"] == 1
    rig.sent(C, V, b"2")
    rig.wait(5.0 - EIGHTH)
    assert rig["workers"] == 1
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"]) == (0, 1)


@pytest.mark.parametrize(
    "frames", [[V], [V, b"\x03"], [V, b"HELLO"], [V, b"", b"READY"], [V, b"MDPW09", b"\x01"]]
)
def test_what_is_no_message_at_all_is_a_sign_of_life(
    rooms: ModuleType, frames: list[bytes]
) -> None:
    rig = TalkRig(rooms, DIALECTS["PPP"])
    rig.join(V)
    for beat in range(1, 4):
        rig.wait(GONE_AFTER - EIGHTH)
        assert rig.receive(BACKEND, frames) == []
        assert (rig["workers"], rig["drop_malformed_worker"]) == (1, beat)
    rig.wait(GONE_AFTER)
    assert (rig["workers"], rig["workers_expired"]) == (0, 1)
