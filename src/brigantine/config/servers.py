"""The options of a server, and its limits that are no options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ..errors import ConfigError, OptionName
from .broker import BrokerConfig
from .table import Config, count, like, seconds, size, table

__all__ = [
    "BEATS",
    "HANDED_AHEAD",
    "HUNG_THREADS",
    "REPLIES_WAITING_BYTES",
    "ServerConfig",
    "ServerOptions",
]

#: Threads that may be given up at once, because a handler hangs in them, beside those that are at work.
HUNG_THREADS = 64
#: Seconds until a thread that could not be started is tried again.
START_AGAIN = 0.25
#: What handlers may have handed over and the loop has yet to send; beyond it a handler that streams waits.
REPLIES_WAITING_BYTES = 64 * 1024 * 1024
#: How often a client beats within ``session_timeout``, when it is silent.
BEATS = 4
#: Requests handed to the handlers beyond those that they can be at: the next one is there when one ends.
HANDED_AHEAD = 16
#: The least and the greatest number of threads or tasks.
WORKERS_RANGE = (1, 4096)


@table
@dataclass(frozen=True, kw_only=True)
class ServerConfig(Config):
    """Limits of an :class:`~brigantine.AsyncServer` or :class:`~brigantine.ThreadedServer`.

    Times are seconds, sizes are bytes.  Raises :class:`~brigantine.errors.ConfigError` at once for a
    value out of range.
    """

    _example = "session_timeout=10"
    session_timeout: float = seconds(
        2.0, 0.05, 30 * 86400.0, "Seconds of silence after which a client's session is closed."
    )
    max_sessions: int = count(
        200_000, 1, 10_000_000,
        "Sessions that may be open at once; another one is refused.",
    )  # fmt: skip
    session_requests: int = count(
        1000, 1, 10_000_000, "Requests of one session that may wait for a handler."
    )
    session_bytes: int = size(
        16 * 1024 * 1024, 0, 1 << 50,
        "Memory that the waiting requests of one session may hold; a single request may exceed it.",
    )  # fmt: skip
    session_concurrency: int | None = count(
        None, 1, 1_000_000, "Handlers that may run for one session at once.",
        unset="1; of a ThreadedServer as many as it has threads",
    )  # fmt: skip
    hops: int = count(
        0, 0, 254,
        "Address frames before the client's own, if clients that send no empty frame come through "
        "devices: one for each device.",
    )  # fmt: skip
    queue_limit: int = like(
        BrokerConfig, "queue_limit", says="Requests that may wait for a handler, over all sessions."
    )
    queue_bytes: int = like(
        BrokerConfig, "queue_bytes", says="Memory that waiting requests may hold."
    )
    request_ttl: float = like(
        BrokerConfig, "request_ttl",
        says="Seconds from acceptance until a request without a reply fails. A thread whose handler runs "
        "for longer is replaced.",
    )  # fmt: skip
    max_message_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest frame accepted from the wire, and largest sum of the frames of one message or "
        "reply.",
    )  # fmt: skip
    max_frames: int = like(BrokerConfig, "max_frames")
    max_depth: int = like(
        BrokerConfig, "max_depth", says="Most address frames before the empty delimiter."
    )
    high_water_mark: int = like(
        BrokerConfig, "high_water_mark",
        says="Messages that libzmq holds for one peer in each direction.",
    )  # fmt: skip
    peer_bytes: int = like(
        BrokerConfig, "peer_bytes",
        says="Memory that messages for one client may hold until its system has taken them.",
    )  # fmt: skip
    handshake_timeout: float = like(BrokerConfig, "handshake_timeout")
    unheard_timeout: float = seconds(
        10.0, 0.05, 30 * 86400.0,
        "Seconds after which a connection is closed on which no message came, whether its client is silent "
        "or has the routing id of another one: its libzmq connects again.",
    )  # fmt: skip
    io_threads: int = like(BrokerConfig, "io_threads")
    drain_timeout: float = like(BrokerConfig, "drain_timeout")

    def _check_together(self) -> None:
        if self.max_depth >= self.max_frames:
            raise ConfigError(
                OptionName("max_depth"),
                f" ({self.max_depth}) must be below ",
                OptionName("max_frames"),
                f" ({self.max_frames}): an address stack is followed by a delimiter and a body",
            )
        if self.hops >= self.max_depth:
            raise ConfigError(
                OptionName("hops"),
                f" ({self.hops}) must be below ",
                OptionName("max_depth"),
                f" ({self.max_depth})",
            )


class ServerOptions(TypedDict, total=False):
    """The options of a server by name, each as in :class:`~brigantine.ServerConfig`.

    For your own functions that pass them on: ``def start(**options: Unpack[ServerOptions])``.
    """

    session_timeout: float
    max_sessions: int
    session_requests: int
    session_bytes: int
    session_concurrency: int | None
    hops: int
    queue_limit: int
    queue_bytes: int
    request_ttl: float
    max_message_bytes: int
    max_frames: int
    max_depth: int
    high_water_mark: int
    peer_bytes: int
    handshake_timeout: float
    unheard_timeout: float
    io_threads: int
    drain_timeout: float
