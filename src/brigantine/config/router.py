"""The options of a router for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from .broker import BrokerConfig
from .table import Config, like, table

__all__ = ["RouterConfig", "RouterOptions"]


@table
@dataclass(frozen=True, kw_only=True)
class RouterConfig(Config):
    """Limits of a :class:`~brigantine.Router`.  Sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "max_frames=64"
    high_water_mark: int = like(BrokerConfig, "high_water_mark")
    max_message_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest frame accepted from the wire; the connection of a peer that sends a larger one is "
        "closed.",
    )  # fmt: skip
    max_frames: int = like(BrokerConfig, "max_frames")
    max_depth: int = like(BrokerConfig, "max_depth")


class RouterOptions(TypedDict, total=False):
    """What a router takes by name, each as in :class:`~brigantine.RouterConfig`."""

    high_water_mark: int
    max_message_bytes: int
    max_frames: int
    max_depth: int
