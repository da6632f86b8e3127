"""The worker of a pipeline, for asyncio."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from ..workers.tasks import TaskWorker
from .link import Job
from .sending import Body
from .worker import NO_RESULT, PipelineBase

if TYPE_CHECKING:
    pass

__all__ = ["PipelineWorker"]


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
