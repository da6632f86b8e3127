"""The options of a client."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from .broker import BrokerConfig
from .table import Config, choice, count, like, seconds, table

__all__ = ["ClientConfig", "ClientOptions", "LazyPirateOptions"]

#: Tries that follow the first, unless there are more brokers to ask.
_RETRIES = 1


@table
@dataclass(frozen=True, kw_only=True)
class ClientConfig(Config):
    """Limits of a client.  Times are seconds, sizes are bytes.

    Raises :class:`~brigantine.errors.ConfigError` at once for a value out of range.
    """

    _example = "timeout=30"
    #: The default is longer than a broker of Majordomo needs to notice that a worker is gone (interval x
    #: liveness) and have another carry the request out.
    timeout: float = seconds(
        10.0, 0.001, 86400.0, "Seconds of one try, from asking to the end of the reply."
    )
    retries: int | None = count(
        None, 0, 1000, "Tries that may follow the first.",
        unset=f"{_RETRIES}, or as many as ask each broker once",
    )  # fmt: skip
    backoff: float = seconds(
        0.1, 0.0, 3600.0,
        "Seconds of the longest pause before a request asks the same broker again.",
    )  # fmt: skip
    backoff_max: float = seconds(5.0, 0.0, 3600.0, "Seconds to which that pause doubles.")
    max_request_bytes: int = like(
        BrokerConfig, "max_message_bytes",
        says="Largest request, the same as the broker's ``max_message_bytes``; a larger one is refused "
        "before it is sent.",
    )  # fmt: skip
    version: Literal["0.1", "0.2"] = choice(
        "0.2", ("0.1", "0.2"), "Version of the Majordomo Protocol to speak."
    )

    def tries_again(self, brokers: int) -> int:
        """How many tries may follow the first, with so many brokers to ask."""
        return max(_RETRIES, brokers - 1) if self.retries is None else self.retries


class LazyPirateOptions(TypedDict, total=False):
    """The options of a REQ client by name, each as in :class:`~brigantine.ClientConfig`."""

    timeout: float
    retries: int | None
    backoff: float
    backoff_max: float
    max_request_bytes: int


class ClientOptions(LazyPirateOptions, total=False):
    """The options of an MDP client by name: all of :class:`~brigantine.ClientConfig`."""

    version: Literal["0.1", "0.2"]
