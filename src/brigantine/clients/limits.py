"""The numbers of a client: timeout, retries, pauses and the largest request, checked."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import ClientConfig
from ..config.table import rows
from ..errors import ConfigError, OptionName

__all__ = ["Limits"]

_ROWS = rows(ClientConfig)


class Limits:
    """The numbers of a client's config, and those given for one request in their place."""

    def __init__(self, config: ClientConfig) -> None:
        self._config = config
        self.backoff, self.backoff_max = config.backoff, config.backoff_max

    def timeout(self, given: float | None) -> float:
        """``given`` for one request, or else the client's own."""
        if given is None:
            return self._config.timeout
        _ROWS["timeout"].check("timeout", given)
        return given

    def retries(self, given: int | None, brokers: int) -> int:
        """``given`` for one request, or else the client's own, which is for so many brokers."""
        if given is None:
            return self._config.tries_again(brokers)
        _ROWS["retries"].check("retries", given)
        return given

    def check_size(self, frames: Sequence[bytes]) -> None:
        """Raise :class:`~brigantine.errors.ConfigError` for a request that no broker would take.

        ``frames`` are all that is to be sent.
        """
        size = sum(map(len, frames))
        if size > self._config.max_request_bytes:
            raise ConfigError(
                OptionName("body"),
                f": the request has {size} bytes in {len(frames)} frames; the limit is "
                f"max_request_bytes={self._config.max_request_bytes}. Send less at once, or raise "
                "max_request_bytes and the broker's max_message_bytes together",
            )
