"""Handlers that give their reply in parts: async generators."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

from .dialog import Job
from .heartbeat import HeartbeatWorker
from .heartbeat_io import HeartbeatWorkerIO
from .io_thread import WorkerIO
from .streams import end_of_reply
from .tasks import TaskWorker

__all__ = ["StreamingTasks"]


class StreamingTasks(HeartbeatWorker, TaskWorker[Job]):
    """Each handler in a task; it may be an async generator function."""

    _takes_generators = True

    async def _reply(self, io: WorkerIO[Job, Any], request: Job, value: Any) -> list[bytes]:
        if not inspect.isasyncgen(value):
            return self._limits.as_reply(await value)
        assert isinstance(io, HeartbeatWorkerIO)
        return await self._stream(io, request, cast(AsyncGenerator[Any, None], value))

    async def _stream(
        self, io: HeartbeatWorkerIO, job: Job, values: AsyncGenerator[Any, None]
    ) -> list[bytes]:
        """As that of threads; only, an async generator can't return a value."""
        joined: list[bytes] = []
        async with aclosing(values):
            async for value in values:
                part = self._limits.as_reply(value)
                if not self._spoken.partials:
                    joined += part
                    self._limits.check(joined)
                if job.void or (self._spoken.partials and not await io.part_from_task(job, part)):
                    return part
        return end_of_reply(joined, self._spoken.end)
