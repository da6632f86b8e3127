"""The workers of brigantine.aio: against raw ROUTERs, and with the brokers."""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest
from aio_doubles import BEAT, LIVENESS, Gate, aio_worker, off, run, until, worker
from doubles import RawBroker, started_again
from harness import PATIENCE, Peers
from heartbeat_doubles import SERVICE, HeartbeatBroker

from brigantine import (
    LRUBroker,
    ParanoidPirateBroker,
    WorkerFailed,
    aio,
    ledger_holds,
)

WIRES = ("ppp", "0.1", "0.2")
#: Seconds between heartbeats, where silence is to be noticed soon; how many make a silence.
ANY_PORT = "tcp://127.0.0.1:*"


async def upper(body: bytes) -> bytes:
    await asyncio.sleep(0)
    return body.upper()


# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("wire", WIRES)
def test_ready_comes_first_and_a_reply_has_the_ticket_of_its_request(
    peers: Peers, wire: str
) -> None:
    async def echo(body: Any) -> Any:
        return body

    async def main() -> None:
        raw = HeartbeatBroker(peers, wire=wire)
        async with aio_worker(wire, raw.endpoint, echo, capacity=3) as serving:
            peer = await off(raw.ready, "ready-3")
            for body in ([b"one"], [b""], [b"one", b"", b"three"]):
                raw.request(peer, *body)
                assert await off(raw.reply, peer) == body
            assert "aio." in repr(serving)
        if raw.wire["disconnect"] is not None:
            assert await off(raw.next) == (peer, raw.wire["disconnect"])

    run(main())


def test_an_lru_worker_says_ready_and_answers(peers: Peers) -> None:
    async def main() -> None:
        raw = RawBroker(peers)
        async with aio.LRUWorker(raw.endpoint, upper) as serving:
            peer = await off(raw.ready_worker)
            for _ in range(3):
                assert await off(raw.ask, peer, b"q") == [b"Q"]
            assert serving.stats()["replies"] == 3

    run(main())


def test_a_handler_sees_the_context_of_run_and_not_what_others_set(peers: Peers) -> None:
    variable = contextvars.ContextVar("variable", default=b"unset")

    async def handler(body: bytes) -> bytes:
        seen = variable.get()
        variable.set(body)
        return seen

    async def main() -> None:
        raw = HeartbeatBroker(peers, wire="0.2")
        variable.set(b"main")
        async with aio_worker("0.2", raw.endpoint, handler):
            peer = await off(raw.ready)
            for _ in range(2):
                raw.request(peer, b"q")
                assert await off(raw.reply, peer) == [b"main"]

    run(main())


# -- with brokers ---------------------------------------------------------------------------------


def test_a_round_trip_of_each_pattern(impl: str) -> None:
    async def main() -> None:
        patterns: list[tuple[Any, Any]] = [
            (LRUBroker, aio.LRUWorker),
            (ParanoidPirateBroker, aio.ParanoidPirateWorker),
        ]
        for broker, kind in patterns:
            with broker(ANY_PORT, ANY_PORT, impl=impl) as running:
                async with (
                    kind(running.backend, upper),
                    aio.LazyPirateClient(running.frontend, timeout=PATIENCE) as client,
                ):
                    assert await client.request(b"q") == b"Q"

    run(main())


def test_capacity_handlers_run_at_once_and_never_more(brokers: Any) -> None:
    async def main() -> None:
        gate, running = Gate(), brokers()
        async with (
            worker(running.backend, gate, capacity=5),
            aio.MajordomoClient(running.frontend, timeout=PATIENCE) as client,
        ):
            asked = [asyncio.create_task(client.request(SERVICE, b"%d" % n)) for n in range(12)]
            await gate.entered(5)
            await until(lambda: running.stats()["queued"] == 7, "the others to wait")
            assert (gate.running, gate.most) == (5, 5)
            gate.go.set()
            assert await asyncio.gather(*asked) == [b"%d" % n for n in range(12)]
            assert gate.most == 5

    run(main())


