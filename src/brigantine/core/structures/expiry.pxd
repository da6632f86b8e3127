"""Deadlines that all lie the same time ahead: O(1) refresh, and a sweep that costs O(expired).

With one timeout for all, the order of refreshes is the order of deadlines.
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from .chain cimport Chain, Link
from .names cimport NameTable


cdef class ExpiryOrder:
    cdef readonly int64_t timeout     # nanoseconds
    cdef Chain chain                  # head: the earliest deadline
    cdef vector[Link] links           # by index
    cdef vector[int64_t] deadlines    # by index; nanoseconds; stale outside of the chain

    # Make room for the indexes below `bound`.
    cdef int reserve(self, int bound) except -1 nogil
    # Set the deadline of an index, new or known, to now + timeout.  `now` never goes back.
    cdef void refresh(self, int index, int64_t now) noexcept nogil
    # Forget an index; false when it has no deadline.
    cdef bint remove(self, int index) noexcept nogil
    # Take out and return the index with the earliest deadline at or before `now`; NIL when none.
    cdef int expired(self, int64_t now) noexcept nogil
    # The earliest deadline; -1 when there is none.
    cdef int64_t next_deadline(self) noexcept nogil


cdef class ExpiryQueue:
    cdef readonly double timeout  # seconds
    cdef NameTable keys
    cdef ExpiryOrder order


# Seconds as Python has them -> nanoseconds, to the nearest; and back.  Whole seconds stay exact.
cdef int64_t nanoseconds(double seconds) noexcept nogil
cdef double seconds_of(int64_t nanoseconds) noexcept nogil
# A time from the caller.  Raises ValueError for one that can not be.
cdef int64_t moment(double now) except? -1


cdef inline int64_t earlier(int64_t one, int64_t other) noexcept nogil:
    """The earlier of two deadlines, as next_deadline() tells them: -1 where there is none."""
    if one < 0:
        return other
    return one if other < 0 else min(one, other)
