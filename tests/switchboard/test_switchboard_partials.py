"""PARTIAL replies of MDP 0.2, for clients that can take them and for those that can't."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import LED_CLIENTS, MDP02, TalkRig, answer, partial_answer
from models import FRONTEND, FULL, GONE

TTL = 64.0
C = b"client"
V, W = b"worker 1", b"worker 2"
SERVICE = b"echo"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., TalkRig]:
    """``make(version=...)`` is a switchboard with MDP 0.2 workers; clients of 0.2 by default."""
    return partial(TalkRig, rooms, MDP02, request_ttl=TTL)


def test_a_partial_is_passed_on_as_it_comes(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for body in ([b"a"], [b"b", b"", b"c"], [b""]):
        [call] = rig.part(V, ticket, *body)
        assert call[:2] == (FRONTEND, partial_answer(C, SERVICE, *body))
        assert (rig["in_flight"], rig.idle()) == (1, []), "it is still at work"
    [call] = rig.final(V, ticket, b"end")
    assert call[:2] == (FRONTEND, answer("0.2", C, SERVICE, b"end"))
    assert (rig["partials"], rig["replied"], rig.idle()) == (3, 1, [V])


@pytest.mark.parametrize("version", ["0.1", ""])
def test_partials_are_joined_for_a_client_that_takes_one_reply(
    make: Callable[..., TalkRig], version: str
) -> None:
    rig = make(version=version)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for body in ([b"a"], [b"b", b"", b"c"]):
        assert rig.part(V, ticket, *body) == []
    [call] = rig.final(V, ticket, b"end")
    assert call[:2] == (FRONTEND, answer(version, C, SERVICE, b"a", b"b", b"", b"c", b"end"))
    assert (rig["partials"], rig["replied"]) == (2, 1)
    ticket = rig.sent(C, V, b"2")
    [call] = rig.final(V, ticket, b"alone")
    assert call.frames == answer(version, C, SERVICE, b"alone")


@pytest.mark.parametrize("version", ["0.1", "0.2", *LED_CLIENTS])
def test_a_partial_after_the_final_is_never_delivered(
    make: Callable[..., TalkRig], version: str
) -> None:
    rig = make(version=version)
    rig.join(V)
    first = rig.sent(C, V, b"1")
    rig.final(V, first, b"end")
    second = rig.sent(C, V, b"2")
    assert rig.part(V, first, b"late") == []
    assert (rig["drop_reply_duplicate"], rig["partials"], rig.idle()) == (1, 0, [])
    assert rig.final(V, second, b"end")[0].frames == answer(version, C, SERVICE, b"end")


def test_a_partial_of_another_worker_is_never_delivered(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    rig.join(W)
    ticket = rig.sent(C, V, b"1")
    assert rig.part(W, ticket, b"forged") == []
    assert (rig["drop_reply_foreign"], rig["partials"], rig.idle()) == (1, 0, [W])


def test_the_parts_of_a_lost_worker_are_not_joined_with_those_of_the_next(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(version="0.1", retries=1)
    rig.join(V)
    old = rig.sent(C, V, b"1")
    rig.part(V, old, b"of V")
    rig.bye(V)
    [job] = rig.join(W)
    rig.join(V)
    assert rig.part(V, old, b"of V, late") == []
    rig.part(W, job.ticket, b"of W")
    [call] = rig.final(W, job.ticket, b"end")
    assert call.frames == answer("0.1", C, SERVICE, b"of W", b"end")
    assert rig["drop_reply_late"] == 1


def test_a_late_part_of_a_lost_worker_is_never_delivered(make: Callable[..., TalkRig]) -> None:
    rig = make(retries=1)
    rig.join(V)
    old = rig.sent(C, V, b"1")
    rig.bye(V)
    [job] = rig.join(W)
    rig.join(V)
    assert rig.part(V, old, b"late") == []
    assert rig.part(W, job.ticket, b"a")[0].frames == partial_answer(C, SERVICE, b"a")
    assert rig.final(V, old, b"late") == []
    assert rig["drop_reply_late"] == 2


def test_no_client_gets_the_parts_of_two_workers(make: Callable[..., TalkRig]) -> None:
    """Once a part was passed on, the request ends with its worker."""
    rig = make(retries=1)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.part(V, ticket, b"first part")
    rig.bye(V)
    assert rig.join(W) == []
    assert (rig["redispatched"], rig["in_flight"], rig["failed_worker_lost"]) == (0, 0, 1)
    rig.join(V)
    assert rig.final(V, ticket, b"end") == []
    assert (rig["replied"], rig["drop_reply_late"]) == (0, 1)


def test_a_request_of_which_nothing_was_passed_on_is_sent_again(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(version="0.1", retries=1)
    rig.join(V)
    rig.part(V, rig.sent(C, V, b"1"), b"kept")
    rig.bye(V)
    [job] = rig.join(W)
    assert job.frames == MDP02.job(W, job.ticket, b"1")


@pytest.mark.parametrize("result", [FULL, GONE])
def test_a_part_that_the_client_does_not_take_is_counted(
    make: Callable[..., TalkRig], result: int
) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.results[FRONTEND, C] = result
    rig.part(V, ticket, b"a")
    assert (rig["drop_partial_shed"], rig["partials"], rig["in_flight"]) == (1, 0, 0)
    name = "shed_client_full" if result == FULL else "failed_client_gone"
    assert (rig[name], rig.idle()) == (1, [])
    rig.final(V, ticket, b"end")
    assert (rig[name], rig["drop_reply_late"], rig.idle()) == (1, 1, [V])


@pytest.mark.parametrize(
    ("parts", "size"), [(17, 1), (3, 400)], ids=["too many frames", "too many bytes"]
)
def test_parts_joined_beyond_the_bounds_of_a_message_fail_the_request(
    make: Callable[..., TalkRig], parts: int, size: int
) -> None:
    rig = make(version="0.1", max_frames=16, max_depth=4, max_message_bytes=1024)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for _ in range(parts - 1):
        rig.part(V, ticket, bytes(size))
    assert rig["failed"] == 0
    rig.part(V, ticket, bytes(size))
    assert (rig["failed_partials_too_large"], rig["in_flight"]) == (1, 0)
    assert rig.idle() == [], "it is still at work on it"
    assert rig.part(V, ticket, b"more") == []
    assert rig.final(V, ticket, b"end") == []
    assert (rig["drop_reply_late"], rig.idle()) == (2, [V])


def test_parts_joined_for_all_requests_are_bounded_together(make: Callable[..., TalkRig]) -> None:
    rig = make(version="0.1", queue_bytes=20_000)
    rig.join(V)
    rig.join(W)
    for number in range(3):  # what had been kept is given back each time
        tickets = {V: rig.sent(C, V, b"1"), W: rig.sent(C, W, b"2")}
        for _ in range(2):
            for worker, ticket in tickets.items():
                rig.part(worker, ticket, bytes(4000))
        assert rig["failed"] == number
        rig.part(V, tickets[V], bytes(4000))
        assert rig["failed_partials_too_large"] == number + 1
        assert rig.final(V, tickets[V], b"end") == []
        rig.part(W, tickets[W], bytes(4000))
        [call] = [call for call in rig.final(W, tickets[W], b"end") if call.side == FRONTEND]
        assert [len(frame) for frame in call.frames[-4:]] == [4000, 4000, 4000, 3]
    assert (rig["replied"], rig["in_flight"]) == (3, 0)


def test_parts_joined_for_one_request_alone_may_be_as_many_as_a_message_holds(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(version="0.1", queue_bytes=2000)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for _ in range(10):
        rig.part(V, ticket, bytes(4000))
    rig.final(V, ticket, b"end")
    assert (rig["replied"], rig["failed"]) == (1, 0)


def test_parts_passed_on_have_no_bound_together(make: Callable[..., TalkRig]) -> None:
    rig = make(max_frames=16, max_depth=4, max_message_bytes=1024)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for _ in range(100):
        assert len(rig.part(V, ticket, bytes(900))) == 1
    assert len(rig.final(V, ticket, b"end")) == 1
    assert (rig["partials"], rig["replied"], rig["failed"]) == (100, 1, 0)


def test_a_joined_reply_is_never_larger_than_a_message_may_be(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(version="0.1", max_message_bytes=1024)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.part(V, ticket, bytes(900))
    calls = rig.final(V, ticket, bytes(900))
    assert [sum(map(len, call.frames)) for call in calls if call.side == FRONTEND] == []
    assert rig["failed_partials_too_large"] == 1


def test_a_part_keeps_a_worker_alive_and_a_request_no_longer_than_its_ttl(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(request_ttl=8.0)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    for _ in range(4):
        rig.wait(2.0)
        rig.part(V, ticket, b"a")
    assert (rig["failed_expired_in_flight"], rig["workers"], rig["partials"]) == (1, 1, 3)
    assert rig["drop_reply_late"] == 1
