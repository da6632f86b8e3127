"""Which descriptors are kept in reserve: see brigantine.net.descriptors, which has the same."""

from libc.stdint cimport int64_t

cdef extern from "<sys/resource.h>" nogil:
    ctypedef unsigned long rlim_t
    struct rlimit:
        rlim_t rlim_cur
    int RLIMIT_NOFILE
    int getrlimit(int resource, rlimit *limits)

# The lowest number of the reserve.  Asked again each time: prlimit(1) changes it from outside.
cdef int64_t reserve_begins() noexcept nogil
