"""Workers that never read, say READY without end, and forge replies."""

from __future__ import annotations

from typing import Any

import pytest
import zmq
from clients import CountingClient
from harness import Peers, wait_until
from watch import lost, reaches

MIB = 1024 * 1024
#: What forged replies say.
FORGED = b"forged"


class Worker:
    """A REQ worker spelled out on a DEALER, so that it can break every rule of a REQ socket."""

    def __init__(self, peers: Peers, endpoint: str, **options: Any) -> None:
        self.socket: zmq.Socket[bytes] = peers.dealer(endpoint, **options)

    def ready(self, times: int = 1) -> None:
        for _ in range(times):
            self.socket.send_multipart([b"", b"READY"])

    def take(self) -> tuple[bytes, bytes]:
        """The ticket and the body of the next job."""
        _, ticket, _, body = self.socket.recv_multipart()
        return ticket, body

    def reply(self, ticket: bytes, body: bytes) -> None:
        self.socket.send_multipart([b"", ticket, b"", body])

    def has_mail(self) -> bool:
        return bool(self.socket.poll(0))


def test_a_worker_that_never_reads_is_passed_over(broker: Any, peers: Peers, record: Any) -> None:
    # A short life for requests: each one that dies in the deaf worker's pipe makes room for the
    # next READY, until the pipe is full.
    lru = broker(high_water_mark=1, request_ttl=1.0)
    deaf = Worker(peers, lru.backend, rcvhwm=1, rcvbuf=4096)
    filler = CountingClient(peers, lru.frontend)
    sent = 0

    def full() -> bool:
        nonlocal sent
        deaf.ready()
        stats = lru.stats()
        if stats["in_flight"] == stats["queued"] == 0:
            filler.ask(bytes(4 * MIB))
            sent += 1
            wait_until(lambda: lru.stats()["accepted"] == sent, "the filler was accepted")
        return bool(lru.stats()["worker_full"])

    wait_until(full, "the pipe of the worker that never reads is full")
    reaches(lru, queued=0, in_flight=0)
    before = lru.stats()
    good = Worker(peers, lru.backend)
    good.ready()
    reaches(lru, workers=2)
    clients = [CountingClient(peers, lru.frontend) for _ in range(3)]
    misroutes = 0
    for turn in range(10):
        for number, client in enumerate(clients):
            body = b"%d of client %d" % (turn, number)
            client.ask(body)
            ticket, got = good.take()
            good.reply(ticket, got)
            misroutes += client.answer() != [body]
    stats = reaches(lru, replied=30, in_flight=0)
    assert misroutes == 0
    assert stats["failed"] == before["failed"]
    assert stats["worker_full"] > before["worker_full"]
    record(
        "worker that never reads",
        misroutes=misroutes,
        worker_full=stats["worker_full"],
        lost=lost(stats),
    )


@pytest.mark.parametrize(
    "count", [10_000, pytest.param(100_000, marks=pytest.mark.long)], ids=["10k", "100k"]
)
def test_however_often_a_worker_says_ready_it_stands_in_the_order_once(
    broker: Any, peers: Peers, record: Any, count: int
) -> None:
    lru = broker()
    worker = Worker(peers, lru.backend)
    worker.ready(count)
    stats = reaches(lru, ready_again=count - 1)
    assert (stats["workers"], stats["workers_idle"], stats["workers_joined"]) == (1, 1, 1)
    client = CountingClient(peers, lru.frontend)
    client.ask(b"one")
    client.ask(b"two")
    ticket, body = worker.take()
    stats = reaches(lru, accepted=2)
    assert (stats["in_flight"], stats["queued"], stats["workers_idle"]) == (1, 1, 0)
    assert body == b"one"
    record(
        "READY without end; READY or HEARTBEAT while busy",
        readies=count,
        entries=stats["workers"],
        overlap=stats["in_flight"] - 1,
    )
    worker.reply(ticket, body)
    worker.reply(*worker.take())
    assert [client.answer(), client.answer()] == [[b"one"], [b"two"]]


