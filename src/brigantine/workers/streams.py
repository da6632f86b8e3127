"""Handlers that give their reply in parts: generators."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any, cast

from .dialog import Job
from .heartbeat import HeartbeatWorker
from .heartbeat_io import HeartbeatWorkerIO
from .io_thread import WorkerIO
from .threads import ThreadWorker

__all__ = ["StreamingThreads", "end_of_reply"]


class StreamingThreads(HeartbeatWorker, ThreadWorker[Job]):
    """Each handler in a thread; it may be a generator function."""

    _takes_generators = True

    def _reply(self, io: WorkerIO[Job, Any], request: Job, value: Any) -> list[bytes]:
        if not inspect.isgenerator(value):
            return super()._reply(io, request, value)
        assert isinstance(io, HeartbeatWorkerIO)
        return self._stream(io, request, cast(Generator[Any, None, Any], value))

    def _stream(
        self, io: HeartbeatWorkerIO, job: Job, values: Generator[Any, None, Any]
    ) -> list[bytes]:
        """Send what a generator yields, each value at once; the body of the reply's end.

        Where the protocol has no parts, that is all of them joined.
        """
        joined: list[bytes] = []
        limits = self._limits
        with closing(values):
            while True:
                try:
                    part = limits.as_reply(next(values))
                except StopIteration as end:
                    joined += limits.as_reply(end.value) if end.value is not None else []
                    limits.check(joined)
                    return end_of_reply(joined, self._spoken.end)
                if not self._spoken.partials:
                    joined += part
                    limits.check(joined)
                if job.void or (self._spoken.partials and not io.part(job, part)):
                    return part  # nobody is there to receive it, nor the rest


def end_of_reply(frames: list[bytes], end: Sequence[bytes]) -> list[bytes]:
    """The body that ends a generator's reply; ``frames`` is what was not sent in parts.

    Raises ``ValueError`` when there is nothing to answer with.
    """
    if not frames and not end:
        raise ValueError(
            "the handler's generator has yielded nothing and returned nothing; "
            "a reply needs at least one frame"
        )
    return frames or list(end)
