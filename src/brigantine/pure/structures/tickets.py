"""Tickets: the short token that replaces the client's address in a worker's request.

A ticket is ``TICKET_SIZE`` lower-case hexadecimal digits: the slot's index, then the slot's
generation, eight digits each.  Closing a slot moves its generation on, so a ticket that was once
closed never resolves again (until 2**32 later uses of its slot).
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["TICKET_SIZE", "TicketTable", "Verdict"]

TICKET_SIZE = 16
_MASK = 0xFFFFFFFF
_DIGITS = frozenset(b"0123456789abcdef")


class Verdict(IntEnum):
    """What became of a ticket that is not live; also how a slot is closed."""

    #: This table never issued it.
    UNKNOWN = -1
    #: It was closed without an answer, or too long ago to know.
    LATE = -2
    #: It was closed by an answer.
    ANSWERED = -3


class TicketTable:
    """Slots with generations.  ``seed`` (32 bits) is where generations start.

    A random seed keeps tickets of an earlier broker on the same port from resolving here.
    """

    __slots__ = ("_ends", "_free", "_generations", "_live", "_seed")

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed & _MASK
        self._generations: list[int] = []
        self._live: list[bool] = []
        self._ends: list[Verdict] = []  # how the slot's last ticket ended
        self._free: list[int] = []

    def open(self) -> int:
        """Take a slot and return its index; the slot freed last is used first."""
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self._generations)
            self._generations.append(self._seed)
            self._live.append(False)
            self._ends.append(Verdict.LATE)
        self._live[slot] = True
        return slot

    def token(self, slot: int) -> bytes:
        """The ticket of a live slot: 16 printable ASCII bytes."""
        return b"%08x%08x" % (slot, self._generations[slot])

    def resolve(self, token: bytes) -> int:
        """The slot (0 and up) of a live ticket, otherwise why there is none (below 0).

        That is a :class:`~brigantine.pure.structures.tickets.Verdict`.
        """
        if len(token) != TICKET_SIZE or not _DIGITS.issuperset(token):
            return Verdict.UNKNOWN
        slot, generation = int(token[:8], 16), int(token[8:], 16)
        if slot >= len(self._generations):
            return Verdict.UNKNOWN
        behind = (self._generations[slot] - generation) & _MASK
        if behind == 0:
            # The generation after the last one closed is not out yet while the slot is free.
            return slot if self._live[slot] else Verdict.UNKNOWN
        if behind > (self._generations[slot] - self._seed) & _MASK:
            return Verdict.UNKNOWN
        return self._ends[slot] if behind == 1 else Verdict.LATE

    def renew(self, slot: int) -> None:
        """Make the live slot's present ticket late and give it another."""
        self._generations[slot] = (self._generations[slot] + 1) & _MASK
        self._ends[slot] = Verdict.LATE

    def close(self, slot: int, end: Verdict) -> None:
        """Free a live slot; from now on its ticket resolves to ``end``.

        Raises ``IndexError`` for a slot that is not live, ``ValueError`` unless ``end`` is below 0.
        """
        if not 0 <= slot < len(self._live) or not self._live[slot]:
            raise IndexError(f"slot {slot} is not live")
        if end >= 0:
            raise ValueError(f"end must be a Verdict, not {end!r}")
        self.renew(slot)
        self._ends[slot] = end
        self._live[slot] = False
        self._free.append(slot)

    def __len__(self) -> int:
        """Live slots."""
        return len(self._generations) - len(self._free)
