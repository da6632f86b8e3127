"""Every limit and default of a broker, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..errors import ConfigError
from ..validation.calls import called_rightly
from ..validation.values import flag, number, whole
from .protocols import Protocol

__all__ = ["BrokerConfig", "bounds", "unit_of"]

#: Seconds between the heartbeats of PPP, and of MDP, as all programs of the ZeroMQ guide have them.
PPP_INTERVAL, MDP_INTERVAL = 1.0, 2.5
#: Seconds that a worker which begins waits for a first broker to confirm it.
READY_TIMEOUT = 1.0
#: Seconds that a worker which stops waits for its broker to let it go, at the most.
LEAVE_WAIT = 1.0
#: Messages handled from one socket before the loop looks at the others (fairness between sides).
BATCH = 256
#: The same in frames, where a message may have any number of them.
BATCH_FRAMES = 4096
#: Frames of one oversized message thrown away in one turn of the loop (bounds the stall).
DISCARD_BATCH = 4096
#: The longest sleep of the loop, in seconds: how stale its idea of a pause can get.
MAX_SLEEP = 1.0
#: Seconds until a worker whose pipe was full is tried again.
FULL_RETRY = 0.02
#: Seconds until error answers that their clients had no room for are tried again, and how many of them
#: may then be refused once more before the others wait for the next time.
UNTOLD_RETRY = 1 / 32
UNTOLD_TRIES = 64
#: What those that wait may take together in bytes, and for one peer in number.
UNTOLD_BYTES = 8 * 1024 * 1024
UNTOLD_OF_PEER = 1000
#: Seconds that no turn of the loop takes: when it took longer, or longer than a heartbeat interval, the
#: process was stopped.
PAUSE = 1.0
#: Seconds that the end of a broker may take to read what its peers had said before it was asked for.
LAST_WORDS = 0.5
#: Seconds that closing sockets may take to hand over what was already sent.
LINGER = 1.0
#: Waiting requests beyond this many are copied out of libzmq's shared receive buffers (8 KiB each),
#: which a small message that waits would otherwise keep alive whole.
COMPACT_AFTER = 1024
#: Seconds, about 127 years: clocks and timeouts beyond it are mistakes, and two of them together
#: still fit in 64 bits of nanoseconds.
MAX_SECONDS = 4e9
#: Different heartbeat intervals that workers may announce at once, the broker's own included; who
#: announces one more is held to the next shorter of them.
MAX_PACES = 64
#: Least and greatest heartbeat interval that a worker may announce, in milliseconds.
ANNOUNCED_INTERVAL_MS = (10, 3_600_000)
#: Seconds that looking up the name of an endpoint to bind may take.
BIND_LOOKUP = 5.0
#: Seconds after which whoever has asked the loop something looks for its answer anyway.
ANSWER_CHECK = 0.05
#: Events of a broker that may wait between its loop and its readers, and by default at one reader.
EVENTS_WAITING = 10_000
#: How many frames and bytes more than a request a worker's message may have.  In front of a reply stands
#: the ticket in place of the client's address, and what the protocol needs: with these, the echo of
#: any request that was accepted is within the bounds.
REPLY_FRAMES = 4
REPLY_BYTES = 512
#: How much of a name an event tells: a client may name a service as it likes, at any length.
EVENT_NAME_BYTES = 255
#: What a notice to a person tells of a message: so many frames, so many bytes of each.
NOTICE_FRAMES = 8
NOTICE_BYTES = 40
#: Notices that may wait for a log handler, and peers (with what they did) of which the log knows already.
NOTICES_WAITING = 100
NOTICES_KNOWN = 1024
#: Notices of all kinds, and of one kind: how many at once, and seconds until there may be one more.
NOTICE_BURST, NOTICE_EVERY = 30, 0.2
KIND_BURST, KIND_EVERY = 10, 1.0
#: Seconds between DISCONNECT to workers that come to the clients' endpoint.
SENT_AWAY_EVERY = 1.0
#: Seconds until the log tells how many were left out.
NOTICES_COUNTED = 1.0
#: A peer where workers connect that has said nothing for so many handshake_timeouts is told of.
SILENT_HANDSHAKES = 2
#: File descriptors that are kept in reserve when all others are in use, for control and for as many peers
#: as may come before the loop has noticed; and this is at most one in so many of the limit.
DESCRIPTOR_RESERVE, DESCRIPTOR_SHARE = 1024, 8
#: Descriptors that are held for when a program has used up the reserve, too; seconds between two looks
#: at whether it has.
DESCRIPTOR_SPARES, ACCEPT_LOOK = 2, 1.0
#: Seconds between lines of the log about connections that were rejected for want of descriptors.
REJECTED_EVERY = 10.0
#: Seconds of a client for one try of a request: longer than a broker of Majordomo needs to notice that a
#: worker is gone (interval x liveness) and have another carry the request out.
CLIENT_TIMEOUT = 10.0
#: Tries that follow the first, unless there are more brokers to ask.
CLIENT_RETRIES = 1
#: Seconds of the longest pause before the first retry, and the bound to which it grows.
CLIENT_BACKOFF, CLIENT_BACKOFF_MAX = 0.1, 5.0
#: Seconds for which a Router waits for a peer that does not read.
ROUTER_SEND_TIMEOUT = 1.0
#: What one waiting request costs beside its bytes, charged against ``queue_bytes``.
REQUEST_OVERHEAD = 640
#: Places in which the name of a service is kept that a waiting request is for.
NAME_COPIES = 3
#: What one last value that a forwarder keeps costs beside its frames and its topic, which is kept twice.
LAST_VALUE_OVERHEAD = 192
#: What one frame that waits costs beside its bytes (libzmq's own record of it).
FRAME_OVERHEAD = 128
#: Bytes: a message that costs less is not counted against ``peer_bytes``, the high-water mark bounds those.
LIGHT = 4096
#: Seconds between heartbeats, where nobody says otherwise.  Those of REQ workers are ZMTP's: what they
#: cost grows with the square of the workers.
INTERVALS: dict[Protocol, float] = {
    Protocol.REQ: 10.0,
    Protocol.PPP: PPP_INTERVAL,
    Protocol.MDP01: MDP_INTERVAL,
    Protocol.MDP02: MDP_INTERVAL,
}


@dataclass(frozen=True, kw_only=True)
class BrokerConfig:
    """Limits of a broker.  Times are seconds, sizes are bytes.

    What each option means: ``brigantine broker lru --help``, or the page "Configuration" of the docs.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    #: Seconds between heartbeats on a silent connection; ``None``: as the worker's protocol has it, 10 for
    #: REQ, 1 for PPP and 2.5 for MDP.
    heartbeat_interval: float | None = None
    #: Intervals of silence after which a peer counts as gone.
    liveness: int = 3
    #: Requests that may wait for a worker; beyond it a request is shed.
    queue_limit: int = 100_000
    #: Services that may be known at once; a request or READY for one more is refused.
    max_services: int = 10_000
    #: Intervals of silence after which a worker that is at work counts as gone; 0: as ``liveness``.
    busy_liveness: int = 0
    #: Memory that waiting requests may hold (their bytes and what holding them costs).
    queue_bytes: int = 256 * 1024 * 1024
    #: Seconds from acceptance until a request that has no reply fails.
    request_ttl: float = 60.0
    #: How often a request is sent to another worker after its worker was lost; ``None``: what suits the
    #: broker, which is 1 for Majordomo and 0 for the others.  For that the bodies of requests in flight are
    #: kept, ``queue_bytes`` of them at most: beyond it a request loses its retries.
    retries: int | None = None
    #: Seconds that a request for a service without workers waits for one, whose client wants to be told.
    service_grace: float = 2.0
    #: Seconds that a peer has to finish ZMTP's handshake.
    handshake_timeout: float = 3.0
    #: Largest frame accepted from the wire, and largest sum of the frames of one message.
    max_message_bytes: int = 16 * 1024 * 1024
    #: Most frames in one message, address stack included.
    max_frames: int = 256
    #: Most address frames before the empty delimiter (hops a request has passed).
    max_depth: int = 16
    #: Messages that libzmq holds for one peer in each direction (ZMQ_SNDHWM, ZMQ_RCVHWM).
    high_water_mark: int = 1000
    #: Memory that messages handed to one peer may hold until its system has taken them.  One message
    #: always may; those of less than 4 KiB are bounded by ``high_water_mark`` alone.
    peer_bytes: int = 64 * 1024 * 1024
    #: I/O threads of the broker's own context; unused when a context is passed in.
    io_threads: int = 1
    #: Seconds that draining waits for accepted work before it stops all the same.
    drain_timeout: float = 10.0
    #: Refuse peers of published dialects: PPP in words, MDP 0.2 with an empty frame in front.
    strict: bool = False
    #: Serve workers of MDP at the frontend, too, where workers have a backend: whoever reaches the frontend
    #: may then serve any service.  ``None``: while nobody but this machine can reach the frontend.
    workers_at_frontend: bool | None = None

    def __post_init__(self) -> None:
        flag("strict", self.strict)
        if self.workers_at_frontend is not None:
            flag("workers_at_frontend", self.workers_at_frontend)
        for name, low, high in _RANGES:
            value = getattr(self, name)
            if value is None and _DEFAULTS[name] is None:
                continue
            if is_whole(name):
                whole(name, value, int(low), int(high), unit_of(name))
            else:
                number(name, value, low, high)
        if self.max_depth >= self.max_frames:
            raise ConfigError(
                f"max_depth ({self.max_depth}) must be below max_frames ({self.max_frames}): "
                "an address stack is followed by a delimiter and a body"
            )

    def interval(self, protocol: int) -> float:
        """Seconds between heartbeats of a protocol's workers: one flag of Protocol, or several of MDP."""
        if self.heartbeat_interval is not None:
            return self.heartbeat_interval
        return next(seconds for each, seconds in INTERVALS.items() if each & protocol)

    def filled(self, own: Mapping[str, Any]) -> BrokerConfig:
        """With these for the options that were left to the broker."""
        left = {name: value for name, value in own.items() if getattr(self, name) is None}
        return replace(self, **left) if left else self


