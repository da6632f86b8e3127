"""The clients of a load generator: what is out, and what every reply turns out to be.

A body begins with a stamp and is then filled up with bytes known beforehand.  A reply counts if it comes
to the client that asked, for a request that is out, with the body unchanged.  At every moment
sent = replies + lost + errors + out, of the requests that count.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.unordered_set cimport unordered_set
from libcpp.vector cimport vector

from ..structures.expiry cimport ExpiryOrder
from ..structures.histogram cimport Histogram
from .line cimport Line

cdef enum:
    # Counters, in the order of CLIENT_COUNTERS.
    SENT = 0
    REPLIES = 1
    LOST = 2        # no reply within the timeout
    LATE = 3        # replies to those after all
    DUPLICATES = 4  # a reply to what was answered before
    WRONG = 5       # a reply to another client's request, to none, changed, or not of this protocol
    ERRORS = 6      # an error report of a worker or broker in place of the reply
    PARTIALS = 7
    CLIENT_COUNTERS = 8
    # What take() and expire() answer beside a client that has a place free.
    NO_MORE = -1
    NO_PLACE = -3

cdef struct Stamp:
    int client
    int slot
    int64_t number

cdef struct Slot:
    int64_t number    # of the request that is out, from 1; 0: none
    int64_t intended  # nanoseconds: when it was meant to be sent


cdef class Clients:
    cdef Line line
    cdef int protocol
    cdef int window              # requests that a client has out at most
    cdef int size                # bytes of a body
    cdef string service
    cdef string fill             # what a body is filled up with, and room for the stamp before it
    cdef vector[Slot] slots      # by client * window + place
    cdef vector[int] free        # stacks of free slots: that of a client begins at client * window
    cdef vector[int] free_count  # by client
    cdef ExpiryOrder timeouts    # of slots
    cdef int64_t number          # of the request that was sent last, over all clients and runs
    cdef int64_t first           # the first that counts
    cdef int64_t out             # requests that are out, with those that do not count
    # Numbers of requests that were given up, for LATE; at most KEPT_LOST of them.
    cdef unordered_set[int64_t] lost
    cdef int64_t count[CLIENT_COUNTERS]
    cdef Histogram latencies     # from when a request was meant to be sent
    cdef int64_t last_reply      # nanoseconds, monotonic clock; 0: none
    cdef int64_t worst_lag       # nanoseconds that a request was sent later than meant

    # What was sent up to now counts no more, nor do its replies.
    cdef void count_from_here(self) noexcept nogil
    cdef bint has_place(self, int client) noexcept nogil
    # Send a request of a client that has a place free.
    cdef int ask(self, int client, int64_t intended, int64_t now) except -1 nogil
    # Receive a message: the client that has a place free by it, NO_PLACE, or NO_MORE to receive.
    cdef int take(self) except -2 nogil
    # Give up a request whose time is over: its client, or NO_MORE.
    cdef int expire(self, int64_t now) noexcept nogil
    cdef int answer(self, int client, int body) except -2 nogil
    cdef int error(self, int client) except -2 nogil
    cdef int unknown(self, int64_t number) noexcept nogil
    cdef int release(self, int slot) noexcept nogil
    cdef void note(self, int counter, int64_t number) noexcept nogil
