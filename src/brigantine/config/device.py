"""The options of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from .broker import BrokerConfig
from .pubsub import PublisherConfig
from .table import Config, like, table

__all__ = [
    "DeviceConfig",
    "DeviceOptions",
    "ForwarderOptions",
    "QueueOptions",
    "StreamerOptions",
]


@table
@dataclass(frozen=True, kw_only=True)
class DeviceConfig(Config):
    """Limits of a device.  Sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    high_water_mark: int = like(BrokerConfig, "high_water_mark")
    max_message_bytes: int = like(
        BrokerConfig,
        "max_message_bytes",
        says="Largest frame: who sends a larger one is hung up on.",
    )
    io_threads: int = like(BrokerConfig, "io_threads")
    peer_bytes: int = like(
        BrokerConfig, "peer_bytes",
        says="For a queue alone: memory that replies handed to one client may hold until its system has "
        "taken them.",
    )  # fmt: skip
    last_values: int = like(
        PublisherConfig, "last_values",
        says="For a forwarder alone: topics whose last message is kept for subscribers that come late "
        "and ask; 0: none.",
    )  # fmt: skip
    last_values_bytes: int = like(
        PublisherConfig, "last_values_bytes",
        says="For a forwarder alone: memory that these may hold.",
    )  # fmt: skip


class _Options(TypedDict, total=False):
    """What every device takes."""

    high_water_mark: int
    max_message_bytes: int
    io_threads: int


class QueueOptions(_Options, total=False):
    """What a queue takes by name, each as in :class:`~brigantine.DeviceConfig`."""

    peer_bytes: int


class ForwarderOptions(_Options, total=False):
    """What a forwarder takes by name, each as in :class:`~brigantine.DeviceConfig`."""

    last_values: int
    last_values_bytes: int


class StreamerOptions(_Options, total=False):
    """What a streamer takes by name, each as in :class:`~brigantine.DeviceConfig`."""


class DeviceOptions(QueueOptions, ForwarderOptions, total=False):
    """What devices take by name: all of :class:`~brigantine.DeviceConfig`."""
