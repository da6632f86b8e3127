"""A program's own context: any kind of zmq.Context, and nothing else."""

from __future__ import annotations

import asyncio
import gc
import signal
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import zmq
import zmq.asyncio
from strikes import Struck

from brigantine import (
    ConfigError,
    ForwarderDevice,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateWorker,
    QueueDevice,
    aio,
)
from brigantine.net.contexts import OwnContext, end_context

FRONT, BACK = "inproc://front", "inproc://back"


class Derived(zmq.Context[Any]):
    """A context as a program may have it."""


async def shout(body: bytes) -> bytes:
    return body.upper()


@pytest.fixture(params=[zmq.Context, zmq.asyncio.Context, Derived])
def context(request: pytest.FixtureRequest) -> Iterator[zmq.Context[Any]]:
    """Terminated at the end, which would wait for ever if a socket were left."""
    made: zmq.Context[Any] = request.param()
    yield made
    made.term()


def test_a_broker_its_worker_and_its_client_live_in_any(
    impl: str, context: zmq.Context[Any]
) -> None:
    with (
        LRUBroker(FRONT, BACK, impl=impl, context=context),
        LRUWorker(BACK, bytes.upper, context=context),
        LazyPirateClient(FRONT, context=context) as client,
    ):
        assert client.request(b"ahoy") == b"AHOY"


def test_the_same_with_asyncio_through_a_device(impl: str, context: zmq.Context[Any]) -> None:
    async def main() -> None:
        with (
            LRUBroker("inproc://inner", BACK, impl=impl, context=context),
            QueueDevice(FRONT, ">inproc://inner", impl=impl, context=context),
        ):
            async with (
                aio.LRUWorker(BACK, shout, context=context),
                aio.LazyPirateClient(FRONT, context=context) as client,
            ):
                assert await client.request(b"ahoy") == b"AHOY"

    asyncio.run(main())


@pytest.mark.parametrize(
    "make",
    [
        lambda context: LRUBroker(FRONT, BACK, context=context),
        lambda context: ForwarderDevice(FRONT, BACK, context=context),
        lambda context: LazyPirateClient(FRONT, context=context),
        lambda context: MajordomoClient(FRONT, context=context),
        lambda context: LRUWorker(BACK, bytes.upper, context=context),
        lambda context: ParanoidPirateWorker(BACK, bytes.upper, context=context),
        lambda context: MajordomoWorker(BACK, "service", bytes.upper, context=context),
        lambda context: aio.LRUWorker(BACK, shout, context=context),
        lambda context: aio.LazyPirateClient(FRONT, context=context),
    ],
)
@pytest.mark.parametrize("wrong", [5, "tcp://127.0.0.1:5555", zmq.Context, object()])
def test_what_is_no_context_is_named(make: Callable[[Any], Any], wrong: Any) -> None:
    with pytest.raises(ConfigError, match=r"context must be a zmq\.Context, not"):
        make(wrong)


def test_a_handler_that_raises_leaves_no_signal_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """pthread_sigmask() calls the handlers of signals that have come, after it has changed the mask."""
    change = signal.pthread_sigmask

    def struck(how: int, signals: Iterable[int]) -> set[int]:
        blocks = how == signal.SIG_BLOCK and bool(tuple(signals))
        before = change(how, signals)
        if blocks:
            raise Struck
        return before

    before = change(signal.SIG_BLOCK, ())
    monkeypatch.setattr(signal, "pthread_sigmask", struck)
    context = zmq.Context()
    with pytest.raises(Struck):
        end_context(context, set())
    monkeypatch.undo()
    assert change(signal.SIG_BLOCK, ()) == before
    context.term()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_context_of_ours_in_a_cycle_is_collected_with_its_sockets() -> None:
    """Without waiting for sockets that are collected after it."""
    context = OwnContext(0)
    context.socket(zmq.PAIR).bind(FRONT)
    cycle: list[Any] = [context]
    cycle.append(cycle)
    gone = weakref.ref(context)
    del context, cycle
    gc.collect()
    assert gone() is None
