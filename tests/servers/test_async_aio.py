"""The server and the client of asyncio: the same promises, with coroutines."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import zmq
from harness import PATIENCE, Peers

import brigantine
from brigantine import (
    BrokerStopped,
    ClientClosed,
    ConfigError,
    Expired,
    NoReply,
    Session,
    SessionLost,
    WorkerFailed,
    WrongUse,
    ledger_holds,
)
from brigantine.aio import AsyncClient, AsyncServer


def run(coroutine: Awaitable[Any]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(coroutine, 3 * PATIENCE)

    return asyncio.run(bounded())


async def until(condition: Callable[[], Any]) -> None:
    """Wait until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.002)


async def counting(session: Session, body: bytes) -> bytes:
    session.state["asked"] = session.state.get("asked", 0) + 1
    return b"%d %s" % (session.state["asked"], body)


async def echo(_: Session, body: bytes) -> bytes:
    return body


def test_requests_are_answered_by_number_while_others_wait(impl: str) -> None:
    async def handler(_: Session, body: bytes) -> bytes:
        await asyncio.sleep(0.05 if body == b"slow" else 0)
        return body

    async def main() -> None:
        async with (
            AsyncServer("tcp://127.0.0.1:*", handler, impl=impl, session_concurrency=50) as server,
            AsyncClient(server.frontend) as client,
        ):
            bodies = [b"slow", *(b"%d" % number for number in range(40))]
            order: list[bytes] = []

            async def ask(body: bytes) -> bytes | list[bytes]:
                reply = await client.request(body)
                order.append(body)
                return reply

            assert await asyncio.gather(*map(ask, bodies)) == bodies
            assert order[-1] == b"slow"
            assert client.stats()["late"] == 0
        assert ledger_holds({**server.stats()})

    run(main())


def test_one_handler_at_a_time_is_at_work_for_a_session(impl: str) -> None:
    inside: list[int] = []

    async def handler(session: Session, body: bytes) -> bytes:
        assert session.number not in inside
        inside.append(session.number)
        await asyncio.sleep(0.001)
        inside.remove(session.number)
        return body

    async def main() -> None:
        async with AsyncServer("tcp://127.0.0.1:*", handler, impl=impl) as server:
            async with AsyncClient(server.frontend) as one, AsyncClient(server.frontend) as other:
                bodies = [b"%d" % number for number in range(20)]
                asked = [client.request(body) for body in bodies for client in (one, other)]
                assert len(await asyncio.gather(*asked)) == 40
            assert server.stats()["handler_errors"] == 0

    run(main())


def test_sessions_open_and_close_with_coroutines(impl: str, peers: Peers) -> None:
    log: list[tuple[str, int]] = []

    async def opened(session: Session) -> None:
        await asyncio.sleep(0)
        log.append(("open", session.number))

    def closed(session: Session) -> None:
        log.append((session.closed, session.number))

    async def main() -> None:
        async with AsyncServer(
            "tcp://127.0.0.1:*", counting, impl=impl, session_timeout=0.1, on_open=opened,
            on_close=closed,
        ) as server:  # fmt: skip
            dealer = peers.dealer(server.frontend)
            dealer.send_multipart([b"", b"x"])
            assert await asyncio.to_thread(dealer.recv_multipart) == [b"", b"1 x"]
            await until(lambda: log == [("open", 1), ("timeout", 1)])
            async with AsyncClient(server.frontend) as client:
                assert await client.request(b"x") == b"1 x"
                await until(lambda: server.stats()["heartbeats"] > 8)
                assert await client.request(b"x") == b"2 x"
            await until(lambda: log[2:] == [("open", 2), ("left", 2)])

    run(main())


def test_several_replies_and_messages_beside(impl: str) -> None:
    async def handler(session: Session, body: bytes) -> AsyncIterator[bytes]:
        session.send(b"beside")
        for number in range(int(body)):
            await asyncio.sleep(0)
            yield b"%d" % number

    async def main() -> None:
        async with (
            AsyncServer("tcp://127.0.0.1:*", handler, impl=impl) as server,
            AsyncClient(server.frontend) as client,
        ):
            assert [part async for part in client.stream(b"3")] == [b"0", b"1", b"2"]
            assert await client.request(b"2") == [b"0", b"1"]
            assert [await client.receive(5) for _ in range(2)] == [b"beside"] * 2
            assert await client.receive(0.01) is None
            await client.send(b"1")
            assert {await client.receive(5), await client.receive(5)} == {b"0", b"beside"}

    run(main())


