"""Tickets: the short token that replaces the client's address in a worker's request.

A ticket is TICKET_SIZE lower-case hexadecimal digits: the slot's index, then the slot's
generation, eight digits each.  Closing a slot moves its generation on, so a ticket that was once
closed never resolves again (until 2**32 later uses of its slot).
"""

from libc.stdint cimport uint8_t, uint32_t
from libcpp.vector cimport vector

cdef enum:
    TICKET_SIZE = 16

# What became of a ticket that is not live; also how a slot is closed.
cpdef enum Verdict:
    UNKNOWN = -1   # this table never issued it
    LATE = -2      # it was closed without an answer, or too long ago to know
    ANSWERED = -3  # it was closed by an answer

cdef struct Slot:
    uint32_t generation  # of the live ticket, or of the next one while the slot is free
    bint live
    int end              # Verdict on the slot's last ticket


cdef class TicketTable:
    cdef uint32_t seed          # where generations start
    cdef vector[Slot] slots
    cdef vector[int] free       # the slot freed last is used first

    cdef int c_open(self) except -1 nogil
    # Write the TICKET_SIZE bytes of a live slot's ticket.
    cdef void write(self, int slot, char *to) noexcept nogil
    # The slot of a live ticket, otherwise a Verdict.
    cdef int c_resolve(self, const char *token, size_t size) noexcept nogil
    cdef void c_renew(self, int slot) noexcept nogil
    cdef int c_close(self, int slot, int end) except -1 nogil
