"""How the clients of brigantine.aio end, and how mistakes are told."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
from doubles import RawBroker, free_endpoint, open_files, outcome, program
from harness import PATIENCE, wait_until
from mdp_doubles import (
    PARTIAL,
    asked,
    raw_worker,
    say,
)

from brigantine import MajordomoBroker, NoReply
from brigantine.aio import MajordomoClient
from brigantine.errors import ClientClosed, ConfigError

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


# -- ends -----------------------------------------------------------------------------------------


def test_close_ends_requests_pauses_and_streams(raw: RawBroker) -> None:
    async def main() -> None:
        client = MajordomoClient(raw.endpoint, timeout=ENDLESS, backoff=3600.0, backoff_max=3600.0)
        parts = client.stream("svc", b"s")
        first = asyncio.ensure_future(anext(parts))
        say(raw, await off(asked, raw, b"svc", b"s"), PARTIAL, b"svc", b"1")
        assert await first == b"1"
        waiting = asyncio.create_task(client.request("svc", b"q"))
        await off(asked, raw, b"svc", b"q")
        pausing = asyncio.create_task(client.request("svc", b"p", timeout=SHORTEST))
        while not client._pools[0]._pauses:
            await asyncio.sleep(0.001)
        await client.close()
        for task in (waiting, pausing, asyncio.ensure_future(anext(parts))):
            with pytest.raises(ClientClosed):
                await asyncio.wait_for(task, PATIENCE)
        with pytest.raises(ClientClosed):
            await client.request("svc", b"q")
        await client.close()
        stats = client.stats()
        assert (stats["interrupted"], stats["idle"]) == (3, 0)
        assert "closed" in repr(client)

    run(main())


def test_nothing_leaks_however_a_request_ends(raw: RawBroker) -> None:
    silent = free_endpoint()

    async def main() -> None:
        client = MajordomoClient(silent, timeout=ENDLESS, retries=0)
        other = MajordomoClient(raw.endpoint, timeout=PATIENCE)
        baseline = 0
        for turn in range(12):
            tasks = [asyncio.create_task(client.request("svc", b"q")) for _ in range(3)]
            while client.stats()["tries"] % 4 < 3:
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            with pytest.raises(NoReply):
                await client.request("svc", b"q", timeout=SHORTEST)
            async with aclosing(other.stream("svc", b"s")) as parts:
                first = asyncio.ensure_future(anext(parts))
                peer = await off(asked, raw, b"svc", b"s")
                say(raw, peer, PARTIAL, b"svc", b"1")
                assert await first == b"1"
            if turn == 2:
                baseline = open_files()
        await off(wait_until, lambda: open_files() <= baseline, "the closing of all sockets")
        await client.close()
        await other.close()

    before = open_files()
    run(main())
    wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_client_goes_on_in_the_next_event_loop_and_leaves_nothing(
    running: MajordomoBroker,
) -> None:
    with raw_worker(running, b"svc"):
        before = open_files()
        client = MajordomoClient(running.frontend, timeout=PATIENCE)
        for n in range(3):
            assert run(client.request("svc", b"%d" % n)) == b"%d" % n
        stats = client.stats()
        assert (stats["replies"], stats["sockets_opened"], stats["idle"]) == (3, 3, 1)
        del client  # never closed
        gc.collect()
        wait_until(lambda: open_files() <= before, "the closing of all sockets")


def test_a_forked_child_asks_with_sockets_of_its_own(running: MajordomoBroker, impl: str) -> None:
    source = """
        import asyncio, os, sys, warnings
        from brigantine.aio import MajordomoClient

        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        client = MajordomoClient(sys.argv[1], timeout=10)
        assert asyncio.run(client.request("svc", b"parent")) == b"parent"
        child = os.fork()
        if not child:
            right = asyncio.run(client.request("svc", b"child")) == b"child"
            asyncio.run(client.close())
            os._exit(0 if right else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert asyncio.run(client.request("svc", b"parent")) == b"parent"
    """
    with raw_worker(running, b"svc"), program(source, [running.frontend], impl) as process:
        assert outcome(process) == (0, "", "")


def test_mistakes_are_named(raw: RawBroker) -> None:
    async def main() -> None:
        async with MajordomoClient(raw.endpoint) as client:
            with pytest.raises(TypeError, match="service"):
                await client.request(7, b"q")  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="body"):
                client.stream("svc", "text")  # at once, not at the first part
            with pytest.raises(ConfigError, match="timeout"):
                await client.call("svc", 1, timeout=-1)
            assert client.stats()["requests"] == 0
        with pytest.raises(ConfigError, match="version"):
            MajordomoClient(raw.endpoint, version="1")

    run(main())
