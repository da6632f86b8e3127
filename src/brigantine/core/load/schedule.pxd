"""When which client is to send: in a closed loop at once, in an open loop at times fixed beforehand.

In an open loop request k is meant to be sent at `start + k * spacing`, by client `k % clients`,
whatever became of the requests before it.  A client that can't send then does so later, and the latency
counts from when it was meant to.
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

cdef enum:
    NO_CLIENT = -1

cdef int64_t NEVER   # as a moment
cdef int64_t NO_END  # as a number of requests: never used up


cdef class Schedule:
    cdef int clients
    cdef double spacing        # nanoseconds between two intended times; 0 in a closed loop
    cdef int64_t start         # nanoseconds on the monotonic clock
    cdef int64_t end           # nothing is meant to be sent at or after it; or NEVER
    cdef int64_t left          # requests that may still be sent, or NO_END
    cdef int64_t issued        # open loop: requests whose time has come
    cdef int64_t taken         # open loop: those of them that were sent
    cdef vector[int64_t] sent  # open loop: the same by client

    # Start over at `now`.
    cdef void begin(self, int64_t now, int64_t end, int64_t left) noexcept nogil
    # When the next request of a client was meant to be sent; NEVER if it is not to send now.
    cdef int64_t next_for(self, int client, int64_t now) noexcept nogil
    # A client has sent its next request.
    cdef void took(self, int client) noexcept nogil
    # Open loop: a client whose next request's time has come since the last call; NO_CLIENT if none.
    cdef int come(self, int64_t now) noexcept nogil
    # Open loop: when the next request's time comes; else NEVER.
    cdef int64_t next_time(self) noexcept nogil
    cdef int64_t moment(self, int64_t number) noexcept nogil
