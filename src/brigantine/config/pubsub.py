"""Every limit and default of publishers and subscribers, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypedDict

from ..errors import WrongUse
from ..validation.calls import called_rightly, refuse_unknown
from ..validation.values import flag, number, shown, whole

__all__ = [
    "PublisherConfig",
    "PublisherOptions",
    "SubscriberConfig",
    "SubscriberOptions",
    "config_of",
]

#: Messages sent or read in one go before anything else is looked at.
BATCH = 256
#: Seconds of the longest pause before another publisher is tried, and the bound to which it grows.
MOVE_PAUSE, MOVE_PAUSE_MAX = 0.1, 5.0
#: Topics whose last number one heartbeat tells, and bytes in all of these topics.
TAILS, TAILS_BYTES = 256, 16 * 1024
#: Heartbeats that tell the last number of a topic after it was used: some may be lost on their way.
TAIL_REPEATS = 3
#: Bytes of the longest topic, and of the longest subscription that a publisher reads.
LONGEST_TOPIC = 64 * 1024 - 1
#: Last values in one answer, and their bytes.
PAGE, PAGE_BYTES = 256, 256 * 1024
#: Prefixes in one question for last values, bytes in all of these, and questions at once.
ASK_PREFIXES, ASK_BYTES, MOST_ASKS = 16, 256, 64
#: Seconds that a subscriber waits for publishers to have read what it has subscribed, before it asks.
ASK_AFTER = 0.25
#: Seconds until a question without an answer is asked again, and how many times.
ASK_AGAIN, ASK_TRIES = 1.0, 3
#: Seconds after an answer in which somebody else may answer, too.
ASK_OTHERS = 0.25
#: Subscribers that a publisher tells apart, for wait_ready().
MOST_SUBSCRIBERS = 100_000
#: Publishers that a subscriber knows by name, and lives of one.
MOST_PUBLISHERS, MOST_LIVES = 10_000, 8
#: What one message that waits costs beside its bytes.
MESSAGE_OVERHEAD = 256
#: After so many messages a publisher marks one, to know later that all before it have left.
MARK_EVERY = 64
#: Marks that may be under way at once.
MOST_MARKS = 1024
#: Seconds between two tries while a subscriber is waited for, and after the slowest was cut off.
STALL_LOOK, CUT_GRACE = 0.002, 0.5
#: Seconds between looks whether what was published has left.
LEFT_CHECK = 0.005


class _Checked:
    """A table of options that are checked when it is made."""

    #: name, least, greatest.
    _RANGES: ClassVar[tuple[tuple[str, float, float], ...]]

    def __post_init__(self) -> None:
        types = {each.name: str(each.type) for each in fields(self)}  # type: ignore[arg-type]
        for name, low, high in self._RANGES:
            value = getattr(self, name)
            if types[name].startswith("int"):
                unit = "bytes" if name.endswith("_bytes") else ""
                whole(name, value, int(low), int(high), unit)
            else:
                number(name, value, low, high)
        for name, kind in types.items():
            if kind == "bool":
                flag(name, getattr(self, name))

    @classmethod
    def bounds(cls, option: str) -> tuple[float, float]:
        """The least and the greatest value of an option."""
        return next((low, high) for name, low, high in cls._RANGES if name == option)


@dataclass(frozen=True, kw_only=True)
class PublisherConfig(_Checked):
    """Limits of a publisher.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    #: Seconds between heartbeats.
    heartbeat_interval: float = 1.0
    #: Messages that libzmq holds for one subscriber; beyond it that one misses messages.
    high_water_mark: int = 1000
    #: Seconds that publishing waits for subscribers that don't keep up, before the slowest is cut off.  0:
    #: nobody is waited for, and a subscriber that does not keep up misses messages.
    stall_timeout: float = 0.0
    #: Messages that may wait for the publisher's thread; beyond it ``publish()`` waits.
    queue_limit: int = 10_000
    #: Memory that these may hold.
    queue_bytes: int = 64 * 1024 * 1024
    #: Topics whose messages are numbered; beyond it the one not used for longest is forgotten.
    max_topics: int = 100_000
    #: Topics whose last message is kept for subscribers that come late and ask; 0: none.
    last_values: int = 0
    #: Memory that these may hold.
    last_values_bytes: int = 64 * 1024 * 1024
    #: Largest body of a message.
    max_message_bytes: int = 16 * 1024 * 1024
    #: Seconds that closing gives what was published to leave.
    linger: float = 1.0
    #: I/O threads of the publisher's own context; unused when a context is passed in.
    io_threads: int = 1

    _RANGES = (
        ("heartbeat_interval", 0.01, 3600.0),
        ("high_water_mark", 1, 10_000_000),
        ("queue_limit", 1, 50_000_000),
        ("queue_bytes", 1024, 1 << 50),
        ("max_topics", 1, 50_000_000),
        ("last_values", 0, 50_000_000),
        ("last_values_bytes", 0, 1 << 50),
        ("max_message_bytes", 1024, 1 << 40),
        ("stall_timeout", 0.0, 3600.0),
        ("linger", 0.0, 86400.0),
        ("io_threads", 1, 64),
    )


