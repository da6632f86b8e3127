"""The wire of Majordomo 0.1 and 0.2 over real sockets, raw peers on both sides, one socket and two.

Every frame is written out by hand from ZeroMQ RFC 7/MDP (0.1) and 18/MDP (0.2), as DEALER sockets
see them.  TICKET stands for what the broker chose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
import zmq
from harness import Peers, wait_until

from brigantine import MajordomoBroker

#: Seconds; nothing in the tests that do not look at heartbeats takes as long.
QUIET = 60.0
QUICK = 0.1
TICKET = b"<ticket>"
Socket = zmq.Socket[bytes]
Start = Callable[..., MajordomoBroker]


class Side(NamedTuple):
    """A worker's commands; None where its version has none.  TICKET and bodies stand in them."""

    ready: list[bytes]
    request: list[bytes]
    partial: list[bytes] | None
    final: list[bytes]
    heartbeat: list[bytes]
    disconnect: list[bytes]


WORKER_01 = Side(
    ready=[b"", b"MDPW01", b"\x01", b"echo"],
    request=[b"", b"MDPW01", b"\x02", TICKET, b""],
    partial=None,
    final=[b"", b"MDPW01", b"\x03", TICKET, b""],
    heartbeat=[b"", b"MDPW01", b"\x04"],
    disconnect=[b"", b"MDPW01", b"\x05"],
)
WORKER_02 = Side(
    ready=[b"MDPW02", b"\x01", b"echo"],
    request=[b"MDPW02", b"\x02", TICKET, b""],
    partial=[b"MDPW02", b"\x03", TICKET, b""],
    final=[b"MDPW02", b"\x04", TICKET, b""],
    heartbeat=[b"MDPW02", b"\x05"],
    disconnect=[b"MDPW02", b"\x06"],
)
WORKERS = {"0.1 worker": WORKER_01, "0.2 worker": WORKER_02}
#: What stands before the body: of a request, and of its reply.
CLIENTS = {
    "0.1 client": ([b"", b"MDPC01", b"echo"], [b"", b"MDPC01", b"echo"]),
    "0.2 client": ([b"MDPC02", b"\x01", b"echo"], [b"MDPC02", b"\x03", b"echo"]),
    "plain client": ([b""], [b""]),
}
BODIES = [[b"Hello"], [b"a", b"b", b"c"], [b""], [b"", b"x", b""], [b"\x01"], [b"MDPC01", b"\0"]]


@pytest.fixture(params=["one socket", "two sockets"])
def start(impl: str, request: pytest.FixtureRequest) -> Iterator[Start]:
    """``start(**options)`` starts a broker on free ports; all are stopped at the end."""
    running: list[MajordomoBroker] = []
    backend = None if request.param == "one socket" else "tcp://127.0.0.1:*"

    def begin(**options: Any) -> MajordomoBroker:
        options = {"heartbeat_interval": QUIET, "default_service": b"echo", **options}
        running.append(MajordomoBroker("tcp://127.0.0.1:*", backend, impl=impl, **options))
        return running[-1]

    yield begin
    for each in running:
        each.stop()


@pytest.fixture(params=WORKERS)
def side(request: pytest.FixtureRequest) -> Side:
    """The commands of one version."""
    return WORKERS[request.param]


def ready(broker: MajordomoBroker, peers: Peers, side: Side) -> Socket:
    """A worker that the broker knows."""
    before = broker.stats()["workers_joined"]
    worker = peers.dealer(broker.backend)
    worker.send_multipart(side.ready)
    wait_until(lambda: broker.stats()["workers_joined"] == before + 1)
    return worker


def takes(worker: Socket, side: Side, body: list[bytes]) -> bytes:
    """Have a worker receive that job, frame by frame; returns its ticket."""
    frames = worker.recv_multipart()
    at = side.request.index(TICKET)
    ticket = frames[at]
    assert frames == [*side.request[:at], ticket, *side.request[at + 1 :], *body]
    assert len(ticket) == 16
    assert b"\0" not in ticket
    return ticket