#: name, least, greatest.  An hour is 3600 s; counts stay far below what an int32 index holds.
_RANGES: tuple[tuple[str, float, float], ...] = (
    ("heartbeat_interval", 0.01, 3600.0),
    ("service_grace", 0.0, 3600.0),
    ("handshake_timeout", 0.05, 3600.0),
    ("liveness", 2, 1000),
    ("busy_liveness", 0, 1_000_000),
    ("max_services", 1, 10_000_000),
    ("queue_limit", 0, 50_000_000),
    ("queue_bytes", 0, 1 << 50),
    ("request_ttl", 0.001, 30 * 86400.0),
    ("retries", 0, 1000),
    ("max_message_bytes", 1024, 1 << 40),
    ("max_frames", 4, 65536),
    ("max_depth", 1, 255),
    ("high_water_mark", 1, 10_000_000),
    ("peer_bytes", 0, 1 << 50),
    ("io_threads", 1, 64),
    ("drain_timeout", 0.0, 86400.0),
)


def bounds(option: str) -> tuple[float, float]:
    """The least and the greatest value of an option."""
    return next((low, high) for name, low, high in _RANGES if name == option)


def is_whole(option: str) -> bool:
    """Whether an option is a whole number."""
    return _TYPES[option].startswith("int")


def unit_of(option: str) -> str:
    """What the numbers of an option count, where its name does not say it."""
    return "bytes" if option.endswith("_bytes") else ""


# The dataclass has made it; replaced, so that its errors are those of all other constructors.
setattr(BrokerConfig, "__init__", called_rightly(BrokerConfig.__init__))  # noqa: B010

_TYPES: dict[str, str] = {field.name: str(field.type) for field in fields(BrokerConfig)}
_DEFAULTS: dict[str, Any] = {field.name: field.default for field in fields(BrokerConfig)}
