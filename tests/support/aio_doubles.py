"""Doubles for the tests of asyncio's workers, and running coroutines that can't hang a test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import zmq
from harness import PATIENCE, wait_until
from heartbeat_doubles import SERVICE, HeartbeatBroker

from brigantine import aio

#: Heartbeat interval in seconds, and liveness, of the brokers and workers that know each other.
BEAT, LIVENESS = 0.05, 8

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As ``asyncio.run``, but not longer than PATIENCE."""

    async def bounded() -> Result:
        task = asyncio.ensure_future(main)
        await asyncio.wait([task], timeout=3 * PATIENCE)
        # Not wait_for(): a test that awaits cancelled tasks could take its cancellation for theirs.
        assert task.done(), f"it hangs: {task.get_stack()}"
        return task.result()

    return asyncio.run(bounded(), debug=True)


async def off(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call what blocks, such as a raw socket's receive, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


async def until(condition: Callable[[], Any], what: str = "the condition") -> None:
    """Wait until ``condition()`` is true, while other tasks run."""

    async def poll() -> None:
        while not condition():
            await asyncio.sleep(0.002)

    try:
        await asyncio.wait_for(poll(), PATIENCE)
    except asyncio.TimeoutError:
        raise AssertionError(f"{what} did not come true") from None


def aio_worker(wire: str, brokers: Any, handler: Any, **options: Any) -> Any:
    """A worker that speaks ``wire``; it has no reason to find its broker silent unless told."""
    options = {"liveness": 1000, **options}
    if wire == "ppp":
        return aio.ParanoidPirateWorker(brokers, handler, **options)
    return aio.MajordomoWorker(brokers, SERVICE, handler, version=wire, **options)  # type: ignore[arg-type]


class Gate:
    """A coroutine handler that says when it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.go = asyncio.Event()
        self.running = self.most = 0
        self.cancelled = 0

    async def __call__(self, body: Any) -> Any:
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.release()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        return body

    async def entered(self, count: int = 1) -> None:
        """Wait until the handler was called ``count`` times more."""
        for _ in range(count):
            await self.begun.acquire()


def worker(endpoints: Any, handler: Any, **options: Any) -> aio.MajordomoWorker:
    """A worker with the short intervals of the brokers it is for."""
    options = {"heartbeat_interval": BEAT, "liveness": LIVENESS, **options}
    return aio.MajordomoWorker(endpoints, SERVICE, handler, **options)


def farewell(raw: HeartbeatBroker, peer: bytes) -> None:
    """Wait for DISCONNECT, where there is the word, and for the end of the connection."""
    if raw.wire["disconnect"] is not None:
        assert raw.next() == (peer, raw.wire["disconnect"])
    wait_until(lambda: gone(raw, peer), "the end of the connection")


def gone(raw: HeartbeatBroker, peer: bytes) -> bool:
    """Whether nobody is there any more."""
    try:
        raw.say(peer, "heartbeat")
    except zmq.ZMQError as error:
        return error.errno == zmq.EHOSTUNREACH
    return False
