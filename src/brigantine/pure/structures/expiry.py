"""Deadlines that all lie the same time ahead: O(1) refresh, and a sweep that costs O(expired)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from ...config.limits import MAX_SECONDS
from ...errors import ConfigError, OptionName

__all__ = ["ExpiryQueue"]

Key = TypeVar("Key", bound=Hashable)


def _moment(now: float) -> float:
    """A time from the caller; ``ValueError`` for one that can't be."""
    if not -MAX_SECONDS <= now <= MAX_SECONDS:
        raise ValueError(f"now must be monotonic seconds, not {now!r}")
    return now


class ExpiryQueue(Generic[Key]):
    """Keys with a deadline ``timeout`` seconds after their last refresh.

    With one timeout for all, the order of refreshes is the order of deadlines; so a refresh moves
    its key to the end, and a sweep looks at expired keys and one more.  ``now`` is monotonic
    seconds and never goes back.
    """

    __slots__ = ("_deadlines", "timeout")

    def __init__(self, timeout: float) -> None:
        """Raises :class:`~brigantine.errors.ConfigError` for a timeout that makes no sense."""
        if not 0 < timeout <= MAX_SECONDS:
            raise ConfigError(
                OptionName("timeout"),
                f" must be above 0 and at most {MAX_SECONDS:.0f} seconds, not {timeout!r}",
            )
        self.timeout = timeout
        self._deadlines: OrderedDict[Key, float] = OrderedDict()

    def refresh(self, key: Key, now: float) -> None:
        """Set the deadline of ``key``, new or known, to ``now + timeout``."""
        self._deadlines[key] = _moment(now) + self.timeout
        self._deadlines.move_to_end(key)

    def remove(self, key: Key) -> bool:
        """Forget ``key``.  ``False`` when it was not there."""
        return self._deadlines.pop(key, None) is not None

    def sweep(self, now: float) -> list[Key]:
        """Take out and return the keys whose deadline is at or before ``now``, earliest first."""
        now, expired = _moment(now), []
        for key, deadline in self._deadlines.items():
            if deadline > now:
                break
            expired.append(key)
        for key in expired:
            del self._deadlines[key]
        return expired

    def next_deadline(self) -> float | None:
        """The earliest deadline; ``None`` when there is no key."""
        for deadline in self._deadlines.values():
            return deadline
        return None

    def __len__(self) -> int:
        return len(self._deadlines)

    def __contains__(self, key: object) -> bool:
        return key in self._deadlines

    def __iter__(self) -> Iterator[Key]:
        """The keys, the earliest deadline first."""
        return iter(list(self._deadlines))
