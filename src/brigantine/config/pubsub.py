"""Every limit and default of publishers and subscribers, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from .broker import BrokerConfig
from .table import Config, count, like, seconds, size, switch, table

__all__ = ["PublisherConfig", "PublisherOptions", "SubscriberConfig", "SubscriberOptions"]

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


@table
@dataclass(frozen=True, kw_only=True)
class PublisherConfig(Config):
    """Limits of a publisher.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    heartbeat_interval: float = seconds(1.0, 0.01, 3600.0, "Seconds between heartbeats.")
    high_water_mark: int = count(
        1000, 1, 10_000_000,
        "Messages that libzmq holds for one subscriber; beyond this it misses messages.",
    )  # fmt: skip
    handshake_timeout: float = like(BrokerConfig, "handshake_timeout")
    stall_timeout: float = seconds(
        0.0, 0.0, 3600.0,
        "Seconds that publishing waits for subscribers that don't keep up, before the slowest is cut "
        "off; 0: nobody is waited for, and a subscriber that does not keep up misses messages.",
    )  # fmt: skip
    queue_limit: int = count(
        10_000, 1, 50_000_000,
        "Messages that may wait for the publisher's thread; beyond this ``publish()`` waits.",
    )  # fmt: skip
    queue_bytes: int = size(64 * 1024 * 1024, 1024, 1 << 50, "Memory that these may hold.")
    max_topics: int = count(
        100_000, 1, 50_000_000,
        "Topics whose messages are numbered; beyond this the least recently used one is forgotten.",
    )  # fmt: skip
    last_values: int = count(
        0, 0, 50_000_000,
        "Topics whose last message is kept for late subscribers that ask; 0: none.",
    )  # fmt: skip
    last_values_bytes: int = size(64 * 1024 * 1024, 0, 1 << 50, "Memory that these may hold.")
    max_message_bytes: int = like(
        BrokerConfig, "max_message_bytes", says="Largest body of a message."
    )
    linger: float = seconds(
        1.0, 0.0, 86400.0,
        "Seconds that published messages have to leave at the end.",
    )  # fmt: skip
    io_threads: int = like(
        BrokerConfig, "io_threads",
        says="I/O threads of the publisher's own context; unused when a context is passed in.",
    )  # fmt: skip


@table
@dataclass(frozen=True, kw_only=True)
class SubscriberConfig(Config):
    """Limits of a subscriber.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    heartbeat_interval: float = seconds(
        1.0, 0.01, 3600.0,
        "Seconds between heartbeats, for publishers that have not announced their own.",
    )  # fmt: skip
    liveness: int = like(
        BrokerConfig, "liveness",
        says="Intervals of silence after which a publisher counts as gone.",
    )  # fmt: skip
    high_water_mark: int = count(
        1000, 1, 10_000_000,
        "Messages that libzmq holds before the subscriber's thread has read them.",
    )  # fmt: skip
    queue_limit: int = count(
        10_000, 1, 50_000_000,
        "Messages that may wait for the reader; beyond this further ones are shed.",
    )  # fmt: skip
    queue_bytes: int = size(64 * 1024 * 1024, 1024, 1 << 50, "Memory that these may hold.")
    conflate: bool = switch(
        False,
        "Keep only the latest message of each topic, as long as nobody reads.",
    )  # fmt: skip
    last_values: bool = switch(
        False,
        "Ask publishers and forwarders that keep them for the last message of each topic.",
    )  # fmt: skip
    max_topics: int = count(
        100_000, 1, 50_000_000,
        "Numbers that are kept, one for each topic of each publisher; beyond this the oldest is "
        "forgotten.",
    )  # fmt: skip
    max_message_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest frame; the connection of a publisher that sends a larger one is closed.",
    )  # fmt: skip
    io_threads: int = like(
        BrokerConfig, "io_threads",
        says="I/O threads of the subscriber's own context; unused when a context is passed in.",
    )  # fmt: skip


class PublisherOptions(TypedDict, total=False):
    """What a publisher takes by name, each as in :class:`~brigantine.PublisherConfig`."""

    heartbeat_interval: float
    high_water_mark: int
    handshake_timeout: float
    stall_timeout: float
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
