"""The workers of brigantine.aio: replies in parts, by async generators."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aio_doubles import BEAT, aio_worker, off, run, until, worker
from harness import PATIENCE, Peers
from heartbeat_doubles import SERVICE, HeartbeatBroker

from brigantine import (
    WorkerFailed,
    aio,
)
from brigantine.wire.req import raise_if_error

WIRES = ("ppp", "0.1", "0.2")
#: Seconds between heartbeats, where silence is to be noticed soon; how many make a silence.


async def upper(body: bytes) -> bytes:
    await asyncio.sleep(0)
    return body.upper()


# -- parts ----------------------------------------------------------------------------------------


def test_each_part_arrives_before_the_next_one_is_made(brokers: Any) -> None:
    arrived = asyncio.Queue[bytes]()

    async def handler(_: bytes) -> AsyncIterator[bytes]:
        for part in (b"a", b"b", b"c"):
            yield part
            # Nobody but the client, which has got this part, lets the next one be made.
            assert await asyncio.wait_for(arrived.get(), PATIENCE) == part

    async def main() -> None:
        running = brokers()
        async with (
            worker(running.backend, handler) as serving,
            aio.MajordomoClient(running.frontend, timeout=PATIENCE) as client,
        ):
            parts = []
            async for part in client.stream(SERVICE, b"q"):
                assert isinstance(part, bytes)
                parts.append(part)
                arrived.put_nowait(part)
            assert parts == [b"a", b"b", b"c"]
            assert (serving.stats()["partials"], serving.stats()["replies"]) == (3, 1)

    run(main())


@pytest.mark.parametrize("wire", ["0.1", "0.2"])
def test_what_an_async_generator_yields_and_raises(peers: Peers, wire: str) -> None:
    closed: list[bytes] = []

    async def handler(body: bytes) -> AsyncIterator[Any]:
        try:
            if body == b"empty":
                return
            yield b"a"
            if body == b"raise":
                raise KeyError("midway")
            yield "text" if body == b"text" else [b"b", b""]
        finally:
            await asyncio.sleep(0)
            closed.append(body)

    async def main() -> None:
        raw = HeartbeatBroker(peers, wire=wire)
        async with aio_worker(wire, raw.endpoint, handler):
            peer = await off(raw.ready)

            async def ask(body: bytes, *parts: list[bytes]) -> list[bytes]:
                raw.request(peer, body)
                for part in parts if wire == "0.2" else ():
                    assert await off(functools.partial(raw.reply, peer, word="partial")) == part
                return await off(raw.reply, peer)

            end = [b""] if wire == "0.2" else [b"a", b"b", b""]
            assert await ask(b"good", [b"a"], [b"b", b""]) == end
            assert await ask(b"empty") == [b""]
            for body, kind in ((b"raise", "KeyError"), (b"text", "TypeError")):
                report = await ask(body, [b"a"])
                with pytest.raises(WorkerFailed, match=kind):
                    raise_if_error(report)
        assert closed == [b"good", b"empty", b"raise", b"text"]

    run(main())


def test_other_tasks_run_between_any_two_parts(peers: Peers) -> None:
    turns, seen = 0, []

    async def handler(_: bytes) -> AsyncIterator[bytes]:
        for _ in range(10):  # fewer than may be ahead of the connection
            seen.append(turns)
            yield b"part"

    async def main() -> None:
        nonlocal turns
        raw = HeartbeatBroker(peers, wire="0.2")
        async with aio_worker("0.2", raw.endpoint, handler) as serving:
            raw.request(await off(raw.ready), b"q")
            while not serving.stats()["replies"]:
                turns += 1
                await asyncio.sleep(0)
        assert len(set(seen)) == 10

    run(main())


def test_a_generator_without_a_pause_keeps_neither_the_loop_nor_the_memory(peers: Peers) -> None:
    total, made, turns = 3_000, 0, 0

    async def handler(_: bytes) -> AsyncIterator[bytes]:
        nonlocal made
        for made in range(1, total + 1):  # noqa: B007
            yield bytes(16_384)

    async def main() -> None:
        raw = HeartbeatBroker(peers, wire="0.2")
        async with aio_worker("0.2", raw.endpoint, handler) as serving:
            peer = await off(raw.ready)
            raw.request(peer, b"q")
            before = -1
            while before != made or not made:  # until it waits, as the broker does not read
                before = made
                await asyncio.sleep(0.1)
            assert made < total

            def read() -> None:
                for _ in range(total):
                    assert raw.reply(peer, word="partial") == [bytes(16_384)]
                assert raw.reply(peer) == [b""]

            reading = asyncio.ensure_future(off(read))
            nonlocal turns
            while not reading.done():
                turns += 1
                await asyncio.sleep(0.001)
            await reading
            assert serving.stats()["partials"] == total
            assert turns > 10

    run(main())


def test_a_generator_is_closed_when_nobody_waits_for_it_any_more(peers: Peers) -> None:
    closed = asyncio.Event()

    async def handler(_: bytes) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"more"
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async def main() -> None:
        raw = HeartbeatBroker(peers, wire="0.2")
        async with aio_worker("0.2", raw.endpoint, handler, reconnect_min=BEAT) as serving:
            peer = await off(raw.ready)
            raw.request(peer, b"q")
            assert await off(functools.partial(raw.reply, peer, word="partial")) == [b"more"]
            raw.say(peer, "disconnect")
            await asyncio.wait_for(closed.wait(), PATIENCE)
            await until(lambda: serving.stats()["discarded_replies"] == 1, "the end of the request")

    run(main())
