"""ParanoidPirateWorker: what only PPP has, and round trips through a ParanoidPirateBroker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from doubles import started_again
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import BEAT, Gate, HeartbeatBroker

from brigantine import ConfigError, ParanoidPirateBroker, WorkerFailed, ledger_holds
from brigantine.wire.req import ERROR_MARK, raise_if_error
from brigantine.workers.paranoid_pirate import ParanoidPirateWorker


@pytest.fixture
def brokers(impl: str) -> Iterator[Callable[..., ParanoidPirateBroker]]:
    """``brokers(**options)`` starts a broker with short intervals; all are stopped at the end."""
    running: list[ParanoidPirateBroker] = []

    def start(
        frontend: str = "tcp://127.0.0.1:*", backend: str = "tcp://127.0.0.1:*", **options: Any
    ) -> ParanoidPirateBroker:
        options = {"heartbeat_interval": BEAT, "liveness": 10, **options}
        running.append(ParanoidPirateBroker(frontend, backend, impl=impl, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


def worker(endpoints: Any, handler: Any = bytes.upper, **options: Any) -> ParanoidPirateWorker:
    return ParanoidPirateWorker(
        endpoints, handler, **{"heartbeat_interval": BEAT, "liveness": 10, **options}
    )


# -- the wire -------------------------------------------------------------------------------------


def test_a_generators_values_are_joined_into_one_reply(peers: Peers) -> None:
    def handler(_: bytes) -> Any:
        yield b"a"
        yield [b"b", b""]
        return b"c"

    raw = HeartbeatBroker(peers, wire="ppp")
    with worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer) == [b"a", b"b", b"", b"c"]


def test_a_generator_that_yields_nothing_is_an_error(peers: Peers) -> None:
    def handler(_: bytes) -> Any:
        yield from ()

    raw = HeartbeatBroker(peers, wire="ppp")
    with worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        with pytest.raises(WorkerFailed, match="yielded nothing and returned nothing"):
            raise_if_error(raw.reply(peer))


def test_a_generator_that_fails_midway_is_answered_with_its_error_alone(peers: Peers) -> None:
    def handler(_: bytes) -> Any:
        yield b"a"
        raise KeyError("midway")

    raw = HeartbeatBroker(peers, wire="ppp")
    with worker(raw.endpoint, handler, liveness=1000):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer)[0] == ERROR_MARK


# -- with a broker --------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [[b"one"], [b""], [b"a", b"", b"c"]])
def test_a_raw_client_gets_its_reply(brokers: Any, peers: Peers, body: list[bytes]) -> None:
    running = brokers()
    with worker(running.backend, lambda frames: frames):
        client = peers.req(running.frontend)
        client.send_multipart(body)
        assert client.recv_multipart() == body


def test_a_busy_worker_is_not_expired_and_a_live_broker_is_not_left(
    brokers: Any, peers: Peers
) -> None:
    gate = Gate()
    running = brokers(liveness=5)
    with worker(running.backend, gate, liveness=5) as serving:
        client = peers.req(running.frontend)
        client.send(b"long work")
        gate.entered()
        # Longer than either side would wait for the other without a sign of life.
        before = running.stats()["heartbeats"]
        wait_until(lambda: serving.stats()["heartbeats"] >= 7, "seven silent intervals")
        wait_until(lambda: running.stats()["heartbeats"] >= before + 7, "and the broker's")
        gate.go.set()
        assert client.recv() == b"long work"
        assert running.stats()["workers_lost"] == 0
        assert serving.stats()["readies"] == 1


def test_capacity_is_used_by_the_broker(brokers: Any, peers: Peers) -> None:
    gate = Gate()
    running = brokers()
    with worker(running.backend, gate, capacity=3):
        clients = [peers.req(running.frontend) for _ in range(5)]
        for client in clients:
            client.send(b"q")
        gate.entered(3)
        wait_until(lambda: running.stats()["queued"] == 2, "the other two to wait at the broker")
        assert running.stats()["in_flight"] == 3
        gate.go.set()
        assert [client.recv() for client in clients] == [b"q"] * 5


def test_ready_again_at_a_broker_that_was_restarted(brokers: Any, peers: Peers) -> None:
    first = brokers()
    with worker(first.backend) as serving:
        client = peers.req(first.frontend)
        client.send(b"one")
        assert client.recv() == b"ONE"
        first.stop()
        second = started_again(brokers, first.frontend, first.backend)
        client = peers.req(second.frontend)
        client.send(b"two")
        assert client.recv() == b"TWO"
        assert serving.stats()["readies"] == 2
        assert second.stats()["workers_joined"] == 1
        assert ledger_holds(second.stats())


def test_one_worker_serves_two_brokers(brokers: Any, peers: Peers) -> None:
    running = [brokers(), brokers()]
    with worker([each.backend for each in running]):
        for each in running:
            client = peers.req(each.frontend)
            client.send(b"q")
            assert client.recv() == b"Q"


def test_a_stopped_worker_is_gone_from_its_broker(brokers: Any) -> None:
    running = brokers()
    with worker(running.backend, capacity=2):
        wait_until(lambda: running.stats()["workers"] == 1, "the worker")
    wait_until(lambda: running.stats()["workers"] == 0, "its end", timeout=PATIENCE)


# -- mistakes -------------------------------------------------------------------------------------


async def coroutine(body: bytes) -> bytes:
    return body


async def stream(body: bytes) -> Any:
    yield body


@pytest.mark.parametrize("handler", [None, b"bytes", coroutine, stream])
def test_a_handler_that_is_no_plain_function_is_refused_at_once(handler: Any) -> None:
    with pytest.raises(TypeError, match="handler must be a"):
        ParanoidPirateWorker("tcp://127.0.0.1:5556", handler)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("capacity", 0),
        ("capacity", 4097),
        ("capacity", 1.5),
        ("heartbeat_interval", 0),
        ("liveness", 1),
        ("reconnect_min", 0),
        ("reconnect_max", float("nan")),
        ("reconnect_max", 0.5),
    ],
)
def test_a_number_that_cannot_work_is_refused_at_once(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=option):
        ParanoidPirateWorker("tcp://127.0.0.1:5556", bytes.upper, **{option: value})


@pytest.mark.parametrize(
    ("endpoints", "words"),
    [
        ([], "at least one endpoint"),
        (["tcp://127.0.0.1:5556", "localhost"], "must begin with"),
        ("tcp://127.0.0.1:*", "can be bound but not connected to"),
        ("inproc://back", "context="),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_at_once(endpoints: Any, words: str) -> None:
    with pytest.raises(ConfigError, match="brokers: ") as raised:
        ParanoidPirateWorker(endpoints, bytes.upper)
    assert words in str(raised.value)
