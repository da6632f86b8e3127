"""What is the Paranoid Pirate Protocol's alone (ZeroMQ RFC 6), promise by promise."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import PPP, TalkRig
from models import BACKEND, EIGHTH, FRONTEND

TTL = 64.0
C = b"client"
V, W = b"worker 1", b"worker 2"


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard that speaks PPP."""
    return partial(TalkRig, rooms, PPP, request_ttl=TTL)


def test_a_worker_that_says_ready_again_has_one_place(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    for _ in range(100):
        rig.join(W)
    assert sorted(rig.idle()) == [V, W]
    assert (rig["workers"], rig["ready_again"], rig["workers_joined"]) == (2, 99, 101)
    assert [rig.request(C, b"x")[0].to for _ in range(2)] == [V, W]
    assert rig.request(C, b"x") == []


def test_ready_again_begins_a_new_conversation(make: Callable[..., TalkRig]) -> None:
    """RFC 6: what the worker held before is sent again, and its old tickets are void."""
    rig = make(retries=1)
    rig.join(V)
    old = rig.sent(C, V, b"1")
    [job] = rig.join(V)
    assert job.frames == PPP.job(V, job.ticket, b"1")
    assert (job.ticket != old, rig["redispatched"], rig["in_flight"]) == (True, 1, 1)
    assert rig.final(V, old, b"late") == []
    assert rig["drop_reply_late"] == 1
    assert rig.idle() == [], "the old answer frees no place of the new conversation"
    assert rig.final(V, job.ticket, b"done")[0].frames == [C, b"", b"done"]


def test_with_no_retry_left_what_it_held_may_still_be_answered(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=0)
    rig.join(V)
    old = rig.sent(C, V, b"1")
    assert rig.join(V) == []
    assert rig.idle() == [V]
    new = rig.sent(C, V, b"2")
    assert rig.final(V, old, b"one")[0].frames == [C, b"", b"one"]
    assert rig.idle() == [], "it is at work on the second"
    assert rig.final(V, new, b"two")[0].frames == [C, b"", b"two"]
    assert rig.idle() == [V]


def test_ready_again_may_announce_another_capacity(make: Callable[..., TalkRig]) -> None:
    rig = make(queue_limit=0)
    for capacity, places in ((b"\x03", 3), (b"", 1), (b"\x02", 2)):
        rig.join(V, capacity)
        before = rig["in_flight"]
        for _ in range(5):
            rig.request(C, b"x")
        assert rig["in_flight"] - before == places


@pytest.mark.parametrize(
    "frames",
    [
        [b"READY"], [b"HEARTBEAT"], [b"\x03"], [b"\x00"], [b"\x02\x02"], [b"\x02", b""],
        [b"\x01", b""], [b"\x01", b"\x03"], [b"ticket", b""], [b"ticket", b"x", b"x"], [b""],
        [b"", b"\x01"], [b"", b"READY"], [b"", b"ticket", b"", b"x"], [b"MDPW02", b"\x01", b"s"],
        [b"", b"MDPW01", b"\x01", b"s"],
    ],
    ids=repr,
)  # fmt: skip
def test_what_is_not_quite_ppp_is_dropped_and_makes_or_unmakes_no_worker(
    make: Callable[..., TalkRig], frames: list[bytes]
) -> None:
    rig = make(strict=True)  # words are a dialect otherwise
    rig.join(V)
    for worker in (V, W):
        assert rig.receive(BACKEND, [worker, *frames]) == []
    assert (rig["drop_malformed_worker"], rig.idle()) == (2, [V])


def test_a_stranger_is_not_answered(make: Callable[..., TalkRig]) -> None:
    """PPP has no word for it; a worker that hears nothing comes back by itself."""
    rig = make()
    assert rig.beat(V) == []
    assert rig["drop_unexpected"] == 1
    assert rig.final(V, b"0" * 16, b"x") == []
    assert rig["drop_reply_unknown"] == 1
    assert (rig["workers"], rig.idle()) == (0, [])


def test_the_answer_of_an_expired_worker_is_delivered_but_brings_it_not_back(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=0)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(3.0)
    assert rig["workers_expired"] == 1
    [reply] = rig.final(V, ticket, b"done")
    assert reply[:2] == (FRONTEND, [C, b"", b"done"])
    assert (rig["workers"], rig["replied"]) == (0, 1)
    rig.join(V)
    assert rig.idle() == [V]


@pytest.mark.parametrize("ahead", [b"\x01", b"\x02", b"READY"], ids=repr)
def test_a_ticket_that_looks_like_a_command_is_a_ticket(
    make: Callable[..., TalkRig], ahead: bytes
) -> None:
    rig = make()
    rig.join(V)
    assert rig.receive(BACKEND, [V, ahead, b"", b"x"]) == []
    assert (rig["drop_reply_unknown"], rig["ready_again"]) == (1, 0)


def test_clients_of_majordomo_are_plain_clients_here(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    [job] = rig.receive(FRONTEND, [C, b"", b"MDPC01", b"mmi.service", b"x"])
    assert job.frames == PPP.job(V, job.ticket, b"MDPC01", b"mmi.service", b"x")


def test_a_reply_refreshes_before_the_deadline_only(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(3.0 - EIGHTH)
    rig.final(V, ticket, b"done")
    rig.wait(EIGHTH)
    assert rig.idle() == [V]


def test_a_broker_that_stops_says_nothing_to_its_workers(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    assert rig.abort() == []
