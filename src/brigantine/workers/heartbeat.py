"""Base of the workers of PPP and MDP: several brokers, a capacity, pauses."""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from ..errors import ConfigError
from ..net.arguments import as_targets
from ..net.backoff import Backoff
from ..validation.values import flag, number, whole
from .base import INTERVAL_RANGE, Worker
from .codec import WorkerCodec
from .counters import HEARTBEAT_STATS
from .dialog import Dialog, Job
from .heartbeat_io import HeartbeatWorkerIO
from .readiness import Readiness
from .reply import ReplyLimits

__all__ = ["RECONNECT_MAX", "HeartbeatWorker"]

#: Least and greatest capacity.  Each place is a thread, or a task.
CAPACITY_RANGE = (1, 4096)
#: Seconds of the first pause between two connections, if the interval is not less.  A broker that was
#: restarted waits ``service_grace`` for its workers, which must outlast it.
RECONNECT_MIN = 1.0
#: Seconds to which the pause between two connections grows (RFC 6 and its reference worker).
RECONNECT_MAX = 32.0
#: A pause is drawn between these multiples of its bound, so that workers which have lost the same
#: broker don't come back in one moment.
SPREAD = (1.0, 1.1)


class HeartbeatWorker(Worker[Job]):
    """A worker that is registered with several brokers, and heartbeats."""

    def __init__(
        self,
        brokers: str | Sequence[str],
        handler: Callable[[Any], Any],
        capacity: int,
        heartbeat_interval: float,
        announce_interval: bool,
        liveness: int,
        reconnect_min: float | None,
        reconnect_max: float,
        limits: ReplyLimits,
        context: zmq.Context[Any] | None,
        ready_timeout: float,
    ) -> None:
        self._capacity = whole("capacity", capacity, *CAPACITY_RANGE)
        super().__init__(
            handler, heartbeat_interval, liveness, limits, context, HEARTBEAT_STATS, ready_timeout
        )
        announced = flag("announce_interval", announce_interval)
        #: Milliseconds; 0: not announced.
        self._interval_ms = round(self._interval * 1000) if announced else 0
        self._brokers = as_targets(brokers, "brokers", shared=context is not None)
        self._readiness = Readiness(self._brokers)
        first = min(self._interval, RECONNECT_MIN) if reconnect_min is None else reconnect_min
        self._pauses = (
            number("reconnect_min", first, *INTERVAL_RANGE),
            number("reconnect_max", reconnect_max, *INTERVAL_RANGE),
        )
        if self._pauses[0] > self._pauses[1]:
            raise ConfigError(
                f"reconnect_min ({first}) must not be above reconnect_max ({reconnect_max}); "
                f"without reconnect_min it is the heartbeat_interval, at most {RECONNECT_MIN:g}"
            )

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
            self._capacity,
            self._interval,
            self._context,
            self._stats,
            self._readiness,
        )

    def _dialog(self, now: float) -> Dialog:
        backoff = Backoff(*self._pauses, draw=lambda: random.uniform(*SPREAD))
        return Dialog(self._codec(), self._interval, self._liveness, backoff, now)
