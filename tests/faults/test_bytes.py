"""Small messages bring large ones, and who they are for does not read.  Bounded in bytes."""

from __future__ import annotations

import random
from typing import Any

import pytest
import zmq
from clients import Bystander
from crew import BareWorker, DialectClient
from harness import Peers, wait_until
from models import needs_plain_memory
from protocol_frames import MDP02, PPP, Dialect
from watch import lost, reaches
from zmtp import QUIET

from brigantine import LRUBroker, ParanoidPirateBroker

pytest_plugins = ("dialect_fixtures",)

MIB = 1024 * 1024
#: What is handed to a peer that does not read, at most.
LIMIT = 8 * MIB
#: Workers of this file do not heartbeat.
CALM = {"heartbeat_interval": QUIET}
#: A peer whose own system takes little.
DEAF = {"rcvhwm": 1, "rcvbuf": 4096}
#: Large replies, however they are cut into frames.
LARGE = pytest.mark.parametrize(
    "body", [[bytes(MIB)], [bytes(4200)] * 250, [b"x", bytes(MIB), b"x"], [bytes(1000)] * 250],
    ids=["1 MiB", "250 x 4 KiB", "small at both ends", "250 x 1 KB"],
)  # fmt: skip


def shed_by_bytes(broker: Any, worker: BareWorker, client: DialectClient, *body: bytes) -> int:
    """Ask and answer until replies are shed; returns how many were asked for."""
    asked = 0
    while broker.stats()["shed_client_bytes"] < 3:
        client.ask(b"?")
        ticket, _ = worker.take()
        worker.reply(ticket, *body)
        asked += 1
        reaches(broker, in_flight=0)
        assert asked < 1000, broker.stats()
    return asked


# -- the process ----------------------------------------------------------------------------------

#: Requests of one byte each, and their replies' size; what the broker may keep of them, by default.
REQUESTS, REPLY = 600, MIB
KEPT_MIB = 64 + 24


