"""PPP and MDP: workers that never read, READY floods, forged replies."""

from __future__ import annotations

from typing import Any

import pytest
from crew import BareWorker, DialectClient
from harness import Peers, wait_until
from protocol_frames import MDP, MDP02, Dialect
from watch import lost, reaches
from zmtp import QUIET, RawPeer

pytest_plugins = ("dialect_fixtures",)

MIB = 1024 * 1024
#: What forged replies say.
FORGED = b"forged"
#: A ticket of the right shape that was never issued.
GUESS = b"0" * 16
#: Workers of this file do not heartbeat.
CALM = {"heartbeat_interval": QUIET}
MDP_ONLY = pytest.mark.parametrize("dialect", MDP, ids=[each.name for each in MDP])


def test_a_worker_of_capacity_16_that_never_reads_is_passed_over(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    capacity = 16
    broker = dialect_broker(dialect, high_water_mark=4, request_ttl=1.0, **CALM)
    deaf = BareWorker(peers, broker.backend, dialect, rcvhwm=1, rcvbuf=4096)
    deaf.ready(capacity)
    reaches(broker, workers_idle=1)
    filler = DialectClient(peers, broker.frontend, dialect)
    for _ in range(capacity):
        filler.ask(bytes(4 * MIB))
    wait_until(lambda: broker.stats()["worker_full"], "its pipe is full")
    stats = reaches(broker, queued=0, in_flight=0, accepted=capacity)
    assert stats["failed"] == capacity
    good = BareWorker(peers, broker.backend, dialect)
    good.ready(capacity)
    reaches(broker, workers=2)
    clients = [DialectClient(peers, broker.frontend, dialect) for _ in range(3)]
    misroutes = 0
    for turn in range(10):
        bodies = [b"%d of client %d" % (turn, number) for number in range(len(clients))]
        for client, body in zip(clients, bodies, strict=True):
            client.ask(body)
        jobs = [good.take() for _ in clients]  # all at once: it has the places
        for job in reversed(jobs):
            good.reply(*job)
        for client, body in zip(clients, bodies, strict=True):
            misroutes += client.answer() != [body]
    stats = reaches(broker, replied=30, in_flight=0)
    record(
        "worker that never reads",
        misroutes=misroutes,
        worker_full=stats["worker_full"],
        lost=lost(stats),
    )
    assert misroutes == 0
    assert (stats["failed"], stats["workers_lost"]) == (capacity, 0)


@pytest.mark.parametrize(
    "count", [5_001, pytest.param(100_001, marks=pytest.mark.long)], ids=["5k", "100k"]
)
def test_however_often_a_worker_says_ready_it_stands_in_the_order_once_at_most(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect, count: int
) -> None:
    broker = dialect_broker(dialect, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready(times=count)
    # PPP: each one a new conversation.  MDP: a second is answered with DISCONNECT, and the one
    # after that is the first again.
    again = count // 2 if dialect.mdp else count - 1
    stats = reaches(
        broker,
        ready_again=again,
        disconnects=again if dialect.mdp else 0,
        workers=1,
    )
    assert (stats["workers"], stats["workers_idle"], stats["services"]) == (1, 1, 1)
    client = DialectClient(peers, broker.frontend, dialect)
    for body in (b"one", b"two"):
        client.ask(body)
    # Accepted is one thing, handed out another: that many DISCONNECTs may fill the worker's pipe.
    stats = reaches(broker, accepted=2, in_flight=1, queued=1, workers_idle=0)
    told = 0
    while (heard := worker.hear()).kind == "DISCONNECT":
        told += 1
    overlap = worker.has_mail() + stats["in_flight"] - 1
    record(
        "READY without end; READY or HEARTBEAT while busy",
        readies=count,
        entries=stats["workers"],
        overlap=overlap,
        disconnects_heard=told,
    )
    assert (heard.body, overlap) == ((b"one",), 0)
    worker.reply(heard.ticket, b"one")
    worker.reply(*worker.take())
    assert [client.answer(), client.answer()] == [[b"one"], [b"two"]]


def test_ready_while_busy_ends_the_conversation_and_its_request_is_done_once(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, retries=1, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"job")
    stale, _ = worker.take()
    worker.ready()
    reaches(broker, ready_again=1, workers=0 if dialect.mdp else 1, redispatched=1)
    if dialect.mdp:  # RFC 7: READY is sent once a connection
        assert worker.hear().kind == "DISCONNECT"
        heir = BareWorker(peers, broker.backend, dialect)
        heir.ready()
    else:  # RFC 6: a worker that has forgotten all gets it anew
        heir = worker
    ticket, body = heir.take()
    assert (ticket != stale, body) == (True, b"job")
    worker.reply(stale, FORGED)
    reaches(broker, drop_reply_late=1)
    overlap = int(heir.has_mail())
    heir.reply(ticket, body)
    assert client.answer() == [b"job"]
    stats = reaches(broker, in_flight=0, workers=1, workers_idle=1)
    assert client.delivered_twice_by(heir) == 0
    record(
        "READY without end; READY or HEARTBEAT while busy",
        case="READY while busy",
        overlap=overlap,
        lost=lost(stats),
    )
    assert overlap == 0


def test_a_busy_worker_gets_no_second_job_for_heartbeats_or_forged_replies(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect)
    jobs = [b"job %d" % number for number in range(20)]
    for job in jobs:
        client.ask(job)
    reaches(broker, accepted=len(jobs))
    overlap = forged = 0
    for job in jobs:
        ticket, body = worker.take()
        assert body == job
        for _ in range(20):
            worker.send(dialect.heartbeat())
        worker.reply(GUESS, FORGED)
        if dialect is MDP02:
            worker.send(dialect.partial(GUESS, FORGED))
        forged += 1 + (dialect is MDP02)
        stats = reaches(broker, drop_reply_unknown=forged)
        overlap += worker.has_mail() or stats["in_flight"] > 1
        worker.reply(ticket, body)
        assert client.answer() == [job]
    stats = reaches(broker, in_flight=0)
    record(
        "READY without end; READY or HEARTBEAT while busy",
        heartbeats_while_busy=20 * len(jobs),
        overlap=overlap,
        lost=lost(stats),
    )
    assert (overlap, client.replies[FORGED], client.partials) == (0, 0, [])
    assert (stats["workers"], stats["workers_idle"]) == (1, 1)


def test_no_forged_reply_is_ever_delivered(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **CALM)
    honest, liar, stranger = (BareWorker(peers, broker.backend, dialect) for _ in range(3))
    for number, worker in enumerate((honest, liar)):
        worker.ready()
        reaches(broker, workers_idle=number + 1)
    kinds = [dialect.reply] + ([dialect.partial] if dialect is MDP02 else [])
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"first")
    ticket, body = honest.take()
    for say in kinds:
        liar.send(say(GUESS, FORGED))
        liar.send(say(ticket, FORGED))  # somebody else's, and live
        stranger.send(say(ticket, FORGED))  # it never said READY
    reaches(broker, drop_reply_unknown=len(kinds), drop_reply_foreign=2 * len(kinds))
    for _ in kinds if dialect.mdp else ():
        assert stranger.hear().kind == "DISCONNECT"
    honest.reply(ticket, body)
    assert client.answer() == [b"first"]
    for say in kinds:  # its own, a second time; somebody else's, and over; PARTIAL after FINAL
        for worker in (honest, liar, stranger):
            worker.send(say(ticket, FORGED))
    stats = reaches(broker, drop_reply_duplicate=3 * len(kinds))
    assert (stats["workers"], stats["workers_idle"], stats["in_flight"]) == (2, 2, 0)
    # Two honest round trips: nothing forged was on its way, and both still are in the order.
    for worker in (liar, honest):
        client.ask(b"after")
        worker.reply(*worker.take())
        assert client.answer() == [b"after"]
    stats = broker.stats()
    forged = sum(value for name, value in stats.items() if name.startswith("drop_reply_"))
    record(
        "forged, double and late replies",
        forged=forged,
        forged_delivered=client.replies[FORGED],
        lost=lost(stats),
    )
    assert (client.replies[FORGED], client.partials, stats["partials"]) == (0, [], 0)
    assert (stats["replied"], stats["workers"], stats["workers_lost"]) == (3, 2, 0)


# -- DISCONNECT idle, busy, before READY ----------------------------------------------------------


@MDP_ONLY
def test_disconnect_is_clean_when_idle_when_busy_and_before_ready(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.send(dialect.disconnect())  # before READY: there is nothing to end, and no answer
    reaches(broker, drop_unexpected=1, workers=0)
    worker.ready()
    reaches(broker, workers_idle=1)
    worker.send(dialect.disconnect())
    reaches(broker, workers=0, workers_idle=0, workers_disconnected=1)
    worker.ready()  # a new conversation on the old connection is a worker like any other
    client = DialectClient(peers, broker.frontend, dialect)
    client.ask(b"job")
    stale, _ = worker.take()
    worker.send(dialect.disconnect())
    reaches(broker, workers=0, workers_disconnected=2, redispatched=1, queued=1)
    worker.reply(stale, FORGED)
    reaches(broker, drop_reply_late=1)
    assert worker.hear().kind == "DISCONNECT"
    heir = BareWorker(peers, broker.backend, dialect)
    heir.ready()
    heir.reply(*heir.take())
    assert client.answer() == [b"job"]
    for _ in range(1000):
        worker.send(dialect.disconnect())
    stats = reaches(broker, drop_unexpected=1001)
    assert client.delivered_twice_by(heir) == 0
    assert not worker.has_mail()
    record(
        "DISCONNECT idle, busy, before READY",
        disconnects=1003,
        crashes=int(not broker.running),
        lost=lost(stats),
    )
    assert (stats["workers"], stats["workers_joined"], stats["disconnects"]) == (1, 3, 1)


def test_a_heartbeat_from_a_stranger_makes_it_no_worker(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **CALM)
    stranger = BareWorker(peers, broker.backend, dialect)
    stranger.send(dialect.heartbeat())
    stats = reaches(broker, drop_unexpected=1, disconnects=int(dialect.mdp))
    if dialect.mdp:
        assert stranger.hear().kind == "DISCONNECT"
    record(
        "DISCONNECT idle, busy, before READY",
        case="HEARTBEAT before READY",
        workers=stats["workers"],
    )
    assert stats["workers"] == stats["workers_joined"] == 0


# -- strange and duplicate identities -------------------------------------------------------------


def test_a_second_worker_with_a_name_in_use_takes_over_nothing(
    dialect_broker: Any, peers: Peers, record: Any, dialect: Dialect
) -> None:
    broker = dialect_broker(dialect, **CALM)
    client = DialectClient(peers, broker.frontend, dialect)
    takeovers = 0
    with (
        RawPeer(broker.backend, identity=b"same") as first,
        RawPeer(broker.backend, identity=b"same") as second,
    ):
        first.send(dialect.ready())
        client.ask(b"for the first")
        heard = dialect.hear(first.recv())
        second.send(dialect.ready())
        second.send(dialect.reply(heard.ticket, FORGED))  # it even knows the ticket
        third = BareWorker(peers, broker.backend, dialect)
        third.ready()
        reaches(broker, workers=2)  # the third came later, so the second has been seen before
        first.send(dialect.reply(heard.ticket, b"honest"))
        takeovers += client.answer() != [b"honest"]
        takeovers += second.has_mail()
    reaches(broker, workers=1)
    plain = peers.req(broker.frontend)
    plain.send(b"hello")
    third.reply(*third.take())
    assert plain.recv() == b"hello"
    stats = broker.stats()
    record(
        "strange and duplicate identities",
        identities="duplicate",
        side="workers",
        takeovers=takeovers,
        lost=lost(stats),
    )
    assert (takeovers, stats["workers_joined"]) == (0, 2)
