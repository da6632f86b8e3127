"""How long a call may wait in all."""

from __future__ import annotations

import time

__all__ = ["Deadline"]


class Deadline:
    """How long a call may wait in all: ``timeout`` seconds, for ever with ``None``."""

    def __init__(self, timeout: float | None) -> None:
        self._timeout = timeout
        self._at = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float | None:
        """Seconds that are left."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def words(self) -> str:
        """For errors."""
        return "" if self._timeout is None else f" within {self._timeout:g} s"