def test_a_worker_is_not_expired_while_one_handler_waits_and_another_blocks_the_loop(
    brokers: Any,
) -> None:
    async def main() -> None:
        blocked = asyncio.Event()

        async def handler(body: bytes) -> bytes:
            if body == b"wait":
                await blocked.wait()
                return body
            enough = serving.stats()["heartbeats"] + 3 * LIVENESS
            deadline = time.monotonic() + PATIENCE
            while serving.stats()["heartbeats"] < enough and time.monotonic() < deadline:
                time.sleep(BEAT / 5)
            blocked.set()
            return body

        running = brokers()
        serving = worker(running.backend, handler, capacity=2)
        async with serving, aio.MajordomoClient(running.frontend, timeout=PATIENCE) as client:
            started = time.monotonic()
            asked = [client.request(SERVICE, body) for body in (b"wait", b"block")]
            assert await asyncio.gather(*asked) == [b"wait", b"block"]
            assert time.monotonic() - started > 2 * LIVENESS * BEAT
            assert running.stats()["workers_lost"] == running.stats()["redispatched"] == 0
            assert serving.stats()["readies"] == 1

    run(main())


def test_errors_and_cancelled_handlers_are_replies_and_the_worker_goes_on(
    brokers: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(body: bytes) -> Any:
        if body == b"raise":
            raise KeyError("wrong")
        if body == b"self":
            raise asyncio.CancelledError
        if body == b"inner":
            inner = asyncio.ensure_future(asyncio.sleep(PATIENCE))
            inner.cancel()
            await inner
        if body == b"timeout":
            await asyncio.wait_for(asyncio.sleep(PATIENCE), 0.001)
        return "text" if body == b"text" else body

    async def main() -> None:
        running = brokers()
        async with (
            worker(running.backend, handler) as serving,
            aio.MajordomoClient(running.frontend, timeout=PATIENCE) as client,
        ):
            for body, kind in (
                (b"raise", "KeyError"),
                (b"self", "CancelledError: the handler was cancelled"),
                (b"inner", "CancelledError: the handler was cancelled"),
                (b"timeout", "TimeoutError"),
                (b"text", "TypeError"),
            ):
                with pytest.raises(WorkerFailed, match=kind):
                    await client.request(SERVICE, body)
            assert await client.request(SERVICE, b"good") == b"good"
            assert (serving.stats()["errors"], serving.stats()["replies"]) == (5, 6)
        assert sum("failed on a request" in each.message for each in caplog.records) == 5

    run(main())


def test_it_serves_two_brokers_and_one_that_comes_back(brokers: Any) -> None:
    async def main() -> None:
        one, two = brokers(), brokers()
        async with AsyncExitStack() as stack:
            serving = worker([one.backend, two.backend], upper, reconnect_min=BEAT)
            await stack.enter_async_context(serving)
            clients = [
                await stack.enter_async_context(
                    aio.MajordomoClient(each.frontend, timeout=PATIENCE)
                )
                for each in (one, two)
            ]
            for client in clients:
                assert await client.request(SERVICE, b"a") == b"A"
            one.stop()
            assert await clients[1].request(SERVICE, b"b") == b"B"
            again = await off(started_again, brokers, one.frontend)
            assert await clients[0].request(SERVICE, b"c") == b"C"
            assert serving.stats()["readies"] >= 3
            assert ledger_holds(again.stats())

    run(main())


def test_over_inproc_in_a_shared_context(brokers: Any, peers: Peers) -> None:
    async def main() -> None:
        running = brokers("inproc://mdp", context=peers.context)
        async with (
            worker("inproc://mdp", upper, context=peers.context),
            aio.MajordomoClient("inproc://mdp", context=peers.context, timeout=PATIENCE) as client,
        ):
            assert await client.request(SERVICE, b"q") == b"Q"
        await until(lambda: running.stats()["workers"] == 0, "DISCONNECT")

    run(main())
