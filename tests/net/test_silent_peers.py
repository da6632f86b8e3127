"""Peers where workers connect that say no READY: one line each, limited in rate."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from models import BACKEND, FRONTEND, Rig

from brigantine import AnyBroker, LRUBroker, LRUWorker, MajordomoBroker, ParanoidPirateBroker
from brigantine.config.limits import KIND_BURST, SILENT_HANDSHAKES
from brigantine.config.protocols import Protocol
from brigantine.notices.kinds import Notice, describe
from brigantine.notices.lookalikes import Here

ANY = "tcp://127.0.0.1:*"
REQ, PPP, MDP01, MDP02 = Protocol.REQ, Protocol.PPP, Protocol.MDP01, Protocol.MDP02
ALL = REQ | PPP | MDP01 | MDP02
HERE = Here(("tcp://127.0.0.1:1",), ("tcp://127.0.0.1:2",), ALL)
HANDSHAKE = 0.5
SILENCE = HANDSHAKE * SILENT_HANDSHAKES
#: What a peer may say first, and which protocols are spoken there.
FIRST_WORDS = {
    "ready": (REQ, [b"", b"READY"]),
    "reply of a REQ worker": (REQ, [b"", b"0000000000000000", b"", b"x"]),
    "ready of PPP": (PPP, [b"\x01"]),
    "ready of MDP": (MDP01 | MDP02, [b"", b"MDPW01", b"\x01", b"echo"]),
    "heartbeat": (PPP, [b"\x02"]),
    "nonsense": (ALL, [b"nonsense"]),
    "too many frames": (REQ, [b""] * 200),
}


@pytest.fixture
def rig(rooms: ModuleType) -> Callable[..., Rig]:
    """A switchboard that tells what a person should know; connection 7 has address 10.0.0.7."""

    def make(protocols: Protocol = REQ) -> Rig:
        made = Rig(rooms, protocols=protocols, handshake_timeout=HANDSHAKE, services=(b"", b"echo"))
        made.board.notice_with(
            lambda told: made.notices.append(told),
            lambda level: made.notices.append(level),
            lambda: None,
            lambda connection: f"10.0.0.{connection}",
        )
        return made

    return make


def silent(rig: Rig) -> list[Any]:
    return [told for told in rig.noticed() if told == logging.WARNING or told.kind == "silent"]


def test_a_peer_that_says_nothing_is_told_of_once(rig: Callable[..., Rig]) -> None:
    board = rig()
    board.board.connection_opened(7, board.now)
    assert board.board.next_deadline() == SILENCE
    board.wait(SILENCE - 0.125)
    assert silent(board) == []
    board.wait(0.125)
    [told] = silent(board)
    assert (told.address, list(told.numbers)) == ("10.0.0.7", [SILENCE * 1e9])
    board.wait(10 * SILENCE)
    assert silent(board) == []
    assert board.board.next_deadline() is None


@pytest.mark.parametrize("said", FIRST_WORDS)
def test_whoever_has_said_something_is_not_silent(rig: Callable[..., Rig], said: str) -> None:
    protocols, frames = FIRST_WORDS[said]
    board = rig(protocols)
    board.board.connection_opened(7, board.now)
    board.wait(SILENCE / 2)
    board.receive(BACKEND, [b"w", *frames], 7)
    board.wait(10 * SILENCE)
    assert silent(board) == []


def test_a_connection_that_has_closed_is_not_silent_and_its_successor_has_its_own_time(
    rig: Callable[..., Rig],
) -> None:
    board = rig()
    board.board.connection_opened(7, board.now)
    board.wait(SILENCE / 2)
    board.closed(7)
    board.board.connection_opened(7, board.now)
    board.wait(SILENCE / 2)
    assert silent(board) == []
    board.wait(SILENCE / 2)
    assert len(silent(board)) == 1


def test_a_worker_that_was_lost_and_a_client_are_never_silent(rig: Callable[..., Rig]) -> None:
    board = rig(PPP)
    board.board.client_connected(3)
    board.board.connection_opened(7, board.now)
    board.receive(BACKEND, [b"w", b"\x01"], 7)
    board.receive(FRONTEND, [b"c", b"", b"x"])
    board.wait(60.0)
    assert board["workers_expired"] == 1
    assert silent(board) == []


def test_a_message_on_one_connection_does_not_end_the_silence_of_another(
    rig: Callable[..., Rig],
) -> None:
    board = rig()
    board.board.connection_opened(7, board.now)
    board.board.connection_opened(9, board.now)
    board.receive(BACKEND, [b"w", b"", b"READY"], 9)
    board.receive(BACKEND, [b"inproc", b"", b"READY"])
    board.wait(SILENCE)
    assert [told.address for told in silent(board)] == ["10.0.0.7"]


def test_a_crowd_of_silent_peers_is_told_of_in_part(rig: Callable[..., Rig]) -> None:
    board = rig()
    for connection in range(3 * KIND_BURST):
        board.board.connection_opened(connection, board.now)
    board.wait(SILENCE)
    told = silent(board)
    assert len(told) == 3 * KIND_BURST
    assert told.count(logging.WARNING) == 2 * KIND_BURST


@pytest.mark.parametrize(
    ("spoken", "words"),
    [
        (REQ, ("(REQ)", "READY first", "older request", "tcp://127.0.0.1:1")),
        (PPP, ("PPP", "READY first", "tcp://127.0.0.1:1")),
        (MDP01 | MDP02, ("MDP 0.1, MDP 0.2", "READY first")),
        (ALL, ("REQ, PPP", "older request")),
    ],
)
def test_the_line_says_what_a_worker_says_first(spoken: Protocol, words: tuple[str, ...]) -> None:
    notice = Notice("silent", address="10.0.0.7", numbers=(6_000_000_000,))
    text = describe(notice, HERE._replace(protocols=spoken))
    assert text.startswith("a peer at 10.0.0.7 has been connected")
    assert all(word in text for word in ("6 s", *words)), text
    assert ("older request" in text) == (REQ in spoken)


@pytest.mark.parametrize("kind", [LRUBroker, ParanoidPirateBroker, MajordomoBroker, AnyBroker])
def test_a_silent_peer_has_its_line_and_workers_have_none(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: Any
) -> None:
    with kind(ANY, ANY, impl=impl, handshake_timeout=0.1) as broker:
        if kind is LRUBroker:
            peers.worker(broker.backend)
        peers.dealer(broker.frontend)  # a client that has nothing to ask
        peers.dealer(broker.backend)
        [line] = wait_until(lambda: log("READY", "workers' endpoint"))
        assert "127.0.0.1" in line
        # One more, and again one line: nobody else has been told of in the meantime.
        peers.dealer(broker.backend)
        wait_until(lambda: len(log("READY", "workers' endpoint")) == 2)


def test_where_clients_connect_too_nobody_is_silent(
    impl: str, peers: Peers, log: Callable[..., list[str]]
) -> None:
    with AnyBroker(ANY, impl=impl, handshake_timeout=0.05) as one:
        peers.dealer(one.frontend)
        with LRUBroker(ANY, ANY, impl=impl, handshake_timeout=0.25) as two:
            peers.dealer(two.backend)
            wait_until(lambda: log("without a READY"))
    assert len(log("without a READY")) == 1


def test_an_lru_worker_of_ours_is_not_silent(impl: str, log: Callable[..., list[str]]) -> None:
    broker = LRUBroker(ANY, ANY, impl=impl, handshake_timeout=0.1)
    with broker, LRUWorker(broker.backend, lambda body: body), Peers() as peers:
        peers.dealer(broker.backend)
        wait_until(lambda: log("without a READY"))
    assert len(log("without a READY")) == 1


@pytest.mark.parametrize("kind", [LRUBroker, ParanoidPirateBroker, MajordomoBroker, AnyBroker])
def test_a_rep_worker_has_a_line(
    impl: str, peers: Peers, log: Callable[..., list[str]], kind: Any
) -> None:
    with kind(ANY, ANY, impl=impl) as broker:
        peers.socket(zmq.REP, broker.backend)
        [line] = wait_until(lambda: log("REP socket"))
        assert "READY first" in line
        assert broker.frontend in line


@pytest.mark.parametrize("greeted", [True, False])
def test_a_connection_that_closes_without_a_handshake_is_told_of_and_no_other(
    rig: Callable[..., Rig], greeted: bool
) -> None:
    board = rig()
    for connection in (7, 9):
        board.board.connection_opened(connection, board.now)
        if greeted:
            board.board.handshake_done()
        board.closed(connection)
    kinds = [told.kind for told in board.noticed()]
    assert kinds == ([] if greeted else ["no_handshake"]), "once a broker"
    board.board.connection_opened(7, board.now)
    board.receive(BACKEND, [b"w", b"", b"READY"], 7)
    board.closed(7)
    assert "no_handshake" not in [told.kind for told in board.noticed()]


# -- what strangers say ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocols", "frames"),
    [
        (PPP, [b"\x02"]),
        (PPP, [b"0000000000000000", b"", b"x"]),
        (MDP01, [b"", b"MDPW01", b"\x04"]),
        (MDP01, [b"", b"MDPW01", b"\x05"]),
        (MDP01, [b"", b"MDPW01", b"\x03", b"0000000000000000", b"", b"x"]),
        (MDP02, [b"MDPW02", b"\x05"]),
        (MDP02, [b"MDPW02", b"\x03", b"0000000000000000", b"", b"x"]),
        (MDP02, [b"MDPW02", b"\x04", b"0000000000000000", b"", b"x"]),
    ],
)
def test_what_a_stranger_says_is_told_once_with_its_frames(
    rig: Callable[..., Rig], protocols: Protocol, frames: list[bytes]
) -> None:
    board = rig(protocols)
    for _ in range(3):
        board.receive(BACKEND, [b"w", *frames])
    [told] = board.noticed()
    assert (told.kind, told.reason, told.peer) == ("unexpected", "drop_unexpected", b"w")
    assert told.frames == [(len(each), each) for each in frames]
    text = describe(told, HERE._replace(protocols=protocols))
    assert '"w"' in text
    assert "no worker registered" in text


def test_a_req_worker_that_registers_by_its_reply_is_no_stranger(rig: Callable[..., Rig]) -> None:
    board = rig()
    board.receive(BACKEND, [b"w", b"", b"0000000000000000", b"", b"x"])
    assert board["workers"] == 1
    assert board.noticed() == []
