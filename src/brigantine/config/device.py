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
        says="Largest frame; the connection of a peer that sends a larger one is closed.",
    )
    io_threads: int = like(BrokerConfig, "io_threads")
    peer_bytes: int = like(
        BrokerConfig, "peer_bytes",
        says="Only for a queue: memory that replies for one client may hold until its system has taken "
        "them.",
    )  # fmt: skip
    last_values: int = like(
        PublisherConfig, "last_values",
        says="Only for a forwarder: topics whose last message is kept for late subscribers that ask; 0: "
        "none.",
    )  # fmt: skip
    last_values_bytes: int = like(
        PublisherConfig, "last_values_bytes",
        says="Only for a forwarder: memory that these may hold.",
    )  # fmt: skip


class _Options(TypedDict, total=False):
    """What every device takes."""

    high_water_mark: int
    max_message_bytes: int
    io_threads: int


class QueueOptions(_Options, total=False):
    """The options of a queue by name, each as in :class:`~brigantine.DeviceConfig`."""

    peer_bytes: int


class ForwarderOptions(_Options, total=False):
    """The options of a forwarder by name, each as in :class:`~brigantine.DeviceConfig`."""

    last_values: int
    last_values_bytes: int


class StreamerOptions(_Options, total=False):
    """The options of a streamer by name, each as in :class:`~brigantine.DeviceConfig`."""


class DeviceOptions(QueueOptions, ForwarderOptions, total=False):
    """The options of devices by name: all of :class:`~brigantine.DeviceConfig`."""
