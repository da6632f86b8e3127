"""Brokers that are ended from several sides at once, and many in one context, one after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until

from brigantine import LRUBroker

ANY = "tcp://127.0.0.1:*"


def in_time(*steps: Callable[[], object]) -> None:
    """Each in a thread of its own, all at once; fails when one of them does not end."""
    gate = threading.Barrier(len(steps))

    def take(step: Callable[[], object]) -> None:
        gate.wait(PATIENCE)
        step()

    threads = [threading.Thread(target=take, args=(step,), daemon=True) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_stop_from_several_threads_and_by_control_at_once_ends_a_broker(
    impl: str, peers: Peers
) -> None:
    for _ in range(25):
        broker = LRUBroker(ANY, ANY, impl=impl, control=ANY)
        control = peers.dealer(broker.control or "")
        for _ in range(10):
            control.send(b"stop")
        control.recv_multipart()
        in_time(*[broker.stop] * 4)
        assert not broker.running
        control.close()


def test_a_broker_leaves_no_socket_in_a_context_that_it_shares(impl: str) -> None:
    with zmq.Context() as context:
        context.max_sockets = 40
        for number in range(60):
            broker = LRUBroker(ANY, ANY, impl=impl, context=context)
            if number % 2:
                assert broker.events().next(0.0) is None
            in_time(broker.stop)


@pytest.mark.parametrize("readers", [1, 3])
def test_events_are_told_to_the_end_by_every_broker_of_a_context(impl: str, readers: int) -> None:
    with zmq.Context() as context:
        for _ in range(10):
            LRUBroker(ANY, ANY, impl=impl, context=context).stop()
            broker = LRUBroker(ANY, ANY, impl=impl, context=context)
            events = [broker.events() for _ in range(readers)]
            in_time(broker.stop)
            for each in events:
                assert [event.kind for event in each] == ["stopped"]


def test_replies_that_are_on_their_way_arrive_after_stop(
    broker: Callable[..., LRUBroker], peers: Peers
) -> None:
    """Also what the kernel's buffers don't hold: the client reads on while the broker ends."""
    running = broker()
    worker = peers.worker(running.backend)
    client = peers.dealer(running.frontend, rcvhwm=1, rcvbuf=4096)
    for _ in range(300):
        client.send_multipart([b"", b"question"])
    for _ in range(300):
        ticket, empty, _ = worker.recv_multipart()
        worker.send_multipart([ticket, empty, bytes(50_000)])
    wait_until(lambda: running.stats()["replied"] == 300)
    with ThreadPoolExecutor(1) as reader:
        read = reader.submit(lambda: [len(client.recv_multipart()[1]) for _ in range(300)])
        running.stop()
        assert read.result() == [50_000] * 300
