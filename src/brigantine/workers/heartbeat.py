"""Base of the workers of PPP and MDP: several brokers, a capacity, pauses."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from ..config import WorkerConfig
from ..net.arguments import as_targets
from ..net.backoff import Backoff
from .base import Worker
from .codec import WorkerCodec
from .counters import HEARTBEAT_STATS
from .dialog import Dialog, Job
from .heartbeat_io import HeartbeatWorkerIO
from .readiness import Readiness

__all__ = ["HeartbeatWorker"]

#: A pause is drawn between these multiples of its bound, so that workers which have lost the same
#: broker don't come back in one moment.
SPREAD = (1.0, 1.1)


class HeartbeatWorker(Worker[Job]):
    """A worker that is registered with several brokers, and heartbeats."""

    def __init__(
        self,
        brokers: str | Sequence[str],
        handler: Callable[[Any], Any],
        config: WorkerConfig,
        context: zmq.Context[Any] | None,
    ) -> None:
        super().__init__(handler, config, context, HEARTBEAT_STATS)
        self._brokers = as_targets(brokers, "brokers", shared=context is not None)
        self._readiness = Readiness(self._brokers)

    def stats(self) -> dict[str, int]:
        """Counters, such as requests, replies, partials, errors, connects, disconnects, heartbeats
        (what they mean, and all others: :data:`brigantine.workers.counters.HEARTBEAT_STATS`).

        While it holds no request, ``requests == replies + discarded_replies``.
        """
        return dict(self._stats)

    # -- inside -------------------------------------------------------------------------------

    def _words(self) -> str:
        return f"brokers={','.join(self._brokers)} capacity={self._capacity}"

    @abstractmethod
    def _codec(self) -> WorkerCodec:
        """The protocol, as this worker speaks it."""

    def _make_io(self) -> HeartbeatWorkerIO:
        self._spoken = self._codec()
        return HeartbeatWorkerIO(
            self._brokers,
            self._dialog,
            self.config,
            self._context,
            self._stats,
            self._readiness,
        )

    def _dialog(self, now: float) -> Dialog:
        backoff = Backoff(*self.config.pauses, draw=lambda: random.uniform(*SPREAD))
        return Dialog(self._codec(), self.config.interval, self.config.liveness, backoff, now)
