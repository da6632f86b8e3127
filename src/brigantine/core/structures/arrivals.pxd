"""Whose requests have come since the waiting ones were last handed out: the last one of each client.

Replies that leave together for one connection share a system call, and so do the requests that its
client sends when it has them.  Requests that are adjacent in the queue come back together.
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

cdef enum:
    BUCKETS = 256  # as many as messages that the loop reads in one turn (config.BATCH)


cdef class Arrivals:
    cdef int64_t round              # this one; a bucket of an earlier one is empty
    cdef int64_t rounds[BUCKETS]    # when a bucket was last used
    cdef int heads[BUCKETS]         # its first slot; NIL when empty
    cdef vector[int] nexts          # by slot: another client's in the same bucket; NIL at the end
    cdef vector[size_t] keys        # by slot: hash of client and service

    # Make room for the slots below `bound`.
    cdef int reserve(self, int bound) except -1 nogil
    # Note a request by its slot, and return the one that the same client sent last for the same service;
    # NIL when there is none.  Clients and services are told apart by a hash alone, so it may be another's:
    # the caller is to compare them.
    cdef int note(self, int slot, const char *client, size_t size, int service) noexcept nogil
    # The waiting requests are handed out.
    cdef void clear(self) noexcept nogil
