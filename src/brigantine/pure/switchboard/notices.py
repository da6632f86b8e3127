"""Which notices a person is told: what is new, at a bounded rate."""

from __future__ import annotations

from collections import OrderedDict

from ...config.limits import KIND_BURST, KIND_EVERY, NOTICE_BURST, NOTICE_EVERY, NOTICES_KNOWN
from ...notices.kinds import KINDS, Notice

__all__ = ["NoticeGate", "nanoseconds"]

_SECOND = 1_000_000_000
# Nanoseconds, as sums of tenths of a second are not exact.
_KIND_EVERY, _NOTICE_EVERY = round(KIND_EVERY * _SECOND), round(NOTICE_EVERY * _SECOND)
_KIND_AHEAD = (KIND_BURST - 1) * _KIND_EVERY
_NOTICE_AHEAD = (NOTICE_BURST - 1) * _NOTICE_EVERY


class NoticeGate:
    """Lets through what is new, at a bounded rate: of each kind, and of all."""

    def __init__(self) -> None:
        #: Kind, reason and peer of the last notices of kinds told once; the oldest first.
        self._known: OrderedDict[tuple[str, str | None, bytes], None] = OrderedDict()
        # Nanoseconds at which all that were let through have been paid for: of all, and by kind.
        self._paid = 0
        self._kind_paid = dict.fromkeys(KINDS, 0)

    def known(self, told: Notice) -> bool:
        """Whether it was told of this peer before."""
        return KINDS[told.kind].once and (told.kind, told.reason, told.peer or b"") in self._known

    def admits(self, told: Notice, now: float) -> bool:
        """Whether there is room for it now; then it counts as told."""
        at, kind_paid = nanoseconds(now), self._kind_paid[told.kind]
        if kind_paid - at > _KIND_AHEAD or self._paid - at > _NOTICE_AHEAD:
            return False
        self._kind_paid[told.kind] = max(kind_paid, at) + _KIND_EVERY
        self._paid = max(self._paid, at) + _NOTICE_EVERY
        if KINDS[told.kind].once:
            if len(self._known) == NOTICES_KNOWN:
                self._known.popitem(last=False)
            self._known[told.kind, told.reason, told.peer or b""] = None
        return True


def nanoseconds(seconds: float) -> int:
    """In whole nanoseconds."""
    return round(seconds * _SECOND)
