"""What a server hands to its handlers: as much as they can soon be at, and nothing that is over."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import zmq
from harness import PATIENCE, Peers, wait_until

from brigantine import AsyncServer, Session, ThreadedServer, aio
from brigantine.config.servers import HANDED_AHEAD, ServerConfig
from brigantine.pure.sessions.sessions import REQUEST
from brigantine.servers.handling import Handling
from brigantine.workers.reply import ReplyLimits


class Handoff:
    """Keeps how tasks have ended."""

    def __init__(self) -> None:
        self.ended: list[Any] = []

    def end(self, task: Any) -> None:
        self.ended.append(task)


def task_of(event: int, **more: Any) -> Any:
    return SimpleNamespace(event=event, wanted=True, body=b"x", **more)


def test_what_handlers_cannot_be_at_soon_waits_within_the_limits_of_the_queue(
    impl: str, peers: Peers
) -> None:
    go = threading.Event()

    def handler(_: Session, body: bytes) -> bytes:
        go.wait(PATIENCE)
        return body

    with AsyncServer(
        "tcp://127.0.0.1:*", handler, impl=impl, workers=1, session_concurrency=100, queue_limit=5
    ) as server:
        dealer = peers.dealer(server.frontend)
        taken = 1 + HANDED_AHEAD + 5
        for number in range(taken - 5):
            dealer.send(b"%d" % number)
            wait_until(lambda number=number: server.stats()["in_flight"] == number + 1)
        for number in range(taken - 5, taken + 3):
            dealer.send(b"%d" % number)
        wait_until(lambda: server.stats()["shed_queue_full"] == 3)
        stats = server.stats()
        assert (stats["in_flight"], stats["queued"]) == (1 + HANDED_AHEAD, 5)
        go.set()
        wait_until(lambda: server.stats()["replied"] == taken)


def made_of(kind: Any, handler: Any, **more: Any) -> Any:
    """A server without sockets and threads."""
    server, handoff = kind.__new__(kind), Handoff()
    vars(server).update(
        _handling=Handling(handoff, ReplyLimits(1000, 10), 1000), _handoff=handoff, _handler=handler,
        _streams=False, **more,
    )  # fmt: skip
    return server


def test_a_request_that_has_ended_while_it_waited_is_not_carried_out() -> None:
    called: list[bytes] = []

    async def coroutine(_: Session, body: bytes) -> None:
        called.append(body)

    task = task_of(1)
    task.wanted = False
    for kind in (AsyncServer, ThreadedServer):
        server = made_of(kind, called.append)
        server._handle(task)
        assert server._handoff.ended == [task]
    server = made_of(aio.AsyncServer, coroutine)
    asyncio.run(server._serve(task))
    assert server._handoff.ended == [task]
    assert called == []


def test_the_log_says_which_callback_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    handoff = Handoff()
    handling = Handling(handoff, ReplyLimits(1000, 10), 1000)
    for event, words in ((0, "on_open has failed"), (2, "on_close has failed")):
        task = task_of(event)
        handling.failed(task, ValueError("not today"))
        assert handoff.ended[-1] is task
        assert caplog.messages[-1] == words
    assert handling.errors == 2


@pytest.mark.parametrize("kind", [AsyncServer, ThreadedServer])
def test_how_many_handlers_one_client_may_have_stands_in_a_config_too(impl: str, kind: Any) -> None:
    def function(*_: Any) -> None:
        """Called with the body, or with a session before it."""

    own = 3 if kind is ThreadedServer else 1
    count = {"threads" if kind is ThreadedServer else "workers": 3}
    for options, found in (
        ({}, own), ({"config": ServerConfig()}, own), ({"session_concurrency": 2}, 2),
        ({"config": ServerConfig(session_concurrency=2)}, 2),
    ):  # fmt: skip
        with kind("inproc://concurrency", function, impl=impl, **count, **options) as server:
            assert server.config.session_concurrency == found


def test_the_state_of_a_session_is_one_however_many_handlers_come_first_at_once() -> None:
    found: list[dict[Any, Any]] = []

    class Crossed(Session):
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "_state" and not found:
                found.append(self.state)  # as another thread may, just before it is set
            super().__setattr__(name, value)

    session = Crossed(None, 0, 1, ())
    found.append(session.state)
    assert all(each is session.state for each in found)


def test_a_callback_that_hangs_is_cancelled_as_a_handler_is(impl: str) -> None:
    async def hang(_: Session) -> None:
        await asyncio.sleep(60)

    async def echo(_: Session, body: bytes) -> bytes:
        return body

    async def main() -> None:
        async with (
            aio.AsyncServer("tcp://127.0.0.1:*", echo, impl=impl, on_open=hang) as server,
            aio.AsyncClient(server.frontend) as client,
        ):
            asking = asyncio.create_task(client.request(b"x", timeout=PATIENCE))
            while not server._tasks:
                await asyncio.sleep(0.001)
            for made, (task, _) in server._tasks.items():
                server._tasks[made] = task, -1000.0  # for long
            server._look_for_late()
            assert await asking == b"x"
            assert server.stats()["tasks_cancelled"] == 1

    asyncio.run(main())


def test_an_event_loop_sleeps_while_all_handlers_are_at_work(impl: str) -> None:
    looks: list[int] = []

    class Counted(aio.AsyncServer):
        def _take(self) -> None:
            looks.append(1)
            super()._take()

    async def main() -> None:
        go = asyncio.Event()

        async def handler(_: Session, body: bytes) -> bytes:
            await go.wait()
            return body

        async with (
            Counted(
                "tcp://127.0.0.1:*", handler, impl=impl, workers=1, session_concurrency=2
            ) as server,
            aio.AsyncClient(server.frontend) as client,
        ):
            asked = [asyncio.create_task(client.request(b"x")) for _ in range(2)]
            while server.stats()["in_flight"] < 2 or not server._tasks:
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.001)
            looks.clear()
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(looks) < 10
            go.set()
            assert await asyncio.gather(*asked) == [b"x"] * 2

    asyncio.run(main())


@pytest.mark.parametrize("end", ["answers", "is gone"])
def test_what_a_handler_was_at_goes_with_it_when_the_loop_has_gone_before(
    rooms: ModuleType, end: str
) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router, control, dealer = map(context.socket, (zmq.ROUTER, zmq.PAIR, zmq.DEALER))
    router.bind("inproc://frontend")
    handoff = rooms.Handoff()
    loop = rooms.ServerLoop(router, control, ServerConfig(), bytes(8), handoff, 1)

    def run(loop: Any) -> None:
        with suppress(zmq.ZMQError):
            loop.run()

    threads = [threading.Thread(target=run, args=(loop,)), threading.Thread(target=context.term)]
    threads[0].start()
    dealer.connect("inproc://frontend")
    # What libzmq is not told to copy it holds as long as anybody has the message.
    body = dealer.send(bytes(100_000), copy=False, track=True)
    task = handoff.take()
    while task.event != REQUEST:
        handoff.end(task)
        task = handoff.take()
    threads[1].start()
    threads[0].join(PATIENCE)
    for each in (router, control, dealer):
        each.close(0)
    threads[1].join(PATIENCE)
    del loop
    assert task.address
    if end == "answers":
        handoff.reply(task, (b"late",))
    del task, handoff
    wait_until(lambda: body.done, "the end of the body")
