"""Brokers, workers and processes that are watched while faults are done to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from programs import BrokerProcess, Process, WorkerProcess

from brigantine import LRUBroker, ledger_holds


@pytest.fixture
def broker(broker: Callable[..., LRUBroker]) -> Iterator[Callable[..., LRUBroker]]:
    """``broker(**options)`` as everywhere; here every ledger is checked, running and stopped."""
    made: list[LRUBroker] = []

    def start(*endpoints: Any, **options: Any) -> LRUBroker:
        made.append(broker(*endpoints, **options))
        return made[-1]

    yield start
    for each in made:
        assert each.running, "the broker ended by itself"
        assert ledger_holds(each.stats()), each.stats()
        each.stop()
        stats = each.stats()
        assert ledger_holds(stats), stats
        assert stats["queued"] == stats["in_flight"] == stats["queued_bytes"] == 0, stats


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    """Whatever is appended is killed at the end, also when the test failed."""
    made: list[Process] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def broker_process(impl: str, processes: list[Process]) -> Iterator[Callable[..., BrokerProcess]]:
    """``broker_process(**options)`` starts a broker alone in a process; its ledger is checked."""
    made: list[BrokerProcess] = []

    def start(*endpoints: str, **options: Any) -> BrokerProcess:
        made.append(BrokerProcess(impl, *endpoints, **options))
        processes.append(made[-1])
        return made[-1].ready()

    yield start
    for each in made:
        if each.running():
            stats = each.stats()
            assert ledger_holds(stats), stats


@pytest.fixture
def worker_process(processes: list[Process]) -> Callable[..., WorkerProcess]:
    """``worker_process(endpoint, name)`` starts a bare REQ worker in a process."""

    def start(endpoint: str, name: str = "worker", **options: str) -> WorkerProcess:
        made = WorkerProcess(endpoint, name, **options)
        processes.append(made)
        return made

    return start
