"""Error answers that their clients had no room for, in the order in which they are tried again.

Bounded in bytes together and in number for each peer, so that one that never reads keeps nobody
else's out.
"""

from libc.stdint cimport int64_t
from libcpp.deque cimport deque
from libcpp.vector cimport vector

from ..wire.envelope cimport Frames
from ..structures.names cimport NameTable

cdef struct End:
    Frames head        # owned: the frames before the body of the answer, the routing id first
    int reason         # the counter that the request went to
    int peer           # index of the routing id
    int64_t charge     # bytes that it counts for
    int64_t deadline   # when it is given up, in nanoseconds


cdef class Untold:
    cdef deque[End] ends         # the next one to try in front
    cdef int64_t due             # when that is; stale while there is none
    cdef int64_t charge          # of all of them
    cdef NameTable peers
    cdef vector[int] of_peer     # how many there are, by peer

    # Keep copies of the first `head` frames; false where there is no room.
    cdef bint keep(
        self, const Frames *frames, int head, int reason, int64_t deadline
    ) except? -1 nogil
    # Forget the one in front.
    cdef int drop(self) except -1 nogil
    # Put the first one after all others.
    cdef int pass_over(self) except -1 nogil
