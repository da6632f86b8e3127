"""Clients that say so are told how their request ended; others see what their protocol knows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import msgpack
import pytest
from dialects import DIALECTS, LED_CLIENTS, MDP02, TalkRig, answer, asks
from models import BACKEND, FRONTEND, FULL, GONE, Call, charge

#: 13 bytes that announce, 16 that tell clients apart.
C = b"brigantine/1:" + bytes(range(16))
STRANGER = b"brigantine/1" + bytes(range(16))
W = b"worker"
GRACE = 2.0
TTL = 64.0


@pytest.fixture(params=["REQ", "PPP", "MDP01", "MDP02", *LED_CLIENTS])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard of each protocol; I x L is GRACE."""
    return talking(rooms, request.param)


@pytest.fixture(params=["MDP01", "MDP02", *LED_CLIENTS])
def majordomo(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    return talking(rooms, request.param)


def talking(rooms: ModuleType, spoken: str) -> Callable[..., TalkRig]:
    if spoken in LED_CLIENTS:
        return partial(TalkRig, rooms, MDP02, spoken)
    return partial(TalkRig, rooms, DIALECTS[spoken])


def error(rig: TalkRig, client: bytes, code: str, reason: str, **limits: int) -> list[bytes]:
    """The answer, frame by frame."""
    detail = msgpack.packb({"error": code, "reason": reason, **limits})
    return answer(rig.version, client, rig.service, b"brigantine-broker-error/1", detail)


def told(rig: TalkRig, calls: list[Call], code: str, reason: str, client: bytes = C) -> None:
    """That the client's request has ended for that reason, and that it alone was told."""
    assert [call[:2] for call in calls] == [(FRONTEND, error(rig, client, code, reason))]
    assert rig[reason] == rig[reason.partition("_")[0]] == 1


def held(rig: TalkRig) -> None:
    """A worker that is busy with a stranger's request."""
    rig.join(W)
    rig.sent(b"first", W, b"body")


def test_busy_when_the_queue_is_full(make: Callable[..., TalkRig]) -> None:
    rig = make(queue_limit=0)
    held(rig)
    told(rig, rig.request(C, b"x"), "busy", "shed_queue_full")
    assert rig["error_answers"] == 1


def test_busy_when_the_queue_has_no_room(make: Callable[..., TalkRig]) -> None:
    rig = make(queue_bytes=charge([C], [b"x"]) - 1)
    held(rig)
    told(rig, rig.request(C, b"x"), "busy", "shed_queue_bytes")


def test_busy_when_the_broker_drains(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.board.drain()
    told(rig, rig.request(C, b"x"), "busy", "shed_draining")


def test_busy_when_there_are_too_many_services(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo(max_services=1)
    rig.receive(FRONTEND, asks(rig.version, b"other", b"other", b"x"))
    told(rig, rig.request(C, b"x"), "busy", "shed_services")


def test_expired_in_the_queue(make: Callable[..., TalkRig]) -> None:
    rig = make(request_ttl=TTL, busy_liveness=1000)
    held(rig)
    assert rig.request(C, b"x") == []
    calls = [call for call in rig.wait(TTL) if call.side == FRONTEND]
    assert [call.frames for call in calls] == [error(rig, C, "expired", "failed_expired_queued")]


@pytest.mark.parametrize("retries", [0, 1])
def test_expired_at_the_worker(make: Callable[..., TalkRig], retries: int) -> None:
    rig = make(request_ttl=TTL, busy_liveness=1000, retries=retries)
    rig.join(W)
    rig.sent(C, W, b"x")
    calls = [call for call in rig.wait(TTL) if call.side == FRONTEND]
    told(rig, calls, "expired", "failed_expired_in_flight")


def test_expired_when_the_broker_stops(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(W)
    rig.sent(C, W, b"x")
    calls = [call for call in rig.abort() if call.side == FRONTEND]
    told(rig, calls, "expired", "failed_stopped")


def test_nothing_is_sent_when_a_broker_ends_whose_sockets_are_gone(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.join(W)
    rig.sent(C, W, b"x")
    rig.board.abort(False)
    assert rig.settled() == []
    assert (rig["failed_stopped"], rig["error_answers"]) == (1, 0)


def test_joined_parts_beyond_the_bounds(rooms: ModuleType) -> None:
    rig = TalkRig(rooms, MDP02, "0.1", max_frames=20, max_message_bytes=4096, queue_bytes=1 << 20)
    rig.join(W)
    [job] = rig.request(C, b"x")
    for _ in range(2):
        assert rig.part(W, job.ticket, *[b"part"] * 10) == []
    reason = "failed_partials_too_large"
    [call] = rig.part(W, job.ticket, b"part")
    limits = {"max_message_bytes": 4096, "max_frames": 20, "queue_bytes": 1 << 20}
    assert call.frames == error(rig, C, "too_large", reason, **limits)
    assert rig[reason] == rig["failed"] == 1


# -- no service ---------------------------------------------------------------------------------


def test_no_service_at_once_when_nobody_has_offered_it_for_long(
    majordomo: Callable[..., TalkRig],
) -> None:
    rig = majordomo()
    rig.wait(0)
    rig.wait(GRACE)
    told(rig, rig.request(C, b"x"), "no_service", "failed_no_service")
    assert rig["services"] == rig["queued"] == 0


def test_a_young_broker_waits_for_workers_that_live(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo()
    rig.wait(0)
    rig.wait(GRACE - 1)
    assert rig.request(C, b"1") == []
    assert rig.request(C, b"2") == []
    assert rig.wait(GRACE - 0.25) == []
    [first] = rig.join(W)
    assert first.frames[-1] == b"1"
    assert rig.wait(0.25) == [], "the service is there now: the other waits for its turn"
    [reply, second] = rig.final(W, first.ticket, b"done")
    assert (reply.to, second.frames[-1]) == (C, b"2")


def test_a_young_broker_says_so_when_nobody_came(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo(request_ttl=TTL)
    assert rig.request(C, b"x") == []
    assert rig.board.next_deadline() == GRACE
    assert rig.wait(GRACE - 0.25) == []
    told(rig, rig.wait(0.25), "no_service", "failed_no_service")
    assert rig["services"] == rig["queued"] == 0


def test_a_service_that_was_left_may_come_back(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo()
    rig.wait(0)
    rig.join(W)
    rig.wait(GRACE - 1)
    rig.bye(W)
    rig.wait(GRACE - 0.25)
    assert rig.request(C, b"x") == []
    [job] = rig.join(W)
    assert job.to == W
    rig.bye(W)
    rig.wait(GRACE)
    assert rig["queued"] == 0


def test_a_request_whose_only_worker_was_lost_has_until_its_deadline(
    majordomo: Callable[..., TalkRig],
) -> None:
    rig = majordomo(retries=1, request_ttl=TTL)
    assert rig.request(C, b"x") == []
    [job] = rig.join(W)
    rig.wait(GRACE - 1)
    rig.bye(W)
    assert job.to == W
    rig.wait(GRACE - 1)
    assert (rig["queued"], rig["failed_no_service"]) == (1, 0)


def test_requests_whose_time_to_live_is_shorter_expire(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo(request_ttl=1.0)
    assert rig.request(C, b"x") == []
    told(rig, rig.wait(1.0), "expired", "failed_expired_queued")
    assert rig.wait(GRACE) == []


def test_a_service_whose_workers_are_busy_is_there(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo(busy_liveness=1000)
    held(rig)
    rig.wait(2 * GRACE)
    assert rig.request(C, b"x") == []
    assert rig["queued"] == 1


def test_plain_clients_wait_for_the_first_worker(make: Callable[..., TalkRig]) -> None:
    """The service without a name is the pattern itself: LRU, Simple and Paranoid Pirate."""
    rig = make()
    rig.wait(2 * GRACE)
    assert rig.receive(FRONTEND, [C, b"", b"body"]) == []
    assert rig.wait(2 * GRACE) == []
    assert rig["queued"] == 1


# -- who is told, and who is not ----------------------------------------------------------------


@pytest.mark.parametrize("stranger", [b"c", STRANGER, b"\0" + C, C.upper()])
def test_a_client_that_does_not_ask_for_it_is_told_nothing(
    make: Callable[..., TalkRig], stranger: bytes
) -> None:
    rig = make(queue_limit=0)
    held(rig)
    assert rig.request(stranger, b"x") == []
    assert (rig["shed_queue_full"], rig["error_answers"]) == (1, 0)


def test_a_client_of_majordomo_that_does_not_ask_for_it_waits(
    majordomo: Callable[..., TalkRig],
) -> None:
    rig = majordomo()
    rig.wait(2 * GRACE)
    assert rig.request(STRANGER, b"x") == []
    assert rig.wait(2 * GRACE) == []
    assert rig["queued"] == 1


@pytest.mark.parametrize("client", ["", "0.1"])
def test_the_client_behind_another_broker_is_who_is_told(rooms: ModuleType, client: str) -> None:
    rig = TalkRig(rooms, MDP02, queue_limit=0, default_service=b"echo")
    held(rig)
    stack = [b"proxy", b"another", C]
    head = [*stack, b"", *([b"MDPC01", b"echo"] if client else [])]
    [call] = rig.receive(FRONTEND, [*head, b"x"])
    assert call.frames[:-1] == [*head, b"brigantine-broker-error/1"]
    assert rig.receive(FRONTEND, [C, b"proxy", *head[3:], b"x"]) == [], "not who asked"


@pytest.mark.parametrize("result", [FULL, GONE])
def test_a_client_that_can_not_be_told_changes_nothing(
    make: Callable[..., TalkRig], result: int
) -> None:
    rig = make(queue_limit=0)
    held(rig)
    rig.results[FRONTEND, C] = result
    assert len(rig.request(C, b"x")) == 1
    assert (rig["shed_queue_full"], rig["error_answers"]) == (1, 0)


def test_after_parts_the_error_is_the_final(rooms: ModuleType) -> None:
    rig = TalkRig(rooms, MDP02, request_ttl=TTL, busy_liveness=1000)
    rig.join(W)
    job = rig.sent(C, W, b"x")
    assert [call.to for call in rig.part(W, job, b"part")] == [C]
    calls = [call for call in rig.wait(TTL) if call.side == FRONTEND]
    told(rig, calls, "expired", "failed_expired_in_flight")
    assert [call for call in rig.final(W, job, b"late") if call.side != BACKEND] == []


# -- clients of another protocol ------------------------------------------------------------------

WRONG_PROTOCOL = msgpack.packb({"error": "other_protocol", "reason": "drop_malformed_request"})


@pytest.mark.parametrize("dialect", ["REQ", "PPP"])
def test_a_client_of_mdp_is_told_in_its_protocol_that_this_is_none_of_it(
    rooms: ModuleType, dialect: str
) -> None:
    rig = TalkRig(rooms, DIALECTS[dialect])
    calls = rig.receive(FRONTEND, [C, b"MDPC02", b"\x01", b"echo", b"x"])
    words = [C, b"MDPC02", b"\x03", b"echo", b"brigantine-broker-error/1", WRONG_PROTOCOL]
    assert [call[:2] for call in calls] == [(FRONTEND, words)]
    assert (rig["drop_malformed_request"], rig["error_answers"], rig["accepted"]) == (1, 1, 0)
    assert rig.receive(FRONTEND, [STRANGER, b"MDPC02", b"\x01", b"echo", b"x"]) == []


@pytest.mark.parametrize("dialect", ["MDP01", "MDP02"])
def test_a_client_without_a_header_is_told_that_the_broker_needs_one(
    rooms: ModuleType, dialect: str
) -> None:
    rig = TalkRig(rooms, DIALECTS[dialect], default_service=None)
    calls = rig.receive(FRONTEND, [b"hop", C, b"", b"x"])
    words = [b"hop", C, b"", b"brigantine-broker-error/1", WRONG_PROTOCOL]
    assert [call[:2] for call in calls] == [(FRONTEND, words)]
    assert (rig["drop_malformed_request"], rig["error_answers"], rig["accepted"]) == (1, 1, 0)
    assert rig.receive(FRONTEND, [STRANGER, b"", b"x"]) == []


def test_what_is_of_no_protocol_is_not_answered(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for frames in ([C, b"x"], [C, b""], [C, b"MDPC02", b"\x01"], [C]):
        assert rig.receive(FRONTEND, frames) == []
    assert (rig["drop_malformed_request"], rig["error_answers"]) == (4, 0)
