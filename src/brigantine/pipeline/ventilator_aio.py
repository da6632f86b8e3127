"""The ventilator of a pipeline, for asyncio."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.pipeline import PipelineConfig, PipelineOptions, config_from
from ..net.arguments import patience
from ..system.deadline import Deadline
from ..validation.calls import ForTasks, called_rightly
from .faces import closed_in_task
from .report import Report
from .sending import Body, SentShared, Tasks, VentilatorShared, body_of, check_tasks

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["SentBatch", "Ventilator"]


class SentBatch(SentShared):
    """:class:`brigantine.SentBatch` with coroutines.  One task sends it."""

    async def send(self, body: Body, timeout: float | None = None) -> int:
        """Send a task; returns its number, which counts from 0.  Raises what that for threads raises."""
        frames, number = self._frames(body), self._next()
        await self._send(number, frames, Deadline(patience(timeout)))
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
        deadline = Deadline(patience(timeout))
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
        deadline = Deadline(patience(timeout))
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
        deadline = Deadline(patience(timeout))
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
        deadline = Deadline(patience(timeout))
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
        await closed_in_task(self._io)
        self._finalizer.detach()

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
