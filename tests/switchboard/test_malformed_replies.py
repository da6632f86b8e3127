"""Replies that are none: their requests fail, are told, and nobody stays busy with them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType

import pytest
from dialects import ALL, MDP01, MDP02, PPP, REQ, Dialect, TalkRig, answer
from harness import Peers
from models import BACKEND, FRONTEND

from brigantine import LRUBroker
from brigantine.wire.req import ANNOUNCEMENT, broker_error

C, V, W = ANNOUNCEMENT + b"client", b"worker", b"worker of the same"
#: What workers make of their envelope, behind the ticket.
TAILS = {
    "nothing": [],
    "no body": [b""],
    "no delimiter": [b"result"],
    "many frames and no delimiter": [b"result", b"", b"more"],
}


@pytest.fixture(params=["REQ", "PPP"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return {"REQ": REQ, "PPP": PPP}[request.param]


@pytest.fixture
def make(rooms: ModuleType, dialect: Dialect) -> Callable[..., TalkRig]:
    return partial(TalkRig, rooms, dialect, heartbeat_interval=100.0)


@pytest.fixture(params=TAILS)
def malformed(request: pytest.FixtureRequest, dialect: Dialect) -> Callable[..., list[bytes]]:
    """``malformed(worker, ticket)`` is an answer to that ticket which is no reply."""
    return lambda worker, ticket: [worker, *dialect.head, ticket, *TAILS[request.param]]


def test_what_is_no_reply_fails_its_request_and_frees_its_worker(
    make: Callable[..., TalkRig], malformed: Callable[..., list[bytes]]
) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    [told] = rig.receive(BACKEND, malformed(V, ticket))
    error = broker_error("failed_reply_malformed")
    assert told[:2] == (FRONTEND, answer(rig.version, C, rig.service, *error))
    assert (rig["drop_malformed_worker"], rig["failed_reply_malformed"], rig["failed"]) == (1, 1, 1)
    assert (rig["in_flight"], rig.idle()) == (0, [V])
    rig.sent(C, V, b"2")
    assert rig.final(V, ticket, b"and the reply") == []  # too late
    assert rig["drop_reply_duplicate"] == 1


def test_what_is_no_reply_and_late_frees_its_worker(
    make: Callable[..., TalkRig], malformed: Callable[..., list[bytes]]
) -> None:
    rig = make(request_ttl=1.0)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.wait(2.0)
    assert (rig["failed_expired_in_flight"], rig.idle()) == (1, [])
    assert rig.receive(BACKEND, malformed(V, ticket)) == []
    assert (rig["failed"], rig.idle()) == (1, [V])


def test_a_worker_that_was_lost_may_say_so_too(
    make: Callable[..., TalkRig], malformed: Callable[..., list[bytes]]
) -> None:
    rig = make()
    rig.opened(5)
    rig.join(V, connection=5)
    ticket = rig.sent(C, V, b"1")
    rig.closed(5)
    assert (rig["workers"], rig["in_flight"]) == (0, 1)
    [told] = rig.receive(BACKEND, malformed(V, ticket))
    assert told.frames[-2:] == broker_error("failed_reply_malformed")
    assert (rig["workers"], rig["in_flight"], rig["failed"]) == (0, 0, 1)


def test_the_ticket_of_another_fails_nothing(
    make: Callable[..., TalkRig], malformed: Callable[..., list[bytes]]
) -> None:
    rig = make()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.join(W)
    for stranger in (W, b"nobody"):
        assert rig.receive(BACKEND, malformed(stranger, ticket)) == []
    assert (rig["drop_malformed_worker"], rig["failed"], rig["in_flight"]) == (2, 0, 1)
    assert rig.idle() == [W]
    assert len(rig.final(V, ticket, b"the reply")) == 1


@pytest.mark.parametrize("dialect", [PPP], ids=["PPP"])
def test_the_other_requests_of_its_worker_go_on(
    rooms: ModuleType, malformed: Callable[..., list[bytes]], dialect: Dialect
) -> None:
    rig = TalkRig(rooms, dialect, heartbeat_interval=100.0)
    rig.join(V, b"\x03")
    tickets = [rig.sent(C, V, body) for body in (b"1", b"2", b"3")]
    assert rig.idle() == []
    rig.receive(BACKEND, malformed(V, tickets[1]))
    assert (rig["in_flight"], rig.idle()) == (2, [V])
    for ticket in (tickets[0], tickets[2]):
        assert len(rig.final(V, ticket, b"reply")) == 1
    assert (rig["replied"], rig["failed_reply_malformed"]) == (2, 1)


def test_what_is_no_reply_and_too_large_frees_its_worker(
    make: Callable[..., TalkRig], dialect: Dialect
) -> None:
    rig = make(max_frames=16, max_depth=4)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    [told] = rig.receive(BACKEND, [V, *dialect.head, ticket, *[b"x"] * 30])
    assert told.frames[-2:] == broker_error("failed_reply_malformed")
    assert (rig["drop_too_many_frames"], rig["drop_malformed_worker"], rig.idle()) == (1, 0, [V])


# -- Majordomo: its sender is sent away as well ----------------------------------------------------

#: What workers of Majordomo make of an answer, behind their header.
ANSWERS = {
    "no empty frame": lambda dialect, ticket: [dialect.final, ticket, b"result"],
    "no empty frame and more": lambda dialect, ticket: [
        dialect.final,
        ticket,
        b"result",
        b"",
        b"x",
    ],
    "no body": lambda dialect, ticket: [dialect.final, ticket, b""],
    "nothing": lambda dialect, ticket: [dialect.final, ticket],
    "an empty frame too many": lambda dialect, ticket: [dialect.final, b"", ticket, b"", b"result"],
    "no command": lambda _, ticket: [ticket, b"", b"result"],
    "an unknown command": lambda _, ticket: [b"\x09", ticket, b"", b"result"],
    "a word for a command": lambda _, ticket: [b"REPLY", ticket, b"", b"result"],
    "the broker's command": lambda _, ticket: [b"\x02", ticket, b"", b"result"],
    "a heartbeat with a ticket": lambda dialect, ticket: [dialect.heartbeat, ticket],
}


@pytest.fixture(params=["MDP01", "MDP02"])
def majordomo(rooms: ModuleType, request: pytest.FixtureRequest) -> Callable[..., TalkRig]:
    return partial(TalkRig, rooms, {"MDP01": MDP01, "MDP02": MDP02}[request.param])


@pytest.mark.parametrize("case", ANSWERS)
@pytest.mark.parametrize("parts", [0, 1])
def test_a_malformed_answer_ends_its_request_and_is_not_carried_out_again(
    majordomo: Callable[..., TalkRig], case: str, parts: int
) -> None:
    rig = majordomo(retries=3)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    if rig.dialect is MDP02:
        for _ in range(parts):
            rig.part(V, ticket, b"part")
    rig.join(W)
    calls = rig.receive(BACKEND, [V, *rig.dialect.head, *ANSWERS[case](rig.dialect, ticket)])
    error = broker_error("failed_reply_malformed")
    goodbye = rig.dialect.command(V, rig.dialect.disconnect)
    assert [call[:2] for call in calls] == [
        (FRONTEND, answer(rig.version, C, rig.service, *error)),
        (BACKEND, goodbye),
    ]
    assert (rig["failed_reply_malformed"], rig["drop_malformed_worker"]) == (1, 1)
    assert (rig["redispatched"], rig["queued"], rig["in_flight"], rig.idle()) == (0, 0, 0, [W])


def test_its_sender_s_other_requests_are_carried_out_by_others(
    majordomo: Callable[..., TalkRig],
) -> None:
    rig = majordomo(retries=1)
    rig.join(V, b"\x02")
    tickets = [rig.sent(C, V, body) for body in (b"1", b"2")]
    rig.join(W)
    *_, job = rig.receive(
        BACKEND, [V, *rig.dialect.head, rig.dialect.final or b"", tickets[0], b"x"]
    )
    assert job[:2] == (BACKEND, rig.dialect.job(W, job.ticket, b"2"))
    assert (rig["failed_reply_malformed"], rig["redispatched"], rig["in_flight"]) == (1, 1, 1)


@pytest.mark.parametrize("case", ANSWERS)
def test_a_malformed_answer_with_the_ticket_of_another_ends_nothing(
    majordomo: Callable[..., TalkRig], case: str
) -> None:
    rig = majordomo()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.join(W)
    rig.receive(BACKEND, [W, *rig.dialect.head, *ANSWERS[case](rig.dialect, ticket)])
    assert (rig["failed"], rig["in_flight"], rig["workers"], rig["disconnects"]) == (0, 1, 1, 1)


def test_a_lost_worker_of_majordomo_may_say_so_too(majordomo: Callable[..., TalkRig]) -> None:
    rig = majordomo()
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    rig.bye(V)
    assert rig["in_flight"] == 1
    [told] = rig.receive(BACKEND, [V, *rig.dialect.head, rig.dialect.final or b"", ticket, b"x"])
    assert told.frames[-2:] == broker_error("failed_reply_malformed")
    assert (rig["in_flight"], rig["workers"]) == (0, 0)


def test_what_is_no_reply_of_majordomo_and_too_large_ends_its_request(
    majordomo: Callable[..., TalkRig],
) -> None:
    rig = majordomo(max_frames=16, max_depth=4)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    frames = [V, *rig.dialect.head, rig.dialect.final or b"", ticket, *[b"x"] * 30]
    [told] = rig.receive(BACKEND, frames)
    assert told.frames[-2:] == broker_error("failed_reply_malformed")
    assert (rig["drop_too_many_frames"], rig["drop_malformed_worker"], rig.idle()) == (1, 0, [V])


@pytest.mark.parametrize(
    ("own", "other"),
    [(MDP01, MDP02), (MDP02, MDP01), (REQ, MDP02), (MDP02, REQ), (REQ, PPP), (PPP, MDP01)],
)
def test_an_answer_in_another_protocol_than_its_worker_s_ends_its_request(
    rooms: ModuleType, own: Dialect, other: Dialect
) -> None:
    rig = TalkRig(rooms, own, protocols=ALL)
    rig.join(V)
    ticket = rig.sent(C, V, b"1")
    [told] = rig.receive(BACKEND, other.reply(V, ticket, b"result"))
    assert told.frames[-2:] == broker_error("failed_reply_malformed")
    assert (rig["drop_malformed_worker"], rig["in_flight"], rig.idle()) == (1, 0, [V])


# -- over sockets ---------------------------------------------------------------------------------


def test_a_worker_that_once_forgets_its_envelope_stays_in_service(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    lru = broker()
    worker = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend, identity=C)
    for forgotten in (1, 2):
        client.send_multipart([b"", b"question"])
        ticket, empty, body = worker.recv_multipart()
        worker.send_multipart([ticket, empty][:forgotten])
        assert client.recv_multipart() == [b"", *broker_error("failed_reply_malformed")]
        client.send_multipart([b"", b"question"])
        ticket, empty, body = worker.recv_multipart()
        worker.send_multipart([ticket, empty, body])
        assert client.recv_multipart() == [b"", b"question"]
