"""The sink of a pipeline, for asyncio."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ..errors import NotReady, PipelineClosed
from ..net.arguments import patience
from ..system.deadline import Deadline
from ..validation.calls import ForTasks
from ..validation.values import whole
from .faces import closed_in_task
from .receiving import ReceivedShared, SinkShared
from .report import Report, Result

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ReceivedBatch", "Sink"]


class ReceivedBatch(ReceivedShared):
    """:class:`brigantine.ReceivedBatch` for ``async for``."""

    async def recv(self, timeout: float | None = None) -> Result | None:
        """The next result, as it comes; ``None`` when there is none: as that for threads."""
        patience(timeout)
        began = time.monotonic()
        while (result := self._take()) is None:
            left = self._left(began, timeout)
            if not left:
                return self._last()
            await self._io.changes.wait_async(self._come, left)
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

    async def next_batch(self, timeout: float | None = None) -> ReceivedBatch:
        """The next batch that a ventilator begins.  Raises what that for threads raises."""
        deadline = Deadline(patience(timeout))
        io = self._io
        io.check()
        while (record := io.next_begun()) is None:
            if not await io.changes.wait_async(self._has_begun, deadline.left):
                raise NotReady(f"no batch has begun{deadline.words} at {self!r}", 0, ())
            if not io.begun:
                io.check()
        return ReceivedBatch(io, record)

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
        deadline = Deadline(patience(timeout))
        whole("workers", workers, 1, 1_000_000)
        io = self._io
        io.check()
        if not await io.changes.wait_async(lambda: self._has(workers), deadline.left):
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
        await closed_in_task(self._io)
        self._finalizer.detach()

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
