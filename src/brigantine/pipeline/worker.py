"""The worker of a pipeline: its connections, whatever calls its function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic

import zmq

from ..config import WorkerConfig
from ..config.pipeline import MOST_PREFETCH, PipelineConfig
from ..errors import ConfigError, OptionName, WrongUse
from ..net.arguments import as_targets
from ..validation.calls import called_rightly
from ..validation.values import flag, number, shown, whole
from ..workers.base import HandlerT, Worker
from ..workers.readiness import Readiness
from ..workers.threads import ThreadWorker
from .counters import WORKER_STATS
from .faces import named
from .link import Job, PipelineLink, Places
from .sending import Body

__all__ = ["PipelineBase", "PipelineWorker"]

#: Of no use to a ventilator or sink, and what a worker answers with None: the guide's worker sends that.
NO_RESULT = b""


class PipelineBase(Worker[Job], Generic[HandlerT]):
    """The peers that a pipeline's worker serves."""

    @called_rightly
    def __init__(
        self,
        ventilators: str | Sequence[str],
        sink: str,
        handler: HandlerT,
        *,
        capacity: int = 1,
        prefetch: int | None = None,
        orphan_timeout: float | None = None,
        kill: str | None = None,
        plain_ventilator: bool = False,
        plain_sink: bool = False,
        name: str = "",
        heartbeat_interval: float = PipelineConfig.heartbeat_interval,
        liveness: int = PipelineConfig.liveness,
        max_task_bytes: int = PipelineConfig.max_message_bytes,
        max_result_bytes: int = WorkerConfig.max_reply_bytes,
        max_result_frames: int = WorkerConfig.max_reply_frames,
        linger: float = 5.0,
        ready_timeout: float = WorkerConfig.ready_timeout,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        made = WorkerConfig(
            capacity=capacity, heartbeat_interval=heartbeat_interval, liveness=liveness,
            max_reply_bytes=whole("max_result_bytes", max_result_bytes, 1024, 1 << 40, "bytes"),
            max_reply_frames=whole("max_result_frames", max_result_frames, 4, 65536),
            ready_timeout=ready_timeout,
        )  # fmt: skip
        super().__init__(handler, made, context, WORKER_STATS)
        ahead = 2 * capacity if prefetch is None else prefetch
        self._prefetch = whole("prefetch", ahead, 1, MOST_PREFETCH)
        if self._prefetch < self._capacity:
            raise ConfigError(
                OptionName("prefetch"),
                f" ({self._prefetch}) must be at least capacity ({self._capacity}): a place that "
                "never gets a task is none",
            )
        shared = context is not None
        plain_ventilator = flag("plain_ventilator", plain_ventilator)
        # What a plain ventilator gives has no number, and a result without one is a plain result.
        plain = flag("plain_sink", plain_sink) or plain_ventilator
        self._places = Places(
            as_targets(ventilators, "ventilators", shared=shared), _one(sink, "sink", shared=shared),
            None if kill is None else _one(kill, "kill", shared=shared), plain_ventilator, plain,
        )  # fmt: skip
        self._orphan_timeout = orphan_timeout
        if orphan_timeout is not None:
            self._orphan_timeout = number("orphan_timeout", orphan_timeout, 0.01, 30 * 86400.0)
        self._linger = number("linger", linger, 0.0, 3600.0)
        self._name = named(name)
        self._config = PipelineConfig(
            heartbeat_interval=heartbeat_interval,
            liveness=liveness,
            max_message_bytes=whole("max_task_bytes", max_task_bytes, 1024, 1 << 40, "bytes"),
        )
        self._readiness = Readiness(self._places.ventilators)

    @property
    def name(self) -> str:
        """The name of the worker in reports."""
        return self._name

    def stats(self) -> dict[str, int]:
        """Counters: tasks, results, errors, resent, discarded_tasks, discarded_results, connects,
        disconnects, expired, drop_malformed, drop_excess, kills.

        At rest ``tasks == results + discarded_results``.
        """
        return dict(self._stats)

    # -- inside -------------------------------------------------------------------------------

    def _words(self) -> str:
        places = self._places
        return f"ventilators={','.join(places.ventilators)} sink={places.sink}"

    def _make_io(self) -> PipelineLink:
        return PipelineLink(
            self._places, self._config, self._capacity, self._prefetch, self._orphan_timeout,
            self._linger, self._name, self._context, self._stats, self._readiness,
        )  # fmt: skip

    def _failed(self, error: BaseException) -> list[bytes]:
        """What tells the sink of an exception: a plain one can't be told, and gets an empty result."""
        report = super()._failed(error)
        return [NO_RESULT] if self._places.plain_sink else report


def _one(value: str, what: str, *, shared: bool) -> str:
    if not isinstance(value, (str, bytes)):
        raise WrongUse(
            OptionName(what), f": a worker has one endpoint, a string, not {shown(value)}"
        )
    (endpoint,) = as_targets(value, what, shared=shared)
    return endpoint


#: A function of a task's body that returns the result's, or nothing.
TaskHandler = Callable[[Any], "Body | None"]


class PipelineWorker(PipelineBase[TaskHandler], ThreadWorker[Job]):
    """Calls ``handler(body)`` for each task of a ventilator, and sends its result to the sink.

    ``ventilators`` are the endpoints of one :class:`~brigantine.Ventilator` or several, ``sink`` that of
    their :class:`~brigantine.Sink`::

        PipelineWorker("tcp://localhost:5557", "tcp://localhost:5558", work).run()

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either, or
    ``None`` for an empty result.  What a handler raises goes to the log ``brigantine.worker`` and to the
    sink, where the result raises it.

    A worker is ready for a ventilator when it has reached the sink.  It keeps a result until the sink has
    acknowledged it, and sends it again after a lost connection.  It ends after :meth:`stop`, or after the
    kill signal of all its ventilators, of the sink, or of a plain sink's PUB socket at ``kill``.  It first
    does all tasks that it holds.

    - ``capacity``: how many handlers run at once, each in a thread.
    - ``prefetch``: how many tasks the worker may have at once, including running ones and those whose
      results the sink has not taken; by default twice the capacity.
    - ``orphan_timeout``: end, too, when there was no ventilator for this many seconds, after there was one.
    - ``linger``: how long to wait at the end for the sink to take the last results.
    - ``max_task_bytes``: the largest frame of a task; a ventilator that sends a larger one loses its
      connection, and the task is lost.  ``max_result_bytes`` and ``max_result_frames`` are the limits of a
      result; a larger one is an error.
    - ``plain_ventilator``, ``plain_sink``: the other side is a program that knows nothing of brigantine,
      such as the guide's ``taskvent`` (a PUSH socket) and ``tasksink`` (a PULL socket): see
      docs/pipeline.md.

    A worker runs once.  Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that
    can't work and ``TypeError`` for a handler that can't be called.
    Source: ZeroMQ guide, chapter 1 "Divide and Conquer".
    """

    def _reply(self, _link: Any, _request: Job, value: Any) -> list[bytes]:
        """The frames of a result."""
        return super()._reply(_link, _request, NO_RESULT if value is None else value)
