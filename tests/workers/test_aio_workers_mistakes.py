"""The workers of brigantine.aio, and those for threads, refuse each other's handlers."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from brigantine import (
    LRUWorker,
    MajordomoWorker,
    ParanoidPirateWorker,
    aio,
)

WIRES = ("ppp", "0.1", "0.2")
#: Seconds between heartbeats, where silence is to be noticed soon; how many make a silence.


async def upper(body: bytes) -> bytes:
    await asyncio.sleep(0)
    return body.upper()


# -- mistakes -------------------------------------------------------------------------------------


def plain(body: bytes) -> bytes:
    return body


async def stream(body: bytes) -> AsyncIterator[bytes]:
    yield body


class Object:
    async def __call__(self, body: bytes) -> bytes:
        return body

    async def method(self, body: bytes) -> bytes:
        return body


LRU, PPP = ("tcp://127.0.0.1:5556",), ("tcp://127.0.0.1:5556",)
MDP = ("tcp://127.0.0.1:5555", "service")


@pytest.mark.parametrize(
    ("kind", "arguments", "handler", "words"),
    [
        (aio.LRUWorker, LRU, plain, "brigantine.LRUWorker is for plain functions"),
        (aio.ParanoidPirateWorker, PPP, plain, "brigantine.ParanoidPirateWorker is for plain"),
        (aio.MajordomoWorker, MDP, plain, "brigantine.MajordomoWorker is for plain functions"),
        (aio.MajordomoWorker, MDP, bytes.upper, "not 'bytes.upper'"),
        (aio.MajordomoWorker, MDP, None, "handler must be a function, not None"),
        (aio.LRUWorker, LRU, stream, "only Majordomo has replies in parts"),
        (aio.ParanoidPirateWorker, PPP, stream, "only Majordomo has replies in parts"),
        (LRUWorker, LRU, upper, "brigantine.aio.LRUWorker is for these"),
        (ParanoidPirateWorker, PPP, upper, "brigantine.aio.ParanoidPirateWorker is for these"),
        (MajordomoWorker, MDP, upper, "brigantine.aio.MajordomoWorker is for these"),
        (MajordomoWorker, MDP, stream, "brigantine.aio.MajordomoWorker is for these"),
        (MajordomoWorker, MDP, Object(), "brigantine.aio.MajordomoWorker is for these"),
    ],
)
def test_a_handler_of_the_other_kind_is_refused_with_the_class_that_takes_it(
    kind: Any, arguments: Any, handler: Any, words: str
) -> None:
    with pytest.raises(TypeError) as raised:
        kind(*arguments, handler)
    assert words in str(raised.value)


@pytest.mark.parametrize(
    "handler", [upper, stream, Object(), Object().method, functools.partial(upper)]
)
def test_all_that_gives_a_coroutine_is_taken(handler: Any) -> None:
    assert "handler=" in repr(aio.MajordomoWorker(*MDP, handler))
