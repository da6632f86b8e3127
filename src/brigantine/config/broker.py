"""The options of a broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ..errors import ConfigError, OptionName
from .protocols import INTERVALS
from .table import Config, count, seconds, size, switch, table

__all__ = ["BrokerConfig", "BrokerOptions"]

#: The interval of each protocol, in words.
_INTERVALS = ", ".join(
    f"{name} {interval:g}"
    for interval, name in {
        each: str(protocol.name)[:3] for protocol, each in INTERVALS.items()
    }.items()
)


@table
@dataclass(frozen=True, kw_only=True)
class BrokerConfig(Config):
    """Limits of a broker.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "request_ttl=600"
    heartbeat_interval: float | None = seconds(
        None, 0.01, 3600.0,
        "Seconds between heartbeats on a silent connection.",
        unset=f"each protocol's own: {_INTERVALS}",
    )  # fmt: skip
    liveness: int = count(3, 2, 1000, "Intervals of silence after which a peer counts as gone.")
    queue_limit: int = count(
        100_000,
        0,
        50_000_000,
        "Requests that may wait for a worker; beyond this a request is shed.",
    )
    max_services: int = count(
        10_000, 1, 10_000_000,
        "Services that may be known at once; a request or READY for another one is refused.",
    )  # fmt: skip
    busy_liveness: int = count(
        0, 0, 1_000_000,
        "Intervals of silence after which a busy worker counts as gone; 0: as ``liveness``.",
    )  # fmt: skip
    queue_bytes: int = size(
        256 * 1024 * 1024, 0, 1 << 50,
        "Memory that waiting requests may hold (their bytes and the overhead).",
    )  # fmt: skip
    request_ttl: float = seconds(
        60.0, 0.001, 30 * 86400.0,
        "Seconds from acceptance until a request without a reply fails.",
        doubtful=10_000.0,
    )  # fmt: skip
    retries: int | None = count(
        None, 0, 1000,
        "How often a request is sent to another worker after its worker was lost. For this the bodies of "
        "requests in flight are kept, up to ``queue_bytes``; beyond that a request loses its retries.",
        unset="the broker's own",
    )  # fmt: skip
    service_grace: float = seconds(
        2.0, 0.0, 3600.0,
        "Seconds that a request for a service without workers waits for one, if its client wants to be "
        "told.",
    )  # fmt: skip
    handshake_timeout: float = seconds(
        3.0, 0.05, 3600.0, "Seconds within which a peer must finish ZMTP's handshake."
    )
    max_message_bytes: int = size(
        16 * 1024 * 1024, 1024, 1 << 40,
        "Largest frame accepted from the wire, and largest sum of the frames of one message.",
    )  # fmt: skip
    max_frames: int = count(256, 4, 65536, "Most frames in one message, address stack included.")
    max_depth: int = count(
        16, 1, 255, "Most address frames before the empty delimiter (hops of a request)."
    )
    high_water_mark: int = count(
        1000, 1, 10_000_000,
        "Messages that libzmq holds for one peer in each direction (ZMQ_SNDHWM, ZMQ_RCVHWM).",
    )  # fmt: skip
    peer_bytes: int = size(
        64 * 1024 * 1024, 0, 1 << 50,
        "Memory that messages for one peer may hold until its system has taken them. A single message "
        "may exceed it; messages of less than 4 KiB are limited only by ``high_water_mark``.",
    )  # fmt: skip
    io_threads: int = count(
        1, 1, 64, "I/O threads of the broker's own context; unused when a context is passed in."
    )
    drain_timeout: float = seconds(
        10.0, 0.0, 86400.0,
        "Seconds that draining waits for accepted requests before the broker stops anyway.",
    )  # fmt: skip
    strict: bool = switch(
        False,
        "Refuse peers of published dialects: PPP in words, MDP 0.2 with a leading empty frame.",
    )
    workers_at_frontend: bool | None = switch(
        None,
        "Also serve MDP workers at the frontend if workers have a backend: whoever reaches the frontend "
        "may then serve any service.",
        unset="while the frontend can be reached only from this machine",
    )

    def _check_together(self) -> None:
        if self.max_depth >= self.max_frames:
            raise ConfigError(
                OptionName("max_depth"),
                f" ({self.max_depth}) must be below ",
                OptionName("max_frames"),
                f" ({self.max_frames}): an address stack is followed by a delimiter and a body",
            )

    def interval(self, protocol: int) -> float:
        """Seconds between heartbeats of a protocol's workers: one flag of Protocol, or several of MDP."""
        if self.heartbeat_interval is not None:
            return self.heartbeat_interval
        return next(own for each, own in INTERVALS.items() if each & protocol)


class BrokerOptions(TypedDict, total=False):
    """The options of a broker by name, each as in :class:`~brigantine.BrokerConfig`.

    For your own functions that pass them on: ``def start(**options: Unpack[BrokerOptions])``.
    """

    heartbeat_interval: float | None
    liveness: int
    queue_limit: int
    max_services: int
    busy_liveness: int
    queue_bytes: int
    request_ttl: float
    retries: int | None
    service_grace: float
    handshake_timeout: float
    max_message_bytes: int
    max_frames: int
    max_depth: int
    high_water_mark: int
    peer_bytes: int
    io_threads: int
    drain_timeout: float
    strict: bool
    workers_at_frontend: bool | None
