"""MDP 0.2: PARTIALs of a worker that leaves before its FINAL."""

from __future__ import annotations

from typing import Any

from crew import BareWorker, DialectClient
from harness import Peers
from protocol_frames import MDP01, MDP02
from watch import lost, reaches
from zmtp import QUIET

pytest_plugins = ("dialect_fixtures",)

#: What forged replies say.
FORGED = b"forged"
#: Workers of this file do not heartbeat.
CALM = {"heartbeat_interval": QUIET}


def test_partials_joined_for_one_reply_are_those_of_one_worker(
    dialect_broker: Any, peers: Peers, record: Any
) -> None:
    broker = dialect_broker(MDP02, retries=1, **CALM)
    client = DialectClient(peers, broker.frontend, MDP01)
    first, second, stale = _partial_and_disconnect(broker, peers, client)
    ticket, _ = second.take()
    first.send(MDP02.partial(stale, FORGED))
    first.reply(stale, FORGED)
    reaches(broker, drop_reply_late=2)
    second.send(MDP02.partial(ticket, b"1"))
    second.reply(ticket, b"2")
    answer = client.answer()
    record("forged, double and late replies", case="parts of a lost worker, joined", answer=answer)
    assert answer == [b"1", b"2"]
    assert client.delivered_twice_by(second) == 0


def test_a_client_that_has_seen_parts_of_one_worker_gets_none_of_another(
    dialect_broker: Any, peers: Peers, record: Any
) -> None:
    broker = dialect_broker(MDP02, retries=1, **CALM)
    client = DialectClient(peers, broker.frontend, MDP02)
    first, second, ticket = _partial_and_disconnect(broker, peers, client)
    reaches(broker, workers=1, workers_disconnected=1)
    # It is not done again, and nothing more of it comes: its worker has left in the middle of it.
    first.send(MDP02.partial(ticket, b"2"))
    first.reply(ticket, b"3")
    stats = reaches(broker, drop_reply_late=2, failed_worker_lost=1)
    assert not second.has_mail()
    assert client.delivered_twice_by(second) == 0
    assert client.partials == [(b"1 of the first",)]
    record(
        "forged, double and late replies",
        case="parts of a lost worker, delivered",
        lost=lost(stats),
    )
    assert stats["redispatched"] == 0


def _partial_and_disconnect(
    broker: Any, peers: Peers, client: DialectClient
) -> tuple[BareWorker, BareWorker, bytes]:
    """One of two workers leaves after a PARTIAL of the client's request; both, and the ticket."""
    first, second = (BareWorker(peers, broker.backend, MDP02) for _ in range(2))
    first.ready()
    reaches(broker, workers_idle=1)
    second.ready()
    client.ask(b"job")
    ticket, _ = first.take()
    first.send(MDP02.partial(ticket, b"1 of the first"))
    reaches(broker, partials=1)
    first.send(MDP02.disconnect())
    return first, second, ticket
