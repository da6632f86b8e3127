"""A reply is whole or ends with an error: what happens when its client does not take all of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import ALL, LED_CLIENTS, MDP02, TalkRig, answer, asks, partial_answer
from models import BACKEND, BEHIND, FRONTEND, FULL, GONE, OK, Call

from brigantine.config.limits import UNTOLD_BYTES, UNTOLD_OF_PEER, UNTOLD_RETRY, UNTOLD_TRIES
from brigantine.wire.req import ANNOUNCEMENT, broker_error

TTL = 64.0
#: Who asks to be told, and who does not.
OURS, FOREIGN = ANNOUNCEMENT + b"client", b"client"
V, W = b"worker 1", b"worker 2"
SERVICE = b"echo"
END = {FULL: "shed_client_full", BEHIND: "shed_client_bytes", GONE: "failed_client_gone"}


@pytest.fixture(params=["0.2", *LED_CLIENTS])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """A switchboard with MDP 0.2 workers that may be silent; clients of 0.2, or its dialects."""
    return partial(
        TalkRig,
        rooms,
        MDP02,
        version=request.param,
        request_ttl=TTL,
        busy_liveness=1000,
        heartbeat_interval=100.0,
    )


def to_clients(calls: list[Call]) -> list[Call]:
    return [call for call in calls if call.side == FRONTEND]


def error(rig: TalkRig, client: bytes, reason: str = "shed_client_full") -> list[bytes]:
    return answer(rig.version, client, SERVICE, *broker_error(reason))


def cut(rig: TalkRig, client: bytes = OURS, parts: int = 1, result: int = FULL) -> bytes:
    """Have a client's pipe be full behind the first parts of a reply; the ticket."""
    rig.join(V)
    ticket = rig.sent(client, V, b"1")
    for number in range(parts):
        assert len(rig.part(V, ticket, b"part %d" % number)) == 1
    rig.results[FRONTEND, client] = result
    rig.part(V, ticket, b"refused")
    return ticket


# -- the rest of the reply ------------------------------------------------------------------------


@pytest.mark.parametrize("result", END)
@pytest.mark.parametrize("client", [OURS, FOREIGN])
@pytest.mark.parametrize("parts", [0, 3])
def test_nothing_of_a_reply_leaves_after_a_part_of_it_was_refused(
    make: Callable[..., TalkRig], client: bytes, result: int, parts: int
) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(client, V, b"1")
    for _ in range(parts):
        rig.part(V, ticket, b"taken")
    rig.results[FRONTEND, client] = result
    rig.part(V, ticket, b"refused")
    assert (rig["drop_partial_shed"], rig["partials"]) == (1, parts)
    assert (rig[END[result]], rig["in_flight"]) == (1, 0)
    rig.results.clear()  # it reads again, or is back
    for number in range(3):
        assert rig.part(V, ticket, b"later") == []
        assert (rig["drop_reply_late"], rig["partials"]) == (number + 1, parts)
    assert rig.final(V, ticket, b"end") == []
    assert (rig["replied"], rig["drop_reply_late"]) == (0, 4)


def test_its_worker_is_at_work_until_it_says_that_it_has_done(make: Callable[..., TalkRig]) -> None:
    rig = make()
    ticket = cut(rig)
    assert (rig["in_flight"], rig["shed"], rig.idle()) == (0, 1, [])
    rig.part(V, ticket, b"more")
    assert rig.idle() == []
    assert to_clients(rig.request(FOREIGN, b"2")) == []
    assert rig["queued"] == 1
    [job] = rig.final(V, ticket, b"end")
    assert job[:2] == (BACKEND, MDP02.job(V, job.ticket, b"2"))


def test_it_is_not_sent_to_another_worker(make: Callable[..., TalkRig]) -> None:
    rig = make(retries=3)
    cut(rig, FOREIGN)
    rig.join(W)
    assert rig.bye(V) == []
    assert (rig["redispatched"], rig["queued"], rig.idle()) == (0, 0, [W])


# -- whoever wants to be told ---------------------------------------------------------------------


