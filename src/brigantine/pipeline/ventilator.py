"""The ventilator of a pipeline, for threads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config.pipeline import PipelineConfig, PipelineOptions, config_from
from ..net.arguments import patience
from ..system.deadline import Deadline
from ..validation.calls import ForThreads, called_rightly
from .report import Report
from .sending import Body, SentShared, Tasks, VentilatorShared, body_of, check_tasks

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["SentBatch", "Ventilator"]


class SentBatch(SentShared):
    """A batch of tasks being sent, from :meth:`Ventilator.batch`.  One thread sends it."""

    def send(self, body: Body, timeout: float | None = None) -> int:
        """Send a task; returns its number, which counts from 0.

        Waits while ``high_water_mark`` tasks, or ``queue_bytes``, wait for workers with room.
        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they still do after
        ``timeout`` seconds (``None``: it waits for ever), :class:`~brigantine.errors.PipelineClosed`
        when the ventilator was closed.
        """
        frames, number = self._frames(body), self._next()
        self._send(number, frames, Deadline(patience(timeout)))
        return number

    def _send(self, number: int, frames: list[bytes], deadline: Deadline) -> None:
        self._check()
        if not self._may_put() and not self._io.changes.wait(self._may_put, deadline.left):
            raise self._no_room(deadline)
        self._check()
        self._put(number, frames)

    def end(self, timeout: float | None = None) -> None:
        """End the batch and tell the sink how many tasks it has.  Returns when workers have them all.

        Raises :class:`~brigantine.errors.NotReady` when they have not after ``timeout`` seconds; the
        tasks keep waiting.
        """
        deadline = Deadline(patience(timeout))
        self._set_end()
        self._until_handed(deadline)

    def _until_handed(self, deadline: Deadline) -> None:
        if not self._io.changes.wait(self._handed, deadline.left):
            raise self._no_room(deadline)
        if self._sent.queued or self._sent.refused:
            self._check()

    def wait(self, timeout: float | None = None) -> Report:
        """Wait until all results are at the sink, or no more can come; return the report.

        No more can come when no worker holds a task: tasks without results were lost with their workers,
        or with a sink that was restarted.  After ``timeout`` seconds it returns what is known by then.
        It may be called again.
        """
        patience(timeout)
        self._io.changes.wait(self._settled, timeout)
        if not self._sent.over:
            self._check()
        return self.report

    def _settled(self) -> bool:
        return self._io.settled(self._sent)

    def resend(
        self, what: Report | Iterable[int], tasks: Tasks, timeout: float | None = None
    ) -> int:
        """Send tasks again: the missing ones of a report, or these numbers; return how many.

        ``tasks`` has the bodies by number: the list that was sent, a mapping, or a function of the
        number.  If the first result arrives after all, the sink drops the second as a duplicate.
        Raises as :meth:`send`.
        """
        deadline = Deadline(patience(timeout))
        numbers = self._numbers(what)
        for number in numbers:
            self._send(number, self._frames(body_of(tasks, number)), deadline)
        self._io.tell(self._sent)
        self._until_handed(deadline)
        return len(numbers)

    def close(self) -> None:
        """Stop waiting for the batch: tasks that wait for a worker are dropped, and the sink is told."""
        self._close()


class Ventilator(VentilatorShared, ForThreads):
    """Sends batches of tasks to workers with room, and knows which worker has which task.

    ``workers`` is the endpoint, or several, that it binds for :class:`~brigantine.PipelineWorker`.
    ``sink`` is the endpoint of a :class:`~brigantine.Sink`, to which it connects::

        with Ventilator("tcp://*:5557", "tcp://localhost:5558", min_workers=4) as ventilator:
            batch = ventilator.send(tasks)
            report = batch.wait()
            while not report.complete:
                batch.resend(report, tasks)
                report = batch.wait()
            ventilator.kill()

    No task is sent before ``min_workers`` workers and the sink are ready.  A worker has at most as many
    tasks as its own ``prefetch`` says.  When one is lost, the log and the report tell what it held.

    - ``plain_workers``: endpoints for workers that know nothing of brigantine, such as the guide's
      ``taskwork``: PULL sockets, which get each task unchanged.
    - ``plain_sink``: the sink is such a program (``tasksink``, a PULL socket): it gets ``0`` at the start
      of a batch, and reports nothing.

    docs/pipeline.md says what is then unknown.

    Options: :class:`~brigantine.PipelineConfig`, by name or as ``config``.  With ``context`` the sockets
    live in that ``zmq.Context``, which inproc endpoints need.
    Raises :class:`~brigantine.errors.ConfigError` for an argument that can't work and
    :class:`~brigantine.errors.BindError`.
    Source: ZeroMQ guide, chapter 1 "Divide and Conquer", chapter 2 "Handling Errors and ETERM".
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
        """A new batch, to send task by task and then end."""
        self._warn_in_coroutine("batch")
        return SentBatch(self._io)

    def send(self, tasks: Iterable[Body], timeout: float | None = None) -> SentBatch:
        """Send a whole batch, and return it when workers have all its tasks, at most ``prefetch`` each.

        Raises :class:`~brigantine.errors.NotReady` when they have not after ``timeout`` seconds.
        If ``tasks`` raises, the batch ends with what was sent.
        """
        self._warn_in_coroutine("send")
        check_tasks(tasks)
        deadline = Deadline(patience(timeout))
        batch = self.batch()
        try:
            for body in tasks:
                batch._send(batch._next(), batch._frames(body), deadline)
        except BaseException:
            batch._set_end()
            raise
        batch._set_end()
        batch._until_handed(deadline)
        return batch

    def wait_ready(self, workers: int = 1, timeout: float | None = None) -> int:
        """Wait until the sink and this many workers, plain ones included, are ready; return how many are.

        One of our workers is ready when it has reached the sink as well.
        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they are not after ``timeout``
        seconds (``None``: it waits for ever), :class:`~brigantine.errors.PipelineClosed`.
        """
        deadline = Deadline(patience(timeout))
        self._check_workers(workers)
        io = self._io
        io.check()

        def come() -> bool:
            return (io.ready >= workers and io.sink_ready) or io.ended or io.stopping

        if not io.changes.wait(come, deadline.left):
            raise self._fewer(workers, io.ready, deadline)
        io.check()
        return io.ready

    def kill(self, timeout: float | None = 0.0) -> int:
        """Make the workers end once they have done what they hold; return how many are still connected.

        Waits ``timeout`` seconds for them (``None``: for ever).  The signal comes after all
        tasks.  It also goes to workers that join later, and to the sink, which ends plain workers itself.
        A worker of several ventilators ends when all have sent the signal.  A new batch revokes it.
        """
        patience(timeout)
        io = self._io
        io.check()
        io.killing = True
        io.wake()
        io.changes.wait(lambda: not io.allotment.hands or io.ended, timeout)
        return len(io.allotment.hands)

    def close(self) -> None:
        """Close the sockets; tasks that wait for a worker are dropped and counted.

        Workers finish their tasks and send the results to the sink.  Any thread may call it, and call it
        again.
        """
        self._io.stop()
        self._io.join(None)
        self._finalizer.detach()

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
