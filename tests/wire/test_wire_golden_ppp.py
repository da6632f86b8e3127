"""The wire of the Paranoid Pirate Protocol over real sockets, raw peers on both sides.

    worker -> broker   0x01                READY         (0x01 and a msgpack integer: capacity)
    both ways          0x02                HEARTBEAT
    broker -> worker   ticket [] body...   REQUEST
    worker -> broker   ticket [] body...   REPLY

Frames as the worker's DEALER socket sees them.  Source: ZeroMQ RFC 6/PPP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from harness import Peers, wait_until

from brigantine import ParanoidPirateBroker

#: Seconds; nothing in the tests that do not look at heartbeats takes as long.
QUIET = 60.0
QUICK = 0.1
BODIES = [[b"Hello"], [b"a", b"b", b"c"], [b""], [b"", b"x", b""], [b"\x02"], [b"\x02", b"\0"]]


@pytest.fixture
def start(impl: str) -> Iterator[Callable[..., ParanoidPirateBroker]]:
    """``start(**options)`` starts a broker on free ports; all are stopped at the end."""
    running: list[ParanoidPirateBroker] = []

    def begin(**options: Any) -> ParanoidPirateBroker:
        options = {"heartbeat_interval": QUIET, **options}
        made = ParanoidPirateBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*", impl=impl, **options)
        running.append(made)
        return made

    yield begin
    for each in running:
        each.stop()


def reached(broker: ParanoidPirateBroker, counter: str, value: int) -> bool:
    return broker.stats()[counter] == value


def test_a_request_and_its_reply(start: Callable[..., ParanoidPirateBroker], peers: Peers) -> None:
    broker = start()
    client, worker = peers.req(broker.frontend), peers.dealer(broker.backend)
    worker.send(b"\x01")
    for body in BODIES:
        client.send_multipart(body)
        ticket, *rest = worker.recv_multipart()
        assert rest == [b"", *body]
        assert len(ticket) == 16
        assert b"\0" not in ticket
        worker.send_multipart([ticket, b"", *reversed(body)])
        assert client.recv_multipart() == [*reversed(body)]


def test_a_dealer_client_with_an_address_stack(
    start: Callable[..., ParanoidPirateBroker], peers: Peers
) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), peers.dealer(broker.backend)
    worker.send(b"\x01")
    client.send_multipart([b"hop", b"\0", b"", b"Hello"])
    ticket, *rest = worker.recv_multipart()
    assert rest == [b"", b"Hello"]
    worker.send_multipart([ticket, b"", b"World"])
    assert client.recv_multipart() == [b"hop", b"\0", b"", b"World"]


def test_ready_with_a_capacity(start: Callable[..., ParanoidPirateBroker], peers: Peers) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), peers.dealer(broker.backend)
    worker.send(b"\x01\x03")
    for number in range(5):
        client.send_multipart([b"", b"%d" % number])
    jobs = [worker.recv_multipart() for _ in range(3)]
    assert [job[1:] for job in jobs] == [[b"", b"%d" % number] for number in range(3)]
    wait_until(lambda: broker.stats()["queued"] == 2)
    assert not worker.poll(0)
    worker.send_multipart([jobs[1][0], b"", b"done"])
    assert client.recv_multipart() == [b"", b"done"]
    assert worker.recv_multipart()[1:] == [b"", b"3"]


def test_heartbeats_both_ways(start: Callable[..., ParanoidPirateBroker], peers: Peers) -> None:
    broker = start(heartbeat_interval=QUICK, liveness=100)
    worker = peers.dealer(broker.backend)
    worker.send(b"\x01")
    for _ in range(3):
        assert worker.recv_multipart() == [b"\x02"]
        worker.send(b"\x02")
    stats = wait_until(lambda: broker.stats() if broker.stats()["heartbeats"] >= 3 else None)
    assert (stats["workers"], stats["drop_malformed_worker"]) == (1, 0)


def test_a_silent_worker_is_expired_and_may_come_back(
    start: Callable[..., ParanoidPirateBroker], peers: Peers
) -> None:
    broker = start(heartbeat_interval=QUICK, liveness=2)
    worker = peers.dealer(broker.backend)
    for number in (1, 2):
        worker.send(b"\x01")
        wait_until(partial(reached, broker, "workers_joined", number))
        wait_until(partial(reached, broker, "workers_expired", number))
    assert broker.stats()["workers"] == 0


def test_words_in_place_of_bytes_are_no_ppp_where_it_is_strict(
    start: Callable[..., ParanoidPirateBroker], peers: Peers
) -> None:
    broker = start(strict=True)
    worker = peers.dealer(broker.backend)
    for word in (b"READY", b"HEARTBEAT"):
        worker.send(word)
    wait_until(lambda: broker.stats()["drop_malformed_worker"] == 2)
    assert broker.stats()["workers"] == 0
