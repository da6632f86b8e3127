"""MajordomoWorker: what only MDP has, and round trips through a MajordomoBroker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zmq
from doubles import EMPTY, started_again
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import BEAT, SERVICE, Gate, HeartbeatBroker, mdp_worker, only_yields

from brigantine import ConfigError, MajordomoBroker, ledger_holds
from brigantine.workers.majordomo import MajordomoWorker

VERSIONS = ("0.1", "0.2")


@pytest.fixture
def brokers(impl: str) -> Iterator[Callable[..., MajordomoBroker]]:
    """``brokers(**options)`` starts a broker with short intervals; all are stopped at the end."""
    running: list[MajordomoBroker] = []

    def start(
        frontend: str = "tcp://127.0.0.1:*", backend: str | None = None, **options: Any
    ) -> MajordomoBroker:
        options = {"heartbeat_interval": BEAT, "liveness": 10, **options}
        running.append(MajordomoBroker(frontend, backend, impl=impl, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


class Client:
    """A raw DEALER client of either version."""

    def __init__(self, peers: Peers, endpoint: str, version: str) -> None:
        self.socket = peers.dealer(endpoint)
        self.old = version == "0.1"

    def ask(self, *body: bytes, service: bytes = SERVICE) -> None:
        head = [EMPTY, b"MDPC01", service] if self.old else [b"MDPC02", b"\x01", service]
        self.socket.send_multipart([*head, *body])

    def parts(self, service: bytes = SERVICE) -> list[list[bytes]]:
        """The bodies of one reply: PARTIALs, then the FINAL."""
        bodies = []
        while True:
            frames = self.socket.recv_multipart()
            if self.old:
                assert frames[:3] == [EMPTY, b"MDPC01", service]
                return [frames[3:]]
            assert frames[:3] in ([b"MDPC02", word, service] for word in (b"\x02", b"\x03"))
            bodies.append(frames[3:])
            if frames[1] == b"\x03":
                return bodies


# -- with a broker --------------------------------------------------------------------------------


@pytest.mark.parametrize("one_socket", [True, False], ids=["one socket", "two sockets"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("client_version", VERSIONS)
def test_either_version_of_client_is_served_by_either_version_of_worker(
    brokers: Any, peers: Peers, version: str, client_version: str, one_socket: bool
) -> None:
    running = brokers(backend=None if one_socket else "tcp://127.0.0.1:*")
    with mdp_worker(running.backend, only_yields, version=version):
        client = Client(peers, running.frontend, client_version)
        client.ask(b"q")
        parts, end = [[b"a"], [b"b", b""], [b"c"]], [[b""]] if version == "0.2" else []
        if version == client_version == "0.2":
            assert client.parts() == [*parts, *end]
        else:
            assert client.parts() == [[frame for body in (*parts, *end) for frame in body]]


def test_each_service_has_its_own_workers(brokers: Any, peers: Peers) -> None:
    running = brokers()
    with (
        mdp_worker(running.backend, bytes.upper, service="grün"),
        mdp_worker(running.backend, bytes.lower, service=b"\0lower"),
    ):
        client = Client(peers, running.frontend, "0.2")
        for service, reply in (("grün".encode(), b"ABC"), (b"\0lower", b"abc")):
            client.ask(b"aBc", service=service)
            assert client.parts(service) == [[reply]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_busy_worker_is_not_expired_and_a_live_broker_is_not_left(
    brokers: Any, peers: Peers, version: str
) -> None:
    gate = Gate()
    running = brokers(liveness=5)
    with mdp_worker(running.backend, gate, version=version, liveness=5) as serving:
        client = Client(peers, running.frontend, version)
        client.ask(b"long work")
        gate.entered()
        # Longer than either side would wait for the other without a sign of life.
        before = running.stats()["heartbeats"]
        wait_until(lambda: serving.stats()["heartbeats"] >= 7, "seven silent intervals")
        wait_until(lambda: running.stats()["heartbeats"] >= before + 7, "and the broker's")
        gate.go.set()
        assert client.parts() == [[b"long work"]]
        assert running.stats()["workers_lost"] == 0
        assert serving.stats()["readies"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_capacity_is_used_by_the_broker(brokers: Any, peers: Peers, version: str) -> None:
    gate = Gate()
    running = brokers()
    with mdp_worker(running.backend, gate, capacity=3, version=version):
        client = Client(peers, running.frontend, "0.2")
        for _ in range(5):
            client.ask(b"q")
        gate.entered(3)
        wait_until(lambda: running.stats()["queued"] == 2, "the other two to wait at the broker")
        assert running.stats()["in_flight"] == 3
        gate.go.set()
        assert [client.parts() for _ in range(5)] == [[[b"q"]]] * 5


@pytest.mark.parametrize("version", VERSIONS)
def test_ready_again_at_a_broker_that_was_restarted(
    brokers: Any, peers: Peers, version: str
) -> None:
    first = brokers()
    with mdp_worker(first.backend, version=version) as serving:
        wait_until(lambda: first.stats()["workers"] == 1, "the worker")
        first.stop()
        second = started_again(brokers, first.frontend)
        client = Client(peers, second.frontend, "0.2")
        client.ask(b"q")
        assert client.parts() == [[b"Q"]]
        assert serving.stats()["readies"] == 2
        assert ledger_holds(second.stats())


def test_one_worker_serves_two_brokers(brokers: Any, peers: Peers) -> None:
    running = [brokers(), brokers()]
    with mdp_worker([each.backend for each in running]):
        for each in running:
            client = Client(peers, each.frontend, "0.2")
            client.ask(b"q")
            assert client.parts() == [[b"Q"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stopping_worker_disconnects(brokers: Any, version: str) -> None:
    running = brokers()
    with mdp_worker(running.backend, version=version):
        wait_until(lambda: running.stats()["workers"] == 1, "the worker")

    def disconnected() -> bool:
        # libzmq may tell that the connection has ended before it hands over what came last on it.
        stats = running.stats()
        return (
            stats["workers"] == 0 and stats["workers_disconnected"] + stats["drop_unexpected"] == 1
        )

    wait_until(disconnected, "DISCONNECT")


def test_stop_under_load_loses_nothing(brokers: Any, peers: Peers) -> None:
    running = brokers(retries=5)
    client = Client(peers, running.frontend, "0.2")
    with mdp_worker(running.backend, capacity=2):
        for _ in range(5):
            with mdp_worker(running.backend, capacity=4):
                for _ in range(20):
                    client.ask(b"q")
        assert [client.parts() for _ in range(100)] == [[[b"Q"]]] * 100
    assert not client.socket.poll(0)
    assert ledger_holds(running.stats())


def test_over_inproc(brokers: Any, peers: Peers) -> None:
    running = brokers("inproc://mdp", context=peers.context)
    with mdp_worker("inproc://mdp", context=peers.context):
        client = Client(peers, running.frontend, "0.2")
        client.ask(b"q")
        assert client.parts() == [[b"Q"]]
    wait_until(lambda: running.stats()["workers"] == 0, "DISCONNECT")


def test_a_terminated_context_ends_run(peers: Peers) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    raw = HeartbeatBroker(peers, wire="0.2")
    ended: list[BaseException] = []

    def run() -> None:
        try:
            mdp_worker(raw.endpoint, context=context, liveness=1000, capacity=3).run()
        except zmq.ContextTerminated as error:
            ended.append(error)

    serving = threading.Thread(target=run)
    serving.start()
    raw.ready("ready-3")
    context.term()  # returns once the worker has closed its sockets
    serving.join(PATIENCE)
    assert len(ended) == 1


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("", "needs the name"),
        (b"mmi.service", "the broker serves these itself"),
        (None, "bytes or str, not NoneType"),
        ("\ud800", "UTF-8"),
    ],
)
def test_a_service_that_cannot_work_is_refused_at_once(service: Any, words: str) -> None:
    with pytest.raises(ConfigError, match="service") as raised:
        MajordomoWorker("tcp://127.0.0.1:5555", service, bytes.upper)
    assert words in str(raised.value)


@pytest.mark.parametrize("version", ["0.3", 0.2, None])
def test_a_version_that_is_none_is_refused_at_once(version: Any) -> None:
    with pytest.raises(ConfigError, match="version must be"):
        MajordomoWorker("tcp://127.0.0.1:5555", "echo", bytes.upper, version=version)
