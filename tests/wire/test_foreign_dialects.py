"""Peers of other dialects, and at the wrong endpoint: understood, or one line each; never a job."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from harness import Peers, wait_until
from models import BACKEND, BOTH, FRONTEND, Rig

from brigantine import (
    AnyBroker,
    ConfigError,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    ParanoidPirateBroker,
)
from brigantine.config.protocols import Protocol
from brigantine.notices.lookalikes import Here, advice

ANY = "tcp://127.0.0.1:*"
REQ, PPP, MDP01, MDP02 = Protocol.REQ, Protocol.PPP, Protocol.MDP01, Protocol.MDP02
ALL = REQ | PPP | MDP01 | MDP02
BROKERS = {"lru": REQ, "ppp": PPP, "mdp": MDP01 | MDP02, "any": ALL}
#: What workers of MDP say, in both versions and in one with an empty frame too many.
WORKERS_SAY = {
    "ready 0.1": [b"", b"MDPW01", b"\x01", b"echo"],
    "heartbeat 0.1": [b"", b"MDPW01", b"\x04"],
    "reply 0.1": [b"", b"MDPW01", b"\x03", b"0000000000000000", b"", b"x"],
    "disconnect 0.1": [b"", b"MDPW01", b"\x05"],
    "ready 0.2": [b"MDPW02", b"\x01", b"echo"],
    "heartbeat 0.2": [b"MDPW02", b"\x05"],
    "reply 0.2": [b"MDPW02", b"\x04", b"0000000000000000", b"", b"x"],
    "ready, led": [b"", b"MDPW02", b"\x01", b"echo"],
    "heartbeat, led": [b"", b"MDPW02", b"\x05"],
}
HERE = Here(("tcp://127.0.0.1:1",), ("tcp://127.0.0.1:2",), ALL)


# -- workers where clients are --------------------------------------------------------------------


@pytest.mark.parametrize("kind", BROKERS)
@pytest.mark.parametrize(
    ("said", "behind"),
    [(said, hops) for said in WORKERS_SAY for hops in ([], [b"hop"])
     if not (hops and WORKERS_SAY[said][0])],  # 0.2 has no address stack
)  # fmt: skip
def test_what_a_worker_says_is_never_a_request(
    rooms: ModuleType, kind: str, said: str, behind: list[bytes]
) -> None:
    frames = WORKERS_SAY[said]
    service = None if kind == "mdp" else b""
    rig = Rig(rooms, protocols=BROKERS[kind], default_service=service)
    rig.notice()
    calls = rig.receive(FRONTEND, [b"w", *behind, *frames])
    assert (rig["accepted"], rig["drop_wrong_side"]) == (0, 1)
    assert [each.kind for each in rig.noticed()] == ["wrong_side"]
    assert rig["disconnects"] == len(calls) == (kind in ("mdp", "any"))
    rig.receive(FRONTEND, [b"w", *behind, *frames])
    rig.wait(0.5)
    assert rig.noticed() == [], "once a peer"
    assert rig["disconnects"] == len(calls), "not again within the second"
    rig.wait(0.5)
    rig.receive(FRONTEND, [b"w", *behind, *frames])
    assert rig["disconnects"] == 2 * len(calls)


@pytest.mark.parametrize("kind", ["mdp", "any"])
@pytest.mark.parametrize(
    ("said", "goodbye"),
    [
        ("ready 0.1", [b"", b"MDPW01", b"\x05"]),
        ("ready 0.2", [b"MDPW02", b"\x06"]),
        ("ready, led", [b"", b"MDPW02", b"\x06"]),
    ],
)
def test_a_worker_at_the_clients_endpoint_is_sent_away_and_told_of_in_the_log(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: str, said: str,
    goodbye: list[bytes],
) -> None:  # fmt: skip
    made = {"mdp": MajordomoBroker, "any": AnyBroker}[kind]
    with made(ANY, ANY, impl=impl, workers_at_frontend=False) as broker:
        plain = peers.worker(broker.backend) if kind == "any" else None
        worker = peers.dealer(broker.frontend, identity=b"lost")
        worker.send_multipart(WORKERS_SAY[said])
        assert worker.recv_multipart() == goodbye
        [line] = wait_until(lambda: log('"lost"', broker.backend))
        assert "0x01" in line
        stats = broker.stats()
        assert (stats["accepted"], stats["drop_wrong_side"]) == (0, 1)
        assert plain is None or not plain.poll(50)


@pytest.mark.parametrize("word", [b"READY", b"\x01"])
@pytest.mark.parametrize("behind", [[], [b"hop"]])
@pytest.mark.parametrize("port", [FRONTEND, BOTH])
@pytest.mark.parametrize("kind", BROKERS)
def test_the_ready_of_a_req_worker_is_never_a_request(
    rooms: ModuleType, kind: str, port: int, behind: list[bytes], word: bytes
) -> None:
    rig = Rig(rooms, protocols=BROKERS[kind])
    rig.notice()
    assert rig.receive(port, [b"w", *behind, b"", word]) == [], "a REQ worker knows no DISCONNECT"
    assert (rig["accepted"], rig["drop_wrong_side"], rig["workers"]) == (0, 1, 0)
    assert [(each.kind, each.peer) for each in rig.noticed()] == [("wrong_side", b"w")]
    rig.receive(port, [b"w", *behind, b"", word])
    assert rig.noticed() == [], "once a peer"
    for number, body in enumerate(([word, b"more"], [word + b"?"], [b"ready"]), 1):
        rig.receive(port, [b"c", *behind, b"", *body])
        assert rig["accepted"] == number
    assert rig.noticed() == []


def test_the_ready_of_a_worker_of_ours_is_never_a_request(rooms: ModuleType) -> None:
    rig = Rig(rooms)
    rig.notice()
    for hops in ([b"brigantine/1:worker-0011"], [b"hop", b"brigantine/1:worker-0011"]):
        assert rig.receive(FRONTEND, [*hops, b"", b"READY"]) == []
    assert (rig["accepted"], rig["drop_wrong_side"]) == (0, 2)


def test_an_lru_worker_at_the_clients_endpoint_is_told_of(
    impl: str, log: Callable[..., list[str]]
) -> None:
    with LRUBroker(ANY, ANY, impl=impl) as broker:
        with LRUWorker(broker.frontend, lambda body: body, ready_timeout=0):
            wait_until(lambda: broker.stats()["drop_wrong_side"])
            assert wait_until(lambda: log("clients' endpoint", broker.backend))
        assert broker.stats()["accepted"] == 0


@pytest.mark.parametrize("word", [b"READY", b"\x01"])
def test_a_client_of_ours_asks_with_any_body(rooms: ModuleType, word: bytes) -> None:
    rig = Rig(rooms)
    rig.notice()
    rig.ready(b"w")
    [call] = rig.ask(b"brigantine/1:00112233", word)
    assert call.frames[-1] == word
    rig.reply(b"w", call.ticket, b"x")
    [call] = rig.receive(FRONTEND, [b"proxy", b"brigantine/1:00112233", b"", word])
    assert call.frames[-1] == word
    assert rig.noticed() == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (LRUBroker, ("Workers connect to", "backend")),
        (ParanoidPirateBroker, ("REQ worker", "LRUBroker", "AnyBroker")),
        (AnyBroker, ("Workers connect to", "backend")),
        (None, ("one endpoint", "backend of its own")),
    ],
)
def test_a_req_worker_where_clients_are_is_told_of_with_the_place_where_it_belongs(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: Any, words: tuple[str, ...]
) -> None:
    made = AnyBroker(ANY, impl=impl) if kind is None else kind(ANY, ANY, impl=impl)
    with made as broker:
        worker = peers.req(broker.frontend, identity=b"lost")
        worker.send(b"READY")
        [line] = wait_until(lambda: log('"lost"', "clients' endpoint"))
        assert all((broker.backend if word == "backend" else word) in line for word in words), line
        assert broker.stats()["drop_wrong_side"] == 1
        assert broker.stats()["accepted"] == 0


def test_a_majordomo_request_at_a_broker_without_services_is_passed_on_and_told_of(
    rooms: ModuleType,
) -> None:
    rig = Rig(rooms)
    rig.notice()
    rig.ready(b"w")
    [call] = rig.ask(b"c", b"MDPC01", b"echo", b"x")
    assert call.frames[-3:] == [b"MDPC01", b"echo", b"x"]
    [told] = rig.noticed()
    assert told.kind == "foreign_request"
    text = advice(told.frames, HERE._replace(protocols=REQ), from_worker=False)
    assert "client of MDP 0.1" in text
    assert "MajordomoBroker" in text


def test_one_endpoint_of_any_broker_serves_both_sides(impl: str, peers: Peers) -> None:
    with AnyBroker(ANY, impl=impl) as broker:
        assert broker.backend == broker.frontend
        worker = peers.dealer(broker.frontend)
        worker.send_multipart([b"", b"MDPW01", b"\x01", b"echo"])
        wait_until(lambda: broker.stats()["workers"] == 1)
        client = peers.dealer(broker.frontend)
        client.send_multipart([b"MDPC02", b"\x01", b"echo", b"x"])
        _, _, _, ticket, _, body = worker.recv_multipart()
        worker.send_multipart([b"", b"MDPW01", b"\x03", ticket, b"", body * 2])
        assert client.recv_multipart() == [b"MDPC02", b"\x03", b"echo", b"xx"]
    for kind in (LRUBroker, ParanoidPirateBroker):
        with pytest.raises(ConfigError, match="backend"):
            kind(ANY, None, impl=impl)


# -- dialects -------------------------------------------------------------------------------------


def test_ppp_in_words_is_understood_and_answered_in_words(
    impl: str, peers: Peers, log: Callable[..., list[str]]
) -> None:
    with ParanoidPirateBroker(ANY, ANY, impl=impl, heartbeat_interval=0.1) as broker:
        worker = peers.dealer(broker.backend, identity=b"wordy")
        worker.send(b"READY")
        assert worker.recv() == b"HEARTBEAT"
        for _ in range(10):  # far longer than it would live without
            worker.send(b"HEARTBEAT")
            assert worker.recv() == b"HEARTBEAT"
        client = peers.req(broker.frontend)
        client.send(b"x")
        while (frames := worker.recv_multipart()) == [b"HEARTBEAT"]:
            worker.send(b"HEARTBEAT")
        worker.send_multipart([*frames[:-1], b"done"])
        assert client.recv() == b"done"
        assert broker.stats()["workers_joined"] == 1
        assert broker.stats()["drop_malformed_worker"] == 0
    assert len(log('"wordy"', '"READY"', "words")) == 1


def test_majordomo_02_with_an_empty_frame_in_front_is_understood_and_answered_so(
    impl: str, peers: Peers, log: Callable[..., list[str]]
) -> None:
    with MajordomoBroker(ANY, impl=impl, heartbeat_interval=0.1) as broker:
        worker = peers.dealer(broker.frontend, identity=b"led")
        worker.send_multipart([b"", b"MDPW02", b"\x01", b"echo"])
        assert worker.recv_multipart() == [b"", b"MDPW02", b"\x05"]
        client = peers.dealer(broker.frontend)
        client.send_multipart([b"MDPC02", b"\x01", b"echo", b"a", b"b"])
        while (frames := worker.recv_multipart())[2] == b"\x05":
            worker.send_multipart([b"", b"MDPW02", b"\x05"])
        assert frames[:3] == [b"", b"MDPW02", b"\x02"]
        assert frames[4:] == [b"", b"a", b"b"]
        worker.send_multipart([b"", b"MDPW02", b"\x03", frames[3], b"", b"part"])
        worker.send_multipart([b"", b"MDPW02", b"\x04", frames[3], b"", b"done"])
        assert client.recv_multipart() == [b"MDPC02", b"\x02", b"echo", b"part"]
        assert client.recv_multipart() == [b"MDPC02", b"\x03", b"echo", b"done"]
    while (last := worker.recv_multipart()) == [b"", b"MDPW02", b"\x05"]:
        pass
    assert last == [b"", b"MDPW02", b"\x06"], "told goodbye in its own words"
    assert len(log('"led"', '"MDPW02"', "dialect")) == 1


@pytest.mark.parametrize(
    ("protocols", "frames"),
    [
        (PPP, [b"READY"]),
        (PPP, [b"HEARTBEAT"]),
        (MDP02, [b"", b"MDPW02", b"\x01", b"echo"]),
        (ALL, [b"", b"MDPW02", b"\x01", b"echo"]),
    ],
)
def test_strict_refuses_dialects(
    rooms: ModuleType, protocols: Protocol, frames: list[bytes]
) -> None:
    for strict in (True, False):
        rig = Rig(rooms, protocols=protocols, services=(b"", b"echo"), strict=strict)
        rig.notice()
        rig.receive(BACKEND, [b"w", *frames])
        heartbeat = frames == [b"HEARTBEAT"]
        assert rig["workers"] == (not strict and not heartbeat)
        assert rig["drop_malformed_worker"] == strict
        kinds = [each.kind for each in rig.noticed()]
        told = "unexpected" if heartbeat else "dialect"
        assert kinds == ["not_a_command" if strict else told]
    rig = Rig(rooms, protocols=MDP01 | MDP02, default_service=None, strict=True)
    rig.receive(BOTH, [b"w", b"", b"MDPW02", b"\x01", b"echo"])
    assert (rig["accepted"], rig["drop_malformed_worker"]) == (0, 1)


def test_strict_is_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="strict"):
        LRUBroker.options(strict=1)  # type: ignore[arg-type]


# -- what it looks like ---------------------------------------------------------------------------

LOOKS: list[tuple[list[bytes], Protocol, bool, tuple[str, ...]]] = [
    ([b"", b"MDPC01", b"echo", b"x"], ALL, True, ("client of MDP 0.1", "tcp://127.0.0.1:1")),
    ([b"MDPC02", b"\x01", b"echo", b"x"], ALL, True, ("client of MDP 0.2", "tcp://127.0.0.1:1")),
    ([b"", b"MDPW01", b"\x01", b"echo"], REQ, True, ("worker of MDP 0.1", "MajordomoBroker")),
    ([b"MDPW02", b"\x05"], PPP, True, ("worker of MDP 0.2", "AnyBroker")),
    ([b"", b"MDPW02", b"\x01", b"s"], MDP02, True, ("empty frame", "strict")),
    ([b"", b"MDPC02", b"\x02", b"s", b"x"], MDP02, False, ("MDP 0.2 with an empty frame",)),
    ([b"MDPC01", b"echo", b"x"], MDP01, False, ("without the empty frame",)),
    ([b"MDPW02\x01echo"], MDP02, True, ("in one frame",)),
    ([b"\x01"], REQ, True, ("READY of a PPP worker", "ParanoidPirateBroker")),
    ([b"READY"], REQ, True, ("READY of a PPP worker", "ParanoidPirateBroker")),
    ([b"HEARTBEAT"], REQ, True, ("HEARTBEAT of a PPP worker",)),
    ([b"\x02"], ALL, False, ("HEARTBEAT of a PPP worker", "tcp://127.0.0.1:2")),
    ([b"", b"READY"], PPP, True, ("READY of a REQ worker", "LRUBroker")),
    ([b"", b"READY"], REQ, False, ("READY of a REQ worker", "tcp://127.0.0.1:2")),
    ([b"\xaa\xa5\x01\x02"], ALL, True, ("zproto",)),
    ([b"hello"], REQ, False, ("DEALER client", "empty frame")),
    ([b"request #1", b"more"], REQ, False, ("DEALER client", "empty frame")),
    ([b"", b"hello"], MDP02, False, ("plain REQ client", "default_service")),
    ([b"", b"hello"], REQ, True, ("request of a client", "tcp://127.0.0.1:1")),
    ([b""], REQ, False, ("without a body",)),
    ([b"GET / HTTP/1.1"], PPP, True, ("PPP",)),
    ([], ALL, True, ("REQ, PPP, MDP 0.1, MDP 0.2",)),
]


@pytest.mark.parametrize(("frames", "spoken", "from_worker", "words"), LOOKS)
def test_the_log_says_what_it_looks_like_and_what_to_do(
    frames: list[bytes], spoken: Protocol, from_worker: bool, words: tuple[str, ...]
) -> None:
    seen: list[tuple[int, bytes]] = [(len(each), each) for each in frames]
    text = advice(seen, HERE._replace(protocols=spoken), from_worker=from_worker)
    assert all(word in text for word in words), text


@pytest.mark.parametrize(
    ("kind", "side", "frames", "words"),
    [
        (LRUBroker, "backend", [b"\x01"], ("PPP", "127.0.0.1")),
        (LRUBroker, "backend", [b"", b"MDPW01", b"\x01", b"echo"], ('[] "MDPW01" 0x01 "echo"',)),
        (LRUBroker, "frontend", [b"hello"], ('"hello"', "DEALER client")),
        (ParanoidPirateBroker, "backend", [b"", b"READY"], ('[] "READY"', "REQ worker")),
        (MajordomoBroker, "backend", [b"", b"MDPC01", b"echo", b"x"], ("client of MDP 0.1",)),
        (MajordomoBroker, "frontend", [b"", b"hello"], ("plain REQ client",)),
        (AnyBroker, "backend", [b"MDPC02", b"\x01", b"echo", b"x"], ("client of MDP 0.2",)),
    ],
)
def test_every_drop_of_a_foreign_dialect_is_one_line(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: Any, side: str,
    frames: list[bytes], words: tuple[str, ...],
) -> None:  # fmt: skip
    with kind(ANY, ANY, impl=impl) as broker:
        peer = peers.dealer(getattr(broker, side), identity=b"foreign")
        for _ in range(3):
            peer.send_multipart(frames)
        names = ("drop_malformed_worker", "drop_malformed_request")
        wait_until(lambda: sum(broker.stats()[name] for name in names) == 3)
        [line] = wait_until(lambda: log('"foreign"'))
        assert all(word in line for word in words), line
        assert broker.stats()["accepted"] == broker.stats()["workers"] == 0
    assert len(log('"foreign"')) == 1
