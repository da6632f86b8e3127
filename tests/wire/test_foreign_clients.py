"""Clients of MDP 0.2 that send an empty frame in front: understood, and answered in kind.

"led" has the RFC's commands behind it.  "shifted" (a published Python package) numbers them as those of
workers, and expects replies without the service.  Frames are written out by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from dialects import ALL, LED, LED_CLIENTS, MDP01, MDP02, TalkRig, answer, asks
from harness import Peers, wait_until
from models import BOTH, FRONTEND, Rig

from brigantine import AnyBroker, MajordomoBroker
from brigantine.config.protocols import Protocol

ANY = "tcp://127.0.0.1:*"
SERVICE = b"echo"
V, W, C = b"worker 1", b"worker 2", b"client"
OURS = b"brigantine/1:00112233"
#: A request as it comes, what a PARTIAL and a FINAL begin with.
WIRE = {
    "led": (
        [b"", b"MDPC02", b"\x01", b"echo"],
        [b"", b"MDPC02", b"\x02", b"echo"],
        [b"", b"MDPC02", b"\x03", b"echo"],
    ),
    "shifted": (
        [b"", b"MDPC02", b"\x02", b"echo"],
        [b"", b"MDPC02", b"\x03"],
        [b"", b"MDPC02", b"\x04"],
    ),
}
BODIES = [[b"x"], [b""], [b"a", b"", b"b"], [b"", b"MDPC02", b"\x02", b"s", b"x"]]


@pytest.fixture(params=LED_CLIENTS)
def spoken(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("hops", [[], [b"hop"], [b"hop", b"another"]])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("port", [FRONTEND, BOTH])
def test_its_request_is_one_of_its_service_and_its_reply_is_in_kind(
    rooms: ModuleType, spoken: str, port: int, body: list[bytes], hops: list[bytes]
) -> None:
    request, partial, final = WIRE[spoken]
    rig = TalkRig(rooms, MDP02)
    rig.join(V)
    [job] = rig.receive(port, [*hops, C, *request, *body])
    assert job.frames == MDP02.job(V, job.ticket, *body)
    assert rig.part(V, job.ticket, *body)[0].frames == [*hops, C, *partial, *body]
    assert rig.final(V, job.ticket, *body)[0].frames == [*hops, C, *final, *body]
    assert (rig["accepted"], rig["partials"], rig["replied"]) == (1, 1, 1)


@pytest.mark.parametrize("dialect", [MDP01, MDP02, LED])
def test_workers_of_every_version_serve_it(rooms: ModuleType, spoken: str, dialect: Any) -> None:
    request, _, final = WIRE[spoken]
    rig = TalkRig(rooms, dialect)
    rig.join(V)
    [job] = rig.receive(FRONTEND, [C, *request, b"x"])
    ticket = job.frames[-3]
    assert job.frames == dialect.job(V, ticket, b"x")
    assert rig.final(V, ticket, b"y")[0].frames == [C, *final, b"y"]


def test_a_request_that_a_lost_worker_had_is_answered_in_kind_by_the_next(
    rooms: ModuleType, spoken: str
) -> None:
    request, _, final = WIRE[spoken]
    rig = TalkRig(rooms, MDP02, retries=1)
    rig.join(V)
    rig.receive(FRONTEND, [b"hop", C, *request, b"x"])
    rig.bye(V)
    [job] = rig.join(W)
    assert job.frames == MDP02.job(W, job.ticket, b"x")
    assert rig.final(W, job.ticket, b"y")[0].frames == [b"hop", C, *final, b"y"]


@pytest.mark.parametrize("hops", [[], [b"hop"]])
def test_it_is_told_of_an_error_only_if_it_asks_to_be(
    rooms: ModuleType, spoken: str, hops: list[bytes]
) -> None:
    rig = TalkRig(rooms, MDP02)
    rig.board.drain()
    assert rig.receive(FRONTEND, [*hops, C, *WIRE[spoken][0], b"x"]) == []
    [told] = rig.receive(FRONTEND, [*hops, OURS, *WIRE[spoken][0], b"x"])
    head = [*hops, OURS, *WIRE[spoken][2], b"brigantine-broker-error/1"]
    assert told.frames[:-1] == head
    assert (rig["shed_draining"], rig["error_answers"]) == (2, 1)


@pytest.mark.parametrize("strict", [False, True])
def test_a_broker_of_another_version_tells_it_in_kind(
    rooms: ModuleType, spoken: str, strict: bool
) -> None:
    rig = TalkRig(rooms, MDP01, protocols=Protocol.MDP01, default_service=None, strict=strict)
    [told] = rig.receive(FRONTEND, [OURS, *WIRE[spoken][0], b"x"])
    assert told.frames[:-1] == [OURS, *WIRE[spoken][2], b"brigantine-broker-error/1"]
    assert rig.receive(FRONTEND, [C, *WIRE[spoken][0], b"x"]) == []
    assert (rig["accepted"], rig["drop_malformed_request"]) == (0, 2)


@pytest.mark.parametrize(("hops", "forgotten"), [([], 1), ([b"hop"], 0)])
def test_what_waits_of_one_of_ours_that_leaves_is_forgotten(
    rooms: ModuleType, spoken: str, hops: list[bytes], forgotten: int
) -> None:
    rig = TalkRig(rooms, MDP02)
    rig.receive(FRONTEND, [*hops, OURS, *WIRE[spoken][0], b"x"], 7)
    rig.client_leaves(7)
    assert (rig["failed_client_left"], rig["queued"]) == (forgotten, 1 - forgotten)


def test_nothing_more_of_a_reply_leaves_once_its_connection_has_ended_in_the_middle(
    rooms: ModuleType, spoken: str
) -> None:
    rig = TalkRig(rooms, MDP02)
    rig.join(V)
    [job] = rig.receive(FRONTEND, [C, *WIRE[spoken][0], b"x"], 7)
    assert len(rig.part(V, job.ticket, b"a")) == 1
    rig.client_leaves(7)
    assert rig.part(V, job.ticket, b"b") == rig.final(V, job.ticket, b"end") == []
    assert rig["failed_client_left"] == 1


@pytest.mark.parametrize(
    "frames",
    [
        [b"", b"MDPC02"],
        [b"", b"MDPC02", b"\x02"],
        [b"", b"MDPC02", b"\x02", b"echo"],
        [b"", b"MDPC02", b"\x01", b"echo"],
        [b"", b"MDPC02", b"\x03", b"echo", b"x"],
        [b"", b"MDPC02", b"", b"echo", b"x"],
        [b"", b"MDPC02", b"\x02\x00", b"echo", b"x"],
        [b"", b"MDPC02\x00", b"\x02", b"echo", b"x"],
        [b"MDPC02", b"\x02", b"echo", b"x"],
    ],
)
def test_what_is_no_whole_request_of_it_is_dropped_or_a_body(
    rooms: ModuleType, frames: list[bytes]
) -> None:
    rig = TalkRig(rooms, MDP02, default_service=None)
    rig.notice()
    rig.join(V)
    assert rig.receive(FRONTEND, [C, *frames]) == []
    assert (rig["accepted"], rig["drop_malformed_request"]) == (0, 1)
    assert [each.kind for each in rig.noticed()] == ["not_a_request"]
    anyone = Rig(rooms, protocols=ALL)
    anyone.ready(V)
    passed_on = anyone.receive(FRONTEND, [C, *frames])
    known = frames[1] == b"MDPC02" and frames[2:3] in ([b"\x01"], [b"\x02"])
    if frames[0] == b"" and not known:
        assert passed_on[0].frames[4:] == frames[1:], "of a plain client any frames may be a body"
    else:
        assert (passed_on, anyone["drop_malformed_request"]) == ([], 1)


def test_strict_refuses_it(rooms: ModuleType, spoken: str) -> None:
    frames = [C, *WIRE[spoken][0], b"x"]
    rig = TalkRig(rooms, MDP02, default_service=None, strict=True)
    rig.notice()
    assert rig.receive(FRONTEND, frames) == []
    assert (rig["accepted"], rig["drop_malformed_request"]) == (0, 1)
    assert [each.kind for each in rig.noticed()] == ["not_a_request"]
    anyone = Rig(rooms, protocols=ALL, strict=True)
    anyone.ready(V)
    [job] = anyone.receive(FRONTEND, frames)
    assert job.frames[4:] == frames[2:], "one of a plain client, for the service without a name"


def test_strict_clients_are_no_dialect(rooms: ModuleType) -> None:
    rig = TalkRig(rooms, MDP02, services=(b"", SERVICE))
    rig.notice()
    for version in ("0.1", "0.2", ""):
        rig.receive(FRONTEND, asks(version, C, SERVICE, b"x"))
    assert rig["accepted"] == 3
    assert rig.noticed() == []


@pytest.mark.parametrize("kind", [MajordomoBroker, AnyBroker])
def test_it_is_served_by_a_broker_and_is_one_line_of_the_log(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: Any, spoken: str
) -> None:
    request, partial, final = WIRE[spoken]
    with kind(ANY, ANY, impl=impl) as broker:
        worker = peers.dealer(broker.backend)
        worker.send_multipart([b"MDPW02", b"\x01", SERVICE])
        wait_until(lambda: broker.stats()["workers"] == 1)
        client = peers.dealer(broker.frontend, identity=b"foreign")
        client.send_multipart([b"", b"MDPC02", request[2], b"mmi.service", SERVICE])
        mmi = [b"mmi.service"] if spoken == "led" else []
        assert client.recv_multipart() == [*final[:3], *mmi, b"200"]
        for number in (b"1", b"2"):
            client.send_multipart([*request, number])
            while (job := worker.recv_multipart())[1] == b"\x05":
                worker.send_multipart([b"MDPW02", b"\x05"])
            assert job[-1] == number
            worker.send_multipart([b"MDPW02", b"\x03", job[2], b"", b"part"])
            worker.send_multipart([b"MDPW02", b"\x04", job[2], b"", b"end", number])
            assert client.recv_multipart() == [*partial, b"part"]
            assert client.recv_multipart() == [*final, b"end", number]
        assert broker.stats()["drop_malformed_request"] == 0
    [line] = log('"foreign"', "dialect")
    assert line.startswith('client "foreign"')
    assert ("REQUEST as 0x02" in line) == (spoken == "shifted")


def test_the_dialects_are_written_as_on_this_page(spoken: str) -> None:
    """What the model-based tests draw is what stands above."""
    request, _, final = WIRE[spoken]
    assert asks(spoken, C, SERVICE, b"x") == [C, *request, b"x"]
    assert answer(spoken, C, SERVICE, b"x") == [C, *final, b"x"]
