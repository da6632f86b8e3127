"""Workers of brigantine.aio that are cancelled, and handlers that are."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from aio_doubles import Gate, aio_worker, farewell, off, run
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import SERVICE, HeartbeatBroker

from brigantine import MajordomoBroker, aio, ledger_holds

WIRES = ("ppp", "0.1", "0.2")


async def upper(body: bytes) -> bytes:
    return body.upper()


# -- cancellation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_cancelled_handlers_get_no_reply_and_ready_replies_leave(peers: Peers, wire: str) -> None:
    """Also the reply of a handler that ends in the very turn of the loop in which run() does."""

    async def main() -> None:
        raw, gate, quick = HeartbeatBroker(peers, wire=wire), Gate(), asyncio.Event()
        others = asyncio.all_tasks()

        async def handler(body: bytes) -> bytes:
            if body == b"quick":
                await quick.wait()
                return body
            result: bytes = await gate(body)
            return result

        worker = aio_worker(wire, raw.endpoint, handler, capacity=3)
        running = asyncio.create_task(worker.run())
        peer = await off(raw.ready, "ready-3")
        for body in (b"quick", b"slow", b"slow", b"not begun"):
            raw.request(peer, body, ticket=body)
        await gate.entered(2)
        quick.set()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await off(lambda: raw.reply(peer, ticket=b"quick")) == [b"quick"]
        await off(farewell, raw, peer)
        assert (gate.cancelled, gate.running) == (2, 0)
        assert worker.stats()["errors"] == 0
        assert asyncio.all_tasks() == others

    run(main())


def test_a_reply_made_in_the_turn_in_which_run_is_cancelled_leaves(peers: Peers) -> None:
    async def main() -> None:
        raw, gate = HeartbeatBroker(peers, wire="0.2"), Gate()
        running = asyncio.create_task(aio_worker("0.2", raw.endpoint, gate).run())
        peer = await off(raw.ready)
        raw.request(peer, b"q")
        await gate.entered()
        gate.go.set()
        running.cancel()
        await asyncio.wait([running])
        assert await off(raw.reply, peer) == [b"q"]
        await off(farewell, raw, peer)

    run(main())


def test_a_handler_that_cleans_up_is_waited_for_however_often_run_is_cancelled(
    peers: Peers,
) -> None:
    async def main() -> None:
        raw, ended = HeartbeatBroker(peers, wire="0.2"), False
        begun, cleaning, clean = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def handler(body: bytes) -> bytes:
            nonlocal ended
            begun.set()
            try:
                await asyncio.sleep(PATIENCE)
            finally:
                cleaning.set()
                while not clean.is_set():
                    with contextlib.suppress(asyncio.CancelledError):
                        await clean.wait()
                    cleaning.set()
                ended = True
            return body

        running = asyncio.create_task(aio_worker("0.2", raw.endpoint, handler).run())
        peer = await off(raw.ready)
        raw.request(peer, b"q")
        await asyncio.wait_for(begun.wait(), PATIENCE)
        for _ in range(3):
            running.cancel()
            await asyncio.wait_for(cleaning.wait(), PATIENCE)
            cleaning.clear()
        assert not running.done()
        clean.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert ended
        await off(farewell, raw, peer)

    run(main())


def test_requests_of_a_cancelled_worker_go_to_another_one_and_none_is_lost(impl: str) -> None:
    async def main() -> None:
        gate = Gate()
        with MajordomoBroker("tcp://127.0.0.1:*", retries=5, impl=impl) as broker:
            async with aio.MajordomoClient(broker.frontend, timeout=PATIENCE) as client:
                asked = []
                for turn in range(3):
                    worker = aio.MajordomoWorker(broker.frontend, SERVICE, gate, capacity=4)
                    running = asyncio.create_task(worker.run())
                    asked += [
                        asyncio.create_task(client.request(SERVICE, b"%d-%d" % (turn, n)))
                        for n in range(5)
                    ]
                    await gate.entered(4)
                    running.cancel()
                    await asyncio.wait([running])
                async with aio.MajordomoWorker(broker.frontend, SERVICE, upper, capacity=4):
                    replies = await asyncio.gather(*asked)
            assert replies == [b"%d-%d" % (turn, n) for turn in range(3) for n in range(5)]
            assert gate.cancelled == 12
            assert ledger_holds(broker.stats())

    run(main())


def test_the_end_of_asyncio_run_is_no_error_of_the_handlers(peers: Peers) -> None:
    """It cancels all tasks at once: handlers perhaps before the worker that they belong to."""
    raw, entered = HeartbeatBroker(peers, wire="0.2"), threading.Event()
    peer = b""

    async def handler(body: bytes) -> bytes:
        entered.set()
        await asyncio.sleep(PATIENCE)
        return body

    async def main() -> None:
        nonlocal peer
        running = asyncio.create_task(
            aio_worker("0.2", raw.endpoint, handler, capacity=3).run(), name="left to its fate"
        )
        peer = await off(raw.ready, "ready-3")
        for n in (b"0", b"1", b"2"):
            entered.clear()
            raw.request(peer, b"q", ticket=n)
            await off(entered.wait, PATIENCE)
        assert not running.done()

    asyncio.run(main())
    farewell(raw, peer)  # and nothing before it


def test_a_block_that_is_cancelled_while_it_waits_for_handlers_cancels_them(peers: Peers) -> None:
    async def main() -> None:
        gate, entered = Gate(), asyncio.Event()

        async def block(raw: HeartbeatBroker, *, leave: bool) -> None:
            async with aio_worker("0.2", raw.endpoint, gate):
                peer = await off(raw.ready)
                raw.request(peer, b"q")
                await gate.entered()
                entered.set()
                if not leave:
                    await asyncio.sleep(PATIENCE)

        for leave in (True, False):
            task = asyncio.create_task(block(HeartbeatBroker(peers, wire="0.2"), leave=leave))
            await entered.wait()
            entered.clear()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert gate.running == 0
        assert gate.cancelled == 2

    run(main())


def test_a_signal_handler_that_raises_in_a_callback_costs_no_request(peers: Peers) -> None:
    """asyncio logs what is raised there, and goes on: the request that had come is handled all the same."""
    raw = HeartbeatBroker(peers, wire="0.2")

    async def shout(body: bytes) -> bytes:
        return body.upper()

    async def program() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        async with aio.MajordomoWorker(raw.endpoint, "service", shout, ready_timeout=0.0) as worker:
            peer = await off(raw.ready)

            def lose(callback: Any, *_: Any, **__: Any) -> asyncio.Handle:
                del callback
                return call_soon(lambda: None)

            call_soon, loop.call_soon_threadsafe = loop.call_soon_threadsafe, lose  # type: ignore
            try:
                raw.request(peer, b"q")
                wait_until(lambda: worker.stats()["requests"] == 1, "the request")
            finally:
                loop.call_soon_threadsafe = call_soon  # type: ignore[method-assign]
            assert await off(raw.reply, peer) == [b"Q"]

    asyncio.run(program())