def test_errors_are_told_and_a_cancelled_request_is_forgotten(impl: str) -> None:
    async def handler(_: Session, body: bytes) -> Any:
        if body == b"bad":
            raise ValueError("no such thing")
        if body == b"slow":
            await asyncio.sleep(0.2)
        return body

    async def main() -> None:
        async with (
            AsyncServer("tcp://127.0.0.1:*", handler, impl=impl, session_concurrency=9) as server,
            AsyncClient(server.frontend) as client,
        ):
            with pytest.raises(WorkerFailed, match="no such thing"):
                await client.request(b"bad")
            with pytest.raises(NoReply):
                await client.request(b"slow", timeout=0.05)
            task = asyncio.create_task(client.request(b"slow"))
            await until(lambda: server.stats()["in_flight"] == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await client.request(b"next") == b"next"
            await until(lambda: client.stats()["late"] == 2)

    run(main())


def test_a_handler_that_hangs_is_cancelled_and_its_client_told(impl: str) -> None:
    ended: list[str] = []

    async def handler(_: Session, body: bytes) -> bytes:
        try:
            await asyncio.sleep(60 if body == b"hang" else 0)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise
        return body

    async def main() -> None:
        async with (
            AsyncServer(
                "tcp://127.0.0.1:*", handler, impl=impl, workers=1, request_ttl=0.2
            ) as server,
            AsyncClient(server.frontend) as client,
            AsyncClient(server.frontend) as other,
        ):
            with pytest.raises(Expired):
                await client.request(b"hang")
            assert await other.request(b"x") == b"x"
            assert ended == ["cancelled"]
            stats = server.stats()
            assert (stats["tasks_cancelled"], stats["failed_expired_in_flight"]) == (1, 1)

    run(main())


def test_a_drain_finishes_what_was_accepted_and_a_stop_does_not_wait(impl: str) -> None:
    async def handler(_: Session, body: bytes) -> bytes:
        await asyncio.sleep(0.05 if body == b"x" else 60)
        return body

    async def main() -> None:
        async with AsyncServer(
            "tcp://127.0.0.1:*", handler, impl=impl, session_concurrency=9
        ) as server:
            async with AsyncClient(server.frontend) as client:
                asked = [asyncio.create_task(client.request(b"x")) for _ in range(5)]
                await until(lambda: server.stats()["accepted"] == 5)
                assert await server.drain()
                assert await asyncio.gather(*asked) == [b"x"] * 5
            await server.join()
        assert not server.running
        async with AsyncServer("tcp://127.0.0.1:*", handler, impl=impl) as server:
            async with AsyncClient(server.frontend) as client:
                asking = asyncio.create_task(client.request(b"for ever"))
                await until(lambda: server.stats()["in_flight"] == 1)
                await server.stop()
                with pytest.raises((Expired, SessionLost)):
                    await asking
            assert server.stats()["failed_stopped"] == 1
            await until(lambda: server.stats()["tasks"] == 0)
        with pytest.raises(BrokerStopped, match=r"make a new aio\.AsyncServer"):
            async with server:
                pass

    run(main())


def test_a_closed_client_ends_what_waits(peers: Peers) -> None:
    router = peers.socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")

    async def main() -> None:
        async with AsyncClient(f"tcp://127.0.0.1:{port}") as client:
            asking = asyncio.create_task(client.request(b"x"))
            waiting = asyncio.create_task(client.receive())
            await until(lambda: router.poll(0))
        for task in (asking, waiting):
            with pytest.raises(ClientClosed):
                await task

    run(main())


def test_servers_of_threads_and_of_tasks_tell_each_other_apart(impl: str) -> None:
    with pytest.raises(WrongUse, match=r"brigantine\.AsyncServer is for these"):
        AsyncServer("tcp://127.0.0.1:*", lambda _, body: body, impl=impl)
    server = AsyncServer("tcp://127.0.0.1:*", echo, impl=impl)
    with pytest.raises(WrongUse, match=r"aio\.AsyncServer is for asyncio"), server:
        pass
    asyncio.run(server.stop())
    with pytest.raises(ConfigError, match="did you mean workers"):
        AsyncServer("tcp://127.0.0.1:*", echo, impl=impl, worker=3)  # type: ignore[call-arg]
    with pytest.raises(WrongUse, match=r"brigantine\.aio\.AsyncClient is for asyncio"):
        asyncio.run(_enter_wrongly())
    assert threading.active_count() < 50


async def _enter_wrongly() -> None:
    client = brigantine.AsyncClient("tcp://127.0.0.1:9")
    try:
        async with client:  # type: ignore[attr-defined]
            pass
    finally:
        client.close()
