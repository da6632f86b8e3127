"""Which of a batch's numbers are meant: a bit for each, in memory and on the wire."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

__all__ = ["Numbers"]


class Numbers:
    """A set of small numbers.  Bit 0 of byte 0 is number 0."""

    __slots__ = ("_bits", "count")

    def __init__(self, numbers: Iterable[int] = ()) -> None:
        self._bits = bytearray()
        #: How many there are.
        self.count = 0
        for number in numbers:
            self.add(number)

    @classmethod
    def unpacked(cls, frame: bytes) -> Numbers:
        """As it has come."""
        made = cls()
        made._bits = bytearray(frame.rstrip(b"\0"))
        made.count = sum(byte.bit_count() for byte in made._bits)
        return made

    def packed(self) -> bytes:
        """As it is sent: without bytes of zero at the end."""
        return bytes(self._bits).rstrip(b"\0")

    def __contains__(self, number: int) -> bool:
        at = number >> 3
        return at < len(self._bits) and bool(self._bits[at] >> (number & 7) & 1)

    def add(self, number: int) -> bool:
        """Whether it was not there before."""
        if number in self:
            return False
        at = number >> 3
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits)))
        self._bits[at] |= 1 << (number & 7)
        self.count += 1
        return True

    def discard(self, number: int) -> None:
        """It is not there afterwards."""
        if number in self:
            self._bits[number >> 3] &= ~(1 << (number & 7))
            self.count -= 1

    def __iter__(self) -> Iterator[int]:
        for at, byte in enumerate(self._bits):
            for bit in range(8) if byte else ():
                if byte >> bit & 1:
                    yield at << 3 | bit

    def missing(self, below: int) -> Iterator[int]:
        """The numbers from 0 to ``below`` that are not there."""
        for at in range(0, below, 8):
            byte = self._bits[at >> 3] if at >> 3 < len(self._bits) else 0
            if byte != 0xFF:
                for number in range(at, min(at + 8, below)):
                    if not byte >> (number & 7) & 1:
                        yield number