def test_a_busy_worker_gets_no_second_job_whatever_it_says(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker()
    worker = Worker(peers, lru.backend)
    worker.ready()
    client = CountingClient(peers, lru.frontend)
    jobs = [b"job %d" % number for number in range(20)]
    for job in jobs:
        client.ask(job)
    reaches(lru, accepted=len(jobs))
    overlap = readies = 0
    for job in jobs:
        ticket, body = worker.take()
        assert body == job
        worker.ready(50)
        worker.reply(b"0" * 16, FORGED)  # a reply to nothing does not make it free either
        readies += 50
        stats = reaches(lru, ready_again=readies)
        overlap += worker.has_mail() or stats["in_flight"] > 1
        worker.reply(ticket, body)
        assert client.answer() == [job]
    stats = reaches(lru, in_flight=0)
    assert (overlap, client.replies[FORGED]) == (0, 0)
    assert (stats["workers"], stats["workers_idle"]) == (1, 1)
    record(
        "READY without end; READY or HEARTBEAT while busy",
        readies_while_busy=readies,
        overlap=overlap,
        lost=lost(stats),
    )


def test_a_worker_whose_job_expired_is_free_again_when_it_says_ready(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(request_ttl=0.2)
    worker = Worker(peers, lru.backend)
    worker.ready()
    client = CountingClient(peers, lru.frontend)
    client.ask(b"given up")
    ticket, _ = worker.take()
    stats = reaches(lru, failed_expired_in_flight=1)
    assert stats["workers_idle"] == 0
    worker.ready()
    reaches(lru, workers_idle=1)
    worker.reply(ticket, FORGED)
    stats = reaches(lru, drop_reply_late=1)
    assert (stats["workers"], stats["workers_idle"], stats["replied"]) == (1, 1, 0)
    record(
        "READY without end; READY or HEARTBEAT while busy",
        case="READY after expiry",
        entries=stats["workers_idle"],
        lost=lost(stats),
    )


def test_no_forged_reply_is_ever_delivered(broker: Any, peers: Peers, record: Any) -> None:
    lru = broker()
    honest, liar = Worker(peers, lru.backend), Worker(peers, lru.backend)
    for number, worker in enumerate((honest, liar)):
        worker.ready()
        reaches(lru, workers_idle=number + 1)
    client = CountingClient(peers, lru.frontend)
    client.ask(b"first")
    ticket, body = honest.take()

    guesses = _near_misses(ticket)
    for guess in guesses:
        liar.reply(guess, FORGED)
    stats = reaches(lru, drop_reply_unknown=len(guesses))
    liar.reply(ticket, FORGED)  # somebody else's, and live
    reaches(lru, drop_reply_foreign=1)
    honest.reply(ticket, body)
    assert client.answer() == [b"first"]
    honest.reply(ticket, FORGED)  # its own, a second time
    liar.reply(ticket, FORGED)  # somebody else's, and over
    reaches(lru, drop_reply_duplicate=2)

    client.ask(b"second")
    ticket, body = liar.take()  # the least recently used by now
    liar.reply(ticket, body)
    for _ in range(10):
        liar.reply(ticket, FORGED)
    assert client.answer() == [b"second"]
    stats = reaches(lru, drop_reply_duplicate=12)
    assert (stats["workers"], stats["workers_idle"], stats["in_flight"]) == (2, 2, 0)
    # Two honest round trips: nothing forged was on its way, and both still are in the order.
    for worker in (honest, liar):
        client.ask(b"after")
        worker.reply(*worker.take())
        assert client.answer() == [b"after"]
    stats = lru.stats()
    forged = sum(value for name, value in stats.items() if name.startswith("drop_reply_"))
    record(
        "forged, double and late replies",
        forged=forged,
        forged_delivered=client.replies[FORGED],
        lost=lost(stats),
    )
    assert client.replies[FORGED] == 0
    assert stats["replied"] == 4


def test_a_late_reply_is_dropped_and_the_next_requests_own_is_delivered(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(request_ttl=1.5)
    worker = Worker(peers, lru.backend)
    worker.ready()
    client = CountingClient(peers, lru.frontend)
    client.ask(b"slow")
    late, _ = worker.take()
    reaches(lru, failed_expired_in_flight=1)
    client.ask(b"quick")
    worker.reply(late, FORGED)  # also says that it is free
    ticket, body = worker.take()
    assert body == b"quick"
    assert ticket != late
    worker.reply(ticket, body)
    assert client.answer() == [b"quick"]
    stats = reaches(lru, in_flight=0)
    assert (stats["drop_reply_late"], stats["replied"]) == (1, 1)
    record(
        "forged, double and late replies",
        late=1,
        forged_delivered=client.replies[FORGED],
        lost=lost(stats),
    )


def _near_misses(ticket: bytes) -> list[bytes]:
    """Tickets that this broker has not issued, as close to one that it has as can be."""
    slot, generation = int(ticket[:8], 16), int(ticket[8:], 16)
    moved = [
        b"%08x%08x" % (slot, (generation + step) & 0xFFFFFFFF) for step in (1, 2, 0x80000000, -1)
    ]
    return [
        *moved,
        b"%08x%08x" % (slot + 1, generation),
        b"%08x%08x" % (0xFFFFFFFF, generation),
        b"%08x%08x" % (0x80000000, generation),
        ticket[:-1],
        ticket + b"0",
        ticket + b"\0",
        b"\0" + ticket[1:],
        b" " * len(ticket),
        b"-" + ticket[1:],
        b"0x" + ticket[2:],
        ticket[:-1] + b"G",
        b"\xff" * len(ticket),
        b"x",
        b"READY",
        ticket * 4096,
    ]
