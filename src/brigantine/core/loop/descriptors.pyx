"""Which descriptors are kept in reserve: see brigantine.net.descriptors, which has the same."""

from ...config.limits import DESCRIPTOR_RESERVE as _DESCRIPTOR_RESERVE
from ...config.limits import DESCRIPTOR_SHARE as _DESCRIPTOR_SHARE

cdef rlim_t DESCRIPTOR_RESERVE = _DESCRIPTOR_RESERVE
cdef rlim_t DESCRIPTOR_SHARE = _DESCRIPTOR_SHARE
# More than any limit: an int of 32 bits is all that a descriptor may be.
cdef rlim_t MOST = 1 << 31


cdef int64_t reserve_begins() noexcept nogil:
    cdef rlimit limits
    cdef rlim_t limit = MOST
    if getrlimit(RLIMIT_NOFILE, &limits) == 0:
        limit = min(limits.rlim_cur, MOST)
    return <int64_t>(limit - min(DESCRIPTOR_RESERVE, limit // DESCRIPTOR_SHARE))