def says(worker: Socket, command: list[bytes] | None, ticket: bytes, body: list[bytes]) -> None:
    assert command is not None
    frames = [ticket if frame == TICKET else frame for frame in command]
    worker.send_multipart([*frames, *body])


# -- requests and replies ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", CLIENTS)
def test_any_client_is_served_by_any_worker(
    start: Start, peers: Peers, side: Side, kind: str
) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), ready(broker, peers, side)
    head, reply = CLIENTS[kind]
    for body in BODIES:
        if kind == "plain client" and (body[0] == b"MDPC01" or body == [b"\x01"]):
            continue  # that is a client of 0.1, and what a REQ worker says
        client.send_multipart([*head, *body])
        ticket = takes(worker, side, body)
        says(worker, side.final, ticket, [*reversed(body)])
        assert client.recv_multipart() == [*reply, *reversed(body)]


def test_a_req_client_of_0_1_gets_what_it_sent_without_the_empty_frame(
    start: Start, peers: Peers, side: Side
) -> None:
    broker = start()
    client, worker = peers.req(broker.frontend), ready(broker, peers, side)
    client.send_multipart([b"MDPC01", b"echo", b"Hello"])
    says(worker, side.final, takes(worker, side, [b"Hello"]), [b"World"])
    assert client.recv_multipart() == [b"MDPC01", b"echo", b"World"]


def test_a_req_client_without_a_header_gets_the_default_service(
    start: Start, peers: Peers, side: Side
) -> None:
    broker = start()
    client, worker = peers.req(broker.frontend), ready(broker, peers, side)
    client.send_multipart([b"Hello", b"there"])
    says(worker, side.final, takes(worker, side, [b"Hello", b"there"]), [b"World"])
    assert client.recv_multipart() == [b"World"]


def test_without_a_default_service_a_client_needs_a_header(
    start: Start, peers: Peers, side: Side
) -> None:
    broker = start(default_service=None)
    client, worker = peers.req(broker.frontend), ready(broker, peers, side)
    client.send(b"Hello")
    wait_until(lambda: broker.stats()["drop_malformed_request"] == 1)
    assert broker.stats()["accepted"] == 0
    assert not worker.poll(0)


@pytest.mark.parametrize("kind", ["0.1 client", "plain client"])
def test_an_address_stack_comes_back(start: Start, peers: Peers, side: Side, kind: str) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), ready(broker, peers, side)
    head, reply = CLIENTS[kind]
    client.send_multipart([b"hop", b"\0", *head, b"Hello"])
    says(worker, side.final, takes(worker, side, [b"Hello"]), [b"World"])
    assert client.recv_multipart() == [b"hop", b"\0", *reply, b"World"]


def test_a_request_that_came_before_its_worker(start: Start, peers: Peers, side: Side) -> None:
    broker = start()
    client = peers.dealer(broker.frontend)
    client.send_multipart([b"MDPC02", b"\x01", b"echo", b"Hello"])
    wait_until(lambda: broker.stats()["queued"] == 1)
    worker = ready(broker, peers, side)
    takes(worker, side, [b"Hello"])


# -- partial replies --------------------------------------------------------------------------

PARTS = [[b"one"], [b"two", b"", b"three"], [b""]]


def test_a_0_2_client_gets_partials_as_they_come(start: Start, peers: Peers) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), ready(broker, peers, WORKER_02)
    client.send_multipart([b"MDPC02", b"\x01", b"echo", b"Hello"])
    ticket = takes(worker, WORKER_02, [b"Hello"])
    for part in PARTS:
        says(worker, WORKER_02.partial, ticket, part)
        assert client.recv_multipart() == [b"MDPC02", b"\x02", b"echo", *part]
    says(worker, WORKER_02.final, ticket, [b"end"])
    assert client.recv_multipart() == [b"MDPC02", b"\x03", b"echo", b"end"]


