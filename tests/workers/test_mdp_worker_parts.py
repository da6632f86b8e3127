"""MajordomoWorker against a bare ROUTER: replies in parts, and being sent away."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import HeartbeatBroker, mdp_worker, only_yields

from brigantine import WorkerFailed
from brigantine.wire.req import ERROR_MARK, raise_if_error
from brigantine.workers.dialog import Job
from brigantine.workers.heartbeat_io import HeartbeatWorkerIO
from brigantine.workers.session import Answer

VERSIONS = ("0.1", "0.2")


# -- parts ----------------------------------------------------------------------------------------


def returns(_: bytes) -> Any:
    yield b"a"
    yield [b"b", b""]
    yield b"c"
    return b"d"


@pytest.mark.parametrize(("handler", "end"), [(returns, [b"d"]), (only_yields, [b""])])
def test_what_a_generator_yields_goes_as_parts_and_what_it_returns_as_the_end(
    peers: Peers, handler: Any, end: list[bytes]
) -> None:
    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000) as serving:
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer, word="partial") == [b"a"]
        assert raw.reply(peer, word="partial") == [b"b", b""]
        assert raw.reply(peer, word="partial") == [b"c"]
        assert raw.reply(peer) == end
        assert (serving.stats()["partials"], serving.stats()["replies"]) == (3, 1)


def test_a_part_leaves_before_the_next_one_is_made(peers: Peers) -> None:
    arrived = threading.Semaphore(0)

    def handler(_: bytes) -> Any:
        for part in (b"a", b"b", b"c"):
            yield part
            assert arrived.acquire(timeout=PATIENCE)

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        for part in (b"a", b"b", b"c"):
            assert raw.reply(peer, word="partial") == [part]
            arrived.release()
        assert raw.reply(peer) == [b""]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generator_that_yields_nothing_is_an_empty_reply(peers: Peers, version: str) -> None:
    def handler(_: bytes) -> Any:
        yield from ()

    raw = HeartbeatBroker(peers, wire=version)
    with mdp_worker(raw.endpoint, handler, liveness=1000, version=version):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer) == [b""]


def test_a_value_that_cannot_be_sent_ends_the_reply_and_closes_the_generator(peers: Peers) -> None:
    closed = threading.Event()

    def handler(_: bytes) -> Any:
        try:
            yield b"a"
            yield "text"
        finally:
            closed.set()

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer, word="partial") == [b"a"]
        with pytest.raises(WorkerFailed, match="TypeError"):
            raise_if_error(raw.reply(peer))
        assert closed.is_set()


def test_an_error_in_a_generator_ends_the_reply_behind_the_parts(peers: Peers) -> None:
    def handler(_: bytes) -> Any:
        yield b"a"
        raise KeyError("midway")

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer, word="partial") == [b"a"]
        with pytest.raises(WorkerFailed, match="KeyError: 'midway'"):
            raise_if_error(raw.reply(peer))


def test_version_0_1_joins_the_parts_and_tells_an_error_alone(peers: Peers) -> None:
    def handler(body: bytes) -> Any:
        yield b"a"
        if body == b"fail":
            raise KeyError
        return [b"b", b"c"]

    raw = HeartbeatBroker(peers, wire="0.1")
    with mdp_worker(raw.endpoint, handler, liveness=1000, version="0.1"):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer) == [b"a", b"b", b"c"]
        raw.request(peer, b"fail")
        assert raw.reply(peer)[0] == ERROR_MARK


@pytest.mark.parametrize("version", VERSIONS)
def test_a_generator_is_closed_when_nobody_waits_for_it_any_more(
    peers: Peers, version: str
) -> None:
    begun, closed, go = threading.Event(), threading.Event(), threading.Event()

    def handler(_: bytes) -> Any:
        try:
            begun.set()
            assert go.wait(PATIENCE)
            while True:
                yield b"more"
        finally:
            closed.set()

    raw = HeartbeatBroker(peers, wire=version)
    with mdp_worker(raw.endpoint, handler, liveness=1000, version=version) as serving:
        peer = raw.ready()
        raw.request(peer, b"q")
        assert begun.wait(PATIENCE)
        raw.say(peer, "disconnect")
        raw.ready()
        go.set()
        assert closed.wait(PATIENCE)
        wait_until(lambda: serving.stats()["discarded_replies"] == 1, "the end of the request")


def test_a_generator_waits_for_a_broker_that_does_not_read(peers: Peers) -> None:
    total = 8_000
    made = 0

    def handler(_: bytes) -> Any:
        nonlocal made
        for made in range(1, total + 1):  # noqa: B007
            yield bytes(4096)

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000, heartbeat_interval=1.0) as serving:
        peer = raw.ready()
        raw.request(peer, b"q")

        def stands_still(before: list[int] = [-1]) -> bool:  # noqa: B006
            same, before[0] = made == before[0] > 0, made
            raw.socket.poll(0)
            threading.Event().wait(0.2)
            return same

        wait_until(stands_still, "the generator to wait")
        assert made < total
        for _ in range(total):
            assert raw.reply(peer, word="partial") == [bytes(4096)]
        assert raw.reply(peer) == [b""]
        assert serving.stats()["partials"] == total


# -- DISCONNECT -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_a_worker_that_is_sent_away_comes_back_on_a_new_socket(peers: Peers, version: str) -> None:
    raw = HeartbeatBroker(peers, wire=version)
    with mdp_worker(raw.endpoint, liveness=1000, version=version) as serving:
        seen = set()
        for _ in range(3):
            peer = raw.ready()
            seen.add(peer)
            raw.say(peer, "disconnect")
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer) == [b"Q"]
        assert len(seen) == 3
        assert (serving.stats()["dismissed"], serving.stats()["expired"]) == (3, 0)


def test_a_generator_that_never_pauses_keeps_no_other_broker_waiting(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that has made its next part whenever the last one was sent."""
    part_sent = HeartbeatWorkerIO.part_sent
    go_on = threading.Event()
    go_on.set()

    def sent(link: HeartbeatWorkerIO, job: Job) -> None:
        part_sent(link, job)
        if go_on.is_set():
            link._hand_in(Answer(job, [b"part"], False))

    monkeypatch.setattr(HeartbeatWorkerIO, "part_sent", sent)
    reading = threading.Event()

    def read(busy: HeartbeatBroker) -> None:
        while not reading.is_set():
            if busy.socket.poll(10):
                busy.socket.recv_multipart()

    def handler(body: bytes) -> Any:
        if body == b"quick":
            return body
        return endless()

    def endless() -> Any:
        yield b"part"
        assert go_on.wait(PATIENCE)
        while go_on.is_set():
            threading.Event().wait(0.01)

    busy, other = (HeartbeatBroker(peers, wire="0.2") for _ in range(2))
    with mdp_worker([busy.endpoint, other.endpoint], handler, capacity=3, liveness=1000):
        busy.request(busy.ready("ready-3"), b"endless")
        peer = other.ready("ready-3")
        reader = threading.Thread(target=read, args=(busy,))
        reader.start()
        try:
            for _ in range(20):
                other.request(peer, b"quick")
                assert other.reply(peer) == [b"quick"]
        finally:
            go_on.clear()
            reading.set()
            reader.join()
