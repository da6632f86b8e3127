"""Which services have most waiting.  Kept only from when the queue meets one of its bounds until it is half
empty again: for a broker that is well it costs a look at a flag.
"""

from libc.stdint cimport int64_t
from libcpp.map cimport map as ordered
from libcpp.pair cimport pair

# What a service has waiting, and when it was made known (of equals, the youngest is the last).
ctypedef pair[int64_t, int64_t] Weight


cdef class Backlog:
    cdef bint kept                      # what follows is up to date
    cdef int64_t changes                # of it, since it is
    # The services whose last waiting request never was at a worker, lightest first: by how many requests
    # they have waiting, and by the bytes charged to these.
    cdef ordered[Weight, int] by_requests
    cdef ordered[Weight, int] by_bytes

    # Move a service from one weight to another; 0 is none.
    cdef int move(
        self, ordered[Weight, int] *order, int service, int64_t age, int64_t old, int64_t new
    ) except -1 nogil
    # The heaviest service; there must be one.
    cdef int heaviest(self, ordered[Weight, int] *order) noexcept nogil
    # Forget all of them.
    cdef int drop(self) except -1 nogil
