"""How an LRUWorker lives with a broker that goes away and comes back."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import zmq
from doubles import EMPTY, RawBroker, free_endpoint, started_again
from harness import PATIENCE, Peers, wait_until
from relay import Relay

from brigantine import LRUBroker, ledger_holds

#: Seconds between heartbeats where silence is to be noticed soon.
BEAT = 0.1


class Gate:
    """A handler that says when it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, body: Any) -> Any:
        self.begun.set()
        assert self.go.wait(PATIENCE)
        return body


def test_a_worker_says_once_that_nobody_is_there(
    peers: Peers, workers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A mistyped endpoint shows in the log; and once it was reached there is nothing more to say."""
    endpoint = free_endpoint()
    worker = workers(endpoint, bytes.upper)
    said = f"nobody accepts connections at {endpoint}; trying again"
    wait_until(lambda: said in caplog.messages, "the word in the log")
    peers.socket(zmq.ROUTER).bind(endpoint)
    wait_until(lambda: worker.stats()["connects"] == 1)
    assert caplog.messages.count(said) == 1


# -- READY again ----------------------------------------------------------------------------------


def test_ready_again_after_the_broker_was_restarted(
    broker: Callable[..., LRUBroker], workers: Any, clients: Any
) -> None:
    first = broker()
    worker = workers(first.backend, bytes.upper)
    assert clients(first.frontend).request(b"one") == b"ONE"
    first.stop()
    second = broker(first.frontend, first.backend)
    assert clients(second.frontend).request(b"two") == b"TWO"
    stats = worker.stats()
    assert (stats["readies"], stats["connects"], stats["disconnects"]) == (2, 2, 1)
    assert second.stats()["workers_joined"] == 1
    assert second.stats()["ready_again"] == 0
    assert ledger_holds(second.stats())


def test_ready_again_after_the_connection_was_cut(
    broker: Callable[..., LRUBroker], workers: Any, clients: Any
) -> None:
    running = broker()
    with Relay(running.backend) as relay:
        worker = workers(relay.endpoint, bytes.upper)
        client = clients(running.frontend)
        for cuts in range(3):
            assert client.request(b"q") == b"Q"
            assert worker.stats()["readies"] == cuts + 1
            relay.cut()
            wait_until(lambda lost=cuts + 1: running.stats()["workers_lost"] == lost)
        worker.stop()


def test_ready_again_after_the_broker_fell_silent(
    broker: Callable[..., LRUBroker], workers: Any, clients: Any
) -> None:
    running = broker()
    with Relay(running.backend) as relay:
        worker = workers(relay.endpoint, bytes.upper, heartbeat_interval=BEAT, liveness=3)
        client = clients(running.frontend)
        assert client.request(b"one") == b"ONE"
        relay.swallow()  # no end of the connection is ever seen: only silence tells
        wait_until(lambda: worker.stats()["readies"] == 2, "READY on a new connection")
        # The broker may still believe in the silent connection, so ask until it does not.
        assert client.request(b"two", timeout=0.4, retries=25) == b"TWO"
        worker.stop()


def test_ready_again_after_a_restart_over_inproc(
    broker: Callable[..., LRUBroker], peers: Peers, workers: Any, clients: Any
) -> None:
    ends = ("inproc://front", "inproc://back")
    first = broker(*ends, context=peers.context)
    worker = workers(ends[1], bytes.upper, heartbeat_interval=BEAT, context=peers.context)
    with clients(ends[0], context=peers.context) as client:
        assert client.request(b"one") == b"ONE"
        first.stop()
        started_again(broker, *ends, context=peers.context)
        assert client.request(b"two") == b"TWO"
    worker.stop()
    assert worker.stats()["readies"] == 2


def test_each_connection_is_a_new_peer_that_says_ready_first(peers: Peers, workers: Any) -> None:
    first = RawBroker(peers)
    workers(first.endpoint, bytes.upper)
    before = first.ready_worker()
    first.stop()
    second = RawBroker(peers, first.endpoint)
    after = second.ready_worker()
    assert second.ask(after, b"q") == [b"Q"]
    # The old one would be in use until the broker gives its connection up.
    assert before != after


def test_it_waits_for_a_broker_that_is_not_up_yet(peers: Peers, workers: Any) -> None:
    endpoint = free_endpoint()
    workers(endpoint, bytes.upper)
    late = RawBroker(peers, endpoint)
    assert late.ask(late.ready_worker(), b"q") == [b"Q"]


# -- busy while the connection goes ---------------------------------------------------------------


def test_a_reply_to_a_connection_that_has_ended_is_discarded(peers: Peers, workers: Any) -> None:
    gate = Gate()
    first = RawBroker(peers)
    worker = workers(first.endpoint, gate)
    first.send(first.ready_worker(), EMPTY, b"old", EMPTY, b"q")
    assert gate.begun.wait(PATIENCE)
    first.stop()
    second = RawBroker(peers, first.endpoint)
    wait_until(lambda: worker.stats()["connects"] == 2, "the new connection")
    # It is busy with a request that the new broker knows nothing of: it must not ask for another.
    assert worker.stats()["readies"] == 1
    gate.go.set()
    assert second.ask(second.ready_worker(), b"new") == [b"new"]
    stats = worker.stats()
    assert (stats["requests"], stats["replies"], stats["discarded_replies"]) == (2, 1, 1)


def test_a_request_that_was_waiting_when_the_connection_went_is_forgotten(
    peers: Peers, workers: Any
) -> None:
    gate = Gate()
    first = RawBroker(peers)
    worker = workers(first.endpoint, gate)
    peer = first.ready_worker()
    first.send(peer, EMPTY, b"one", EMPTY, b"q")
    first.send(peer, EMPTY, b"two", EMPTY, b"one more than the protocol allows")
    assert gate.begun.wait(PATIENCE)
    first.stop()
    second = RawBroker(peers, first.endpoint)
    wait_until(lambda: worker.stats()["connects"] == 2, "the new connection")
    gate.go.set()
    assert second.ask(second.ready_worker(), b"new") == [b"new"]
    assert worker.stats()["requests"] == 2


def test_a_second_request_waits_until_the_first_is_answered(raw: RawBroker, workers: Any) -> None:
    gate = Gate()
    worker = workers(raw.endpoint, gate)
    peer = raw.ready_worker()
    names = [b"%d" % n for n in range(20)]
    for name in names:
        raw.send(peer, EMPTY, name, EMPTY, b"q")
    assert gate.begun.wait(PATIENCE)
    assert worker.stats()["requests"] == 1
    gate.go.set()
    assert [raw.receive()[1][1] for _ in names] == names


def test_a_long_computation_does_not_look_dead(
    broker: Callable[..., LRUBroker], workers: Any, clients: Any
) -> None:
    liveness = 2
    running = broker(heartbeat_interval=BEAT, liveness=liveness)

    def computes(body: bytes) -> bytes:
        end = time.monotonic() + 4 * liveness * BEAT
        while time.monotonic() < end:  # and hardly lets another thread run
            sum(range(1000))
        return body

    worker = workers(running.backend, computes, heartbeat_interval=BEAT, liveness=liveness)
    assert clients(running.frontend).request(b"q") == b"q"
    assert running.stats()["workers_lost"] == 0
    assert worker.stats()["disconnects"] == 0


# -- what is no broker ----------------------------------------------------------------------------


def test_a_server_that_hangs_up_at_once_is_not_stormed(workers: Any) -> None:
    watched = 0.7
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        workers(f"tcp://127.0.0.1:{listener.getsockname()[1]}", bytes.upper)
        end = time.monotonic() + watched
        connections = 0
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                listener.accept()[0].close()
                connections += 1
    assert 1 <= connections <= 40  # without growing pauses: thousands
