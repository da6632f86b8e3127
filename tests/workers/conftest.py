"""What the tests of workers have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aio_doubles import BEAT, LIVENESS
from doubles import client_maker, worker_maker
from harness import Peers
from heartbeat_doubles import HeartbeatBroker, heartbeat_worker_maker

from brigantine import MajordomoBroker
from brigantine.workers.lru import LRUWorker

ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture(params=["ppp", "0.1", "0.2"])
def wire(request: pytest.FixtureRequest) -> str:
    """The protocol that the worker speaks."""
    name: str = request.param
    return name


@pytest.fixture
def double(peers: Peers, wire: str) -> HeartbeatBroker:
    """A bare socket in place of a broker of that protocol."""
    return HeartbeatBroker(peers, wire=wire)


@pytest.fixture
def start_worker() -> Iterator[Callable[..., Any]]:
    """``start_worker(wire, brokers, handler, **options)`` starts a worker."""
    with heartbeat_worker_maker() as make:
        yield make


@pytest.fixture
def brokers(impl: str) -> Iterator[Callable[..., MajordomoBroker]]:
    """``brokers(**options)`` starts a broker with short intervals; all are stopped at the end."""
    running: list[MajordomoBroker] = []

    def start(frontend: str = ANY_PORT, **options: Any) -> MajordomoBroker:
        options = {"heartbeat_interval": BEAT, "liveness": LIVENESS, **options}
        running.append(MajordomoBroker(frontend, impl=impl, **options))
        return running[-1]

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def workers() -> Iterator[Callable[..., LRUWorker]]:
    """``workers(broker, handler, **options)`` starts an LRU worker."""
    with worker_maker() as make:
        yield make


@pytest.fixture
def clients() -> Iterator[Callable[..., Any]]:
    with client_maker() as make:
        yield make