@pytest.mark.parametrize("kind", ["0.1 client", "plain client"])
def test_other_clients_get_partials_joined(start: Start, peers: Peers, kind: str) -> None:
    broker = start()
    client, worker = peers.dealer(broker.frontend), ready(broker, peers, WORKER_02)
    head, reply = CLIENTS[kind]
    client.send_multipart([*head, b"Hello"])
    ticket = takes(worker, WORKER_02, [b"Hello"])
    for part in PARTS:
        says(worker, WORKER_02.partial, ticket, part)
    says(worker, WORKER_02.final, ticket, [b"end"])
    joined = [b"one", b"two", b"", b"three", b"", b"end"]
    assert client.recv_multipart() == [*reply, *joined]


# -- READY, HEARTBEAT, DISCONNECT -------------------------------------------------------------


def test_ready_with_a_capacity(start: Start, peers: Peers, side: Side) -> None:
    broker = start()
    client = peers.dealer(broker.frontend)
    worker = ready(broker, peers, side._replace(ready=[*side.ready, b"\xcc\x02"]))
    for number in range(3):
        client.send_multipart([b"MDPC02", b"\x01", b"echo", b"%d" % number])
    tickets = [takes(worker, side, [b"%d" % number]) for number in range(2)]
    wait_until(lambda: broker.stats()["queued"] == 1)
    assert not worker.poll(0)
    says(worker, side.final, tickets[1], [b"done"])
    takes(worker, side, [b"2"])


def test_heartbeats_both_ways(start: Start, peers: Peers, side: Side) -> None:
    broker = start(heartbeat_interval=QUICK, liveness=100)
    worker = ready(broker, peers, side)
    for _ in range(3):
        assert worker.recv_multipart() == side.heartbeat
        worker.send_multipart(side.heartbeat)
    wait_until(lambda: broker.stats()["heartbeats"] >= 3)
    assert (broker.stats()["workers"], broker.stats()["disconnects"]) == (1, 0)


def test_a_worker_that_says_disconnect_is_gone(start: Start, peers: Peers, side: Side) -> None:
    broker = start()
    worker = ready(broker, peers, side)
    worker.send_multipart(side.disconnect)
    wait_until(lambda: broker.stats()["workers_disconnected"] == 1)
    wait_until(lambda: broker.stats()["workers"] == 0)


def test_what_a_stranger_says_is_answered_with_disconnect(
    start: Start, peers: Peers, side: Side
) -> None:
    broker = start()
    for command in (side.heartbeat, [*side.final, b"x"]):
        stranger = peers.dealer(broker.backend)
        stranger.send_multipart(command)
        assert stranger.recv_multipart() == side.disconnect


def test_ready_again_is_answered_with_disconnect(start: Start, peers: Peers, side: Side) -> None:
    broker = start()
    worker = ready(broker, peers, side)
    worker.send_multipart(side.ready)
    assert worker.recv_multipart() == side.disconnect
    wait_until(lambda: broker.stats()["workers"] == 0)


def test_a_silent_worker_is_expired(start: Start, peers: Peers, side: Side) -> None:
    broker = start(heartbeat_interval=QUICK, liveness=2)
    worker = ready(broker, peers, side)
    wait_until(lambda: broker.stats()["workers_expired"] == 1)
    worker.send_multipart(side.heartbeat)
    while (command := worker.recv_multipart()) == side.heartbeat:
        pass  # sent before it was expired
    assert command == side.disconnect


def test_a_broker_that_stops_says_disconnect(start: Start, peers: Peers, side: Side) -> None:
    broker = start()
    worker = ready(broker, peers, side)
    broker.stop()
    assert worker.recv_multipart() == side.disconnect


# -- MMI --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["0.1 client", "0.2 client"])
def test_mmi_service(start: Start, peers: Peers, side: Side, kind: str) -> None:
    broker = start()
    client = peers.dealer(broker.frontend)
    ready(broker, peers, side)
    head, reply = CLIENTS[kind]
    for service, name, answer in (
        (b"mmi.service", b"echo", b"200"),
        (b"mmi.service", b"nobody", b"404"),
        (b"mmi.unheard-of", b"echo", b"501"),
    ):
        client.send_multipart([*head[:-1], service, name])
        assert client.recv_multipart() == [*reply[:-1], service, answer]
