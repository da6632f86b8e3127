"""Publishers and subscribers of both shells, all closed at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from figures import measured
from shells import SHELLS, Face

import brigantine
from brigantine import aio


@pytest.fixture
def interval() -> float:
    """Seconds between heartbeats where nothing else is said; tests of silence have a shorter one."""
    return 1.0


@pytest.fixture(params=SHELLS)
def shell(request: pytest.FixtureRequest) -> str:
    """``threads``, then ``asyncio``."""
    name: str = request.param
    return name


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop that runs in a thread."""
    made = asyncio.new_event_loop()
    thread = threading.Thread(target=made.run_forever, daemon=True)
    thread.start()
    yield made
    made.call_soon_threadsafe(made.stop)
    thread.join()
    made.run_until_complete(made.shutdown_default_executor())
    made.close()


@pytest.fixture
def publisher(loop: asyncio.AbstractEventLoop, interval: float) -> Iterator[Callable[..., Any]]:
    """``publisher(endpoint, shell=..., **options)``: on a free port, if nothing else is said."""
    made: list[Face] = []

    def start(
        endpoint: Any = "tcp://127.0.0.1:*", *, shell: str = "threads", **options: Any
    ) -> Any:
        kind = brigantine.Publisher if shell == "threads" else aio.Publisher
        options.setdefault("heartbeat_interval", interval)
        made.append(Face(kind(endpoint, **options), loop))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def subscriber(loop: asyncio.AbstractEventLoop, interval: float) -> Iterator[Callable[..., Any]]:
    """``subscriber(endpoints, topics, shell=..., **options)``."""
    made: list[Face] = []

    def start(endpoints: Any, topics: Any = b"", *, shell: str = "threads", **options: Any) -> Any:
        kind = brigantine.Subscriber if shell == "threads" else aio.Subscriber
        options.setdefault("heartbeat_interval", interval)
        made.append(Face(kind(endpoints, topics, **options), loop))
        return made[-1]

    yield start
    for each in made:
        each.close()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[..., None]:
    """``record(fault, **figures)``: keep what a test measured while that was done, in words."""
    name = request.node.name.removeprefix("test_").replace("_", " ")
    impl = (
        request.node.callspec.params.get("impl", "any")
        if hasattr(request.node, "callspec")
        else "any"
    )

    def keep(fault: str, **figures: Any) -> None:
        measured.append((fault, impl, name, figures))

    return keep
