"""The workers of a load generator: each answers at once with what it was asked.

Workers of PPP and MDP heartbeat as their protocol wants it, and say READY again when the broker says
DISCONNECT or has fallen silent.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from ..structures.expiry cimport ExpiryOrder
from .line cimport Line

cdef enum:
    # Counters, in the order of WORKER_COUNTS.
    SERVED = 0
    HEARTBEATS_SENT = 1
    HEARTBEATS_RECEIVED = 2
    DISCONNECTED = 3  # DISCONNECT from the broker
    READY_AGAIN = 4   # READY beside the first
    NONSENSE = 5      # messages that are none of this protocol
    WORKER_COUNTERS = 6


cdef class Workers:
    cdef Line line
    cdef int protocol
    cdef bint heartbeating        # the protocol has heartbeats
    cdef string service
    cdef string capacity          # as READY announces it; empty for 1
    cdef int64_t interval         # nanoseconds between heartbeats
    cdef vector[int64_t] served   # by worker
    # By worker; the three hold none unless `heartbeating`.
    cdef ExpiryOrder heartbeats   # when the next is due: nothing was sent for an interval
    cdef ExpiryOrder silences     # when the broker counts as gone: heard nothing for `liveness` of them
    # When READY is due after DISCONNECT: an interval later, so that a broker that always refuses is
    # not asked all the time.
    cdef ExpiryOrder absences
    cdef int64_t count[WORKER_COUNTERS]

    # Set all counters to 0.
    cdef void count_from_here(self) noexcept nogil
    # READY from all workers.
    cdef int announce(self, int64_t now) except -1 nogil
    # Receive and answer one message; whether there was one.
    cdef bint serve(self, int64_t now) except -1 nogil
    # Send what is due.
    cdef int tick(self, int64_t now) except -1 nogil
    # When something will be due, or NEVER.
    cdef int64_t next_deadline(self) noexcept nogil
    # This process was stopped: silence up to now is not the broker's.
    cdef void forgive(self, int64_t now) noexcept nogil
    cdef int ready(self, int worker, int64_t now) except -1 nogil
    cdef int say(self, int64_t now, int worker) except -1 nogil
