"""Publishers and subscribers of both shells behind one face, and what tests send by hand."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import msgpack
import zmq
from harness import PATIENCE

SHELLS = ("threads", "asyncio")
BEAT = b"\0brigantine.beat"


class Face:
    """What is awaited in one shell is called in the other."""

    def __init__(self, inner: Any, loop: asyncio.AbstractEventLoop) -> None:
        self.inner, self._loop = inner, loop

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.inner, name)
        if not inspect.iscoroutinefunction(value):
            return value

        def call(*arguments: Any, **options: Any) -> Any:
            return asyncio.run_coroutine_threadsafe(
                value(*arguments, **options), self._loop
            ).result(3 * PATIENCE)

        return call

    def __repr__(self) -> str:
        return repr(self.inner)


def header(publisher: str = "p", epoch: int = 1 << 32, number: int = 1) -> bytes:
    """A third frame, written by hand."""
    packed: bytes = msgpack.packb([publisher, epoch, number])
    return packed


def beat(interval_ms: int = 50, *tails: tuple[bytes, int, int], **origin: Any) -> list[bytes]:
    """A heartbeat, written by hand."""
    return [BEAT, msgpack.packb([interval_ms, [list(each) for each in tails]]), header(**origin)]


def subscribed(xpub: zmq.Socket[bytes], *topics: bytes) -> bytes:
    """Wait until a subscriber has said all of these to a publisher by hand; where it waits for a welcome.

    What it says at first is sent in an order of libzmq's own.
    """
    missing, welcome = set(topics), b""
    while missing or not welcome:
        said = xpub.recv()
        missing.discard(said[1:])
        if said.startswith(b"\x01\0brigantine.welcome."):
            welcome = said[1:]
    return welcome


def bodies(subscriber: Any, count: int, timeout: float = PATIENCE) -> list[bytes]:
    """The next so many bodies."""
    found = []
    for _ in range(count):
        message = subscriber.recv(timeout)
        assert message is not None, f"{len(found)} of {count} came"
        found.append(message.body)
    return found
