"""One broker, workers and clients of every protocol at once, over real sockets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from dialects import DIALECTS, MDP01, MDP02, PPP, REQ, answer, asks
from harness import Peers, wait_until

from brigantine import AnyBroker

#: Seconds; no heartbeat is due while a test runs.
QUIET = 60.0
#: A routing id, where dialects write one: the ROUTER adds and takes it.
ID = b"id"


@pytest.fixture
def broker(impl: str) -> Iterator[AnyBroker]:
    """A broker on free ports, stopped at the end."""
    both = ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*")
    with AnyBroker(*both, impl=impl, heartbeat_interval=QUIET) as made:
        yield made


@pytest.mark.parametrize("version", ["", "0.1", "0.2"])
@pytest.mark.parametrize("name", DIALECTS)
def test_any_worker_serves_any_client(
    broker: AnyBroker, peers: Peers, name: str, version: str
) -> None:
    """Peers that name no service meet in the service without a name."""
    dialect = DIALECTS[name]
    client, worker = peers.dealer(broker.frontend), peers.dealer(broker.backend)
    worker.send_multipart(dialect.registers(ID, b"")[1:])
    for body in ([b"Hello"], [b"", b"x", b""]):
        client.send_multipart(asks(version, ID, b"", *body)[1:])
        frames = worker.recv_multipart()
        ticket = frames[len(dialect.job(ID, b"")) - 3]
        assert frames == dialect.job(ID, ticket, *body)[1:]
        worker.send_multipart(dialect.reply(ID, ticket, *reversed(body))[1:])
        assert client.recv_multipart() == answer(version, ID, b"", *reversed(body))[1:]


def test_workers_of_every_protocol_take_turns(broker: AnyBroker, peers: Peers) -> None:
    client = peers.dealer(broker.frontend)
    workers = []
    for number, dialect in enumerate((REQ, PPP, MDP01, MDP02)):
        workers.append(peers.dealer(broker.backend))
        workers[-1].send_multipart(dialect.registers(ID, b"")[1:])
        wait_until(lambda number=number: broker.stats()["workers"] == number + 1)  # type: ignore[misc]
    for number in range(4):
        client.send_multipart([b"", b"%d" % number])
    assert [worker.recv_multipart()[-1] for worker in workers] == [b"0", b"1", b"2", b"3"]
