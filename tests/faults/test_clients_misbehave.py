"""Clients that never read, that leave early, that come in crowds."""

from __future__ import annotations

import time
from typing import Any

import pytest
from clients import Bystander, round_trip, who_got
from harness import Peers, wait_until
from models import needs_plain_memory
from watch import lost, reaches
from zmtp import RawPeer, message, opening

#: Bytes of a reply to the client that never reads, and how many of them it asks for: far more than
#: the broker may keep for it.
REPLY_SIZE = 64 * 1024
REPLIES = 800
#: How many it asks for at once.
BURST = 10
#: What the broker may keep for it: high_water_mark replies in its pipe and as many on their way
#: through it, and room for what memory is handed back late.
HIGH_WATER_MARK = 10
KEPT_MIB = 2 * HIGH_WATER_MARK * REPLY_SIZE / 2**20 + 16


@needs_plain_memory
def test_replies_to_a_client_that_never_reads_are_shed_and_nobody_else_notices(
    broker_process: Any, worker_process: Any, peers: Peers, record: Any
) -> None:
    lru = broker_process(high_water_mark=HIGH_WATER_MARK)
    for number in range(2):
        worker_process(lru.backend, f"w{number}")
    reaches(lru, workers=2)
    with Bystander(lru.frontend) as bystander:
        bystander.round_trips(200)
        idle_p99, before = bystander.p99_ms, lru.memory()
        bystander.took.clear()
        deaf = peers.dealer(lru.frontend, rcvhwm=1)
        for _ in range(REPLIES // BURST):
            for _ in range(BURST):
                deaf.send_multipart([b"", b"big:%d" % REPLY_SIZE])
            # Others share the workers with it: only what it does not read is to weigh on them.
            bystander.round_trips(1)
            wait_until(lambda: lru.stats()["queued"] <= 1, "its requests were served")
        wait_until(lambda: lru.stats()["accepted"] >= REPLIES, "all of its requests came")
        wait_until(lambda: lru.stats()["shed_client_full"] > REPLIES // 2, "its replies are shed")
    stats = reaches(lru, queued=0, in_flight=0)
    grown = lru.peak_memory() - before
    record(
        "client that never reads",
        shed=stats["shed_client_full"],
        lost=lost(stats),
        p99_of_others_ms=bystander.p99_ms,
        p99_without_ms=idle_p99,
        grown_mib=grown,
    )
    assert stats["shed"] == stats["shed_client_full"]
    assert stats["accepted"] == stats["replied"] + stats["shed"]
    assert grown <= KEPT_MIB


def test_a_reply_to_a_client_that_has_left_is_counted(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker()
    workers = [peers.worker(lru.backend), peers.worker(lru.backend)]
    other = peers.req(lru.frontend)
    reaches(lru, workers_idle=2)
    leavers = 5
    for number in range(leavers):
        with RawPeer(lru.frontend) as client:
            client.send([b"", b"never mind"])
            worker = who_got(workers)
            job = worker.recv_multipart()
            client.finish_sending()
            assert client.hung_up()
        # The broker's end is closed as well; with the next message it has heard of it.
        round_trip(other, workers)
        worker.send_multipart(job)
        reaches(lru, failed_client_gone=number + 1, workers_idle=2)
    round_trip(other, workers)
    stats = lru.stats()
    record("client gone before its reply", orphans=stats["failed_client_gone"], lost=lost(stats))
    assert (stats["replied"], stats["failed"]) == (leavers + 1, leavers)


#: Clients that come and go before memory is first looked at.
WARM_UP = 500
#: Growth that a broker may show however many clients came and went: the allocator's noise.
NOISE_MIB = 4


@needs_plain_memory
@pytest.mark.parametrize(
    "count",
    [1000, pytest.param(100_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])],
    ids=["1k", "100k"],
)
def test_clients_that_come_and_go_leave_nothing_behind(
    broker_process: Any, worker_process: Any, peers: Peers, record: Any, count: int
) -> None:
    lru = broker_process()
    worker_process(lru.backend)
    reaches(lru, workers=1)
    client = peers.req(lru.frontend)
    client.send(b"hello")
    client.recv_multipart()
    descriptors = lru.descriptors()
    _come_and_go(lru.frontend, WARM_UP)
    before = _settled_memory(lru, descriptors)
    began = time.monotonic()
    _come_and_go(lru.frontend, count)
    grown = _settled_memory(lru, descriptors) - before
    stats = lru.stats()
    record(
        "clients that come in crowds",
        clients=count,
        grown_mib_per_10k=max(0.0, grown) * 10_000 / count,
        fds_left=lru.descriptors() - descriptors,
        clients_per_second=count / (time.monotonic() - began),
        lost=lost(stats),
    )
    assert grown <= NOISE_MIB
    assert stats["replied"] + stats["failed_client_gone"] == stats["accepted"]
    client.send(b"and you?")
    assert client.recv_multipart()[-1] == b"and you?"


def _come_and_go(endpoint: str, count: int) -> None:
    """Clients that leave at every stage: before and amid the handshake, and after asking."""
    question = message([b"", b"?"])
    early = (b"", opening()[:32], opening())
    late = (question[:-1], question, question)
    for number in range(count):
        stage = number % (len(early) + len(late))
        shake_hands = stage >= len(early)
        with RawPeer(endpoint, shake_hands=shake_hands) as client:
            client.send_bytes((early + late)[stage])
            if stage == len(early) + len(late) - 1:
                assert client.recv()[-1] == b"?"


def _settled_memory(lru: Any, descriptors: int) -> float:
    """MiB once all that came have been seen to leave."""
    wait_until(lambda: lru.descriptors() <= descriptors, "connections of the departed closed")
    reaches(lru, queued=0, in_flight=0)
    memory: float = lru.memory()
    return memory
