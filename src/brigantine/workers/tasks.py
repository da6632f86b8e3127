"""How workers for asyncio run and stop: one task for each running handler."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OptionName, WrongUse
from ..net.arguments import patience
from ..validation.calls import ForTasks
from ..wire.body import from_frames
from .base import Worker
from .inbox_aio import TaskInbox
from .io_thread import RequestT, WorkerIO
from .kinds import is_async_generator, is_coroutine, name_of

__all__ = ["TaskWorker"]

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger("brigantine.worker")


class TaskWorker(Worker[RequestT], ForTasks):
    """A worker whose handler is a coroutine function.

    The I/O thread is the same as in the workers for threads: it holds the sockets and sends the heartbeats,
    so a handler that blocks the event loop does not make the worker look dead.
    """

    _module: ClassVar[str] = "aio."
    #: Whether the handler may be an async generator function.
    _takes_generators: ClassVar[bool] = False
    _task: asyncio.Task[None] | None = None
    _serving: Coroutine[Any, Any, None] | None = None
    #: Handlers are being cancelled: this worker's end, and none of a request.
    _giving_up = False

    # -- how it runs --------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve until :meth:`stop`; return at once if that was called before.

        Cancelling it stops the worker at once.  Its handlers are cancelled and awaited, replies that
        are ready are sent, and brokers get DISCONNECT (MDP).  The requests of cancelled handlers get no
        reply: the broker gives them to another worker if it has ``retries`` left.  Whatever ends it, no
        task, thread or socket is left afterwards.

        Raises :class:`~brigantine.errors.ConnectError` when it can't begin to connect, and
        ``RuntimeError`` when this worker was run before.
        """
        self._claim()
        self._serving = self._serve()
        await self._serving

    def stop(self) -> None:
        """Finish the requests that the handlers hold, send their replies, and take no others.

        May be called again, from any thread and from a signal handler.  It does not wait:  :meth:`run`
        returns, and the ``async with`` block is left, when all is done.
        """
        if self._tell_to_stop() and self._io is not None:
            serving: Any = self._serving
            if serving is not None and serving.cr_frame is None:
                # Nobody is left in run(), which an exception may have kept from doing it.
                self._io.cut()

    async def __aenter__(self) -> Self:
        """:meth:`run` in a task of its own.

        The block is entered when a broker has confirmed this worker, at the latest after ``ready_timeout``
        seconds: the broker may come later.  The log says which brokers have not.
        Raises ``RuntimeError`` if it was run before.
        """
        self._claim()
        self._serving = self._serve()
        task = self._task = asyncio.get_running_loop().create_task(self._serving)
        task.add_done_callback(self._log_failure)
        try:
            await self._until_ready(1, self.config.ready_timeout)
        except BaseException:  # the block is not entered, so nobody would stop it
            task.cancel()
            await _settled([task], task.cancel)
            raise
        self._log_missing()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop and wait for the end; at once (see :meth:`run`) when the block was cancelled.

        Raises what has ended the worker before, unless the block raised something itself.
        """
        task = self._task
        assert task is not None
        self.stop()
        if error is not None and not isinstance(error, Exception):
            task.cancel()
        if (cancelled := await _settled([task], task.cancel)) is not None:
            raise cancelled
        if error is None and not task.cancelled() and (failure := task.exception()) is not None:
            raise failure

    async def wait_ready(self, timeout: float | None = None, brokers: int = 1) -> int:
        """Wait until this many brokers have confirmed the worker; return how many have.

        A broker of PPP or MDP has confirmed it by sending anything since READY (brigantine's do so at once,
        others with their first heartbeat or request).  A broker of REQ workers, whose protocol has no
        answer to READY, has confirmed it once the connection is established.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they have not within
        ``timeout`` seconds (``None``: it waits for ever), or when this worker has ended.
        """
        self._expect(brokers)
        patience(timeout)
        if not await self._until_ready(brokers, timeout):
            raise self._readiness.error(repr(self), brokers, timeout)
        return self._readiness.confirmed

    # -- inside -------------------------------------------------------------------------------

    def _check_kind(self, handler: Callable[[Any], Any]) -> None:
        if is_coroutine(handler) or (self._takes_generators and is_async_generator(handler)):
            return
        if is_async_generator(handler):
            raise WrongUse(
                OptionName("handler"),
                f" must be a coroutine function, not the async generator function "
                f"{name_of(handler)!r}: only Majordomo has replies in parts",
            )
        raise WrongUse(
            OptionName("handler"),
            f" must be a coroutine function (async def), not {name_of(handler)!r}; "
            f"brigantine.{type(self).__name__} is for plain functions",
        )

    async def _until_ready(self, brokers: int, timeout: float | None) -> bool:
        """Wait as :meth:`wait_ready`; whether they have confirmed."""
        loop, changed = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:  # in the I/O thread
            with contextlib.suppress(RuntimeError):  # the loop was closed without a word
                loop.call_soon_threadsafe(changed.set)

        deadline = None if timeout is None else loop.time() + timeout
        with self._readiness.watched(wake):
            while not self._readiness.reached(brokers):
                left = None if deadline is None else deadline - loop.time()
                if left is not None and left <= 0:
                    break
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), left)
                changed.clear()
        return self._readiness.confirmed >= brokers

    def _log_failure(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            # The block that could be told may never end; without a word the service would be gone.
            _log.critical("%r has ended", self, exc_info=error)

    async def _serve(self) -> None:
        inbox: TaskInbox[RequestT] = TaskInbox()
        try:
            io = self._make_io()
        except BaseException:
            self._readiness.end()
            raise

        def give(request: RequestT | None) -> None:  # in the I/O thread
            try:
                inbox.put(request)
            except RuntimeError:  # the loop was closed without a word
                io.hurry()

        io.give_to(give)
        atexit.register(io.cut)  # for a loop that never goes on
        try:
            self._io = io
            if self._stopping:  # stop() came before there was anything to stop
                return
            io.start()
            await self._dispatch(io, inbox)
        finally:
            io.cut()
            atexit.unregister(io.cut)
            self._readiness.end()

    async def _dispatch(self, io: WorkerIO[RequestT, Any], inbox: TaskInbox[RequestT]) -> None:
        """Begin a task for each request until the I/O thread has ended, or else end it."""
        tasks: set[asyncio.Task[list[bytes]]] = set()
        try:
            while (request := await inbox.get()) is not None:
                task = asyncio.get_running_loop().create_task(self._handle(io, request))
                tasks.add(task)
                task.add_done_callback(partial(self._done, io, request))
                task.add_done_callback(tasks.discard)
            io.check()
        except (
            GeneratorExit
        ):  # forgotten with its loop, on which nothing can be waited for any more
            raise
        except BaseException:
            self._giving_up = True

            def cancel() -> None:
                for task in tasks:
                    task.cancel()

            cancel()
            await _settled(tasks, cancel)
            io.hurry()
            await inbox.until_over()
            raise

    async def _handle(self, io: WorkerIO[RequestT, Any], request: RequestT) -> list[bytes]:
        """The frames that end the reply to a request."""
        try:
            return await self._reply(io, request, self._handler(from_frames(request.body)))
        except Exception as error:
            return self._failed(error)
        finally:
            self._leave_child()

    async def _reply(
        self, _io: WorkerIO[RequestT, Any], _request: RequestT, value: Any
    ) -> list[bytes]:
        """The frames that end the reply, from what the handler gave when it was called."""
        return self._limits.as_reply(await value)

    def _done(
        self, io: WorkerIO[RequestT, Any], request: RequestT, task: asyncio.Task[list[bytes]]
    ) -> None:
        """Answer a request whose task has ended.

        Not in the task itself: when the loop's tasks are cancelled all at once, as ``asyncio.run``
        does in the end, :meth:`run` has noticed by now, and the request is left to another worker.
        """
        try:
            body = task.result()
        except asyncio.CancelledError as error:
            if self._giving_up:
                return
            cancelled = asyncio.CancelledError(str(error) or "the handler was cancelled")
            cancelled.__cause__ = error
            body = self._failed(cancelled)
        except BaseException as error:  # what ends one handler ends the worker
            io.fail(error)
            return
        io.answer(request, body)


async def _settled(
    futures: Iterable[asyncio.Future[Any]], when_cancelled: Callable[[], object]
) -> asyncio.CancelledError | None:
    """Wait until all are done and have told so, however often this task is cancelled meanwhile.

    The last cancellation is returned, for the caller to raise.
    """
    cancelled: asyncio.CancelledError | None = None
    waited = list(futures)
    while waited:
        try:
            await asyncio.wait(waited)
            break
        except asyncio.CancelledError as error:
            cancelled = error
            when_cancelled()
    return cancelled
