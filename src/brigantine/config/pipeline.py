"""Every limit and default of the pipeline, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from .broker import BrokerConfig
from .given import config_of
from .table import Config, count, like, seconds, size, table

__all__ = ["PipelineConfig", "PipelineOptions", "config_from"]

#: Tasks that one worker may ask for ahead, at the most.
MOST_PREFETCH = 10_000
#: Seconds for which the tasks of a worker that was lost may come back with it: its connection was cut.
RECONNECT_GRACE = 1.0
#: Results of batches that the sink does not know yet, and seconds for which they wait to be known: after a
#: restart of the sink, workers may be there before the ventilator is.
UNKNOWN_KEPT, UNKNOWN_FOR = 1000, 5.0
#: Batches that are over, whose results may still come: what is too late is told from what is foreign.
OVER_KEPT = 256
#: Seconds between questions to the sink how a batch is of which nothing is under way: first, and at most.
ASK_EVERY, ASK_SELDOM = 0.25, 10.0
#: Seconds that leaving may take, at the most: to be let go by the ventilators.
LEAVE_WAIT = 1.0
#: Seconds after a connection has ended in which peers are looked at, one by one, whether it was theirs.
LOOK_FOR, LOOK_EVERY = 1.0, 0.05
#: Messages read from one socket before the others have their turn.
BATCH = 256


@table
@dataclass(frozen=True, kw_only=True)
class PipelineConfig(Config):
    """Limits of a ventilator and a sink.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "liveness=5"
    min_workers: int = count(
        1, 0, 1_000_000,
        "Workers, brigantine's and plain ones, that must be ready before the first task is sent.",
    )  # fmt: skip
    heartbeat_interval: float = seconds(
        1.0, 0.01, 3600.0,
        "Seconds between heartbeats on a silent connection.",
    )  # fmt: skip
    liveness: int = like(
        BrokerConfig, "liveness", says="Intervals of silence after which a peer counts as lost."
    )
    batch_timeout: float = seconds(
        60.0, 0.01, 30 * 86400.0,
        "Seconds without a result of a batch after which the sink reports what is missing.",
    )  # fmt: skip
    high_water_mark: int = count(
        1000, 1, 10_000_000,
        "Tasks that may wait for a worker at the ventilator, and results that may wait to be read at "
        "the sink before acknowledgements are withheld from workers.",
    )  # fmt: skip
    queue_bytes: int = size(256 * 1024 * 1024, 0, 1 << 50, "The same in bytes.")
    max_batch_tasks: int = count(1_000_000, 1, 1_000_000_000, "Most tasks of one batch.")
    max_batches: int = count(1000, 1, 1_000_000, "Batches that may be open at once.")
    max_peers: int = count(
        10_000, 1, 1_000_000,
        "Workers and ventilators that may be connected at once.",
    )  # fmt: skip
    max_message_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest frame of a task or result. One of up to 160 KiB is taken from a peer in any case.",
    )  # fmt: skip
    max_frames: int = like(BrokerConfig, "max_frames", says="Most frames of one task or result.")
    handshake_timeout: float = like(BrokerConfig, "handshake_timeout")
    linger: float = seconds(
        1.0, 0.0, 3600.0,
        "Seconds that unsent messages have to leave at the end.",
    )  # fmt: skip


class PipelineOptions(TypedDict, total=False):
    """The options of a ventilator or a sink by name, each as in :class:`~brigantine.PipelineConfig`."""

    min_workers: int
    heartbeat_interval: float
    liveness: int
    batch_timeout: float
    high_water_mark: int
    queue_bytes: int
    max_batch_tasks: int
    max_batches: int
    max_peers: int
    max_message_bytes: int
    max_frames: int
    handshake_timeout: float
    linger: float


def config_from(
    kind: type, config: PipelineConfig | None, options: PipelineOptions
) -> PipelineConfig:
    """What a constructor was given: a config, or single options.

    Raises :class:`~brigantine.errors.WrongUse` for both, or an option that there is not.
    """
    return config_of(kind, PipelineConfig, config, options)
