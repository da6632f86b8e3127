"""The numbers of a client: timeout, retries, pauses and the largest request, checked."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import CLIENT_RETRIES, bounds
from ..errors import ConfigError
from ..validation.values import number, whole

__all__ = ["TIMEOUT_RANGE", "Limits"]

#: Least and greatest, in seconds.
TIMEOUT_RANGE = (0.001, 86400.0)
BACKOFF_RANGE = (0.0, 3600.0)
#: Least and greatest number of retries.
RETRIES_RANGE = (0, 1000)


class Limits:
    """Numbers that a client was made with, checked.  Times are seconds.

    Raises :class:`~brigantine.errors.ConfigError` for one out of range.
    """

    def __init__(
        self,
        timeout: float,
        retries: int | None,
        backoff: float,
        backoff_max: float,
        max_bytes: int,
    ) -> None:
        self._timeout = number("timeout", timeout, *TIMEOUT_RANGE)
        self._retries = None if retries is None else whole("retries", retries, *RETRIES_RANGE)
        self.backoff = number("backoff", backoff, *BACKOFF_RANGE)
        self.backoff_max = number("backoff_max", backoff_max, *BACKOFF_RANGE)
        least, most = map(int, bounds("max_message_bytes"))
        self._max_bytes = whole("max_request_bytes", max_bytes, least, most, "bytes")

    def timeout(self, given: float | None) -> float:
        """``given`` for one request, or else the client's own."""
        return self._timeout if given is None else number("timeout", given, *TIMEOUT_RANGE)

    def retries(self, given: int | None, brokers: int) -> int:
        """``given`` for one request, or else the client's own, which is for so many brokers."""
        if given is not None:
            return whole("retries", given, *RETRIES_RANGE)
        return max(CLIENT_RETRIES, brokers - 1) if self._retries is None else self._retries

    def check_size(self, frames: Sequence[bytes]) -> None:
        """Raise :class:`~brigantine.errors.ConfigError` for a request that no broker would take.

        ``frames`` are all that is to be sent.
        """
        size = sum(map(len, frames))
        if size > self._max_bytes:
            raise ConfigError(
                f"body: the request has {size} bytes in {len(frames)} frames; the limit is "
                f"max_request_bytes={self._max_bytes}. Send less at once, or raise max_request_bytes and "
                "the broker's max_message_bytes together"
            )