@pytest.mark.parametrize("parts", [0, 1, 3])
@pytest.mark.parametrize("result", [FULL, BEHIND])
def test_a_client_of_ours_is_told_behind_the_parts_as_soon_as_it_has_room(
    make: Callable[..., TalkRig], parts: int, result: int
) -> None:
    rig = make()
    cut(rig, parts=parts, result=result)
    assert (rig["error_answers_waiting"], rig["error_answers"]) == (1, 0)
    assert rig.board.next_deadline() == UNTOLD_RETRY
    assert rig.wait(UNTOLD_RETRY / 2) == [], "not yet"
    [call] = rig.wait(UNTOLD_RETRY / 2)
    assert (call.frames, call.result) == (error(rig, OURS, END[result]), result)
    rig.results.clear()
    assert rig.board.next_deadline() == 2 * UNTOLD_RETRY
    [call] = rig.wait(UNTOLD_RETRY)
    assert (call.frames, call.result) == (error(rig, OURS, END[result]), OK)
    assert (rig["error_answers_waiting"], rig["error_answers"], rig["shed"]) == (0, 1, 1)
    assert to_clients(rig.wait(TTL)) == [], "once"


def test_a_client_of_others_never_gets_a_final(make: Callable[..., TalkRig]) -> None:
    rig = make()
    ticket = cut(rig, FOREIGN)
    assert rig["error_answers_waiting"] == 0
    rig.results.clear()
    rig.final(V, ticket, b"end")
    assert to_clients(rig.wait(TTL)) == []


