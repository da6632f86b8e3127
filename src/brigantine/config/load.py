"""What a load generator is to do."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Any

from ..errors import ConfigError, OptionName
from .broker import BrokerConfig
from .limits import MAX_CAPACITY, MAX_SECONDS
from .protocols import INTERVALS, MDP_INTERVAL, PPP_INTERVAL, Protocol
from .table import (
    REQUIRED,
    Config,
    amount,
    choice,
    count,
    like,
    seconds,
    switch,
    table,
)
from .table import (
    size as size_of,
)
from .worker import WorkerConfig

__all__ = ["DEFAULT_DURATION", "MIN_SIZE", "PATTERNS", "Plan"]

PATTERNS = ("lru", "ppp", "mdp", "proxy")
#: Bytes at the beginning of a body that say whose request it is, and which.
MIN_SIZE = 16
#: Seconds of a run that neither ``requests`` nor ``duration`` ends.
DEFAULT_DURATION = 10.0
#: More peers than this are taken for a mistake: each is a connection.
MOST_PEERS = 1_000_000
#: Requests that may be out at once over all clients.
MOST_OUT = 50_000_000
#: What one worker or client may hold, and send in one body.
MOST_BYTES = 1 << 30
#: Patterns whose workers may have several requests at once, and whose clients name a service.
CAPACITY_PATTERNS = ("ppp", "mdp")


def _time(default: float | None, low: float, says: str, unset: str = "") -> Any:
    """A time that may take hours."""
    return seconds(default, low, MAX_SECONDS, says, unset, doubtful=inf)


@table
@dataclass(frozen=True, kw_only=True)
class Plan(Config):
    """What is to be done.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range, and for two that
    do not go together.
    """

    pattern: str = choice(
        REQUIRED, PATTERNS, "How peers speak; proxy is ``zmq_proxy`` of ROUTER and DEALER."
    )
    #: Where clients connect; not needed without clients.
    frontend: str | None = None
    #: Where workers connect; Majordomo may have one endpoint for both.
    backend: str | None = None
    clients: int = count(1, 0, MOST_PEERS, "Clients, each a peer of its own; 0: none here.")
    window: int = count(1, 1, MOST_PEERS, "Requests that a client has out at once.")
    workers: int = count(1, 0, MOST_PEERS, "Workers, each a peer of its own; 0: none here.")
    capacity: int = count(
        1, 1, MAX_CAPACITY, "Requests that a worker takes at once; announced if above 1."
    )
    size: int = size_of(64, MIN_SIZE, MOST_BYTES, "Bytes of a body.")
    service: str = "echo"
    mdp_version: str = like(WorkerConfig, "version")
    requests: int | None = count(
        None,
        1,
        1 << 60,
        "End after this many requests in total, after the warm-up.",
        unset="no end",
    )
    duration: float | None = _time(
        None, 0.001, "Send for this many seconds, after the warm-up.",
        unset=f"{DEFAULT_DURATION:g}, if there are clients and no ``requests``",
    )  # fmt: skip
    rate: float | None = amount(
        None, 0.001, 100_000_000, "requests a second",
        "Open loop: so many requests a second over all clients, sent whatever becomes of those before.",
        unset="closed loop, a client sends when it has a reply",
    )  # fmt: skip
    warmup: float = _time(0.0, 0, "Seconds at the beginning that are not counted.")
    timeout: float = _time(
        10.0, 0.001, "Seconds after which a request without a reply counts as lost."
    )
    connect_timeout: float = _time(10.0, 0.001, "Seconds that connecting may take.")
    heartbeat_interval: float | None = like(
        WorkerConfig, "heartbeat_interval",
        says="Seconds between heartbeats of a worker, as the broker has it.",
        unset=f"the protocol's own, PPP {PPP_INTERVAL:g}, MDP {MDP_INTERVAL:g}",
    )  # fmt: skip
    liveness: int = like(
        WorkerConfig, "liveness", low=1,
        says="Intervals of silence after which workers say READY again.",
    )  # fmt: skip
    announce: bool = switch(
        False,
        "Clients announce by their routing id that they understand error answers.",
    )
    io_threads: int = like(BrokerConfig, "io_threads", says="I/O threads.")

    def _check_together(self) -> None:
        if not self.clients and not self.workers:
            raise ConfigError(
                OptionName("clients"), " and ", OptionName("workers"),
                " are both 0: there is nothing to do",
            )  # fmt: skip
        if self.clients and self.frontend is None:
            raise ConfigError(
                OptionName("frontend"),
                " is missing: where clients connect (none with ",
                OptionName("clients"),
                " 0)",
            )
        if self.workers and self.backend_or_frontend is None:
            raise ConfigError(
                OptionName("backend"), " is missing: where workers connect (none with ",
                OptionName("workers"), " 0)",
            )  # fmt: skip
        if self.capacity > 1 and self.pattern not in CAPACITY_PATTERNS:
            raise ConfigError(
                OptionName("capacity"),
                f" must be 1 for {self.pattern}, not {self.capacity}: "
                f"only workers of {' and '.join(CAPACITY_PATTERNS)} take several requests at once",
            )
        if not self.clients and (self.requests is not None or self.rate is not None):
            raise ConfigError(
                OptionName("requests"), " and ", OptionName("rate"), " are for clients, and ",
                OptionName("clients"), " is 0",
            )  # fmt: skip
        if self.clients * self.window > MOST_OUT:
            raise ConfigError(
                OptionName("clients"),
                f" {self.clients} with ",
                OptionName("window"),
                f" {self.window} would have more than {MOST_OUT} requests out at once",
            )

    @property
    def backend_or_frontend(self) -> str | None:
        """Where workers connect."""
        return self.backend or (self.frontend if self.pattern == "mdp" else None)

    @property
    def protocol(self) -> str:
        """The pattern; with the version where there are several."""
        return f"mdp {self.mdp_version}" if self.pattern == "mdp" else self.pattern

    @property
    def interval(self) -> float:
        """Seconds between a worker's heartbeats."""
        usual = INTERVALS[Protocol.MDP01 if self.pattern == "mdp" else Protocol.PPP]
        return usual if self.heartbeat_interval is None else self.heartbeat_interval

    @property
    def longest(self) -> float | None:
        """Seconds that sending may take after the warm-up; ``None`` for no bound."""
        if self.duration is None and self.requests is None and self.clients:
            return DEFAULT_DURATION
        return self.duration
