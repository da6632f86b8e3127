"""How a server ends: what handlers may call, who is waited for, and what is left of it."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from typing import Any

import pytest
from harness import PATIENCE, Peers, wait_until

from brigantine import AsyncServer, BrokerStopped, Session, ThreadedServer, WrongUse, aio
from brigantine._impl import implementation


@pytest.mark.parametrize("call", ["drain", "join"])
def test_a_handler_that_would_wait_for_itself_is_told_so(
    impl: str, peers: Peers, call: str
) -> None:
    told: list[BaseException] = []
    servers: list[Any] = []

    def function(body: bytes) -> bytes:
        with pytest.raises(WrongUse, match=rf"{call}\(\) in a handler of the same server") as error:
            getattr(servers[0], call)()
        told.append(error.value)
        assert not servers[0].told_to_end
        servers[0].drain(0)
        return body

    servers.append(ThreadedServer("tcp://127.0.0.1:*", function, impl=impl))
    dealer = peers.dealer(servers[0].frontend)
    dealer.send(b"x")
    assert dealer.recv() == b"x"
    assert servers[0].join(PATIENCE)
    assert len(told) == 1


@pytest.mark.parametrize("call", ["drain", "join"])
def test_a_coroutine_that_would_wait_for_itself_is_told_so(impl: str, call: str) -> None:
    told: list[BaseException] = []

    async def main() -> None:
        async def handler(_: Session, body: bytes) -> bytes:
            with pytest.raises(WrongUse, match=rf"{call}\(\) in a handler of the same") as error:
                await getattr(server, call)()
            told.append(error.value)
            await server.drain(0)
            return body

        async with aio.AsyncServer("tcp://127.0.0.1:*", handler, impl=impl) as server:
            async with aio.AsyncClient(server.frontend) as client:
                assert await client.request(b"x") == b"x"
            await asyncio.wait_for(server.join(), PATIENCE)

    asyncio.run(main())
    assert len(told) == 1


def test_a_drain_that_was_waited_for_in_vain_cancels_no_handler(impl: str) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def handler(_: Session, body: bytes) -> bytes:
            await go.wait()
            return body

        async with aio.AsyncServer("tcp://127.0.0.1:*", handler, impl=impl) as server:
            async with aio.AsyncClient(server.frontend) as client:
                asking = asyncio.create_task(client.request(b"x"))
                while not server._tasks:
                    await asyncio.sleep(0.001)
                assert not await server.drain(0)
                go.set()
                assert await asking == b"x"
            await asyncio.wait_for(server.join(), PATIENCE)

    asyncio.run(main())


def test_a_server_of_tasks_that_ends_by_itself_lets_go_of_all_handlers(impl: str) -> None:
    """Though there is no room for another."""

    async def main() -> None:
        async def handler(_: Session, body: bytes) -> bytes:
            await asyncio.sleep(60)
            return body

        async with (
            aio.AsyncServer("tcp://127.0.0.1:*", handler, impl=impl, workers=1) as server,
            aio.AsyncClient(server.frontend) as client,
        ):
            asking = asyncio.create_task(client.request(b"x"))
            while not server._tasks:
                await asyncio.sleep(0.001)
            server._handoff.finish()
            await asyncio.wait_for(server.join(), PATIENCE)
            asking.cancel()

    asyncio.run(main())


def test_joining_a_server_that_was_never_entered_does_not_wait(impl: str) -> None:
    async def echo(_: Session, body: bytes) -> bytes:
        return body

    async def main() -> None:
        server = aio.AsyncServer("tcp://127.0.0.1:*", echo, impl=impl)
        with pytest.raises(WrongUse, match="join it within `async with server:`"):
            await server.join()
        await server.stop()
        await asyncio.wait_for(server.join(), PATIENCE)

    asyncio.run(main())


def test_a_program_that_a_handler_starts_can_be_ended(impl: str, peers: Peers) -> None:
    """No signal is held back in it."""
    ended: list[int] = []

    def function(body: bytes) -> bytes:
        with subprocess.Popen(["sleep", "60"]) as child:
            child.terminate()
            try:
                ended.append(child.wait(PATIENCE / 2))
            finally:
                child.kill()
        return body

    with ThreadedServer("tcp://127.0.0.1:*", function, threads=1, impl=impl) as server:
        dealer = peers.dealer(server.frontend)
        dealer.send(b"x")
        assert dealer.recv() == b"x"
    assert ended == [-15]


def handlers() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "brigantine-handler"]


@pytest.mark.parametrize("when", ["made", "run"])
def test_no_thread_is_left_of_a_server_whose_loop_fails(
    impl: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        unheard = 0

        def __init__(self, *_: Any) -> None:
            if when == "made":
                raise MemoryError("no room")

        def run(self) -> None:
            go.wait(PATIENCE)
            raise MemoryError("no room")

        def stats(self) -> dict[str, int]:
            return {}

    go = threading.Event()
    monkeypatch.setattr(implementation(impl), "ServerLoop", Broken)
    before = len(handlers())
    if when == "made":
        with pytest.raises(MemoryError):
            AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl)
    else:
        server = AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl)
        go.set()
        with pytest.raises(BrokerStopped, match="no room"):
            server.join(PATIENCE)
    wait_until(lambda: len(handlers()) <= before)


def test_a_server_that_waits_for_its_handlers_does_not_keep_a_cpu_busy(
    impl: str, peers: Peers
) -> None:
    """Though clients go on asking."""
    at_work, go = threading.Event(), threading.Event()

    def function(body: bytes) -> bytes:
        at_work.set()
        go.wait(PATIENCE)
        return body

    server = ThreadedServer("tcp://127.0.0.1:*", function, threads=1, impl=impl)
    dealer = peers.dealer(server.frontend)
    dealer.send(b"x")
    assert at_work.wait(PATIENCE)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    wait_until(lambda: server.told_to_end)
    for _ in range(10):
        dealer.send(b"more")
    began, cpu = time.monotonic(), time.process_time()
    threading.Event().wait(0.25)
    waited, cpu = time.monotonic() - began, time.process_time() - cpu
    go.set()
    stopping.join()
    assert cpu < waited / 2
