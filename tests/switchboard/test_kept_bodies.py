"""What a broker keeps of requests in flight, to send them again, is bounded: beyond it they lose that."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import MDP02, TalkRig
from models import BACKEND, FULL, MEGABYTE, charge, memory, needs_plain_memory

from brigantine.config.limits import NAME_COPIES

C = b"client"
V, W = b"worker 1", b"worker 2"
#: READY's word for a capacity of 1,000.
THOUSAND = b"\xcd\x03\xe8"
BODY = bytes(1000)
#: What one request with that body counts for.
ONE = charge([C, b"MDPC02", b"\x01", b"echo"], [BODY]) + (NAME_COPIES - 1) * len(b"echo")


@pytest.fixture
def make(rooms: ModuleType) -> Callable[..., TalkRig]:
    """A switchboard that may keep the bodies of three requests."""
    return partial(TalkRig, rooms, MDP02, retries=1, queue_bytes=3 * ONE)


def test_what_is_kept_at_workers_is_bounded_and_nothing_is_shed(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(V, THOUSAND)
    for _ in range(10):
        rig.sent(C, V, BODY)
    assert (rig["in_flight"], rig["shed"], rig["retries_given_up"]) == (10, 0, 7)
    rig.bye(V)
    jobs = rig.join(W, THOUSAND)
    assert [job.frames[-1] for job in jobs] == [BODY] * 3
    assert (rig["redispatched"], rig["in_flight"]) == (3, 10)


def test_a_request_that_has_no_room_to_be_kept_loses_its_retries(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(retries=2, queue_bytes=ONE)
    rig.join(V, THOUSAND)
    for body in (b"1", BODY):
        rig.request(C, body)
    assert (rig["in_flight"], rig["retries_given_up"]) == (2, 1)


def answered(rig: TalkRig, ticket: bytes) -> None:
    rig.final(V, ticket, b"end")


def begun(rig: TalkRig, ticket: bytes) -> None:
    rig.part(V, ticket, b"a")


def expired(rig: TalkRig, _: bytes) -> None:
    for _ in range(70):
        rig.beat(V)
        rig.wait(1.0)


def sent_again(rig: TalkRig, _: bytes) -> None:
    rig.bye(V)
    rig.join(V, THOUSAND)


@pytest.mark.parametrize("ends", [answered, begun, expired, sent_again])
def test_what_is_kept_no_longer_makes_room_for_others(
    make: Callable[..., TalkRig], ends: Callable[[TalkRig, bytes], None]
) -> None:
    rig = make()
    rig.join(V, THOUSAND)
    tickets = [rig.sent(C, V, BODY) for _ in range(3)]
    for ticket in tickets:
        ends(rig, ticket)
    before = rig["retries_given_up"]
    assert before == 0
    for _ in range(4):
        rig.sent(C, V, BODY)
    assert rig["retries_given_up"] == 1


def test_one_that_no_worker_takes_has_its_retries_still(make: Callable[..., TalkRig]) -> None:
    rig = make(queue_bytes=ONE)
    rig.join(V, THOUSAND)
    first = rig.sent(C, V, BODY)
    rig.results[BACKEND, V] = FULL
    rig.request(C, BODY)
    assert (rig["queued"], rig["retries_given_up"]) == (1, 0)
    rig.results.clear()
    rig.final(V, first, b"end")
    rig.wait(0)
    assert (rig["in_flight"], rig["retries_given_up"]) == (1, 0)
    rig.bye(V)
    assert rig["queued"] == 1


@needs_plain_memory
@pytest.mark.parametrize("retries", [0, 1])
def test_a_worker_that_reads_and_never_answers_does_not_fill_the_memory(
    make: Callable[..., TalkRig], retries: int
) -> None:
    rig = make(retries=retries, queue_bytes=4 * MEGABYTE)
    rig.join(V, THOUSAND)
    before = memory()
    for _ in range(200):
        rig.request(C, bytes(MEGABYTE) + b"x")
    assert rig["in_flight"] == 200
    assert memory() - before < 40 * MEGABYTE


@needs_plain_memory
def test_a_body_is_let_go_when_a_part_of_its_reply_was_passed_on(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(queue_bytes=1 << 30)
    rig.join(V, THOUSAND)
    before = memory()
    for _ in range(100):
        rig.part(V, rig.sent(C, V, bytes(MEGABYTE)), b"a")
    assert memory() - before < 40 * MEGABYTE
    assert (rig["in_flight"], rig["partials"]) == (100, 100)
