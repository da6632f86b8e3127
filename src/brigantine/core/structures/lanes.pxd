"""Deadlines of workers, each at its own distance: a lane for each distance, in which all are the same.

O(1) refresh; a sweep costs what has expired, and a look at each lane.  The first lane is for those
who announce nothing; of others there are as many as workers announce different intervals, bounded.
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from .chain cimport Chain, Link

cdef struct Lane:
    int64_t timeout   # nanoseconds
    Chain chain       # head: the earliest deadline of the lane
    int members       # indexes assigned to it; a lane without any but the first may be given away


cdef class IntervalDeadlines:
    cdef vector[Lane] lanes
    cdef vector[int] lane_of          # by index
    cdef vector[Link] links           # by index
    cdef vector[int64_t] deadlines    # by index; nanoseconds; stale outside of the chains

    # Make room for the indexes below `bound`.
    cdef int reserve(self, int bound) except -1 nogil
    cdef int add_lane(self, int64_t timeout) except -1 nogil
    # The lane of a distance, made if need be; where there are too many, the next shorter one.
    cdef int find_lane(self, int64_t timeout) except -1 nogil
    # Choose the distance for an index that has no deadline; 0 is the usual one.
    cdef int assign(self, int index, int64_t timeout) except -1 nogil
    # Forget an index and its distance.
    cdef void release(self, int index) noexcept nogil
    # Set the deadline of an index, new or known.  `now` never goes back.
    cdef void refresh(self, int index, int64_t now) noexcept nogil
    # Take away the deadline of an index, if it has one.
    cdef void remove(self, int index) noexcept nogil
    # Take out and return an index whose deadline is at or before `now`; NIL when there is none.
    cdef int expired(self, int64_t now) noexcept nogil
    # The earliest deadline; -1 when there is none.
    cdef int64_t next_deadline(self) noexcept nogil