@needs_plain_memory
def test_large_replies_to_a_client_that_does_not_read_are_bounded_in_bytes(
    dialect_process: Any, dialect: Dialect, hand: Any, peers: Peers, record: Any
) -> None:
    broker = dialect_process(dialect, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.send(dialect.ready(service=b"large") if dialect.mdp else dialect.ready())
    reaches(broker, workers=1)
    deaf = peers.dealer(broker.frontend, **DEAF)
    before = broker.memory()
    reply = bytes(REPLY)
    for _ in range(REQUESTS):
        deaf.send_multipart(dialect.ask(b"?", service=b"large"))
        ticket, _ = worker.take()
        worker.reply(ticket, reply)
    stats = reaches(broker, in_flight=0, accepted=REQUESTS)
    if dialect.mdp:  # the others are served meanwhile
        hand(dialect, broker.backend, interval=0)
        reaches(broker, workers=2)
        with Bystander(broker.frontend) as bystander:
            bystander.round_trips(50)
    grown = broker.peak_memory() - before
    record(
        "small messages bring large ones that nobody reads",
        shed=stats["shed_client_bytes"],
        lost=lost(stats),
        grown_mib=grown,
    )
    assert stats["shed"] == stats["shed_client_bytes"] > REQUESTS - KEPT_MIB
    assert stats["unsent_bytes"] <= 64 * MIB
    assert grown <= KEPT_MIB


@needs_plain_memory
def test_large_requests_to_a_worker_that_does_not_read_are_bounded_in_bytes(
    dialect_process: Any, dialect: Dialect, peers: Peers, record: Any
) -> None:
    count = 100
    broker = dialect_process(dialect, peer_bytes=LIMIT, request_ttl=1.0, **CALM)
    deaf = BareWorker(peers, broker.backend, dialect, **DEAF)
    deaf.ready(count)
    reaches(broker, workers_idle=1)
    client = DialectClient(peers, broker.frontend, dialect)
    for _ in range(count):
        client.ask(bytes(MIB))
    stats = reaches(broker, accepted=count, queued=0, in_flight=0)
    record(
        "small messages bring large ones that nobody reads",
        behind=stats["worker_behind"],
        lost=lost(stats),
        peak_mib=broker.peak_memory(),
    )
    assert 0 < stats["unsent_bytes"] <= LIMIT
    assert stats["failed_expired_in_flight"] <= LIMIT // MIB + 8, "some are in the system's hands"
    assert stats["worker_behind"] > 0
    good = BareWorker(peers, broker.backend, dialect)
    good.ready(8)
    reaches(broker, workers=2)
    for _ in range(8):  # whose turn it may be, the one that reads gets them
        client.ask(bytes(MIB))
        good.reply(*good.take())
        client.answer()


# -- what is handed over, and to whom -------------------------------------------------------------


@pytest.mark.pairwise
@LARGE
def test_a_client_that_reads_again_is_served_again(
    dialect_broker: Any, dialect: Dialect, peers: Peers, body: list[bytes]
) -> None:
    broker = dialect_broker(dialect, peer_bytes=LIMIT, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect, **DEAF)
    asked = shed_by_bytes(broker, worker, client, *body)
    stats = broker.stats()
    assert 0 < stats["unsent_bytes"] <= LIMIT
    assert stats["replied"] + stats["shed_client_bytes"] == asked
    for _ in range(stats["replied"]):
        assert client.answer() == body
    reaches(broker, unsent_bytes=0)
    client.ask(b"?")
    worker.reply(worker.take()[0], *body)
    assert client.answer() == body
    reaches(broker, unsent_bytes=0, shed=stats["shed"])


def test_parts_of_a_stream_count(dialect_broker: Any, peers: Peers) -> None:
    broker = dialect_broker(MDP02, peer_bytes=LIMIT, **CALM)
    worker = BareWorker(peers, broker.backend, MDP02)
    worker.ready()
    client = peers.dealer(broker.frontend, **DEAF)
    client.send_multipart(MDP02.ask(b"?"))
    ticket, _ = worker.take()
    part = bytes(MIB)
    for _ in range(3 * LIMIT // MIB + 8):
        worker.send(MDP02.partial(ticket, part))
    stats = wait_until(lambda: (now := broker.stats())["drop_partial_shed"] and now)
    assert 0 < stats["unsent_bytes"] <= LIMIT


@pytest.mark.parametrize("size", [5000, 16 * MIB - 100])
def test_a_message_beyond_the_limit_passes_when_nothing_else_is_to_be_taken(
    dialect_broker: Any, dialect: Dialect, peers: Peers, size: int
) -> None:
    broker = dialect_broker(dialect, peer_bytes=0, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect)
    body = bytes(size)
    for _ in range(3):
        client.ask(body)
        ticket, job = worker.take()
        assert len(job) == size
        worker.reply(ticket, job)
        assert client.answer() == [body]
        # What the last bytes were written from is let go a moment after they were read.
        reaches(broker, unsent_bytes=0)


def test_small_messages_are_bounded_by_the_high_water_mark_alone(
    dialect_broker: Any, dialect: Dialect, peers: Peers
) -> None:
    broker = dialect_broker(dialect, peer_bytes=0, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect)
    for _ in range(200):
        client.ask(b"?")
        worker.reply(worker.take()[0], bytes(3000))
    stats = reaches(broker, replied=200)
    assert (stats["unsent_bytes"], stats["shed"]) == (0, 0)


def test_an_address_as_large_as_a_reply_counts_as_one(broker: Any, peers: Peers) -> None:
    """A client's stack of addresses stands in front of every reply, at any size."""
    lru = broker(peer_bytes=LIMIT)
    worker = peers.worker(lru.backend)
    client = peers.dealer(lru.frontend, **DEAF)
    asked = 0
    while not lru.stats()["shed_client_bytes"]:
        client.send_multipart([bytes(MIB - 1) + b"x", b"", b"?"])
        ticket, empty, _ = worker.recv_multipart()
        worker.send_multipart([ticket, empty, b"!"])
        asked += 1
        reaches(lru, in_flight=0, accepted=asked)
        assert asked < 100
    assert 0 < lru.stats()["unsent_bytes"] <= LIMIT


def test_what_a_client_that_leaves_did_not_take_is_given_back(
    dialect_broker: Any, dialect: Dialect, peers: Peers
) -> None:
    broker = dialect_broker(dialect, peer_bytes=LIMIT, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    client = DialectClient(peers, broker.frontend, dialect, **DEAF)
    shed_by_bytes(broker, worker, client, bytes(MIB))
    client.socket.close(0)
    reaches(broker, unsent_bytes=0)
    other = DialectClient(peers, broker.frontend, dialect)
    other.ask(b"?")
    worker.reply(worker.take()[0], bytes(MIB))
    assert other.answer() == [bytes(MIB)]


def test_a_client_and_a_worker_of_one_name_have_accounts_of_their_own(
    broker: Any, peers: Peers
) -> None:
    lru = broker(peer_bytes=0)
    client = peers.dealer(lru.frontend, identity=b"same", **DEAF)
    worker = peers.worker(lru.backend, identity=b"same")
    asked = 0
    while not lru.stats()["shed_client_bytes"]:
        client.send_multipart([b"", bytes(MIB)])
        ticket, empty, body = worker.recv_multipart()
        worker.send_multipart([ticket, empty, body * 4])
        asked += 1
        reaches(lru, in_flight=0, accepted=asked)
        assert asked < 100


def test_a_large_request_that_is_sent_again_is_whole_and_counted_once_a_worker(
    dialect_broker: Any, dialect: Dialect, peers: Peers
) -> None:
    broker = dialect_broker(dialect, peer_bytes=LIMIT, retries=1, **CALM)
    client = DialectClient(peers, broker.frontend, dialect)
    body = bytes(range(256)) * (4 * MIB // 256)
    first = BareWorker(peers, broker.backend, dialect, **DEAF)
    first.ready()
    reaches(broker, workers=1)
    client.ask(body)
    reaches(broker, in_flight=1)
    first.socket.close(0)
    reaches(broker, workers_lost=1, queued=1)
    second = BareWorker(peers, broker.backend, dialect)
    second.ready()
    ticket, job = second.take()
    assert job == body
    second.reply(ticket, b"done")
    assert client.answer() == [b"done"]
    reaches(broker, unsent_bytes=0, redispatched=1)


def test_messages_outlive_the_broker_that_sent_them(impl: str, peers: Peers) -> None:
    """Over inproc who receives a message has it from the broker's own hands."""
    body = bytes(range(256)) * 4096
    client = peers.dealer("inproc://front")
    worker = peers.socket(zmq.REQ, "inproc://back")
    with LRUBroker(
        "inproc://front", "inproc://back", impl=impl, context=peers.context, peer_bytes=LIMIT
    ) as broker:
        worker.send(b"READY")
        client.send_multipart([b"", b"?"])
        ticket, empty, _ = worker.recv_multipart()
        worker.send_multipart([ticket, empty, body])
        _, kept = client.recv_multipart(copy=False)
        assert broker.stats()["unsent_bytes"] > MIB, "it is in the broker's memory yet"
        client.send_multipart([b"", b"?"])
        ticket, empty, _ = worker.recv_multipart()
        worker.send_multipart([ticket, empty, body])
        reaches(broker, replied=2)
    _, unread = client.recv_multipart(copy=False)
    assert kept.bytes == unread.bytes == body
    del kept, unread, _
    wait_until(lambda: broker.stats()["unsent_bytes"] == 0, "all was let go")


def test_a_broker_that_stops_lets_go_of_what_nobody_took(impl: str, peers: Peers) -> None:
    anywhere = "tcp://127.0.0.1:*"
    with ParanoidPirateBroker(anywhere, anywhere, impl=impl, peer_bytes=LIMIT, **CALM) as broker:
        worker = BareWorker(peers, broker.backend, PPP)
        worker.ready()
        client = DialectClient(peers, broker.frontend, PPP, **DEAF)
        shed_by_bytes(broker, worker, client, bytes(MIB))
    wait_until(lambda: broker.stats()["unsent_bytes"] == 0, "all was let go")


@pytest.mark.pairwise
@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_read_or_not_limits_hold_and_accounts_return_to_zero(
    dialect_broker: Any, dialect: Dialect, peers: Peers, seed: int
) -> None:
    """Each client gets just what the broker says that it was given, whole and in order."""
    rng = random.Random(seed)
    limit, largest = 300_000, 200_000
    broker = dialect_broker(dialect, peer_bytes=limit, **CALM)
    worker = BareWorker(peers, broker.backend, dialect)
    worker.ready()
    clients = [DialectClient(peers, broker.frontend, dialect, **DEAF) for _ in range(3)]
    given: list[list[list[bytes]]] = [[] for _ in clients]
    read = [0] * len(clients)
    for asked in range(1, 200):
        number = rng.randrange(len(clients))
        size, cut = rng.randrange(largest), rng.choice((1, 1, 2, 40))
        body = [rng.randbytes(size // cut) for _ in range(cut)]
        before = broker.stats()["replied"]
        clients[number].ask(b"?")
        worker.reply(worker.take()[0], *body)
        stats = reaches(broker, accepted=asked, in_flight=0)
        if stats["replied"] > before:
            given[number].append(body)
        assert stats["unsent_bytes"] <= len(clients) * limit
        reader = rng.randrange(len(clients))
        if rng.random() < 0.2 and read[reader] < len(given[reader]):
            assert clients[reader].answer() == given[reader][read[reader]]
            read[reader] += 1
    assert broker.stats()["shed_client_bytes"] > 0
    for client, bodies, count in zip(clients, given, read, strict=True):
        for body in bodies[count:]:
            assert client.answer() == body
    stats = reaches(broker, unsent_bytes=0)
    assert stats["replied"] == sum(map(len, given))
    assert stats["accepted"] == stats["replied"] + stats["shed_client_bytes"]
