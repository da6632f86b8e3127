"""The wire of the REQ-worker protocol over real sockets, raw peers on both sides."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until

from brigantine import LRUBroker
from brigantine.net.inproc import pipes_end, witnesses

BODIES = [[b"Hello"], [b"a", b"b", b"c"], [b""], [b"", b"", b"x", b""], [b"\0", b"READY", b"\x01"]]


@contextmanager
def proxy(backend: str) -> Iterator[str]:
    """A ROUTER/DEALER proxy in front of ``backend``; yields its own frontend."""
    context: zmq.Context[Any] = zmq.Context()
    front, back = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
    front.linger = back.linger = 0
    port = front.bind_to_random_port("tcp://127.0.0.1")
    back.connect(backend)

    def forward() -> None:
        try:
            zmq.proxy(front, back)
        except zmq.ContextTerminated:
            front.close()
            back.close()

    thread = threading.Thread(target=forward)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        context.term()
        thread.join()


def serve(worker: zmq.Socket[bytes]) -> list[bytes]:
    """Have a REQ worker answer one job with its body in upper case; returns the body."""
    ticket, empty, *body = worker.recv_multipart()
    assert empty == b""
    assert ticket
    worker.send_multipart([ticket, b"", *[frame.upper() for frame in body]])
    return body


@pytest.mark.parametrize("word", [b"READY", b"\x01"])
def test_a_req_client_and_a_req_worker_see_only_bodies_and_a_ticket(
    broker: Callable[..., LRUBroker], peers: Peers, word: bytes
) -> None:
    running = broker()
    client, worker = peers.req(running.frontend), peers.worker(running.backend, word)
    for body in BODIES:
        client.send_multipart(body)
        assert serve(worker) == body
        assert client.recv_multipart() == [frame.upper() for frame in body]
    wait_until(lambda: running.stats()["workers_idle"] == 1)


def test_a_dealer_client_sends_and_gets_the_empty_frame_itself(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    running = broker()
    client, worker = peers.dealer(running.frontend), peers.worker(running.backend)
    for body in BODIES:
        client.send_multipart([b"", *body])
        assert serve(worker) == body
        assert client.recv_multipart() == [b"", *[frame.upper() for frame in body]]


def test_a_dealer_client_may_have_many_requests_under_way(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    running = broker()
    client, worker = peers.dealer(running.frontend), peers.worker(running.backend)
    for number in range(20):
        client.send_multipart([b"", b"request %d" % number])
    for number in range(20):
        assert serve(worker) == [b"request %d" % number]
        assert client.recv_multipart() == [b"", b"REQUEST %d" % number]


def test_a_worker_that_frames_by_itself_gets_the_whole_envelope(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    running = broker()
    client, worker = peers.req(running.frontend), peers.dealer(running.backend)
    worker.send_multipart([b"", b"\x01"])
    for _ in range(2):
        client.send(b"Hello")
        first, ticket, second, body = worker.recv_multipart()
        assert (first, second, body) == (b"", b"", b"Hello")
        worker.send_multipart([b"", ticket, b"", b"World", b"!"])
        assert client.recv_multipart() == [b"World", b"!"]


@pytest.mark.parametrize("depth", [1, 2, 15])
def test_an_address_stack_comes_back_unchanged(
    broker: Callable[..., LRUBroker], peers: Peers, depth: int
) -> None:
    """The client's routing id is one more frame, so 15 of its own are the most."""
    running = broker()
    client, worker = peers.dealer(running.frontend), peers.worker(running.backend)
    stack = [b"\0hop %d" % number for number in range(depth)]
    client.send_multipart([*stack, b"", b"hello"])
    serve(worker)
    assert client.recv_multipart() == [*stack, b"", b"HELLO"]


def test_a_stack_too_deep_is_dropped_and_the_next_request_is_served(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    running = broker()
    client, worker = peers.dealer(running.frontend), peers.worker(running.backend)
    client.send_multipart([*[b"hop"] * 16, b"", b"too deep"])
    client.send_multipart([b"", b"fine"])
    assert serve(worker) == [b"fine"]
    assert client.recv_multipart() == [b"", b"FINE"]
    stats = running.stats()
    assert (stats["drop_too_deep"], stats["accepted"]) == (1, 1)


@pytest.mark.parametrize("proxies", [1, 2])
def test_clients_behind_proxies_get_their_own_replies(
    broker: Callable[..., LRUBroker], peers: Peers, proxies: int
) -> None:
    running = broker()
    with proxy(running.frontend) as near, proxy(near) as far:
        endpoint = (near, far)[proxies - 1]
        clients = [peers.req(endpoint) for _ in range(3)]
        worker = peers.worker(running.backend)
        for body in BODIES:
            for number, client in enumerate(clients):
                client.send_multipart([b"client %d" % number, *body])
            for _ in clients:
                serve(worker)
            for number, client in enumerate(clients):
                answer = client.recv_multipart()
                assert answer == [b"CLIENT %d" % number, *[frame.upper() for frame in body]]


def test_a_worker_never_sees_the_client_s_address(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    running = broker()
    client = peers.dealer(running.frontend, identity=b"secret id")
    worker = peers.worker(running.backend)
    client.send_multipart([b"secret hop", b"", b"hello"])
    ticket, *rest = worker.recv_multipart()
    assert rest == [b"", b"hello"]
    assert len(ticket) == 16
    assert ticket.isascii()
    assert b"secret" not in ticket
    worker.send_multipart([ticket, b"", b"done"])
    assert client.recv_multipart() == [b"secret hop", b"", b"done"]


def test_after_stop_an_inproc_client_can_tell_that_its_broker_has_gone(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    """Or it would wait for the answer to a request that no socket will ever read."""
    ends = ("inproc://front", "inproc://back")
    for _ in range(20):
        running = broker(*ends, context=peers.context)
        client = peers.dealer(ends[0])
        client.send_multipart([b"", b"?"])
        wait_until(lambda running=running: running.stats()["accepted"] == 1)
        running.stop()
        # Asked so, libzmq looks at once; a send may take the news of the last millisecond as read.
        assert not client.getsockopt(zmq.EVENTS) & zmq.POLLOUT


def test_the_end_of_inproc_pipes_is_waited_for(peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    router.bind("inproc://front")
    client = peers.dealer("inproc://front")
    watching = witnesses(peers.context, ["tcp://127.0.0.1:1", "inproc://front"])
    assert len(watching) == 1
    waiting = threading.Thread(target=pipes_end, args=(watching, PATIENCE))
    waiting.start()
    waiting.join(0.1)
    assert waiting.is_alive(), "the other end is still there"
    router.close()
    waiting.join(PATIENCE / 2)
    assert not waiting.is_alive()
    assert watching[0].closed
    assert not client.getsockopt(zmq.EVENTS) & zmq.POLLOUT


def test_the_end_of_inproc_pipes_is_waited_for_so_long_and_no_longer(peers: Peers) -> None:
    peers.socket(zmq.ROUTER).bind("inproc://front")
    watching = witnesses(peers.context, ["inproc://front"])
    began = time.monotonic()
    pipes_end(watching, 0.1)
    assert time.monotonic() - began >= 0.1
    assert watching[0].closed
