"""What the load generator's workers say to a broker, frame by frame."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from doubles import RawBroker
from harness import Peers, wait_until

from brigantine.load import Figures, Generator, Plan
from brigantine.load.connections import ConnectionsFailed

EMPTY = b""
WORKERS = 3
#: Pattern, version -> READY, a request, its reply, HEARTBEAT (as the broker sees and says them).
DIALECTS: dict[tuple[str, str], tuple[list[bytes], ...]] = {
    ("lru", "0.2"): (
        [EMPTY, b"READY"], [EMPTY, b"t", EMPTY, b"body"], [EMPTY, b"t", EMPTY, b"body"],
    ),
    ("ppp", "0.2"): ([b"\x01"], [b"t", EMPTY, b"body"], [b"t", EMPTY, b"body"], [b"\x02"]),
    ("mdp", "0.1"): (
        [EMPTY, b"MDPW01", b"\x01", b"echo"],
        [EMPTY, b"MDPW01", b"\x02", b"t", EMPTY, b"body"],
        [EMPTY, b"MDPW01", b"\x03", b"t", EMPTY, b"body"],
        [EMPTY, b"MDPW01", b"\x04"],
    ),
    ("mdp", "0.2"): (
        [b"MDPW02", b"\x01", b"echo"],
        [b"MDPW02", b"\x02", b"t", EMPTY, b"body"],
        [b"MDPW02", b"\x04", b"t", EMPTY, b"body"],
        [b"MDPW02", b"\x05"],
    ),
}  # fmt: skip
DISCONNECTS = {"0.1": [EMPTY, b"MDPW01", b"\x05"], "0.2": [b"MDPW02", b"\x06"]}
HEARTBEATING = [each for each in DIALECTS if each[0] != "lru"]

every_dialect = pytest.mark.parametrize("dialect", DIALECTS, ids="-".join)
heartbeating = pytest.mark.parametrize("dialect", HEARTBEATING, ids="-".join)


@contextmanager
def serving(raw: RawBroker, dialect: tuple[str, str], **options: Any) -> Iterator[Generator]:
    """Workers alone, started."""
    pattern, version = dialect
    plan = Plan(
        **{"clients": 0, "workers": WORKERS, "heartbeat_interval": 60.0, **options},
        pattern=pattern, mdp_version=version, backend=raw.endpoint,
    )  # fmt: skip
    with Generator(plan) as load:
        load.start()
        yield load
        if load.running:
            load.finish()


def all_ready(raw: RawBroker, ready: list[bytes]) -> set[bytes]:
    """Receive READY from every worker, each with a routing id of its own; the routing ids."""
    said = [raw.receive() for _ in range(WORKERS)]
    assert [frames for _, frames in said] == [ready] * WORKERS
    ids = {peer for peer, _ in said}
    assert len(ids) == WORKERS
    return ids


@every_dialect
def test_workers_are_ready_and_answer_with_what_they_were_asked(
    peers: Peers, dialect: tuple[str, str]
) -> None:
    raw = RawBroker(peers)
    ready, request, reply = DIALECTS[dialect][:3]
    with serving(raw, dialect) as load:
        ids = all_ready(raw, ready)
        for peer in ids:
            raw.send(peer, *request, b"more")
            assert raw.receive() == (peer, [*reply, b"more"])
        figures: Figures = load.finish()
    assert figures.counts["served"] == WORKERS
    assert figures.shares is not None
    assert (figures.shares.min, figures.shares.max) == (1, 1)
    assert figures.counts["nonsense"] == 0
    if dialect[0] == "mdp":
        gone = {raw.receive()[0] for _ in range(WORKERS)}
        assert gone == ids


@every_dialect
def test_nonsense_is_counted_and_not_answered(peers: Peers, dialect: tuple[str, str]) -> None:
    raw = RawBroker(peers)
    ready, request, reply = DIALECTS[dialect][:3]
    nonsense = [[b"x"], [b"y", b"x"], [b"MDPW02", b"\x09"], [EMPTY, b"MDPW01", b"\x09"]]
    with serving(raw, dialect) as load:
        peer = min(all_ready(raw, ready))
        for each in nonsense:
            raw.send(peer, *each)
        raw.send(peer, *request)
        assert raw.receive() == (peer, reply)
        figures = load.finish()
    assert figures.counts["nonsense"] == len(nonsense)
    assert figures.counts["served"] == 1


@heartbeating
def test_capacity_is_announced(peers: Peers, dialect: tuple[str, str]) -> None:
    raw = RawBroker(peers)
    ready = DIALECTS[dialect][0]
    wanted = [b"\x01\xcd\x01\x2c"] if dialect[0] == "ppp" else [*ready, b"\xcd\x01\x2c"]
    with serving(raw, dialect, capacity=300):
        all_ready(raw, wanted)


@heartbeating
def test_workers_heartbeat_and_are_ready_again_when_the_broker_is_silent(
    peers: Peers, dialect: tuple[str, str]
) -> None:
    raw = RawBroker(peers)
    ready, _, _, heartbeat = DIALECTS[dialect]
    with serving(raw, dialect, heartbeat_interval=0.05, liveness=6) as load:
        ids = all_ready(raw, ready)
        said: dict[bytes, list[list[bytes]]] = {peer: [] for peer in ids}
        while not all(ready in each for each in said.values()):
            peer, frames = raw.receive()
            said[peer].append(frames)
        for each in said.values():
            assert each[0] == heartbeat
            assert all(frames in (heartbeat, ready) for frames in each)
        figures = load.finish()
    assert figures.counts["ready_again"] == WORKERS  # once in a silence
    assert figures.counts["heartbeats_received"] == 0


def test_a_broker_that_heartbeats_is_not_silent(peers: Peers) -> None:
    raw = RawBroker(peers)
    dialect = ("mdp", "0.2")
    ready, _, _, heartbeat = DIALECTS[dialect]
    with serving(raw, dialect, heartbeat_interval=0.05, liveness=10) as load:
        ids = all_ready(raw, ready)
        heard = 0
        while heard < 15 * WORKERS:  # one and a half times the silence that would be too long
            peer, frames = raw.receive()
            assert frames == heartbeat
            assert peer in ids
            raw.send(peer, *heartbeat)
            heard += 1
        wait_until(lambda: load.look()["heartbeats_received"] == heard, "all heartbeats")
        figures = load.finish()
    assert figures.counts["ready_again"] == 0


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_a_worker_that_is_disconnected_is_ready_again_after_an_interval(
    peers: Peers, version: str
) -> None:
    raw = RawBroker(peers)
    ready = DIALECTS["mdp", version][0]
    with serving(raw, ("mdp", version), heartbeat_interval=0.1, liveness=100) as load:
        peer = min(all_ready(raw, ready))
        raw.send(peer, *DISCONNECTS[version])
        while True:
            speaker, frames = raw.receive()
            if speaker == peer and frames == ready:
                break
        figures = load.finish()
    assert (figures.counts["disconnects"], figures.counts["ready_again"]) == (1, 1)


@every_dialect
def test_workers_are_ready_at_a_broker_that_was_started_anew(
    peers: Peers, dialect: tuple[str, str]
) -> None:
    raw = RawBroker(peers)
    ready = DIALECTS[dialect][0]
    with serving(raw, dialect) as load:
        all_ready(raw, ready)
        raw.stop()
        again = RawBroker(peers, raw.endpoint)
        wait_until(lambda: load.look()["ready_again"] == WORKERS, "READY from all")
        all_ready(again, ready)
        figures = load.finish()
    assert figures.counts["connections_lost"] == WORKERS


def test_peers_that_can_not_connect_are_told_with_their_number() -> None:
    plan = Plan(pattern="lru", clients=0, workers=7, backend="tcp://127.0.0.1:1",
                connect_timeout=0.05)  # fmt: skip
    with pytest.raises(ConnectionsFailed, match=r"0 of 7 workers are connected to tcp://127"):
        Generator(plan)


def test_connections_that_are_closed_before_they_can_be_used_count_as_none() -> None:
    closed = 0
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            nonlocal closed
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                connection.close()
                closed += 1

        thread = threading.Thread(target=hang_up)
        thread.start()
        plan = Plan(pattern="lru", clients=0, workers=2, connect_timeout=0.5,
                    backend=f"tcp://127.0.0.1:{server.getsockname()[1]}")  # fmt: skip
        try:
            with pytest.raises(ConnectionsFailed, match=r"\D0 of 2 workers are connected"):
                Generator(plan)
        finally:
            server.shutdown(socket.SHUT_RDWR)  # ends accept(), which close() would not
            thread.join()
    assert closed >= 2