@dataclass(frozen=True, kw_only=True)
class SubscriberConfig(_Checked):
    """Limits of a subscriber.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    #: Seconds between heartbeats, of publishers that have not said their own.
    heartbeat_interval: float = 1.0
    #: Intervals of silence after which a publisher counts as gone.
    liveness: int = 3
    #: Messages that libzmq holds before the subscriber's thread has read them.
    high_water_mark: int = 1000
    #: Messages that may wait for the reader; beyond it what comes is shed.
    queue_limit: int = 10_000
    #: Memory that these may hold.
    queue_bytes: int = 64 * 1024 * 1024
    #: Keep of each topic the latest message only, as long as nobody reads.
    conflate: bool = False
    #: Ask for the last message of each topic, of publishers and forwarders that keep them.
    last_values: bool = False
    #: Numbers that are kept, one for each topic of each publisher; beyond it the oldest is forgotten.
    max_topics: int = 100_000
    #: Largest frame: a publisher that sends a larger one is hung up on.
    max_message_bytes: int = 16 * 1024 * 1024
    #: I/O threads of the subscriber's own context; unused when a context is passed in.
    io_threads: int = 1

    _RANGES = (
        ("heartbeat_interval", 0.01, 3600.0),
        ("liveness", 2, 1000),
        ("high_water_mark", 1, 10_000_000),
        ("queue_limit", 1, 50_000_000),
        ("queue_bytes", 1024, 1 << 50),
        ("max_topics", 1, 50_000_000),
        ("max_message_bytes", 1024, 1 << 40),
        ("io_threads", 1, 64),
    )


class PublisherOptions(TypedDict, total=False):
    """What a publisher takes by name, each as in :class:`~brigantine.PublisherConfig`."""

    stall_timeout: float
    heartbeat_interval: float
    high_water_mark: int
    queue_limit: int
    queue_bytes: int
    max_topics: int
    last_values: int
    last_values_bytes: int
    max_message_bytes: int
    linger: float
    io_threads: int


class SubscriberOptions(TypedDict, total=False):
    """What a subscriber takes by name, each as in :class:`~brigantine.SubscriberConfig`."""

    heartbeat_interval: float
    liveness: int
    high_water_mark: int
    queue_limit: int
    queue_bytes: int
    conflate: bool
    last_values: bool
    max_topics: int
    max_message_bytes: int
    io_threads: int


# The dataclasses have made them; replaced, so that their errors are those of all other constructors.
for _kind in (PublisherConfig, SubscriberConfig):
    setattr(_kind, "__init__", called_rightly(_kind.__init__))  # noqa: B010


def config_of(owner: type, kind: type[Any], config: Any, options: Mapping[str, Any]) -> Any:
    """The config that was given, or one of these options.

    Raises :class:`~brigantine.errors.WrongUse` for both, or an option that there is not.
    """
    names = [each.name for each in fields(kind)]
    refuse_unknown(owner, options, [*names, "config", "context", "name"])
    if config is None:
        return kind(**options)
    if not isinstance(config, kind):
        raise WrongUse(f"config must be a {kind.__name__}, not {shown(config)}")
    if options:
        raise WrongUse(
            f"config already has all options; give it these, too, not to the constructor: "
            f"{', '.join(options)}"
        )
    return config
