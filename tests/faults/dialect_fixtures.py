"""Fixtures of the tests of PPP and MDP: a plugin that their modules name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from crew import DialectProcess, Hand, Nursery, broker_options
from programs import Process
from protocol_frames import DIALECTS, Dialect

import brigantine
from brigantine import ledger_holds


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    """PPP, MDP 0.1 (two sockets) and MDP 0.2 (one socket)."""
    return DIALECTS[request.param]


@pytest.fixture
def dialect_broker(
    impl: str,
    hand: object,  # noqa: ARG001  for the order in which they end
) -> Iterator[Callable[..., Any]]:
    """``dialect_broker(dialect, **options)``: its broker on free ports; every ledger is checked.

    It comes after ``hand`` and ends before it: a DISCONNECT for a worker that was killed this very
    moment would keep the broker's sockets open for as long as they may linger.
    """
    made: list[Any] = []

    def start(dialect: Dialect, **options: Any) -> Any:
        anywhere = "tcp://127.0.0.1:*"
        backend = None if dialect.one_socket else anywhere
        kind = getattr(brigantine, dialect.broker)
        made.append(kind(anywhere, backend, impl=impl, **broker_options(dialect, options)))
        return made[-1]

    yield start
    running = [each.running for each in made]
    before = [each.stats() for each in made]
    for each in made:
        each.stop()
    assert all(running), "a broker ended by itself"
    for stats in (*before, *(each.stats() for each in made)):
        assert ledger_holds(stats), stats
    for each in made:
        stats = each.stats()
        assert stats["queued"] == stats["in_flight"] == stats["queued_bytes"] == 0, stats


@pytest.fixture
def dialect_process(impl: str, processes: list[Process]) -> Iterator[Callable[..., Any]]:
    """``dialect_process(dialect, **options)``: its broker in a process; its ledger is checked."""
    made: list[DialectProcess] = []

    def start(dialect: Dialect, *endpoints: str, **options: Any) -> Any:
        made.append(DialectProcess(impl, dialect, *endpoints, **options))
        processes.append(made[-1])
        return made[-1].ready()

    yield start
    for each in made:
        if each.running() and not each.ending:
            stats = each.stats()
            assert ledger_holds(stats), stats


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.fixture
def hand(nursery: Nursery) -> Iterator[Callable[..., Hand]]:
    """``hand(dialect, endpoint, name, process=False, **options)`` starts a worker that heartbeats."""
    made: list[Hand] = []

    def start(
        dialect: Dialect, endpoint: str, name: str = "worker", process: bool = False, **options: Any
    ) -> Hand:
        nest = nursery if process else None
        made.append(Hand(nest, dialect=dialect.name, endpoint=endpoint, name=name, **options))
        return made[-1]

    yield start
    for each in made:
        each.close()
