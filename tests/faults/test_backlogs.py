"""One service's backlog, in requests or in bytes; the others go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crew import BareWorker
from harness import Peers
from mdp_doubles import mdp_broker, raw_worker
from protocol_frames import MDP01, MDP02, Dialect
from watch import lost, reaches

from brigantine import MajordomoBroker, MajordomoClient

LIMIT = 100
#: Requests for a service that nobody serves, and what they bring with bytes for the limit.
BACKLOG = 300


@pytest.fixture(params=["requests", "bytes"])
def short(request: pytest.FixtureRequest) -> dict[str, int]:
    """What is short: room for about LIMIT requests, or for their bytes."""
    size = 10_000
    options = {"requests": {"queue_limit": LIMIT}, "bytes": {"queue_bytes": LIMIT * size}}
    return {**options[request.param], "size": size - 2000}


@pytest.fixture
def running(impl: str, short: dict[str, int]) -> Iterator[tuple[MajordomoBroker, int]]:
    options = dict(short)
    size = options.pop("size")
    with mdp_broker(impl, **options) as broker:
        yield broker, size


@pytest.mark.parametrize("dialect", [MDP01, MDP02], ids=["mdp01", "mdp02"])
def test_a_backlog_turns_no_request_for_a_live_service_away(
    running: Any, peers: Peers, record: Callable[..., None], dialect: Dialect
) -> None:
    broker, size = running
    flood = peers.dealer(broker.frontend)
    for _ in range(BACKLOG):
        flood.send_multipart(dialect.ask(bytes(size), service=b"nobody"))
    stats = reaches(broker, accepted=BACKLOG)
    full = stats["queued"]
    assert stats["shed"] == BACKLOG - full
    assert LIMIT - 10 <= full <= LIMIT + 30
    worker = BareWorker(peers, broker.backend, dialect)
    worker.send(dialect.ready(service=b"live"))
    reaches(broker, workers=1)
    polite = [peers.dealer(broker.frontend) for _ in range(5)]
    for each in polite:
        each.send_multipart(dialect.ask(b"?", service=b"live"))
    stats = reaches(broker, accepted=BACKLOG + 5, in_flight=1)
    for _ in polite:
        ticket, _ = worker.take()
        worker.reply(ticket, b"!")
    assert [each.recv_multipart()[-1] for each in polite] == [b"!"] * 5
    stats = reaches(broker, replied=5)
    record(
        "one service's backlog",
        shed_of_others=0,
        shed_of_the_backlog=stats["shed"],
        lost=lost(stats),
    )
    assert full - 4 <= stats["queued"] <= full, (
        "the total stays bounded, by as many as were too much"
    )


def test_clients_of_a_live_service_are_answered_all_the_while(
    impl: str, peers: Peers, record: Callable[..., None]
) -> None:
    with (
        mdp_broker(impl, queue_limit=LIMIT) as broker,
        raw_worker(broker, b"live"),
        MajordomoClient(broker.frontend, retries=0) as client,
    ):
        flood = peers.dealer(broker.frontend)
        for number in range(BACKLOG):
            flood.send_multipart(MDP02.ask(b"x", service=b"nobody %d" % (number % 3)))
            if number % 10 == 0:
                assert client.request("live", b"?") == b"?"
        stats = broker.stats()
        record(
            "one service's backlog",
            shed_of_others=0,
            shed_of_the_backlog=stats["shed"],
            lost=lost(stats),
        )
        assert stats["replied"] == BACKLOG // 10
        assert stats["queued"] <= LIMIT
