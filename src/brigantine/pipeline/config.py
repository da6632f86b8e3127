"""Every limit and default of the pipeline, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, TypedDict

from ..config import BrokerConfig
from ..errors import WrongUse
from ..validation.calls import called_rightly, refuse_unknown
from ..validation.values import number, shown, whole

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
#: Seconds between questions to the sink how a batch is of which nothing is under way.
ASK_EVERY = 0.25
#: Seconds that leaving may take, at the most: to be let go by the ventilators.
LEAVE_WAIT = 1.0
#: Seconds after a connection has ended in which peers are looked at, one by one, whether it was theirs.
LOOK_FOR, LOOK_EVERY = 1.0, 0.05
#: Messages read from one socket before the others have their turn.
BATCH = 256


@dataclass(frozen=True, kw_only=True)
class PipelineConfig:
    """Limits of a ventilator and a sink.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    #: Workers, ours and plain ones, that must be ready before the first task is given out.
    min_workers: int = 1
    #: Seconds between heartbeats on a silent connection.
    heartbeat_interval: float = 1.0
    #: Intervals of silence after which a peer counts as lost.
    liveness: int = 3
    #: Seconds without a result of a batch after which the sink reports what is missing.
    batch_timeout: float = 60.0
    #: Tasks that wait for a worker at the ventilator; results that wait at the sink to be read, until
    #: the next ones are withheld from their workers.
    high_water_mark: int = 1000
    #: The same in bytes.
    queue_bytes: int = 256 * 1024 * 1024
    #: Tasks of one batch, at the most.
    max_batch_tasks: int = 1_000_000
    #: Batches that are open at once.
    max_batches: int = 1000
    #: Workers and ventilators that are connected at once.
    max_peers: int = 10_000
    #: Largest frame accepted from the wire.
    max_message_bytes: int = BrokerConfig.max_message_bytes
    #: Most frames of one task or result.
    max_frames: int = BrokerConfig.max_frames
    #: Seconds that a peer has to finish ZMTP's handshake.
    handshake_timeout: float = 3.0
    #: Seconds that closing gives to what is still to be sent.
    linger: float = 1.0

    #: name, least, greatest.
    _RANGES: ClassVar[tuple[tuple[str, float, float], ...]] = (
        ("min_workers", 0, 1_000_000),
        ("heartbeat_interval", 0.01, 3600.0),
        ("liveness", 2, 1000),
        ("batch_timeout", 0.01, 30 * 86400.0),
        ("high_water_mark", 1, 10_000_000),
        ("queue_bytes", 0, 1 << 50),
        ("max_batch_tasks", 1, 1_000_000_000),
        ("max_batches", 1, 1_000_000),
        ("max_peers", 1, 1_000_000),
        ("max_message_bytes", 1024, 1 << 40),
        ("max_frames", 4, 65536),
        ("handshake_timeout", 0.05, 3600.0),
        ("linger", 0.0, 3600.0),
    )

    def __post_init__(self) -> None:
        types = {field.name: str(field.type) for field in fields(self)}
        for name, low, high in self._RANGES:
            value = getattr(self, name)
            if types[name] == "int":
                unit = "bytes" if name.endswith("_bytes") else ""
                whole(name, value, int(low), int(high), unit)
            else:
                number(name, value, low, high)

    @classmethod
    def bounds(cls, option: str) -> tuple[float, float]:
        """The least and the greatest value of an option."""
        return next((low, high) for name, low, high in cls._RANGES if name == option)


class PipelineOptions(TypedDict, total=False):
    """What a ventilator or a sink takes by name, each as in :class:`~brigantine.PipelineConfig`."""

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
    refuse_unknown(kind, options, [field.name for field in fields(PipelineConfig)])
    if config is None:
        return PipelineConfig(**options)
    if not isinstance(config, PipelineConfig):
        raise WrongUse(
            f"config must be a PipelineConfig, not {shown(config)}; single options are given by name, "
            f"such as {kind.__name__}(..., liveness=5)"
        )
    if options:
        raise WrongUse(f"give a config or single options, not both: {', '.join(options)}")
    return config


# The dataclass has made it; replaced, so that its errors are those of all other constructors.
setattr(PipelineConfig, "__init__", called_rightly(PipelineConfig.__init__))  # noqa: B010
