"""Workers that announce a heartbeat interval of their own are held to that one, and beaten to in it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import msgpack
import pytest
from dialects import DIALECTS, TalkRig
from models import BACKEND, EIGHTH, GONE

C = b"client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"
#: The broker's own, in seconds; a worker is gone after three of them.
INTERVAL, LIVENESS = 1.0, 3
ONE = msgpack.packb(1)
#: Of different intervals at once that a broker knows, its own included.
MOST = 64


@pytest.fixture(params=["PPP", "MDP01", "MDP02"])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    return partial(TalkRig, rooms, DIALECTS[request.param])


@pytest.fixture(params=["MDP01", "MDP02"])
def majordomo(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    return partial(TalkRig, rooms, DIALECTS[request.param])


def ms(interval: float) -> bytes:
    """As a worker announces it."""
    return bytes(msgpack.packb(round(interval * 1000)))


def expires(rig: TalkRig, seconds: float) -> None:
    """That the one worker is there until just before, and gone then."""
    rig.wait(seconds - EIGHTH)
    assert rig["workers"] == 1
    rig.wait(EIGHTH)
    assert (rig["workers"], rig["workers_expired"]) == (0, 1)


@pytest.mark.parametrize("interval", [0.25, 0.5, 2.0, 3600.0])
def test_a_worker_is_held_to_its_own_interval(
    make: Callable[..., TalkRig], interval: float
) -> None:
    rig = make()
    rig.join(V, ONE, interval=ms(interval))
    expires(rig, interval * LIVENESS)


def test_a_worker_without_one_is_held_to_the_brokers(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, ONE)
    expires(rig, INTERVAL * LIVENESS)


@pytest.mark.parametrize("order", [(V, W, X), (X, W, V), (W, V, X)])
def test_each_expires_in_its_own_time_whatever_the_order(
    make: Callable[..., TalkRig], order: tuple[bytes, ...]
) -> None:
    rig = make()
    intervals = {V: 0.5, W: 1.0, X: 2.0}
    for worker in order:
        rig.join(worker, ONE, interval=ms(intervals[worker]))
    for worker, left in ((V, {W, X}), (W, {X}), (X, set())):
        at = intervals[worker] * LIVENESS
        rig.wait(at - EIGHTH - rig.now)
        assert worker in rig.idle()
        rig.wait(EIGHTH)
        assert set(rig.idle()) == left


@pytest.mark.parametrize("interval", [0.25, 4.0])
def test_heartbeats_come_at_its_own_interval(make: Callable[..., TalkRig], interval: float) -> None:
    rig = make()
    rig.join(V, ONE, interval=ms(interval))
    assert rig.board.next_deadline() == interval
    assert rig.wait(interval - EIGHTH) == []
    rig.is_told(rig.wait(EIGHTH), V, rig.dialect.heartbeat)
    assert rig.board.next_deadline() == 2 * interval


def test_any_frame_counts_for_its_own_interval(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, ONE, interval=ms(0.25))
    for _ in range(5):
        rig.wait(0.5)
        rig.beat(V)
    assert rig["workers_expired"] == 0
    expires(rig, 0.25 * LIVENESS)


def test_busy_liveness_counts_its_own_intervals(make: Callable[..., TalkRig]) -> None:
    rig = make(busy_liveness=8)
    rig.join(V, ONE, interval=ms(0.5))
    rig.sent(C, V, b"x")
    expires(rig, 0.5 * 8)


def test_who_comes_back_may_announce_another(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V, ONE, interval=ms(0.5))
    rig.wait(0.5 * LIVENESS)
    assert rig["workers"] == 0
    rig.join(V, ONE)
    rig.wait(INTERVAL * LIVENESS - EIGHTH)
    assert rig["workers"] == 1
    rig.wait(EIGHTH)
    assert rig["workers_expired"] == 2


def test_a_peer_that_can_not_be_reached_is_lost_in_its_own_time(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(V, ONE, interval=ms(0.25))
    rig.results[BACKEND, V] = GONE
    rig.wait(0.25)
    assert (rig["workers"], rig["workers_lost"]) == (0, 1)


@pytest.mark.parametrize(
    "interval", [0, 9, 3_600_001, 2**63, -1, b"\xcd\x01", b"\x7d\x7d", "250", 250.0, None]
)
def test_an_interval_that_is_none_makes_the_ready_malformed(
    make: Callable[..., TalkRig], interval: object
) -> None:
    announced = interval if isinstance(interval, bytes) else msgpack.packb(interval)
    rig = make()
    rig.receive(BACKEND, rig.dialect.registers(V, rig.service, ONE, announced))
    assert (rig["workers"], rig["drop_malformed_worker"]) == (0, 1)


def test_an_empty_interval_makes_the_ready_malformed(majordomo: Callable[..., TalkRig]) -> None:
    """In PPP it is a capacity with nothing behind it."""
    rig = majordomo()
    rig.receive(BACKEND, [*rig.dialect.registers(V, rig.service, ONE), b""])
    assert (rig["workers"], rig["drop_malformed_worker"]) == (0, 1)


def test_more_different_intervals_than_are_kept_apart(make: Callable[..., TalkRig]) -> None:
    """Who comes too late is held to the next shorter one, and gets its place when one leaves."""
    rig = make()
    workers = [b"worker of interval %d" % number for number in range(MOST + 1)]
    for number, worker in enumerate(workers):
        rig.join(worker, ONE, interval=ms(2 + number / 8))
    late = workers[MOST - 1]
    assert rig["workers"] == MOST + 1

    def expires_after(interval: float) -> None:
        """That the one that came too late is given up then, while all others heartbeat."""
        at = rig.now + LIVENESS * interval
        while rig.now < at:
            assert late in rig.idle()
            rig.wait(min(INTERVAL, max(EIGHTH, at - EIGHTH - rig.now)))
            for worker in set(rig.idle()) - {late}:
                rig.beat(worker)
        assert late not in rig.idle()

    expires_after(2 + (MOST - 2) / 8)
    rig.bye(workers[0]) if rig.dialect.mdp else rig.join(workers[0])
    rig.join(late, ONE, interval=ms(2 + (MOST - 1) / 8))
    expires_after(2 + (MOST - 1) / 8)
