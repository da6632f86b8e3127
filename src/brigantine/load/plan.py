"""What a load generator is to do."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import INTERVALS, MAX_SECONDS, BrokerConfig
from ..config.protocols import Protocol
from ..errors import ConfigError
from ..wire.ready import MAX_CAPACITY

__all__ = ["DEFAULT_DURATION", "MIN_SIZE", "PATTERNS", "VERSIONS", "Plan"]

PATTERNS = ("lru", "ppp", "mdp", "proxy")
VERSIONS = ("0.1", "0.2")
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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range, and for two that
    do not go together.  Its message names fields in backquotes.
    """

    #: How peers speak: "lru", "ppp", "mdp" or "proxy" (``zmq_proxy`` of ROUTER and DEALER).
    pattern: str
    #: Where clients connect; not needed without clients.
    frontend: str | None = None
    #: Where workers connect; Majordomo may have one endpoint for both.
    backend: str | None = None
    clients: int = 1
    #: Requests that one client has out at once.
    window: int = 1
    workers: int = 1
    #: Requests that one worker takes at once (ppp, mdp).
    capacity: int = 1
    #: Bytes of a body.
    size: int = 64
    service: str = "echo"
    mdp_version: str = "0.2"
    #: Requests to send after the warm-up, over all clients.
    requests: int | None = None
    #: Seconds to send for, after the warm-up.
    duration: float | None = None
    #: Requests a second over all clients, sent whatever becomes of those before (open loop); ``None``:
    #: each client sends when it has a reply (closed loop).
    rate: float | None = None
    #: Seconds at the beginning that count for nothing.
    warmup: float = 0.0
    #: Seconds after which a request that has no reply counts as lost.
    timeout: float = 10.0
    #: Seconds that connecting may take.
    connect_timeout: float = 10.0
    #: Of workers; ``None``: as the protocol has it.
    heartbeat_interval: float | None = None
    liveness: int = BrokerConfig.liveness
    #: Clients say that they understand a broker's error answers.
    announce: bool = False
    io_threads: int = 1

    def __post_init__(self) -> None:
        _one_of("pattern", self.pattern, PATTERNS)
        _one_of("mdp_version", self.mdp_version, VERSIONS)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"`{name}` must be from {low} to {high}, not {value!r}")
        self._check_together()

    def _check_together(self) -> None:
        if not self.clients and not self.workers:
            raise ConfigError("`clients` and `workers` are both 0: there is nothing to do")
        if self.clients and self.frontend is None:
            raise ConfigError(
                "`frontend` is missing: where clients connect (none with `clients` 0)"
            )
        if self.workers and self.backend_or_frontend is None:
            raise ConfigError("`backend` is missing: where workers connect (none with `workers` 0)")
        if self.capacity > 1 and self.pattern not in CAPACITY_PATTERNS:
            raise ConfigError(
                f"`capacity` must be 1 for {self.pattern}, not {self.capacity}: "
                f"only workers of {' and '.join(CAPACITY_PATTERNS)} take several requests at once"
            )
        if not self.clients and (self.requests is not None or self.rate is not None):
            raise ConfigError("`requests` and `rate` are for clients, and `clients` is 0")
        if self.clients * self.window > MOST_OUT:
            raise ConfigError(
                f"`clients` {self.clients} with `window` {self.window} would have more than "
                f"{MOST_OUT} requests out at once"
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


#: name, least, greatest.
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("clients", 0, MOST_PEERS),
    ("window", 1, MOST_PEERS),
    ("workers", 0, MOST_PEERS),
    ("capacity", 1, MAX_CAPACITY),
    ("size", MIN_SIZE, MOST_BYTES),
    ("requests", 1, 1 << 60),
    ("duration", 0.001, MAX_SECONDS),
    ("rate", 0.001, 100_000_000),
    ("warmup", 0, MAX_SECONDS),
    ("timeout", 0.001, MAX_SECONDS),
    ("connect_timeout", 0.001, MAX_SECONDS),
    ("heartbeat_interval", 0.01, 3600),
    ("liveness", 1, 1000),
    ("io_threads", 1, 64),
)


def _one_of(name: str, value: str, words: tuple[str, ...]) -> None:
    if value not in words:
        raise ConfigError(f"`{name}` must be one of {', '.join(words)}, not {value!r}")
