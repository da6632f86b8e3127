"""Services that the broker answers itself: RFC 8's ``mmi.service``, and ours."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import msgpack
import pytest
from dialects import ALL, LED_CLIENTS, MAJORDOMO, MDP01, MDP02, REQ, TalkRig, answer, asks
from models import BEHIND, FRONTEND, FULL, GONE, Rig

from brigantine import COUNTERS, ledger_holds

C = b"client"
V, W, X = b"worker 1", b"worker 2", b"worker 3"


@pytest.fixture(params=["0.1", "0.2", *LED_CLIENTS])
def version(request: pytest.FixtureRequest) -> str:
    """The client's version of MDP."""
    name: str = request.param
    return name


def make(rooms: ModuleType, **options: Any) -> TalkRig:
    """Workers of MDP 0.2, for the service "echo"."""
    return TalkRig(rooms, MDP02, **options)


def asked(rig: Rig, version: str, name: bytes, *body: bytes) -> bytes:
    """The body of the broker's answer, its frames being those of a reply."""
    [call] = rig.receive(FRONTEND, asks(version, C, name, *(body or (b"",))))
    assert call[:2] == (FRONTEND, answer(version, C, name, call.frames[-1]))
    return call.frames[-1]


# -- RFC 8 ------------------------------------------------------------------------------------


