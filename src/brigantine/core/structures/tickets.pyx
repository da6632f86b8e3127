"""Tickets: the short token that replaces the client's address in a worker's request."""

from libc.stdint cimport uint8_t
from libc.string cimport memset

__all__ = ["TicketTable", "Verdict"]

cdef enum:
    HALF = 8  # digits of the slot, and of the generation
    NO_DIGIT = 0xFF

cdef const char *DIGITS = b"0123456789abcdef"
cdef uint8_t[256] VALUES  # of a digit: its value
memset(VALUES, NO_DIGIT, sizeof(VALUES))
for _value in range(16):
    VALUES[<unsigned char>DIGITS[_value]] = _value


cdef inline void write_hex(uint32_t value, char *to) noexcept nogil:
    cdef const char *digits = DIGITS  # what is written might overlap the pointer, as far as C knows
    cdef int at
    for at in range(HALF - 1, -1, -1):
        to[at] = digits[value & 15]
        value >>= 4


cdef inline bint read_hex(const char *digits, uint32_t *value) noexcept nogil:
    """False unless there are HALF lower-case digits."""
    cdef int at
    cdef uint32_t digit, read = 0, worst = 0
    for at in range(HALF):
        digit = VALUES[<unsigned char>digits[at]]
        read = (read << 4) | digit
        worst |= digit
    value[0] = read
    return worst < 16


cdef class TicketTable:
    """TicketTable(seed=0)\n--\n\nSlots with generations.  ``seed`` (32 bits) is where generations start.

    A random seed keeps tickets of an earlier broker on the same port from resolving here.
    """

    def __cinit__(self, seed=0):
        self.seed = <uint32_t>(seed & 0xFFFFFFFF)

    cdef int c_open(self) except -1 nogil:
        cdef Slot fresh
        cdef int slot
        if self.free.empty():
            slot = <int>self.slots.size()
            fresh.generation = self.seed
            fresh.end = LATE
            fresh.live = True
            self.slots.push_back(fresh)
        else:
            slot = self.free.back()
            self.free.pop_back()
            self.slots[slot].live = True
        return slot

    cdef void write(self, int slot, char *to) noexcept nogil:
        write_hex(<uint32_t>slot, to)
        write_hex(self.slots[slot].generation, to + HALF)

    cdef int c_resolve(self, const char *token, size_t size) noexcept nogil:
        cdef uint32_t index, generation, behind
        cdef Slot *slot
        if size != TICKET_SIZE:
            return UNKNOWN
        if not read_hex(token, &index) or not read_hex(token + HALF, &generation):
            return UNKNOWN
        if index >= self.slots.size():
            return UNKNOWN
        slot = &self.slots[index]
        behind = slot.generation - generation
        if behind == 0:
            # The generation after the last one closed is not out yet while the slot is free.
            return <int>index if slot.live else <int>UNKNOWN
        if behind > <uint32_t>(slot.generation - self.seed):
            return UNKNOWN
        return slot.end if behind == 1 else <int>LATE

    cdef void c_renew(self, int slot) noexcept nogil:
        self.slots[slot].generation += 1
        self.slots[slot].end = LATE

    cdef int c_close(self, int slot, int end) except -1 nogil:
        self.c_renew(slot)
        self.slots[slot].end = end
        self.slots[slot].live = False
        self.free.push_back(slot)
        return 0

    def open(self):
        """Take a slot and return its index; the slot freed last is used first."""
        return self.c_open()

    def token(self, int slot):
        """The ticket of a live slot: 16 printable ASCII bytes."""
        cdef char token[TICKET_SIZE]
        self._check(slot)
        self.write(slot, token)
        return token[:TICKET_SIZE]

    def resolve(self, bytes token not None):
        """The slot (0 and up) of a live ticket, otherwise why there is none (below 0).

        That is a :class:`~brigantine.pure.structures.tickets.Verdict`.
        """
        return self.c_resolve(token, len(token))

    def renew(self, int slot):
        """Make the live slot's present ticket late and give it another."""
        self._check(slot)
        self.c_renew(slot)

    def close(self, int slot, int end):
        """Free a live slot; from now on its ticket resolves to ``end``.

        Raises ``IndexError`` for a slot that is not live, ``ValueError`` unless ``end`` is below 0.
        """
        self._check(slot)
        if end >= 0:
            raise ValueError(f"end must be a Verdict, not {end!r}")
        self.c_close(slot, end)

    def __len__(self):
        """Live slots."""
        return self.slots.size() - self.free.size()

    def _check(self, int slot):
        if not 0 <= slot < <int>self.slots.size() or not self.slots[slot].live:
            raise IndexError(f"slot {slot} is not live")
