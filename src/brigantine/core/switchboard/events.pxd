"""What readers of a broker's events are told.  Names, order and meaning: brigantine.events.KINDS."""

from libc.stdint cimport int64_t
from libcpp.string cimport string

cpdef enum:
    EVENT_JOINED
    EVENT_EXPIRED
    EVENT_DISCONNECTED
    EVENT_LOST
    EVENT_REFUSED
    EVENT_REDISPATCHED
    EVENT_SHED
    EVENT_FAILED
    EVENT_PAUSE
    EVENT_DRAINING
    EVENT_STOPPED
    EVENT_COUNT

cdef enum:
    # No counter tells the reason.
    NO_CAUSE = -1

cdef struct Event:
    int kind
    int reason           # a counter, or NO_CAUSE
    const char *worker   # its identity; NULL where there is none.  Neither pointer is owned
    size_t worker_size
    const char *service  # its name, cut off at EVENT_NAME_BYTES; NULL where there is none
    size_t service_size


# Append the message of an event: see brigantine.events.  `at` is monotonic time in nanoseconds.
cdef int pack_event(string *out, const Event *event, int64_t at, int64_t missed) except -1 nogil
