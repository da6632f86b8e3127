"""What the broker does with requests and replies, promise by promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from models import (
    BACKEND,
    BEHIND,
    EIGHTH,
    FRONTEND,
    FULL,
    GONE,
    Rig,
    charge,
)

TTL = 8.0
C, D = b"client", b"other client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., Rig]:
    """``make(**options)`` is a switchboard on a rig, with a TTL that is exact in binary."""
    return partial(Rig, rooms, request_ttl=TTL)


# -- requests that wait -----------------------------------------------------------------------


def test_a_request_waits_until_a_worker_is_ready(make: Callable[..., Rig]) -> None:
    rig = make()
    assert rig.ask(C, b"body") == []
    assert rig.nonzero() == {
        "accepted": 1, "queued": 1, "queued_bytes": charge([C], [b"body"]), "services": 1
    }  # fmt: skip
    [call] = rig.ready(W)
    assert call.frames == [W, b"", call.ticket, b"", b"body"]
    assert (rig["queued"], rig["queued_bytes"], rig["in_flight"]) == (0, 0, 1)


def test_waiting_requests_go_out_in_the_order_they_came(make: Callable[..., Rig]) -> None:
    rig = make()
    bodies = [b"%d" % number for number in range(20)]
    for body in bodies:
        rig.ask(C, body)
    calls = [rig.ready(b"worker %d" % number) for number in range(20)]
    assert [call.frames[-1] for [call] in calls] == bodies


def test_a_request_never_overtakes_one_that_waits(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.results[BACKEND, W] = FULL
    rig.ready(W)
    rig.ask(C, b"first")
    del rig.results[BACKEND, W]
    assert rig.ask(C, b"second") == []
    [call] = rig.wait(0)
    assert call.frames[-1] == b"first"


def test_beyond_queue_limit_a_request_is_shed_and_the_others_stay(make: Callable[..., Rig]) -> None:
    rig = make(queue_limit=2)
    for body in (b"1", b"2", b"3"):
        rig.ask(C, body)
    assert (rig["queued"], rig["shed"], rig["shed_queue_full"]) == (2, 1, 1)
    assert [rig.ready(worker)[0].frames[-1] for worker in (V, W)] == [b"1", b"2"]
    assert rig.ready(X) == []


def test_with_no_queue_at_all_a_free_worker_still_gets_its_request(
    make: Callable[..., Rig],
) -> None:
    rig = make(queue_limit=0, queue_bytes=0)
    rig.ready(W)
    rig.job(C, W, b"body")
    assert rig.ask(C, b"body") == []
    assert (rig["in_flight"], rig["shed_queue_full"]) == (1, 1)


@pytest.mark.parametrize("over", [0, 1])
def test_queue_bytes_is_the_most_that_may_wait(make: Callable[..., Rig], over: int) -> None:
    stack, body = [C, b"hop", b"\0"], [b"", b"x" * 100, b"y"]
    rig = make(queue_bytes=2 * charge(stack, body) - over)
    for _ in range(2):
        rig.receive(FRONTEND, [*stack, b"", *body])
    assert (rig["queued"], rig["shed_queue_bytes"]) == (2 - over, over)
    assert rig["queued_bytes"] == (2 - over) * charge(stack, body)


def test_there_is_room_again_when_a_request_has_left_the_queue(make: Callable[..., Rig]) -> None:
    rig = make(queue_limit=1, queue_bytes=charge([C], [b"x"]))
    rig.ask(C, b"x")
    rig.ready(V)
    rig.ask(C, b"x")
    rig.wait(TTL)
    rig.ask(C, b"x")
    assert (rig["queued"], rig["shed"]) == (1, 0)


def test_a_request_that_waits_for_its_ttl_fails_and_is_never_sent(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ask(C, b"old")
    rig.wait(TTL - EIGHTH)
    assert (rig["queued"], rig["failed"]) == (1, 0)
    rig.wait(EIGHTH)
    assert (rig["queued"], rig["failed_expired_queued"], rig["queued_bytes"]) == (0, 1, 0)
    assert rig.ready(W) == []


def test_the_next_deadline_is_that_of_the_oldest_request(make: Callable[..., Rig]) -> None:
    rig = make()
    assert rig.board.next_deadline() is None
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    rig.wait(1.0)
    rig.ask(C, b"2")
    assert rig.board.next_deadline() == TTL
    rig.reply(W, ticket, b"done")
    assert rig.board.next_deadline() == 1.0 + TTL
    rig.wait(TTL)
    assert rig.board.next_deadline() is None


# -- replies ----------------------------------------------------------------------------------


def test_a_reply_goes_to_the_client_that_asked(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(V)
    rig.ready(W)
    first, second = rig.job(C, V, b"1"), rig.job(D, W, b"2")
    assert [call[:2] for call in rig.reply(W, second, b"two")] == [(FRONTEND, [D, b"", b"two"])]
    assert [call[:2] for call in rig.reply(V, first, b"one")] == [(FRONTEND, [C, b"", b"one"])]
    assert (rig["replied"], rig["in_flight"], rig["workers_idle"]) == (2, 0, 2)


def test_a_client_may_have_several_requests_under_way(make: Callable[..., Rig]) -> None:
    rig = make()
    tickets = []
    for worker in (V, W, X):
        rig.ready(worker)
        tickets.append(rig.job(C, worker, worker))
    for worker, ticket in reversed(list(zip((V, W, X), tickets, strict=True))):
        assert rig.reply(worker, ticket, worker)[0].frames == [C, b"", worker]


def test_a_late_reply_is_never_delivered(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    rig.wait(TTL)
    assert (rig["failed_expired_in_flight"], rig["in_flight"], rig["workers_idle"]) == (1, 0, 0)
    assert rig.reply(W, ticket, b"late") == []
    assert (rig["drop_reply_late"], rig["replied"]) == (1, 0)
    assert rig.board.idle_workers() == [W], "it has said that it is done"


def test_a_second_reply_is_never_delivered(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    rig.reply(W, ticket, b"done")
    assert rig.reply(W, ticket, b"again") == []
    assert (rig["drop_reply_duplicate"], rig["replied"], rig["workers_idle"]) == (1, 1, 1)


def test_a_second_reply_is_not_taken_for_that_of_the_next_request(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(W)
    first = rig.job(C, W, b"1")
    rig.reply(W, first, b"one")
    second = rig.job(D, W, b"2")
    assert rig.reply(W, first, b"one more") == []
    assert rig["drop_reply_duplicate"] == 1
    assert rig.board.idle_workers() == [], "it still has the second request"
    assert rig.reply(W, second, b"two")[0].frames == [D, b"", b"two"]


@pytest.mark.parametrize("stranger", [False, True])
def test_a_reply_by_another_worker_is_never_delivered(
    make: Callable[..., Rig], stranger: bool
) -> None:
    rig = make()
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    if not stranger:
        rig.ready(V)
    assert rig.reply(V, ticket, b"forged") == []
    assert (rig["drop_reply_foreign"], rig["replied"], rig["in_flight"]) == (1, 0, 1)
    assert rig.reply(W, ticket, b"true")[0].frames == [C, b"", b"true"]


def test_a_reply_to_a_ticket_of_another_broker_makes_its_sender_a_worker(
    make: Callable[..., Rig],
) -> None:
    """A worker that was at work when the broker was started again says no READY."""
    before, rig = make(seed=1), make(seed=0xABCDEF)
    before.ready(W)
    ticket = before.job(C, W, b"1")
    assert rig.reply(W, ticket, b"done") == []
    assert (rig["drop_reply_unknown"], rig["replied"]) == (1, 0)
    assert rig.board.idle_workers() == [W]


@pytest.mark.parametrize(
    ("result", "reason"), [(FULL, "shed_client_full"), (BEHIND, "shed_client_bytes")]
)
def test_a_reply_to_a_client_that_does_not_read_is_shed(
    make: Callable[..., Rig], result: int, reason: str
) -> None:
    rig = make()
    rig.results[FRONTEND, C] = result
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    [call] = rig.reply(W, ticket, b"done")
    assert (call.result, rig["shed"], rig[reason]) == (result, 1, 1)
    assert (rig["replied"], rig.board.idle_workers()) == (0, [W])
    rig.reply(W, ticket, b"again")
    assert rig["drop_reply_duplicate"] == 1


def test_a_reply_to_a_client_that_is_gone_is_counted(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.results[FRONTEND, C] = GONE
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    rig.reply(W, ticket, b"done")
    assert (rig["failed_client_gone"], rig["replied"]) == (1, 0)
    rig.reply(W, ticket, b"again")
    assert rig["drop_reply_duplicate"] == 1
    assert rig.board.idle_workers() == [W]


# -- the order of workers ---------------------------------------------------------------------


def test_the_least_recently_used_worker_is_next(make: Callable[..., Rig]) -> None:
    rig = make()
    for worker in (V, W, X):
        rig.ready(worker)
    tickets = {worker: rig.job(C, worker, b"1") for worker in (V, W, X)}
    for worker in (X, V, W):
        rig.reply(worker, tickets[worker], b"done")
    assert rig.board.idle_workers() == [X, V, W]
    for worker in (X, V, W):
        rig.job(C, worker, b"2")


def test_every_worker_gets_the_same_share(make: Callable[..., Rig]) -> None:
    rig = make()
    workers = [b"w%d" % number for number in range(10)]
    for worker in workers:
        rig.ready(worker)
    for _ in range(5):
        for worker in workers:
            rig.reply(worker, rig.job(C, worker, b"x"), b"done")


def test_a_busy_worker_gets_no_second_request(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(W)
    rig.job(C, W, b"1")
    assert rig.ask(C, b"2") == []
    assert rig.ready(W) == []
    assert (rig["in_flight"], rig["queued"], rig["ready_again"]) == (1, 1, 1)


def test_a_worker_that_says_ready_again_and_again_has_one_place(make: Callable[..., Rig]) -> None:
    rig = make()
    rig.ready(V)
    for _ in range(1000):
        rig.ready(W)
    rig.ready(V)
    assert rig.board.idle_workers() == [V, W], "and keeps the place that it had"
    assert (rig["ready_again"], rig["workers"], rig["workers_joined"]) == (1000, 2, 2)


def test_after_its_request_failed_a_worker_is_free_when_it_says_ready(
    make: Callable[..., Rig],
) -> None:
    rig = make()
    rig.ready(W)
    ticket = rig.job(C, W, b"1")
    rig.wait(TTL)
    assert rig.ask(C, b"2") == [], "it may still be at work on the first"
    [call] = rig.ready(W)
    assert (call.to, call.frames[-1], rig["ready_again"]) == (W, b"2", 1)
    assert rig.reply(W, ticket, b"late") == []
    assert rig.reply(W, call.ticket, b"two")[0].frames == [C, b"", b"two"]
