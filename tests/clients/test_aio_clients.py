"""The clients of brigantine.aio from outside: against raw ROUTERs, and against the brokers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from doubles import RawBroker, settled
from harness import PATIENCE
from mdp_doubles import (
    FINAL,
    FINALS,
    HEADS,
    PARTIAL,
    asked,
    raw_worker,
    say,
)

from brigantine import LRUBroker, MajordomoBroker, NoReply, WorkerFailed, ledger_holds
from brigantine.aio import LazyPirateClient, MajordomoClient
from brigantine.wire.req import error_reply
from brigantine.workers.lru import LRUWorker

#: Seconds for a try that is to fail, where its message must have arrived all the same.
SHORT = 0.5
#: Seconds for a try whose message need not arrive.
SHORTEST = 0.02
#: A timeout that no test lives to see.
ENDLESS = 3600.0

EMPTY = b""
Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As ``asyncio.run``, but not longer than PATIENCE."""

    async def bounded() -> Result:
        return await asyncio.wait_for(main, 3 * PATIENCE)

    return asyncio.run(bounded(), debug=True)


async def off(function: Callable[..., Result], *arguments: Any) -> Result:
    """Call what blocks, such as a raw socket's receive, beside the event loop."""
    return await asyncio.get_running_loop().run_in_executor(None, function, *arguments)


# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_request_and_reply_are_the_frames_of_the_rfc(raw: RawBroker, version: str) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint, version=version, timeout=PATIENCE) as client:
            task = asyncio.create_task(client.request("svc", [b"a", b""]))
            peer, received = await off(raw.receive)
            assert received == [*HEADS[version], b"svc", b"a", b""]
            raw.send(peer, *FINALS[version], b"svc", b"c", b"")
            assert await task == [b"c", b""]

    run(main())


def test_an_empty_end_of_parts_is_not_given_but_a_reply_of_one_empty_frame_is(
    raw: RawBroker,
) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint, timeout=PATIENCE) as client:

            async def stream() -> list[Any]:
                return [part async for part in client.stream("svc", b"q")]

            asking: list[tuple[Coroutine[Any, Any, Any], list[bytes], Any]] = [
                (stream(), [b"1", b""], [b"1", b""]),
                (stream(), [], [b""]),
                (client.request("svc", b"q"), [b"1", b"2"], [b"1", b"2"]),
                (client.request("svc", b"q"), [], b""),
                (client.call("svc", 1), [b"\x07"], 7),
            ]
            for ask, parts, given in asking:
                task = asyncio.create_task(ask)
                peer, _ = await off(raw.receive)
                for part in parts:
                    say(raw, peer, PARTIAL, b"svc", part)
                say(raw, peer, FINAL, b"svc", b"")
                assert await task == given
            assert client.stats()["replies"] == len(asking)

    run(main())


def test_a_lazy_pirate_sends_an_empty_frame_and_the_body(raw: RawBroker) -> None:
    async def main() -> None:
        async with LazyPirateClient(raw.endpoint, timeout=PATIENCE) as client:
            task = asyncio.create_task(client.request(b"q"))
            raw.send(await off(raw.request_of, b"q"), EMPTY, b"ok")
            assert await task == b"ok"

    run(main())


def test_junk_in_place_of_a_reply_costs_a_lazy_pirate_no_more_than_the_try(raw: RawBroker) -> None:
    async def main() -> None:
        async with LazyPirateClient(raw.endpoint, timeout=SHORT, backoff=0.0) as client:
            task = asyncio.create_task(client.request(b"q"))
            raw.send(await off(raw.request_of, b"q"), b"no empty frame")
            raw.send(await off(raw.request_of, b"q"), EMPTY, b"ok")
            assert await task == b"ok"

    run(main())


def test_junk_and_replies_of_other_services_are_counted_and_waited_past(raw: RawBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint, timeout=PATIENCE) as client:
            task = asyncio.create_task(client.request("svc", b"q"))
            peer = await off(asked, raw, b"svc", b"q")
            raw.send(peer, b"junk")
            say(raw, peer, FINAL, b"other", b"no")
            say(raw, peer, FINAL, b"svc", b"ok")
            assert await task == b"ok"
            stats = client.stats()
            assert (stats["drop_malformed"], stats["drop_unexpected"]) == (1, 1)

    run(main())


# -- with brokers ---------------------------------------------------------------------------------


def test_lazy_pirates_get_each_their_own_reply(broker: Callable[..., LRUBroker]) -> None:
    running = broker()

    async def main() -> None:
        async with LazyPirateClient(running.frontend, timeout=PATIENCE) as client:
            bodies = [b"%d" % n for n in range(100)]
            replies = await asyncio.gather(*map(client.request, bodies))
            assert replies == [b"re:" + body for body in bodies]
            assert client.stats()["tries"] == len(bodies)

    with LRUWorker(running.backend, lambda body: b"re:" + body):
        run(main())
    assert ledger_holds(running.stats())


