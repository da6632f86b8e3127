"""The options of a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from ..errors import ConfigError, OptionName
from .broker import BrokerConfig
from .protocols import INTERVALS, Protocol
from .table import Config, choice, count, like, seconds, switch, table

__all__ = [
    "WORKER_INTERVALS",
    "HeartbeatWorkerOptions",
    "LRUWorkerOptions",
    "WorkerConfig",
    "WorkerOptions",
]

#: Seconds between heartbeats where nobody says otherwise.  Those of REQ workers are ZMTP's.
WORKER_INTERVALS = {**INTERVALS, Protocol.REQ: 5.0}
#: Seconds of the first pause between two connections, if the interval is not less.  A broker that was
#: restarted waits ``service_grace`` for its workers, which must outlast it.
_FIRST_PAUSE = 1.0


@table
@dataclass(frozen=True, kw_only=True)
class WorkerConfig(Config):
    """Limits of a worker.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "liveness=5"
    heartbeat_interval: float | None = like(
        BrokerConfig, "heartbeat_interval",
        says="Seconds between heartbeats on a silent connection, the same as the broker's.",
        unset=f"{WORKER_INTERVALS[Protocol.REQ]:g} for REQ, else the protocol's own",
    )  # fmt: skip
    liveness: int = like(
        BrokerConfig, "liveness", says="Intervals of silence after which a broker counts as gone."
    )
    max_reply_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest reply, or part of one; a larger one is reported to the client as an error. The same "
        "as the broker's ``max_message_bytes``.",
    )  # fmt: skip
    max_reply_frames: int = like(
        BrokerConfig,
        "max_frames",
        says="Most frames of a reply, the same as the broker's ``max_frames``.",
    )
    ready_timeout: float = seconds(
        1.0,
        0.0,
        3600.0,
        "Seconds that a starting worker waits for a first broker to confirm it.",
    )
    capacity: int = count(
        1, 1, 4096, "Requests that are handled at once, each in a thread or a task."
    )
    announce_interval: bool = switch(
        False,
        "Make the broker use this interval, too; only brokers of brigantine understand this.",
    )
    reconnect_min: float | None = like(
        BrokerConfig, "heartbeat_interval",
        says="Seconds of the first pause before reconnecting to a broker.",
        unset=f"``heartbeat_interval``, at most {_FIRST_PAUSE:g}",
    )  # fmt: skip
    #: RFC 6 and its reference worker have this default.
    reconnect_max: float = like(
        BrokerConfig, "heartbeat_interval", default=32.0,
        says="Seconds to which that pause doubles, until the broker is heard again.",
    )  # fmt: skip
    version: Literal["0.1", "0.2"] = choice(
        "0.2", ("0.1", "0.2"), "Version of the Majordomo Protocol to speak."
    )

    def _check_together(self) -> None:
        first = self.first_pause
        if first is not None and first > self.reconnect_max:
            raise ConfigError(
                OptionName("reconnect_min"),
                f" ({first}) must not be above ",
                OptionName("reconnect_max"),
                f" ({self.reconnect_max}); without ",
                OptionName("reconnect_min"),
                " it is the ",
                OptionName("heartbeat_interval"),
                f", at most {_FIRST_PAUSE:g}",
            )

    @property
    def first_pause(self) -> float | None:
        """``reconnect_min``, or what replaces it; ``None`` while there is no interval."""
        if self.reconnect_min is not None or self.heartbeat_interval is None:
            return self.reconnect_min
        return min(self.heartbeat_interval, _FIRST_PAUSE)

    @property
    def interval(self) -> float:
        """``heartbeat_interval``, of a worker's own config, where it is never ``None``."""
        assert self.heartbeat_interval is not None
        return self.heartbeat_interval

    @property
    def announced_ms(self) -> int:
        """Milliseconds of the interval that READY announces; 0: none."""
        return round(self.interval * 1000) if self.announce_interval else 0

    @property
    def pauses(self) -> tuple[float, float]:
        """Seconds of the first pause before a broker is connected to again, and of the longest."""
        return min(
            self.interval, _FIRST_PAUSE
        ) if self.reconnect_min is None else self.reconnect_min, self.reconnect_max


class LRUWorkerOptions(TypedDict, total=False):
    """The options of an LRU worker by name, each as in :class:`~brigantine.WorkerConfig`."""

    heartbeat_interval: float | None
    liveness: int
    max_reply_bytes: int
    max_reply_frames: int
    ready_timeout: float


class HeartbeatWorkerOptions(LRUWorkerOptions, total=False):
    """The options of a PPP worker by name, each as in :class:`~brigantine.WorkerConfig`."""

    capacity: int
    announce_interval: bool
    reconnect_min: float | None
    reconnect_max: float


class WorkerOptions(HeartbeatWorkerOptions, total=False):
    """The options of an MDP worker by name: all of :class:`~brigantine.WorkerConfig`."""

    version: Literal["0.1", "0.2"]
