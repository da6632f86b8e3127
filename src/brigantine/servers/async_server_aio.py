"""The asynchronous server for asyncio: its handlers are coroutines, a task for each request."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.given import config_of
from ..config.servers import ServerConfig, ServerOptions
from ..errors import BrokerStopped, WrongUse
from ..net.arguments import patience
from ..validation.calls import ForTasks, called_rightly
from ..wire.loop import STOP
from ..workers.kinds import is_async_generator
from .handling import OPENED, REQUEST, WHAT
from .server import (
    TELLS_ALL,
    TELLS_KNOWN,
    check_callback,
    count_of,
    no_wait_in_handler,
)
from .session import Session
from .task_server import TaskServer

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["AsyncServer"]

#: Seconds between two looks for room, where a handler streams faster than its client reads.
ROOM_CHECK = 0.01

_log = logging.getLogger("brigantine.server")


class AsyncServer(ForTasks):
    """:class:`brigantine.AsyncServer` for coroutines; see there for arguments and errors::

        async def handler(session, body):
            await asyncio.sleep(0.1)
            return body

        async with AsyncServer("tcp://127.0.0.1:5570", handler, workers=100) as server:
            await server.join()

    The handler is a coroutine function, or an async generator function for any number of replies;
    ``on_open`` and ``on_close`` may be coroutine functions.  At most ``workers`` of them are at work at
    once, as tasks of the event loop that has entered.  One that is at work for longer than ``request_ttl``
    is cancelled: its client was told by then, and ``tasks_cancelled`` counts it.
    """

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        handler: Callable[[Session, Any], Any],
        *,
        workers: int = 100,
        on_open: Callable[[Session], object] | None = None,
        on_close: Callable[[Session], object] | None = None,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: ServerConfig | None = None,
        **options: Unpack[ServerOptions],
    ) -> None:
        check_callback("on_open", on_open)
        check_callback("on_close", on_close)
        self._on_open, self._on_close = on_open, on_close
        self._workers = count_of("workers", workers)
        tells = TELLS_KNOWN if on_open is None and on_close is None else TELLS_ALL
        self._server = TaskServer(
            frontend, handler, self._workers, tells, impl, context, control,
            config_of(type(self), ServerConfig, config, options, {"session_concurrency": 1}),
        )  # fmt: skip
        self._handler = handler
        self._streams = is_async_generator(handler)
        self._handling = self._server._handling
        self._handoff = self._handling.handoff
        #: What is at work: its task, and since when.
        self._tasks: dict[asyncio.Task[None], tuple[Any, float]] = {}
        #: What was cancelled, for it is at work for too long.
        self._late: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._look: asyncio.TimerHandle | None = None
        self._cancelled = 0
        self._over = asyncio.Event()
        self._server.start()

    # -- what it is ---------------------------------------------------------------------------

    @property
    def config(self) -> ServerConfig:
        """Its limits."""
        return self._server.config

    @property
    def frontend(self) -> str:
        """The real endpoint (the first, when there are several)."""
        return self._server.frontend

    @property
    def frontends(self) -> tuple[str, ...]:
        """The real endpoints, in the order they were given."""
        return self._server.frontends

    @property
    def control(self) -> str | None:
        """The real endpoint for control (the first, when there are several); ``None`` without one."""
        return self._server.control

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._server.running

    def stats(self) -> dict[str, int]:
        """As :meth:`brigantine.AsyncServer.stats`, and ``tasks``: handlers at work; ``tasks_cancelled``."""
        return {
            **self._server.stats(),
            "tasks": len(self._tasks),
            "tasks_cancelled": self._cancelled,
        }

    def __repr__(self) -> str:
        return f"<aio.{self._server!r}".replace("<aio.<TaskServer", "<aio.AsyncServer")

    # -- how it begins and ends ---------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Begin to call the handler, in this event loop.

        Raises :class:`~brigantine.errors.BrokerStopped` when it has ended, or was entered before.
        """
        if self._loop is not None or not self._server.running:
            raise BrokerStopped(
                "this server has been stopped, or entered before; make a new aio.AsyncServer for each "
                "`async with`"
            )
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._handoff.signal(), self._take)
        self._take()
        self._look_for_late()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        """As :meth:`brigantine.AsyncServer.stop`; what is at work has a second to finish."""
        if self._in_handler():
            self._server._end_with(STOP)
            return
        await self._ended(self._server.stop)

    async def drain(self, timeout: float | None = None) -> bool:
        """As :meth:`brigantine.AsyncServer.drain`."""
        if self._in_handler() and patience(timeout) != 0:
            raise no_wait_in_handler("drain")
        return bool(await self._ended(lambda: self._server.drain(timeout)))

    async def join(self) -> None:
        """Wait until it has ended.

        Raises :class:`~brigantine.errors.WrongUse` in a handler, and where it runs without having been
        entered: then no handler is called.
        """
        if self._in_handler():
            raise no_wait_in_handler("join")
        if self._loop is None and self._server.running:
            raise WrongUse(
                "this aio.AsyncServer calls no handler before it is entered: join it within "
                "`async with server:`"
            )
        if self._loop is not None:
            await self._over.wait()

    def _in_handler(self) -> bool:
        return asyncio.current_task() in self._tasks

    async def _ended(self, end: Callable[[], Any]) -> Any:
        found = await asyncio.to_thread(end)
        self._let_go()
        return found

    def _let_go(self) -> None:
        """Once it has ended: whatever is still at work had its time, and its client was told."""
        if self._server.running and not self._handoff.over:
            return
        for task in list(self._tasks):
            task.cancel()
        if self._loop is not None:
            self._loop.remove_reader(self._handoff.signal())
        if self._look is not None:
            self._look.cancel()
        self._over.set()

    # -- tasks --------------------------------------------------------------------------------

    def _take(self) -> None:
        """Begin what there is room for."""
        assert self._loop is not None
        while len(self._tasks) < self._workers:
            task = self._handoff.take_now()
            if task is None:
                if self._handoff.over:
                    break
                if self._handoff.arm():
                    return
                continue
            made = self._loop.create_task(self._serve(task))
            self._tasks[made] = task, self._loop.time()
            made.add_done_callback(self._done)
        self._handoff.hush()  # or it would ring on for as long as there is no room
        if self._handoff.over:
            self._let_go()

    def _done(self, task: asyncio.Task[None]) -> None:
        full = len(self._tasks) >= self._workers
        self._tasks.pop(task, None)
        self._late.discard(task)
        if full:
            self._take()

    def _look_for_late(self) -> None:
        """Cancel what is at work for too long."""
        assert self._loop is not None
        late = self._loop.time() - self.config.request_ttl
        for task, (given, since) in list(self._tasks.items()):
            if since >= late or task in self._late or (given.event == REQUEST and given.wanted):
                continue
            self._late.add(task)
            self._cancelled += 1
            _log.error(
                "%s is at work for more than request_ttl, %g s, and is cancelled",
                WHAT[given.event], self.config.request_ttl,
            )  # fmt: skip
            task.cancel()
        self._look = self._loop.call_later(
            min(1.0, self.config.request_ttl / 4), self._look_for_late
        )

    async def _serve(self, task: Any) -> None:
        handling = self._handling
        try:
            if task.event != REQUEST:
                await self._tell_session(task)
            elif not task.wanted:  # its client was told of its end while it waited here
                self._handoff.end(task)
            elif self._streams:
                await self._stream(task)
            else:
                session = handling.session_of(task)
                handling.finish(task, await self._handler(session, task.body))
        except asyncio.CancelledError as error:
            handling.failed(task, error)
        except Exception as error:
            handling.failed(task, error)
        except BaseException as error:
            handling.failed(task, error)
            raise

    async def _tell_session(self, task: Any) -> None:
        opened = task.event == OPENED
        callback = self._on_open if opened else self._on_close
        session = self._handling.session_of(task) if opened else self._handling.close_session(task)
        told = None if callback is None else callback(session)
        if inspect.isawaitable(told):
            await told
        self._handoff.end(task)

    async def _stream(self, task: Any) -> None:
        joined: list[bytes] = []
        parts: AsyncIterator[Any] = self._handler(self._handling.session_of(task), task.body)
        async for value in parts:
            self._handling.part(task, joined, value, wait=False)
            while self._handoff.full and task.wanted:
                await asyncio.sleep(ROOM_CHECK)
            if not task.wanted:  # its client has gone, or does not read
                await parts.aclose()  # type: ignore[attr-defined]
        self._handling.finish_stream(task, joined, None)
