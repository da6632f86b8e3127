"""The options of an exclusive pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from .broker import BrokerConfig
from .table import Config, like, table

__all__ = ["CONNECT_TIMEOUT", "PairConfig", "PairOptions"]

#: Seconds that connecting waits for the other end to be bound, if nothing else is said.
CONNECT_TIMEOUT = 1.0


@table
@dataclass(frozen=True, kw_only=True)
class PairConfig(Config):
    """Limits of an end of a :class:`~brigantine.Pair`.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "high_water_mark=10"
    high_water_mark: int = like(
        BrokerConfig, "high_water_mark", says="Messages that may wait at either end, and one more."
    )


class PairOptions(TypedDict, total=False):
    """What an end of a pair takes by name, each as in :class:`~brigantine.PairConfig`."""

    high_water_mark: int