def test_mmi_service_says_200_for_a_service_with_workers(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    assert asked(rig, version, b"mmi.service", b"echo") == b"404"
    rig.join(V)
    assert asked(rig, version, b"mmi.service", b"echo") == b"200"
    rig.sent(C, V, b"x")
    assert asked(rig, version, b"mmi.service", b"echo") == b"200", "busy, but there"
    rig.bye(V)
    assert asked(rig, version, b"mmi.service", b"echo") == b"404"


def test_a_service_that_is_only_asked_for_is_404(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    rig.request(C, b"x")
    assert rig["services"] == 1
    assert asked(rig, version, b"mmi.service", b"echo") == b"404"


def test_names_are_compared_whole(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    rig.join(V)
    for name in (b"", b"ech", b"echo\0", b"Echo", b"mmi.service"):
        assert asked(rig, version, b"mmi.service", name) == b"404"
    assert asked(rig, version, b"mmi.service", b"echo", b"and more frames") == b"200"


@pytest.mark.parametrize("name", [b"mmi.", b"mmi.x", b"mmi.service\0", b"mmi.servic", b"mmi.\0"])
def test_what_is_not_implemented_is_501(rooms: ModuleType, version: str, name: bytes) -> None:
    assert asked(make(rooms), version, name, b"echo") == b"501"


@pytest.mark.parametrize("name", [b"mmi", b"mm", b"MMI.service", b" mmi.service"])
def test_what_does_not_begin_with_it_is_an_ordinary_service(
    rooms: ModuleType, version: str, name: bytes
) -> None:
    rig = make(rooms)
    assert rig.receive(FRONTEND, asks(version, C, name, b"x")) == []
    assert (rig["queued"], rig["mmi"]) == (1, 0)


def test_an_address_stack_comes_back(rooms: ModuleType) -> None:
    rig = make(rooms)
    frames = [C, b"hop", b"\0", b"", b"MDPC01", b"mmi.service", b"echo"]
    [call] = rig.receive(FRONTEND, frames)
    assert call.frames == [*frames[:-1], b"404"]


# -- ours -------------------------------------------------------------------------------------


def row(workers: int, idle: int, queued: int) -> dict[str, int]:
    return {"workers": workers, "idle": idle, "queued": queued}


def test_mmi_services_tells_of_each_service_in_the_order_of_names(
    rooms: ModuleType, version: str
) -> None:
    names = (b"\xff", b"busy", b"idle", b"", b"busy\0", b"wanted")
    rig = Rig(rooms, protocols=ALL, services=names)
    assert asked(rig, version, b"mmi.services") == msgpack.packb({})
    rig.receive(1, MDP01.registers(V, b"idle"))
    rig.receive(1, MDP02.registers(W, b"idle", b"\x05"))
    rig.receive(1, MDP02.registers(X, b"busy"))
    rig.receive(1, REQ.registers(b"worker 4", b""))
    for name in (b"busy", b"busy", b"busy", b"\xff", b"busy\0", b"wanted", b"wanted"):
        rig.receive(FRONTEND, asks(version, C, name, b"x"))
    expected = {
        b"": row(1, 1, 0),
        b"busy": row(1, 0, 2),
        b"busy\0": row(0, 0, 1),
        b"idle": row(2, 2, 0),
        b"wanted": row(0, 0, 2),
        b"\xff": row(0, 0, 1),
    }
    assert asked(rig, version, b"mmi.services") == msgpack.packb(expected)


@pytest.mark.parametrize("count", [15, 16, 300])
def test_any_number_of_services_is_told(rooms: ModuleType, count: int) -> None:
    rig = make(rooms)
    for number in range(count):
        rig.receive(FRONTEND, asks("0.2", C, b"%04d" % number, b"x"))
    expected = {b"%04d" % number: row(0, 0, 1) for number in range(count)}
    assert asked(rig, "0.2", b"mmi.services") == msgpack.packb(expected)


@pytest.mark.long
def test_65536_services_are_told(rooms: ModuleType) -> None:
    rig = make(rooms, max_services=100_000)
    for number in range(1 << 16):
        rig.board.receive(FRONTEND, asks("0.2", C, b"%08d" % number, b"x"), 0.0)
    rig.settled()
    expected = {b"%08d" % number: row(0, 0, 1) for number in range(1 << 16)}
    assert asked(rig, "0.2", b"mmi.services") == msgpack.packb(expected)


@pytest.mark.parametrize("size", [0, 31, 32, 255, 256, 65535, 65536])
def test_names_of_any_length_are_told(rooms: ModuleType, size: int) -> None:
    rig, name = make(rooms), b"n" * size
    rig.receive(FRONTEND, asks("0.2", C, name, b"x"))
    assert asked(rig, "0.2", b"mmi.services") == msgpack.packb({name: row(0, 0, 1)})


@pytest.mark.parametrize("count", [127, 128, 255, 256, 65535, 65536])
def test_numbers_of_any_size_are_told(rooms: ModuleType, count: int) -> None:
    rig = make(rooms)
    frames = [b"client", b"x"]  # malformed: counted, and nothing else
    for _ in range(count):
        rig.board.receive(FRONTEND, frames, 0.0)
    answered = asked(rig, "0.2", b"mmi.stats")
    assert msgpack.unpackb(answered)["drop_malformed_request"] == count
    assert answered == msgpack.packb(msgpack.unpackb(answered)), "as short as can be"


def test_mmi_workers_tells_their_states(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    for worker in (V, W, X):
        rig.join(worker)
    rig.sent(C, V, b"x")
    rig.bye(X)
    expected = {"known": 2, "idle": 1, "busy": 1, "joined": 3, "lost": 1}
    assert asked(rig, version, b"mmi.workers") == msgpack.packb(expected)


def test_mmi_stats_tells_every_counter(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    rig.join(V)
    rig.sent(C, V, b"x")
    rig.request(C, b"y")
    rig.beat(b"stranger")
    before = rig.board.counters()
    stats = msgpack.unpackb(asked(rig, version, b"mmi.stats"))
    assert list(stats) == list(COUNTERS)
    changed = {"accepted", "mmi", "replied"}  # by the question itself
    assert {name for name in stats if stats[name] != before[name]} <= changed
    assert stats["mmi"] == 1


def test_the_ledger_holds_in_the_answer(rooms: ModuleType) -> None:
    assert ledger_holds(msgpack.unpackb(asked(make(rooms), "0.2", b"mmi.stats")))


# -- what it costs ----------------------------------------------------------------------------


def test_an_answer_is_in_the_ledger(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    asked(rig, version, b"mmi.service", b"echo")
    assert rig.nonzero() == {"accepted": 1, "replied": 1, "mmi": 1}


@pytest.mark.parametrize(
    ("result", "end"),
    [(FULL, "shed_client_full"), (BEHIND, "shed_client_bytes"), (GONE, "failed_client_gone")],
)
def test_an_answer_that_the_client_does_not_take_is_counted(
    rooms: ModuleType, version: str, result: int, end: str
) -> None:
    rig = make(rooms)
    rig.results[FRONTEND, C] = result
    asked(rig, version, b"mmi.stats")
    assert rig.nonzero() == {"accepted": 1, "mmi": 1, end: 1, end.partition("_")[0]: 1}


def test_an_answer_needs_no_room_in_the_queue(rooms: ModuleType, version: str) -> None:
    rig = make(rooms, queue_limit=0, queue_bytes=0, max_services=1)
    rig.join(V)
    assert asked(rig, version, b"mmi.service", b"echo") == b"200"
    assert asked(rig, version, b"mmi.no") == b"501"


def test_a_question_without_a_body_is_malformed(rooms: ModuleType, version: str) -> None:
    rig = make(rooms)
    assert rig.receive(FRONTEND, asks(version, C, b"mmi.stats")) == []
    assert rig.nonzero() == {"drop_malformed_request": 1}


def test_a_client_without_a_header_has_no_way_to_ask(rooms: ModuleType) -> None:
    rig = TalkRig(rooms, MDP02, version="", protocols=MAJORDOMO)
    assert rig.receive(FRONTEND, [C, b"", b"mmi.service", b"echo"]) == []
    assert (rig["mmi"], rig["queued"]) == (0, 1)