def test_a_final_that_is_refused_behind_parts_is_told_as_well(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(OURS, V, b"1")
    rig.part(V, ticket, b"part")
    rig.results[FRONTEND, OURS] = FULL
    rig.final(V, ticket, b"end")
    assert (rig["shed_client_full"], rig["drop_partial_shed"], rig.idle()) == (1, 0, [V])
    rig.results.clear()
    [call] = rig.wait(UNTOLD_RETRY)
    assert call.frames == error(rig, OURS)


@pytest.mark.parametrize("version", ["0.1", ""])
def test_a_joined_reply_that_is_refused_is_told_as_well(
    make: Callable[..., TalkRig], version: str
) -> None:
    rig = make(version=version)
    rig.join(V)
    ticket = rig.sent(OURS, V, b"1")
    rig.part(V, ticket, b"part")
    rig.results[FRONTEND, OURS] = FULL
    rig.final(V, ticket, b"end")
    assert (rig["shed_client_full"], rig["error_answers_waiting"]) == (1, 1)
    rig.results.clear()
    [call] = rig.wait(UNTOLD_RETRY)
    assert call.frames == error(rig, OURS)


def test_a_client_behind_a_proxy_that_does_not_read_is_told_as_well(
    make: Callable[..., TalkRig],
) -> None:
    rig = make(protocols=ALL)
    rig.join(V)
    head = [b"proxy", OURS, b"", b"MDPC01", SERVICE]
    [job] = rig.receive(FRONTEND, [*head, b"1"])
    rig.results[FRONTEND, b"proxy"] = FULL
    rig.final(V, job.ticket, b"end")
    rig.results.clear()
    [call] = rig.wait(UNTOLD_RETRY)
    assert call.frames == [*head, *broker_error("shed_client_full")]


def too_large(rig: TalkRig, ticket: bytes) -> None:
    rig.part(V, ticket, bytes(2048))


def malformed(rig: TalkRig, ticket: bytes) -> None:
    rig.receive(BACKEND, [V, b"MDPW02", b"\x04", ticket, b"no empty frame"])


def expired(rig: TalkRig, _: bytes) -> None:
    rig.wait(TTL)


def asks_the_broker(rig: TalkRig, _: bytes) -> None:
    rig.receive(FRONTEND, asks(rig.version, OURS, b"mmi.service", SERVICE))


def asks_in_vain(rig: TalkRig, _: bytes) -> None:
    rig.board.drain()
    rig.request(OURS, b"2")


@pytest.mark.parametrize(
    ("ends", "reason", "service"),
    [
        (too_large, "failed_reply_too_large", SERVICE),
        (malformed, "failed_reply_malformed", SERVICE),
        (expired, "failed_expired_in_flight", SERVICE),
        (asks_the_broker, "shed_client_full", b"mmi.service"),
        (asks_in_vain, "shed_draining", SERVICE),
    ],
)
def test_any_end_that_a_client_has_no_room_for_is_told_when_it_has(
    make: Callable[..., TalkRig], ends: Callable[..., None], reason: str, service: bytes
) -> None:
    rig = make(max_message_bytes=1024)
    rig.join(V)
    ticket = rig.sent(OURS, V, b"1")
    rig.part(V, ticket, b"part")
    rig.results[FRONTEND, OURS] = FULL
    ends(rig, ticket)
    assert (rig[reason], rig["error_answers_waiting"], rig["replied"]) == (1, 1, 0)
    rig.results.clear()
    [call] = to_clients(rig.wait(UNTOLD_RETRY))
    assert call.frames == answer(rig.version, OURS, service, *broker_error(reason, rig.config))


# -- bounds ---------------------------------------------------------------------------------------


def test_an_end_waits_no_longer_than_a_request_may(make: Callable[..., TalkRig]) -> None:
    rig = make()
    cut(rig)
    assert [call.result for call in to_clients(rig.wait(TTL - UNTOLD_RETRY))] == [FULL]
    assert to_clients(rig.wait(UNTOLD_RETRY)) == []
    assert (rig["error_answers_waiting"], rig["drop_error_answer"]) == (0, 1)
    assert rig["shed"] == 1


def test_the_end_of_a_client_that_has_left_is_forgotten(make: Callable[..., TalkRig]) -> None:
    rig = make()
    cut(rig)
    rig.results[FRONTEND, OURS] = GONE
    assert [call.result for call in rig.wait(UNTOLD_RETRY)] == [GONE]
    assert (rig["error_answers_waiting"], rig["drop_error_answer"]) == (0, 1)
    assert to_clients(rig.wait(1.0)) == []


@pytest.mark.parametrize("result", [OK, FULL, GONE])
def test_a_broker_that_stops_tries_once_more(make: Callable[..., TalkRig], result: int) -> None:
    rig = make()
    cut(rig)
    rig.results[FRONTEND, OURS] = result
    assert [call.frames for call in to_clients(rig.abort())] == [error(rig, OURS)]
    told = result == OK
    assert (rig["error_answers"], rig["drop_error_answer"]) == (told, not told)
    assert rig["error_answers_waiting"] == 0


def test_a_broker_whose_sockets_failed_tells_nobody(make: Callable[..., TalkRig]) -> None:
    rig = make()
    cut(rig)
    rig.board.abort(False)
    assert to_clients(rig.settled()) == []
    assert (rig["error_answers_waiting"], rig["drop_error_answer"]) == (0, 1)


def test_one_that_never_reads_keeps_no_other_untold(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.board.drain()
    rig.results[FRONTEND, OURS] = FULL
    other = OURS + b" 2"
    for _ in range(UNTOLD_OF_PEER + 3):
        rig.request(OURS, b"x")
    assert (rig["error_answers_waiting"], rig["drop_error_answer"]) == (UNTOLD_OF_PEER, 3)
    rig.results[FRONTEND, other] = FULL
    rig.request(other, b"x")
    assert rig["error_answers_waiting"] == UNTOLD_OF_PEER + 1
    del rig.results[FRONTEND, other]
    calls = [call for _ in range(UNTOLD_OF_PEER // UNTOLD_TRIES + 1) for call in rig.wait(0.25)]
    assert [call.to for call in calls if call.result == OK] == [other]


def test_so_many_are_tried_at_one_time(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.board.drain()
    rig.results[FRONTEND, OURS] = FULL
    for number in range(3 * UNTOLD_TRIES):
        rig.request(OURS, b"%d" % number)
    for _ in range(2):
        assert len(rig.wait(UNTOLD_RETRY)) == UNTOLD_TRIES
    rig.results.clear()
    assert len(rig.wait(UNTOLD_RETRY)) == 3 * UNTOLD_TRIES, "those who have room are no burden"
    assert rig["error_answers"] == 3 * UNTOLD_TRIES


def test_what_waits_to_be_told_is_bounded_in_bytes(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.board.drain()
    kept = 0
    for number in range(100):
        client = OURS + b"%d" % number
        rig.results[FRONTEND, client] = FULL
        rig.receive(FRONTEND, asks("0.2", client, bytes(UNTOLD_BYTES // 8), b"x"))
        kept = rig["error_answers_waiting"]
    assert kept == 7
    assert rig["drop_error_answer"] == 100 - kept


def test_parts_before_the_refused_one_came_as_they_were(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(OURS, V, b"1")
    [call] = rig.part(V, ticket, b"a", b"", b"b")
    assert call.frames == partial_answer(OURS, SERVICE, b"a", b"", b"b", version=rig.version)
    rig.results[FRONTEND, OURS] = FULL
    [refused, told] = rig.part(V, ticket, b"c")
    assert refused.frames == partial_answer(OURS, SERVICE, b"c", version=rig.version)
    assert told.frames == error(rig, OURS)
    assert rig["partials"] == 1
