"""What is Majordomo's alone (ZeroMQ RFC 7 and 18), promise by promise: workers and services."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import DIALECTS, MDP01, MDP02, TalkRig, answer, asks
from models import BACKEND, BOTH, FRONTEND

TTL = 64.0
C, D = b"client", b"other client"
V, W = b"worker 1", b"worker 2"
SERVICE = b"echo"


@pytest.fixture(params=["MDP01", "MDP02"])
def make(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    """``make(**options)`` is a switchboard whose workers speak MDP, for the service "echo"."""
    return partial(TalkRig, rooms, DIALECTS[request.param], request_ttl=TTL)


def disconnected(rig: TalkRig, calls: object, worker: bytes, count: int = 1) -> None:
    assert isinstance(calls, list)
    rig.is_told(calls, worker, rig.dialect.disconnect)
    assert rig["disconnects"] == count


# -- READY ------------------------------------------------------------------------------------


def test_ready_again_is_answered_with_disconnect(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    disconnected(rig, rig.join(V), V)
    assert (rig["workers"], rig["workers_lost"], rig["ready_again"]) == (0, 1, 1)
    assert rig.join(V) == []
    assert rig.idle() == [V]


@pytest.mark.parametrize("retries", [0, 1])
def test_ready_again_while_busy_loses_what_it_held(
    make: Callable[..., TalkRig], retries: int
) -> None:
    rig = make(retries=retries)
    rig.join(V)
    rig.sent(C, V, b"1")
    disconnected(rig, rig.join(V), V)
    assert (rig["in_flight"], rig["queued"]) == (1 - retries, retries)
    assert [job.frames[-1] for job in rig.join(W)] == [b"1"] * retries


@pytest.mark.parametrize("name", [b"mmi.", b"mmi.service", b"mmi.stats", b"mmi.mine"])
def test_a_worker_that_registers_a_service_of_the_broker_is_disconnected(
    make: Callable[..., TalkRig], name: bytes
) -> None:
    rig = make()
    calls = rig.receive(BACKEND, rig.dialect.registers(V, name))
    disconnected(rig, calls, V)
    assert (rig["drop_ready_refused"], rig["workers"], rig["services"]) == (1, 0, 0)


@pytest.mark.parametrize("name", [b"mmi", b"mm", b"MMI.service", b"xmmi.service", b"", b"\0mmi."])
def test_a_name_that_only_resembles_one_is_a_service_like_any_other(
    make: Callable[..., TalkRig], name: bytes
) -> None:
    rig = make(services=(name,))
    assert rig.receive(BACKEND, rig.dialect.registers(V, name)) == []
    [job] = rig.receive(FRONTEND, asks(rig.version, C, name, b"x"))
    assert job.to == V


# -- strangers, goodbyes and nonsense ---------------------------------------------------------


def test_what_a_stranger_says_is_answered_with_disconnect(make: Callable[..., TalkRig]) -> None:
    rig = make()
    disconnected(rig, rig.beat(V), V)
    assert rig["drop_unexpected"] == 1
    disconnected(rig, rig.final(V, b"0" * 16, b"x"), V, count=2)
    if rig.dialect.partial is not None:
        disconnected(rig, rig.part(V, b"0" * 16, b"x"), V, count=3)
    assert (rig["workers"], rig["services"]) == (0, 0)


def test_the_answer_of_a_stranger_is_never_delivered(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    disconnected(rig, rig.final(W, ticket, b"forged"), W)
    assert (rig["drop_reply_foreign"], rig["in_flight"]) == (1, 1)
    assert len(rig.final(V, ticket, b"done")) == 1


def test_the_answer_of_another_worker_is_never_delivered(make: Callable[..., TalkRig]) -> None:
    rig = make()
    rig.join(V)
    rig.join(W)
    ticket = rig.sent(C, V, b"1")
    assert rig.final(W, ticket, b"forged") == []
    assert (rig["drop_reply_foreign"], rig.idle()) == (1, [W])


def test_an_expired_worker_is_told_so_when_it_speaks(make: Callable[..., TalkRig]) -> None:
    rig = make(retries=0)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(3.0)
    disconnected(rig, rig.beat(V), V)
    reply, goodbye = rig.final(V, ticket, b"done")
    assert reply[:2] == (FRONTEND, answer(rig.version, C, SERVICE, b"done"))
    rig.is_told([goodbye], V, rig.dialect.disconnect)


@pytest.mark.parametrize("retries", [0, 1])
@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_that_says_goodbye_is_gone(
    make: Callable[..., TalkRig], busy: bool, retries: int
) -> None:
    rig = make(retries=retries)
    rig.join(V)
    if busy:
        rig.sent(C, V, b"1")
    assert rig.bye(V) == [], "DISCONNECT is not answered"
    assert (rig["workers"], rig["workers_disconnected"], rig["workers_lost"]) == (0, 1, 1)
    assert rig["queued"] == (busy and retries)
    assert rig.wait(10.0) == [], "nor is it sent a heartbeat any more"
    assert [job.frames[-1] for job in rig.join(W)] == [b"1"] * (busy and retries)


def test_a_goodbye_before_ready_is_not_answered(make: Callable[..., TalkRig]) -> None:
    rig = make()
    assert rig.bye(V) == []
    assert rig.nonzero() == {"drop_unexpected": 1}


MALFORMED = [[], [b""], [b"\x00"], [b"\x07"], [b"\x02"], [b"READY"], [b"\x01"],
             [b"\x01", SERVICE, b"\x01", b"\x01"], [b"\x01", SERVICE, b""], [b"\x01\x01", SERVICE],
             [b"\x02", b"f" * 16, b"", b"x"]]  # fmt: skip


@pytest.mark.parametrize("frames", MALFORMED, ids=repr)
def test_a_worker_that_sends_an_invalid_command_is_disconnected(
    make: Callable[..., TalkRig], frames: list[bytes]
) -> None:
    rig = make(retries=1)
    rig.join(V)
    rig.sent(C, V, b"1")
    disconnected(rig, rig.receive(BACKEND, [V, *rig.dialect.head, *frames]), V)
    assert (rig["drop_malformed_worker"], rig["workers"], rig["queued"]) == (1, 0, 1)


@pytest.mark.parametrize("frames", MALFORMED, ids=repr)
def test_an_invalid_command_of_a_stranger_is_dropped(
    make: Callable[..., TalkRig], frames: list[bytes]
) -> None:
    rig = make()
    assert rig.receive(BACKEND, [V, *rig.dialect.head, *frames]) == []
    assert rig.nonzero() == {"drop_malformed_worker": 1}


def test_commands_with_a_frame_too_many_or_too_few_are_invalid(
    make: Callable[..., TalkRig],
) -> None:
    rig, ticket = make(), b"0" * 16
    dialect = rig.dialect
    final = [*dialect.head, dialect.final or b""]
    for frames in (
        [*dialect.command(V, dialect.heartbeat), b""],
        [*dialect.command(V, dialect.disconnect), b""],
        [V, *final],
        [V, *final, ticket],
        [V, *final, ticket, b""],
        [V, *final, ticket, b"x", b"x"],
        [V, *final, b"", b"", b"x"],
    ):
        rig.join(V)
        rig.is_told(rig.receive(BACKEND, frames), V, dialect.disconnect)
    assert rig["drop_malformed_worker"] == rig["disconnects"] == 7


def test_a_worker_keeps_the_version_of_its_first_message(make: Callable[..., TalkRig]) -> None:
    rig = make()
    other = MDP02 if rig.dialect is MDP01 else MDP01
    rig.join(V)
    assert rig.receive(BACKEND, other.command(V, other.heartbeat)) == []
    assert rig.receive(BACKEND, other.registers(V, SERVICE)) == []
    assert (rig["drop_malformed_worker"], rig["ready_again"], rig.idle()) == (1, 1, [V])
    assert rig.bye(V) == []
    assert rig.receive(BACKEND, other.registers(V, SERVICE)) == []
    assert rig.idle() == [V], "a new conversation may be in another"


def test_a_broker_that_stops_says_goodbye_to_its_workers(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for worker in (V, W, b"gone"):
        rig.join(worker)
    rig.bye(b"gone")
    rig.sent(C, V, b"1")
    calls = rig.abort()
    told = [(BACKEND, rig.dialect.command(each, rig.dialect.disconnect)) for each in (V, W)]
    assert sorted(call[:2] for call in calls) == told
    assert (rig["failed_stopped"], rig["in_flight"]) == (1, 0)


# -- services ---------------------------------------------------------------------------------

NAMES = (b"a", b"b", b"a\0", b"", b"s" * 255)


def test_each_service_has_its_own_workers_and_its_own_queue(make: Callable[..., TalkRig]) -> None:
    rig = make(services=NAMES)
    for name in NAMES:
        rig.receive(FRONTEND, asks(rig.version, C, name, b"1"))
        rig.receive(FRONTEND, asks(rig.version, D, name, b"2"))
    assert (rig["queued"], rig["services"]) == (10, 5)
    for name in reversed(NAMES):
        [job] = rig.receive(BACKEND, rig.dialect.registers(b"of " + name, name))
        assert job.frames == rig.dialect.job(b"of " + name, job.ticket, b"1")
        reply, second = rig.final(job.to, job.ticket, b"done")
        assert reply.frames == answer(rig.version, C, name, b"done")
        assert second.frames[-1] == b"2"


def test_a_request_for_a_service_without_workers_waits_for_its_ttl(
    make: Callable[..., TalkRig],
) -> None:
    rig = make()
    rig.request(C, b"x")
    assert (rig["queued"], rig["services"]) == (1, 1)
    rig.wait(TTL)
    assert (rig["failed_expired_queued"], rig["services"]) == (1, 0)


def test_the_services_that_clients_can_make_known_are_bounded(make: Callable[..., TalkRig]) -> None:
    rig = make(max_services=2, services=(b"a", b"b", b"c", b"d"))
    for name in (b"a", b"b", b"c", b"a"):
        rig.receive(FRONTEND, asks(rig.version, C, name, b"x"))
    assert (rig["shed_services"], rig["shed"], rig["queued"], rig["services"]) == (1, 1, 3, 2)
    rig.receive(BACKEND, rig.dialect.registers(V, b"d"))
    assert (rig["services"], rig["workers"]) == (3, 1), "a worker has a connection, and may"
    rig.wait(TTL)
    assert rig["services"] == 0
    rig.receive(FRONTEND, asks(rig.version, C, b"c", b"x"))
    assert rig["queued"] == 1


def test_the_broker_answers_for_its_own_services(make: Callable[..., TalkRig]) -> None:
    rig = make()
    [reply] = rig.receive(FRONTEND, asks(rig.version, C, b"mmi.service", SERVICE))
    assert reply[:2] == (FRONTEND, answer(rig.version, C, b"mmi.service", b"404"))
    assert (rig["mmi"], rig["replied"], rig["services"]) == (1, 1, 0)


# -- one socket for both sides ----------------------------------------------------------------


def test_one_socket_serves_clients_and_workers(make: Callable[..., TalkRig]) -> None:
    rig = make()
    dialect = rig.dialect
    assert rig.receive(BOTH, dialect.registers(V, SERVICE)) == []
    [job] = rig.receive(BOTH, asks(rig.version, C, SERVICE, b"1"))
    assert job[:2] == (BOTH, dialect.job(V, job.ticket, b"1"))
    [reply] = rig.receive(BOTH, dialect.reply(V, job.ticket, b"done"))
    assert reply[:2] == (BOTH, answer(rig.version, C, SERVICE, b"done"))
    [beat] = rig.wait(1.0)
    assert beat[:2] == (BOTH, dialect.command(V, dialect.heartbeat))
    [goodbye] = rig.receive(BOTH, dialect.command(W, dialect.heartbeat))
    assert goodbye[:2] == (BOTH, dialect.command(W, dialect.disconnect))


def test_a_worker_where_clients_are_is_sent_away(make: Callable[..., TalkRig]) -> None:
    rig = make()
    for frames in ([b"", b"MDPW01", b"\x01", b"echo"], [b"MDPW02", b"\x01", b"echo"]):
        rig.wait(1.0)
        [call] = rig.receive(FRONTEND, [W, *frames])
        assert call[:2] == (FRONTEND, [W, *frames[:-2], b"\x06" if frames[0] else b"\x05"])
    assert (rig["drop_wrong_side"], rig["disconnects"], rig["workers"]) == (2, 2, 0)
