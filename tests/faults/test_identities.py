"""Peers with strange names, and with each other's."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from clients import round_trip, who_got
from harness import Peers
from watch import lost, reaches
from zmtp import QUIET, RawPeer

#: Pairs of identities that careless code would take for one another, or for nothing.
LOOKALIKES = {
    "empty": (b"", b""),
    "255 bytes": (b"x" * 254 + b"1", b"x" * 254 + b"2"),
    "256 bytes": (b"x" * 255 + b"1", b"x" * 255 + b"2"),
    "1000 bytes": (b"x" * 999 + b"1", b"x" * 999 + b"2"),
    "zero-led": (b"\0", b"\0\0"),
    "like automatic ones": (b"\0\1\2\3\4", b"\0\1\2\3\5"),
    "cut at a zero": (b"name\0one", b"name\0two"),
}


@pytest.mark.parametrize("names", LOOKALIKES.values(), ids=LOOKALIKES.keys())
def test_clients_with_lookalike_identities_are_told_apart(
    broker: Any, peers: Peers, record: Any, names: tuple[bytes, bytes]
) -> None:
    lru = broker()
    worker = peers.worker(lru.backend)
    with _raw(lru.frontend, names) as clients:
        for number, client in enumerate(clients):
            client.send([b"", b"asked by %d" % number])
        for _ in clients:
            worker.send_multipart(worker.recv_multipart())
        takeovers = 0
        for number, client in enumerate(clients):
            takeovers += client.recv() != [b"", b"asked by %d" % number]
    record(
        "strange and duplicate identities",
        identities=_shown(names),
        side="clients",
        takeovers=takeovers,
    )
    assert takeovers == 0


@pytest.mark.parametrize("names", LOOKALIKES.values(), ids=LOOKALIKES.keys())
def test_workers_with_lookalike_identities_are_told_apart(
    broker: Any, peers: Peers, record: Any, names: tuple[bytes, bytes]
) -> None:
    lru = broker()
    client = peers.dealer(lru.frontend)
    takeovers = 0
    with _raw(lru.backend, names) as workers:
        for number, worker in enumerate(workers):
            worker.send([b"", b"READY"])
            reaches(lru, workers=number + 1, workers_idle=number + 1)
        for number in range(len(workers)):
            client.send_multipart([b"", b"for %d" % number])
        jobs = [worker.recv() for worker in workers]
        takeovers += [job[-1] for job in jobs] != [b"for 0", b"for 1"]
        for worker, job in zip(workers, reversed(jobs), strict=True):
            worker.send([*job[:-1], b"forged"])  # each one with the other's ticket
        reaches(lru, drop_reply_foreign=2)
        for worker, job in zip(workers, jobs, strict=True):
            worker.send(job)
            takeovers += client.recv_multipart() != [b"", job[-1]]
    stats = reaches(lru, workers=0, workers_lost=2)
    record(
        "strange and duplicate identities",
        identities=_shown(names),
        side="workers",
        takeovers=takeovers,
        lost=lost(stats),
    )
    assert takeovers == 0


def test_a_second_client_with_a_name_in_use_takes_over_nothing(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(heartbeat_interval=QUIET)
    workers = [peers.worker(lru.backend), peers.worker(lru.backend)]
    reaches(lru, workers_idle=2)
    with _raw(lru.frontend, (b"same", b"same")) as (first, second):
        first.send([b"", b"mine"])
        holder = who_got(workers)
        job = holder.recv_multipart()
        second.send([b"", b"not mine"])
        # A client that connects later is served: so the broker has seen the second one before.
        round_trip(peers.req(lru.frontend), workers)
        holder.send_multipart(job)
        assert first.recv() == [b"", b"mine"]
        first.send([b"", b"mine again"])
        holder = who_got(workers)
        job = holder.recv_multipart()
        first.finish_sending()
        assert first.hung_up()
        round_trip(peers.req(lru.frontend), workers)  # the broker has looked around since then
        holder.send_multipart(job)  # to a name that only the second one claims by now
        stats = reaches(lru, failed_client_gone=1)
        takeovers = int(second.has_mail())
    record(
        "strange and duplicate identities",
        identities="duplicate",
        side="clients",
        takeovers=takeovers,
        lost=lost(stats),
    )
    assert takeovers == 0
    assert (stats["accepted"], stats["replied"]) == (4, 3)


def test_a_second_worker_with_a_name_in_use_takes_over_nothing(
    broker: Any, peers: Peers, record: Any
) -> None:
    lru = broker(heartbeat_interval=QUIET)
    client = peers.dealer(lru.frontend)
    takeovers = 0
    with _raw(lru.backend, (b"same", b"same")) as (first, second):
        first.send([b"", b"READY"])
        client.send_multipart([b"", b"for the first"])
        job = first.recv()
        second.send([b"", b"READY"])
        second.send([*job[:-1], b"forged"])  # it even knows the ticket
        third = peers.worker(lru.backend)
        reaches(lru, workers=2)  # the third came later, so the second has been seen before
        first.send(job)
        takeovers += client.recv_multipart() != [b"", b"for the first"]
        for worker in (third, first):
            client.send_multipart([b"", b"for whose turn it is"])
            if worker is third:
                worker.send_multipart(worker.recv_multipart())
                takeovers += client.recv_multipart() != [b"", b"for whose turn it is"]
        job = first.recv()
        first.finish_sending()
        assert first.hung_up()
        reaches(lru, workers=1, workers_lost=1, in_flight=1)
        second.send([*job[:-1], b"forged"])  # in the name of one that has left its work
        client.send_multipart([b"", b"after"])
        third.send_multipart(third.recv_multipart())
        takeovers += client.recv_multipart() != [b"", b"after"]
        takeovers += second.has_mail()
    stats = lru.stats()
    record(
        "strange and duplicate identities",
        identities="duplicate",
        side="workers",
        takeovers=takeovers,
        lost=lost(stats),
    )
    assert takeovers == 0
    assert (stats["replied"], stats["in_flight"], stats["workers_joined"]) == (3, 1, 2)


@contextlib.contextmanager
def _raw(endpoint: str, names: tuple[bytes, ...]) -> Iterator[list[RawPeer]]:
    """A raw peer of each name; libzmq itself would refuse to claim some of them."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(RawPeer(endpoint, identity=name)) for name in names]


def _shown(names: tuple[bytes, ...]) -> str:
    return next(key for key, value in LOOKALIKES.items() if value == names).replace(" ", "-")
