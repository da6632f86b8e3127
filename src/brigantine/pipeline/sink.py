"""The sink of a pipeline, for threads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..errors import NotReady, PipelineClosed
from ..net.arguments import patience
from ..system.deadline import Deadline
from ..validation.calls import ForThreads
from ..validation.values import whole
from .receiving import ReceivedShared, SinkShared
from .report import Report, Result

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ReceivedBatch", "Sink"]


class ReceivedBatch(ReceivedShared):
    """A batch of results, from :meth:`Sink.next_batch`.  Iterate over it to get its results.

    The iteration ends when all results have arrived, when none has for ``batch_timeout`` seconds, or when
    the ventilator no longer waits for the rest.  Then :meth:`report` tells what is missing.  If the batch
    is not complete, it may be iterated over again: later results count.
    """

    def recv(self, timeout: float | None = None) -> Result | None:
        """The next result as it arrives, or ``None`` if there is none.

        There is none after ``timeout`` seconds (``None``: ``batch_timeout`` without any result of this
        batch), when the batch is complete, or when the ventilator no longer waits for it.
        Raises :class:`~brigantine.errors.PipelineClosed` when the sink was closed.
        """
        patience(timeout)
        began = time.monotonic()
        while (result := self._take()) is None:
            left = self._left(began, timeout)
            if not left:
                return self._last()
            self._io.changes.wait(self._come, left)
        return result

    def __iter__(self) -> Iterator[Result]:
        while (result := self.recv()) is not None:
            yield result

    def collect(self) -> Report:
        """Read all results, keep none, and return the report."""
        while self.recv() is not None:
            pass
        return self.report()

    def report(self) -> Report:
        """What has arrived, and what has not."""
        answer = self._io.report(self._record)
        self._io.changes.wait(lambda: answer or self._io.ended, None)
        return answer[0] if answer else self._record.report()

    def close(self) -> None:
        """Stop waiting for the batch: results that wait, and later ones, are dropped."""
        self._finish()


class Sink(SinkShared, ForThreads):
    """Receives the results of a pipeline's workers, batch by batch, each task's once.

    ``endpoint`` is where :class:`~brigantine.PipelineWorker` and :class:`~brigantine.Ventilator` connect:
    one or several, which are bound::

        with Sink("tcp://*:5558") as sink:
            for batch in sink:
                for result in batch:
                    print(result.number, result.body)
                print(batch.report())

    A result counts for its own batch.  While ``high_water_mark`` results or ``queue_bytes`` wait to be
    read, workers get acknowledgements only as their results are read, and so no more tasks than they may
    hold.

    - ``plain``: one or several endpoints of PULL sockets, for programs that know nothing of brigantine,
      such as the guide's ``taskwork`` and ``taskvent``.
    - ``kill``: the endpoint of a PUB socket that tells the guide's second ``taskwork`` to end.

    docs/pipeline.md says what is unknown of such programs.

    Options: :class:`~brigantine.PipelineConfig`, by name or as ``config``.  With ``context`` the sockets
    live in that ``zmq.Context``, which inproc endpoints need.
    Raises :class:`~brigantine.errors.ConfigError` for an argument that can't work and
    :class:`~brigantine.errors.BindError`.
    Source: ZeroMQ guide, chapter 1 "Divide and Conquer", chapter 2 "Handling Errors and ETERM".
    """

    def next_batch(self, timeout: float | None = None) -> ReceivedBatch:
        """The next batch that a ventilator begins, in the order they begin.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when none has after ``timeout``
        seconds (``None``: it waits for ever), :class:`~brigantine.errors.PipelineClosed`.
        """
        self._warn_in_coroutine("next_batch")
        deadline = Deadline(patience(timeout))
        io = self._io
        io.check()
        while (record := io.next_begun()) is None:
            if not io.changes.wait(self._has_begun, deadline.left):
                raise NotReady(f"no batch has begun{deadline.words} at {self!r}", 0, ())
            if not io.begun:
                io.check()
        return ReceivedBatch(io, record)

    def __iter__(self) -> Iterator[ReceivedBatch]:
        """The batches as they begin, until the sink is closed."""
        while True:
            try:
                batch = self.next_batch()
            except PipelineClosed:
                return
            yield batch

    def plain_batch(self, tasks: int, *, start: bool = True) -> ReceivedBatch:
        """A batch of this many results from a plain ventilator, such as the guide's ``taskvent``.

        A start signal of one message precedes them, unless ``start=False``.
        Raises :class:`~brigantine.errors.WrongUse` for a sink without ``plain`` endpoints.
        """
        made = self._want_plain(tasks, start)
        self._io.changes.wait(lambda: made or self._io.ended, None)
        self._io.check()
        return ReceivedBatch(self._io, made[0])

    def wait_ready(self, workers: int = 1, timeout: float | None = None) -> int:
        """Wait until this many of our workers are connected, and return how many are.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they are not after ``timeout``
        seconds (``None``: it waits for ever), :class:`~brigantine.errors.PipelineClosed`.
        """
        deadline = Deadline(patience(timeout))
        whole("workers", workers, 1, 1_000_000)
        io = self._io
        io.check()
        if not io.changes.wait(lambda: self._has(workers), deadline.left):
            raise self._fewer(workers, io.workers, deadline)
        io.check()
        return io.workers

    def kill(self, timeout: float | None = 0.0) -> int:
        """Make all workers end once they have done what they hold; return how many are still connected.

        Waits ``timeout`` seconds for them (``None``: for ever).  Plain workers get ``KILL`` from the
        ``kill`` endpoint, even if they subscribe later.  A new batch revokes the signal.
        """
        patience(timeout)
        io = self._io
        io.check()
        io.killing = True
        io.wake()
        io.changes.wait(lambda: not io.workers or io.ended, timeout)
        return io.workers

    def close(self) -> None:
        """Close the sockets; waiting results are lost.  Any thread may call it, and call it again."""
        self._io.stop()
        self._io.join(None)
        self._finalizer.detach()

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PipelineClosed` after :meth:`close`."""
        self._io.check()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
