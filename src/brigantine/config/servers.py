"""Every limit and default of a server, in one place."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, TypedDict

from ..errors import ConfigError
from ..validation.calls import called_rightly
from ..validation.values import number, whole
from . import bounds, unit_of

__all__ = ["HUNG_THREADS", "REPLIES_WAITING_BYTES", "ServerConfig", "ServerOptions"]

#: Threads that may be given up at once, because a handler hangs in them, beside those that are at work.
HUNG_THREADS = 64
#: Seconds until a thread that could not be started is tried again.
START_AGAIN = 0.25
#: What handlers may have handed over and the loop has yet to send; beyond it a handler that streams waits.
REPLIES_WAITING_BYTES = 64 * 1024 * 1024
#: How often a session beats within ``session_timeout``, when it is silent.
BEATS = 4
#: The least and the greatest number of threads or tasks.
WORKERS_RANGE = (1, 4096)

#: name, least, greatest; where a broker has the same option, its bounds.
RANGES: tuple[tuple[str, float, float], ...] = (
    ("session_timeout", 0.05, 30 * 86400.0),
    ("max_sessions", 1, 10_000_000),
    ("session_requests", 1, 10_000_000),
    ("session_bytes", 0, 1 << 50),
    ("session_concurrency", 1, 1_000_000),
    ("hops", 0, 254),
    *(
        (name, *bounds(name))
        for name in (
            "queue_limit", "queue_bytes", "request_ttl", "max_message_bytes", "max_frames",
            "max_depth", "high_water_mark", "peer_bytes", "handshake_timeout", "io_threads",
            "drain_timeout",
        )
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Limits of an :class:`~brigantine.AsyncServer` or :class:`~brigantine.ThreadedServer`.

    Times are seconds, sizes are bytes.  Raises :class:`~brigantine.errors.ConfigError` at once for a
    value out of range.
    """

    #: Seconds of silence after which a client's session is closed.
    session_timeout: float = 2.0
    #: Sessions that may be open at once; who would open one more is refused.
    max_sessions: int = 200_000
    #: Requests of one session that may wait for a handler.
    session_requests: int = 1000
    #: Memory that the waiting requests of one session may hold; one request always may.
    session_bytes: int = 16 * 1024 * 1024
    #: Handlers that may be at work for one session at once.
    session_concurrency: int = 1
    #: Address frames in front of the client's own, where clients that send no empty frame come through
    #: devices: one for each device.
    hops: int = 0
    #: Requests that may wait for a handler, of all sessions.
    queue_limit: int = 100_000
    #: Memory that waiting requests may hold.
    queue_bytes: int = 256 * 1024 * 1024
    #: Seconds from acceptance until a request that has no reply fails.  A thread whose handler is at
    #: work for longer is replaced.
    request_ttl: float = 60.0
    #: Largest frame accepted from the wire, and largest sum of the frames of one message or reply.
    max_message_bytes: int = 16 * 1024 * 1024
    #: Most frames in one message, address stack included.
    max_frames: int = 256
    #: Most address frames before the empty delimiter.
    max_depth: int = 16
    #: Messages that libzmq holds for one peer in each direction.
    high_water_mark: int = 1000
    #: Memory that messages handed to one client may hold until its system has taken them.
    peer_bytes: int = 64 * 1024 * 1024
    #: Seconds that a peer has to finish ZMTP's handshake.
    handshake_timeout: float = 3.0
    #: I/O threads of the server's own context; unused when a context is passed in.
    io_threads: int = 1
    #: Seconds that draining waits for accepted work before it stops all the same.
    drain_timeout: float = 10.0

    _RANGES: ClassVar[tuple[tuple[str, float, float], ...]] = RANGES

    def __post_init__(self) -> None:
        types = {field.name: str(field.type) for field in fields(self)}
        for name, low, high in self._RANGES:
            value = getattr(self, name)
            if types[name] == "int":
                whole(name, value, int(low), int(high), unit_of(name))
            else:
                number(name, value, low, high)
        if self.max_depth >= self.max_frames:
            raise ConfigError(
                f"max_depth ({self.max_depth}) must be below max_frames ({self.max_frames}): "
                "an address stack is followed by a delimiter and a body"
            )
        if self.hops >= self.max_depth:
            raise ConfigError(f"hops ({self.hops}) must be below max_depth ({self.max_depth})")


# The dataclass has made it; replaced, so that its errors are those of all other constructors.
setattr(ServerConfig, "__init__", called_rightly(ServerConfig.__init__))  # noqa: B010


class ServerOptions(TypedDict, total=False):
    """What a server takes by name, each as in :class:`~brigantine.ServerConfig`.

    For functions of one's own that pass them on: ``def start(**options: Unpack[ServerOptions])``.
    """

    session_timeout: float
    max_sessions: int
    session_requests: int
    session_bytes: int
    session_concurrency: int
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
    io_threads: int
    drain_timeout: float
