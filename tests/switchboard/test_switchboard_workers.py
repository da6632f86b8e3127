"""What the broker does about workers that are lost, promise by promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from models import (
    BACKEND,
    BEHIND,
    EIGHTH,
    FULL,
    GONE,
    OK,
    Rig,
)

TTL = 8.0
C, D = b"client", b"other client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., Rig]:
    """``make(**options)`` is a switchboard on a rig, with a TTL that is exact in binary."""
    return partial(Rig, rooms, request_ttl=TTL)


# -- workers that are lost --------------------------------------------------------------------


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_an_idle_worker_whose_connection_closes_is_out_of_the_order(
    make: Callable[..., Rig], gone: int
) -> None:
    rig = make()
    workers = [V, W, X]
    for connection, worker in enumerate(workers):
        rig.opened(connection)
        rig.ready(worker, connection)
    assert rig.closed(gone) == []
    del workers[gone]
    assert rig.board.idle_workers() == workers
    assert (rig["workers"], rig["workers_lost"], rig["failed"]) == (2, 1, 0)


def test_a_request_whose_worker_is_lost_may_still_be_answered_by_it(
    make: Callable[..., Rig],
) -> None:
    rig = make(retries=0)
    rig.opened(5)
    rig.ready(W, 5)
    ticket = rig.job(C, W, b"1")
    rig.closed(5)
    assert (rig["in_flight"], rig["workers"], rig["redispatched"]) == (1, 0, 0)
    rig.opened(6)
    assert rig.reply(W, ticket, b"done", connection=6)[0].frames == [C, b"", b"done"]
    assert (rig["replied"], rig["workers_joined"]) == (1, 2)
    assert rig.board.idle_workers() == [W]


def test_a_request_whose_worker_is_lost_fails_at_its_deadline(make: Callable[..., Rig]) -> None:
    rig = make(retries=0)
    rig.opened(5)
    rig.ready(W, 5)
    ticket = rig.job(C, W, b"1")
    rig.closed(5)
    rig.wait(TTL)
    assert (rig["failed_expired_in_flight"], rig["in_flight"]) == (1, 0)
    rig.ready(W)
    assert rig.reply(W, ticket, b"late") == []
    assert rig["drop_reply_late"] == 1


def test_a_worker_that_is_back_works_beside_what_it_may_still_answer(
    make: Callable[..., Rig],
) -> None:
    rig = make(retries=0)
    rig.opened(5)
    rig.ready(W, 5)
    old = rig.job(C, W, b"1")
    rig.closed(5)
    rig.opened(5)
    rig.ready(W, 5)
    new = rig.job(D, W, b"2")
    assert rig.reply(W, old, b"one", connection=5)[0].frames == [C, b"", b"one"]
    assert rig.board.idle_workers() == [], "it is still at work on the second"
    assert rig.reply(W, new, b"two", connection=5)[0].frames == [D, b"", b"two"]
    assert rig.board.idle_workers() == [W]


def lose_twice(rig: Rig) -> tuple[bytes, bytes]:
    """With two retries: the request of C is lost with V, then with W, and waits; its tickets."""
    for connection, worker in enumerate((V, W)):
        rig.opened(connection)
        rig.ready(worker, connection)
    first = rig.job(C, V, b"1")
    [call] = rig.closed(0)
    assert call[:2] == (BACKEND, [W, b"", call.ticket, b"", b"1"])
    assert rig.closed(1) == []
    assert call.ticket != first
    return first, call.ticket


def test_a_lost_request_goes_to_another_worker_under_a_new_ticket(make: Callable[..., Rig]) -> None:
    rig = make(retries=2)
    tickets = lose_twice(rig)
    assert (rig["redispatched"], rig["queued"], rig["in_flight"]) == (2, 1, 0)
    [call] = rig.ready(X)
    assert call.ticket not in tickets
    for worker, ticket in zip((V, W, X), (*tickets, tickets[0]), strict=True):
        assert rig.reply(worker, ticket, b"late") == []
    assert rig["drop_reply_late"] == 3
    assert rig.reply(X, call.ticket, b"done")[0].frames == [C, b"", b"done"]


def test_a_lost_request_is_sent_again_no_more_than_retries_times(make: Callable[..., Rig]) -> None:
    rig = make(retries=2)
    lose_twice(rig)
    rig.opened(2)
    [call] = rig.ready(X, 2)
    rig.ready(V)
    assert rig.closed(2) == []
    assert (rig["redispatched"], rig["in_flight"], rig["workers_idle"]) == (2, 1, 1)
    assert rig.reply(X, call.ticket, b"done")[0].frames == [C, b"", b"done"]


def test_a_lost_request_goes_before_those_that_came_later(make: Callable[..., Rig]) -> None:
    rig = make(retries=2)
    rig.opened(0)
    rig.ready(V, 0)
    rig.job(C, V, b"lost")
    for body in (b"2", b"3"):
        rig.ask(C, body)
    rig.closed(0)
    calls = [rig.ready(worker)[0] for worker in (V, W, X)]
    assert [call.frames[-1] for call in calls] == [b"lost", b"2", b"3"]


def test_a_lost_request_keeps_its_deadline(make: Callable[..., Rig]) -> None:
    rig = make(retries=2)
    rig.opened(0)
    rig.ready(V, 0)
    rig.job(C, V, b"1")
    rig.wait(TTL - EIGHTH)
    rig.closed(0)
    assert (rig.board.next_deadline(), rig["queued"]) == (TTL, 1)
    rig.wait(EIGHTH)
    assert (rig["failed_expired_queued"], rig["queued"]) == (1, 0)


@pytest.mark.parametrize("retries", [0, 1])
def test_ready_on_a_new_connection_ends_the_life_on_the_old_one(
    make: Callable[..., Rig], retries: int
) -> None:
    rig = make(retries=retries)
    for connection in (5, 6):
        rig.opened(connection)
    rig.ready(W, 5)
    rig.ready(W, 6)
    assert (rig["workers"], rig["workers_joined"], rig["workers_lost"]) == (1, 2, 1)
    ticket = rig.job(C, W, b"1")
    rig.opened(7)
    calls = rig.ready(W, 7)
    assert [(call.to, call.frames[-1]) for call in calls] == [(W, b"1")] * retries
    assert ticket not in [call.ticket for call in calls]
    assert rig.closed(6) == []
    assert rig["workers"] == 1, "the old connection is no concern of it"


class Monitor:
    """Events of connections that the loop has not read yet."""

    def __init__(self) -> None:
        self.events: list[Callable[[], object]] = []

    def read(self) -> None:
        while self.events:
            self.events.pop(0)()

    def reconnected(self, rig: Rig, connection: int) -> None:
        self.events.append(partial(rig.board.connection_closed, connection, rig.now))
        self.events.append(partial(rig.board.connection_opened, connection))


def test_a_descriptor_that_is_used_again_is_another_worker(make: Callable[..., Rig]) -> None:
    monitor = Monitor()
    rig = make(sync=monitor.read)
    rig.opened(5)
    rig.ready(V, 5)
    monitor.reconnected(rig, 5)
    rig.ready(W, 5)
    assert rig.board.idle_workers() == [W]
    assert (rig["workers"], rig["workers_lost"]) == (1, 1)


@pytest.mark.parametrize("retries", [0, 1])
def test_a_worker_that_is_back_on_its_old_descriptor_is_not_forgotten(
    make: Callable[..., Rig], retries: int
) -> None:
    """Its READY may be read before the events of its connections are."""
    monitor = Monitor()
    rig = make(sync=monitor.read, retries=retries)
    rig.opened(5)
    rig.ready(W, 5)
    rig.job(C, W, b"1")
    monitor.reconnected(rig, 5)
    calls = rig.ready(W, 5)
    assert [(call.to, call.frames[-1]) for call in calls] == [(W, b"1")] * retries
    monitor.read()
    assert (rig["workers"], rig["workers_idle"]) == (1, 1 - retries)


@pytest.mark.parametrize("words", [[b"READY"], [b"0" * 16, b"", b"done"]], ids=["ready", "reply"])
def test_a_worker_whose_connection_is_not_yet_known_is_not_turned_away(
    make: Callable[..., Rig], words: list[bytes]
) -> None:
    monitor = Monitor()
    rig = make(sync=monitor.read)
    monitor.reconnected(rig, 5)
    rig.receive(BACKEND, [W, b"", *words], 5)
    assert rig.board.idle_workers() == [W]


def test_ready_from_a_connection_that_has_closed_is_dropped(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.opened(5)
    rig.closed(5)
    rig.ready(W, 5)
    assert rig.nonzero() == {"drop_ready_gone": 1}


# -- sends that fail --------------------------------------------------------------------------


def test_a_worker_that_is_gone_is_lost_and_the_next_one_is_tried(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.results = {(BACKEND, V): GONE, (BACKEND, W): GONE}
    for worker in (V, W, X):
        rig.ready(worker)
    calls = rig.ask(C, b"1")
    assert [(call.to, call.result) for call in calls] == [(V, GONE), (W, GONE), (X, OK)]
    assert (rig["workers"], rig["workers_lost"], rig["in_flight"]) == (1, 2, 1)


def test_a_worker_that_does_not_read_is_passed_over_until_the_next_tick(
    make: Callable[..., Rig],
) -> None:
    rig = make()
    rig.results = {(BACKEND, V): FULL, (BACKEND, W): FULL}
    for worker in (V, W, X):
        rig.ready(worker)
    calls = rig.ask(C, b"1")
    assert [(call.to, call.result) for call in calls] == [(V, FULL), (W, FULL), (X, OK)]
    assert (rig["worker_full"], rig["workers"], rig["workers_idle"]) == (2, 3, 0)
    assert rig.ask(C, b"2") == [], "they are not asked again for every request"
    rig.results.clear()
    [call] = rig.wait(0)
    assert (call.to, call.frames[-1]) == (V, b"2")
    assert rig.board.idle_workers() == [W]


@pytest.mark.parametrize(("result", "counter"), [(FULL, "worker_full"), (BEHIND, "worker_behind")])
def test_a_request_that_no_worker_takes_waits(
    make: Callable[..., Rig], result: int, counter: str
) -> None:
    rig = make()
    rig.results = {(BACKEND, V): result, (BACKEND, W): GONE}
    rig.ready(V)
    rig.ready(W)
    assert len(rig.ask(C, b"1")) == 2
    assert (rig["queued"], rig["in_flight"], rig[counter]) == (1, 0, 1)
    assert [call.result for call in rig.wait(0)] == [result], "once a tick, not for ever"
    assert [call.to for call in rig.ready(X)] == [X]


@pytest.mark.parametrize("last", [V, X], ids=["the lost one", "another"])
def test_parked_workers_come_back_in_the_order_in_which_they_were_parked(
    make: Callable[..., Rig], last: bytes
) -> None:
    rig = make()
    rig.results = {(BACKEND, worker): FULL for worker in (V, W, X)}
    rig.opened(5)
    rig.ready(V, 5)
    rig.ready(W)
    rig.ask(C, b"1")
    rig.closed(5)
    rig.ready(last)
    rig.results.clear()
    assert [call.to for call in rig.wait(0)] == [W]
    assert rig.board.idle_workers() == [last]


@pytest.mark.parametrize("interval", [None, 2.0])
def test_a_worker_that_leaves_has_the_time_of_its_own_protocol(
    make: Callable[..., Rig], interval: float | None
) -> None:
    """Where the backend is never found empty; for REQ workers the usual interval is 10 s."""
    rig = make(heartbeat_interval=interval, liveness=3)
    rig.opened(5)
    rig.ready(W, 5)
    rig.board.connection_closed(5, rig.now)
    assert rig.board.next_deadline() == rig.now + 3 * (interval or 10.0)
