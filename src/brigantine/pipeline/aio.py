"""The pipeline for asyncio, with the names that it has for threads.

The same threads hold the sockets; only the callers that wait are tasks.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..errors import NotReady, PipelineClosed
from ..net.arguments import patience
from ..validation.calls import ForTasks, called_rightly
from ..validation.values import whole
from ..workers.tasks import TaskWorker
from .config import PipelineConfig, PipelineOptions, config_from
from .deadline import Deadline
from .link import Job
from .report import Report, Result
from .shared import (
    Body,
    ReceivedShared,
    SentShared,
    SinkShared,
    Tasks,
    VentilatorShared,
    body_of,
    check_tasks,
)
from .worker import NO_RESULT, PipelineBase

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["PipelineWorker", "ReceivedBatch", "SentBatch", "Sink", "Ventilator"]


class SentBatch(SentShared):
    """:class:`brigantine.SentBatch` with coroutines.  One task sends it."""

    async def send(self, body: Body, timeout: float | None = None) -> int:
        """Send a task; returns its number, which counts from 0.  Raises what that for threads raises."""
        frames, number = self._frames(body), self._next()
        await self._send(number, frames, Deadline(timeout))
        return number

    async def _send(self, number: int, frames: list[bytes], deadline: Deadline) -> None:
        self._check()
        if not self._may_put() and not await self._io.changes.wait_async(
            self._may_put, deadline.left
        ):
            raise self._no_room(deadline)
        self._check()
        self._put(number, frames)

    async def end(self, timeout: float | None = None) -> None:
        """That were all tasks.  Returns when workers have them all."""
        deadline = Deadline(timeout)
        self._set_end()
        await self._until_handed(deadline)

    async def _until_handed(self, deadline: Deadline) -> None:
        if not await self._io.changes.wait_async(self._handed, deadline.left):
            raise self._no_room(deadline)
        if self._sent.queued or self._sent.refused:
            self._check()

    async def wait(self, timeout: float | None = None) -> Report:
        """Wait until all results are at the sink, or nothing more can come; returns how it is."""
        patience(timeout)
        io, sent = self._io, self._sent
        await io.changes.wait_async(lambda: io.settled(sent), timeout)
        if not sent.over:
            self._check()
        return self.report

    async def resend(
        self, what: Report | Iterable[int], tasks: Tasks, timeout: float | None = None
    ) -> int:
        """Send tasks again: what a report says is missing, or these numbers; returns how many."""
        deadline = Deadline(timeout)
        numbers = self._numbers(what)
        for number in numbers:
            await self._send(number, self._frames(body_of(tasks, number)), deadline)
        self._io.tell(self._sent)
        await self._until_handed(deadline)
        return len(numbers)

    def close(self) -> None:
        """Wait for it no more; tasks of it that wait for a worker are dropped, the sink is told."""
        self._close()


class Ventilator(VentilatorShared, ForTasks):
    """:class:`brigantine.Ventilator` with coroutines; see there for arguments and errors::

        async with Ventilator("tcp://*:5557", "tcp://localhost:5558") as ventilator:
            batch = await ventilator.send(tasks)
            report = await batch.wait()

    It is bound when it was made.
    """

    @called_rightly
    def __init__(
        self,
        workers: str | Sequence[str],
        sink: str,
        *,
        plain_workers: str | Sequence[str] = (),
        plain_sink: bool = False,
        name: str = "",
        context: zmq.Context[Any] | None = None,
        config: PipelineConfig | None = None,
        **options: Unpack[PipelineOptions],
    ) -> None:
        settings = config_from(type(self), config, options)
        self._make(workers, sink, plain_workers, plain_sink, name, context, settings)

    def batch(self) -> SentBatch:
        """A new batch, to be sent task by task and ended."""
        return SentBatch(self._io)

    async def send(
        self, tasks: Iterable[Body] | AsyncIterable[Body], timeout: float | None = None
    ) -> SentBatch:
        """Send a whole batch; returns it when workers have all its tasks.

        ``tasks`` may be iterated over by ``async for``, too.  Where it raises, the batch ends with what
        was sent.
        """
        check_tasks(tasks)
        deadline = Deadline(timeout)
        batch = self.batch()
        try:
            if isinstance(tasks, AsyncIterable):
                async for body in tasks:
                    await batch._send(batch._next(), batch._frames(body), deadline)
            else:
                for body in tasks:
                    await batch._send(batch._next(), batch._frames(body), deadline)
        except BaseException:
            batch._set_end()
            raise
        batch._set_end()
        await batch._until_handed(deadline)
        return batch

    async def wait_ready(self, workers: int = 1, timeout: float | None = None) -> int:
        """Wait until so many workers are ready, and the sink is; how many are."""
        deadline = Deadline(timeout)
        self._check_workers(workers)
        io = self._io
        io.check()

        def come() -> bool:
            return (io.ready >= workers and io.sink_ready) or io.ended or io.stopping

        if not await io.changes.wait_async(come, deadline.left):
            raise self._fewer(workers, io.ready, deadline)
        io.check()
        return io.ready

    async def kill(self, timeout: float | None = 0.0) -> int:
        """Have the workers end, each once it has done what it holds; how many are still connected."""
        patience(timeout)
        io = self._io
        io.check()
        io.killing = True
        io.wake()
        await io.changes.wait_async(lambda: not io.allotment.hands or io.ended, timeout)
        return len(io.allotment.hands)

    async def close(self) -> None:
        """Close the sockets; may be called again."""
        await _closed(self._io)
        self._finalizer.detach()

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class ReceivedBatch(ReceivedShared):
    """:class:`brigantine.ReceivedBatch` for ``async for``."""

    async def recv(self, timeout: float | None = None) -> Result | None:
        """The next result, as it comes; ``None`` when there is none: as that for threads."""
        io, record = self._io, self._record
        began = time.monotonic()
        deadline = None if patience(timeout) is None else began + (timeout or 0.0)
        while (result := self._take()) is None:
            if record.done or record.over:
                last = self._take()  # it may have come just now
                if last is None:
                    self._finish()
                return last
            io.check()
            until = deadline
            if until is None:
                until = max(began, record.heard_at) + io.config.batch_timeout
            left = until - time.monotonic()
            if left <= 0:
                return None
            await io.changes.wait_async(self._come, left)
        return result

    async def __aiter__(self) -> AsyncIterator[Result]:
        while (result := await self.recv()) is not None:
            yield result

    async def collect(self) -> Report:
        """Read all results, and keep none; returns the report."""
        while await self.recv() is not None:
            pass
        return await self.report()

    async def report(self) -> Report:
        """What has come, and what has not."""
        answer = self._io.report(self._record)
        await self._io.changes.wait_async(lambda: answer or self._io.ended, None)
        return answer[0] if answer else self._record.report()

    def close(self) -> None:
        """Wait for it no more: results that wait are dropped, and those that come."""
        self._finish()


class Sink(SinkShared, ForTasks):
    """:class:`brigantine.Sink` with coroutines; see there for arguments and errors::

        async with Sink("tcp://*:5558") as sink:
            async for batch in sink:
                async for result in batch:
                    print(result.number, result.body)

    It is bound when it was made.
    """

    @called_rightly
    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        plain: str | Sequence[str] = (),
        kill: str | Sequence[str] = (),
        context: zmq.Context[Any] | None = None,
        config: PipelineConfig | None = None,
        **options: Unpack[PipelineOptions],
    ) -> None:
        settings = config_from(type(self), config, options)
        self._make(endpoint, plain, kill, context, settings)

    async def next_batch(self, timeout: float | None = None) -> ReceivedBatch:
        """The next batch that a ventilator begins.  Raises what that for threads raises."""
        patience(timeout)
        io = self._io
        io.check()
        while not io.begun:
            come = await io.changes.wait_async(lambda: io.begun or io.ended or io.stopping, timeout)
            if not come:
                raise NotReady(f"no batch has begun within {timeout:g} s at {self!r}", 0, ())
            if not io.begun:
                io.check()
        return ReceivedBatch(io, io.begun.popleft())

    async def __aiter__(self) -> AsyncIterator[ReceivedBatch]:
        """The batches as they begin, until the sink is closed."""
        while True:
            try:
                batch = await self.next_batch()
            except PipelineClosed:
                return
            yield batch

    async def plain_batch(self, tasks: int, *, start: bool = True) -> ReceivedBatch:
        """A batch of a ventilator that tells nothing, such as the guide's ``taskvent``."""
        made = self._want_plain(tasks, start)
        await self._io.changes.wait_async(lambda: made or self._io.ended, None)
        self._io.check()
        return ReceivedBatch(self._io, made[0])

    async def wait_ready(self, workers: int = 1, timeout: float | None = None) -> int:
        """Wait until this many of our workers are connected, and return how many are."""
        deadline = Deadline(timeout)
        whole("workers", workers, 1, 1_000_000)
        io = self._io
        io.check()

        def come() -> bool:
            return io.workers >= workers or io.ended or io.stopping

        if not await io.changes.wait_async(come, deadline.left):
            raise self._fewer(workers, io.workers, deadline)
        io.check()
        return io.workers

    async def kill(self, timeout: float | None = 0.0) -> int:
        """Have all workers end, each once it has done what it holds; how many are still connected."""
        patience(timeout)
        io = self._io
        io.check()
        io.killing = True
        io.wake()
        await io.changes.wait_async(lambda: not io.workers or io.ended, timeout)
        return io.workers

    async def close(self) -> None:
        """Close the sockets; results that wait are lost to it.  May be called again."""
        await _closed(self._io)
        self._finalizer.detach()

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


async def _closed(io: Any) -> None:
    io.stop()
    try:
        await io.changes.wait_async(lambda: not io.running, None)
    finally:
        io.join(None)  # also when cancelled: it ends within ``linger``


class PipelineWorker(
    PipelineBase[Callable[[Any], Coroutine[Any, Any, "Body | None"]]], TaskWorker[Job]
):
    """:class:`brigantine.PipelineWorker` with a coroutine function; see there for the other arguments::

        async def work(body: bytes) -> bytes:
            await asyncio.sleep(int(body) / 1000)
            return b""

        await PipelineWorker("tcp://localhost:5557", "tcp://localhost:5558", work, capacity=100).run()

    A worker runs once: ``await worker.run()``, or ``async with worker:``.
    Raises ``TypeError`` for a handler that is no coroutine function.
    """

    async def _reply(self, _link: Any, _request: Job, value: Any) -> list[bytes]:
        """The frames of a result."""
        result = await value
        return self._limits.as_reply(NO_RESULT if result is None else result)
