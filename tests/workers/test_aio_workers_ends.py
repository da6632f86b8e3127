"""How the workers of brigantine.aio end: stopped, cancelled, failed, and what is left then."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
import zmq
from aio_doubles import Gate, aio_worker, farewell, gone, off, run, until
from doubles import RawBroker, free_endpoint, open_files, outcome, program
from harness import PATIENCE, Peers, wait_until
from heartbeat_doubles import BEAT, SERVICE, HeartbeatBroker

from brigantine import MajordomoBroker, MajordomoClient, aio

WIRES = ("ppp", "0.1", "0.2")


async def upper(body: bytes) -> bytes:
    return body.upper()


# -- stop -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_stop_finishes_what_is_in_hand_and_says_goodbye(peers: Peers, wire: str) -> None:
    async def main() -> None:
        raw, gate = HeartbeatBroker(peers, wire=wire), Gate()
        worker = aio_worker(wire, raw.endpoint, gate, capacity=3)
        running = asyncio.create_task(worker.run())
        peer = await off(raw.ready, "ready-3")
        for n in (b"0", b"1"):
            raw.request(peer, n, ticket=n)
        await gate.entered(2)
        worker.stop()
        worker.stop()
        raw.request(peer, b"too late", ticket=b"late")
        await until(lambda: worker.stats()["discarded_requests"] == 1, "the refusal")
        assert not running.done()
        gate.go.set()
        assert {(await off(raw.next))[1][-1] for _ in range(2)} == {b"0", b"1"}
        await off(farewell, raw, peer)
        await running
        assert worker.stats()["replies"] == 2

    run(main())


def test_an_lru_worker_that_is_stopped_or_cancelled(peers: Peers) -> None:
    async def main() -> None:
        for cancel in (False, True):
            raw, gate = RawBroker(peers), Gate()
            worker = aio.LRUWorker(raw.endpoint, gate)
            running = asyncio.create_task(worker.run())
            peer = await off(raw.ready_worker)
            raw.send(peer, b"", b"ticket", b"", b"q")
            await gate.entered()
            if cancel:
                running.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await running
                assert not raw.socket.poll(0)
            else:
                worker.stop()
                gate.go.set()
                await running
                assert await off(raw.receive) == (peer, [b"", b"ticket", b"", b"q"])
            assert (gate.cancelled, gate.running) == (cancel, 0)

    run(main())


def test_a_block_left_by_an_error_finishes_what_is_in_hand(peers: Peers) -> None:
    async def main() -> None:
        raw, gate = HeartbeatBroker(peers, wire="0.2"), Gate()

        async def block() -> None:
            async with aio_worker("0.2", raw.endpoint, gate):
                raw.request(await off(raw.ready), b"q")
                await gate.entered()
                asyncio.get_running_loop().call_later(BEAT, gate.go.set)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await block()
        assert (await off(raw.next))[1][-1] == b"q"
        assert gate.cancelled == 0

    run(main())


def test_stop_before_run_and_from_another_thread(peers: Peers) -> None:
    async def main() -> None:
        raw = HeartbeatBroker(peers, wire="0.2")
        worker = aio_worker("0.2", raw.endpoint, upper)
        worker.stop()
        await worker.run()
        with pytest.raises(RuntimeError, match="runs once; make a new MajordomoWorker"):
            await worker.run()
        second = aio_worker("0.2", raw.endpoint, upper)
        running = asyncio.create_task(second.run())
        peer = await off(raw.ready)
        stopping = threading.Thread(target=second.stop)
        stopping.start()
        await running
        stopping.join()
        await off(farewell, raw, peer)

    run(main())


# -- what is left ---------------------------------------------------------------------------------


def own_threads() -> set[threading.Thread]:
    """All but those of asyncio's executor, which takes one more whenever the others are busy."""
    return {each for each in threading.enumerate() if not each.name.startswith("asyncio_")}


def test_nothing_is_left_however_a_worker_ends(peers: Peers) -> None:
    raw = HeartbeatBroker(peers, wire="0.2")

    async def use(how: str) -> None:
        gate = Gate()
        endpoints = [free_endpoint(), *([raw.endpoint] if how != "no broker" else [])]
        worker = aio_worker("0.2", endpoints, gate, capacity=3)
        running = asyncio.create_task(worker.run())
        if how != "no broker":
            peer = await off(raw.ready, "ready-3")
            raw.request(peer, b"q")
            await gate.entered()
        if how == "cancel":
            running.cancel()
        else:
            worker.stop()
            gate.go.set()
        await asyncio.wait([running])
        if how != "no broker":
            if how == "stop":
                assert await off(raw.reply, peer) == [b"q"]
            assert await off(raw.next) == (peer, raw.wire["disconnect"])

    async def main() -> None:
        files, threads = 0, own_threads()
        for turn in range(4):
            for how in ("stop", "cancel", "no broker"):
                others = asyncio.all_tasks()
                await use(how)
                assert asyncio.all_tasks() == others
            if not turn:
                files, threads = open_files(), own_threads()
        await off(wait_until, lambda: open_files() <= files, "the closing of all sockets")
        assert own_threads() <= threads

    run(main())


def test_a_terminated_context_ends_run_and_the_block(
    peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        for in_block in (False, True):
            context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
            raw, gate = HeartbeatBroker(peers, wire="0.2"), Gate()
            worker = aio_worker("0.2", raw.endpoint, gate, context=context)

            async def block(worker: Any = worker) -> None:
                async with worker:
                    await until(lambda: "has ended" in caplog.text, "the word in the log")

            running = asyncio.create_task(block() if in_block else worker.run())
            raw.request(await off(raw.ready), b"q")
            await gate.entered()
            await off(context.term)  # returns once the worker has closed its sockets
            with pytest.raises(zmq.ContextTerminated):
                await asyncio.wait_for(running, PATIENCE)
            assert (gate.cancelled, gate.running) == (1, 0)

    run(main())


ENDS = """
import asyncio, sys
from brigantine import aio

how, endpoint = sys.argv[1:]

async def handler(body):
    if how == "exit":
        raise SystemExit(3)
    await asyncio.sleep(60)

async def main():
    worker = aio.MajordomoWorker(endpoint, "service", handler, liveness=1000)
    running = asyncio.ensure_future(worker.run())
    if how == "forgotten":
        while not worker.stats()["requests"]:
            await asyncio.sleep(0.001)
        return
    await running

if how == "forgotten":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
else:
    asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["exit", "forgotten"])
def test_a_program_that_ends_takes_the_worker_with_it(peers: Peers, how: str) -> None:
    """By an exception that is none of the handler's, or with the loop closed under the worker."""
    raw = HeartbeatBroker(peers, wire="0.2")
    with program(ENDS, [how, raw.endpoint]) as process:
        peer = raw.ready()
        raw.request(peer, b"q")
        code, output, _ = outcome(process)
        assert (code, output) == (3 if how == "exit" else 0, "")
        wait_until(lambda: gone(raw, peer), "the end of the connection")


def test_threads_may_ask_while_the_loop_serves(impl: str) -> None:
    """The loop is free: a client for threads asks from the executor."""

    async def main() -> None:
        with MajordomoBroker("tcp://127.0.0.1:*", impl=impl) as broker:
            async with aio.MajordomoWorker(broker.frontend, SERVICE, upper, capacity=8):
                with MajordomoClient(broker.frontend, timeout=PATIENCE) as client:
                    asked = [off(client.request, SERVICE, b"a") for _ in range(50)]
                    assert await asyncio.gather(*asked) == [b"A"] * 50

    run(main())