def test_tasks_get_each_their_own_reply_while_others_are_cancelled(
    running: MajordomoBroker,
) -> None:
    dice = random.Random(7)

    doomed = dice.sample(range(150), 50)
    tasks: list[asyncio.Task[bool]] = []
    ended = cancelled = 0

    async def answered(client: MajordomoClient, n: int) -> bool:
        body = b"%d" % n
        parts = [[b"re", body], [b"end", body]]
        if n % 2:
            return await client.request("svc", body) == [*parts[0], *parts[1]]
        return [part async for part in client.stream("svc", body)] == parts

    async def ask(client: MajordomoClient, n: int) -> bool:
        nonlocal ended, cancelled
        right = await answered(client, n)
        ended += 1
        if (
            ended == 20
        ):  # of the others some wait, some read, some have what they do not know of yet
            cancelled = sum(tasks[n].cancel() for n in doomed)
        return right

    async def main() -> None:
        async with MajordomoClient(running.frontend, timeout=PATIENCE) as client:
            tasks.extend(asyncio.create_task(ask(client, n)) for n in range(150))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(results[n] is True for n in range(150) if n not in doomed)
            ends = [isinstance(result, asyncio.CancelledError) for result in results]
            assert sum(ends) == cancelled > 0
            stats = client.stats()
            assert stats["interrupted"] <= cancelled  # those that had begun
            assert settled(stats)
            assert await client.request("svc", b"last") == [b"re", b"last", b"end", b"last"]

    answer = lambda body: [[b"re", *body], [b"end", *body]]  # noqa: E731
    with raw_worker(running, b"svc", answer, capacity=8):
        run(main())


def test_call_and_the_errors_of_workers(running: MajordomoBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(running.frontend, timeout=PATIENCE) as client:
            assert await client.call("echo", {"a": [1, b"\xff"]}) == {"a": [1, b"\xff"]}
            with pytest.raises(WorkerFailed, match="ValueError: no"):
                await client.request("fail", b"q")
            parts = client.stream("fail", b"q")
            assert await anext(parts) == b"part"
            with pytest.raises(WorkerFailed, match="ValueError: no"):
                await anext(parts)
            stats = client.stats()
            assert (stats["worker_failed"], stats["tries"]) == (2, 3)

    report = error_reply(ValueError("no"))
    with raw_worker(running, b"echo"), raw_worker(running, b"fail", lambda _: [[b"part"], report]):
        run(main())


# -- silence --------------------------------------------------------------------------------------


def test_a_late_reply_never_answers_the_next_request(raw: RawBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint, timeout=PATIENCE, retries=0) as client:
            with pytest.raises(NoReply, match="1 try"):
                await client.request("svc", b"first", timeout=SHORT)
            late = await off(asked, raw, b"svc", b"first")
            task = asyncio.create_task(client.request("svc", b"second"))
            peer = await off(asked, raw, b"svc", b"second")
            raw.socket.router_mandatory = 0  # nobody is there any more
            say(raw, late, FINAL, b"svc", b"to the first")
            say(raw, peer, FINAL, b"svc", b"to the second")
            assert await task == b"to the second"

    run(main())


def test_a_reply_to_a_cancelled_request_never_answers_the_next(raw: RawBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint, timeout=PATIENCE) as client:
            first = asyncio.create_task(client.request("svc", b"first"))
            late = await off(asked, raw, b"svc", b"first")
            say(raw, late, FINAL, b"svc", b"to the first")
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            second = asyncio.create_task(client.request("svc", b"second"))
            say(raw, await off(asked, raw, b"svc", b"second"), FINAL, b"svc", b"to the second")
            assert await second == b"to the second"
            assert settled(client.stats())

    run(main())


def test_the_next_broker_is_asked_when_one_is_silent_and_kept(
    running: MajordomoBroker, raw: RawBroker
) -> None:
    async def main() -> None:
        async with MajordomoClient((raw.endpoint, running.frontend)) as client:
            assert await client.request("svc", b"1", timeout=SHORT) == b"1"
            assert [part async for part in client.stream("svc", b"2")] == [b"2"]
            assert client.stats()["tries"] == 3

    with raw_worker(running, b"svc"):
        run(main())


def test_a_stream_that_falls_silent_is_told_and_not_tried_again(raw: RawBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint) as client:
            parts = client.stream("svc", b"q", timeout=SHORT)
            first = asyncio.ensure_future(anext(parts))
            say(raw, await off(asked, raw, b"svc", b"q"), PARTIAL, b"svc", b"1")
            assert await first == b"1"
            with pytest.raises(NoReply, match="broke off after 1 part"):
                await anext(parts)
            assert client.stats()["tries"] == 1

    run(main())
