"""Connections to a bound socket whose types do not fit: as brigantine.net.sockets.Handshakes."""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

cdef enum:
    HANDSHAKE_SUCCEEDED = 0x1000  # an event of a monitor that pyzmq's declarations lack


cdef class Handshakes:
    cdef int64_t ended               # handshakes that have ended otherwise
    cdef vector[int64_t] ended_at    # how many had when a connection came, by descriptor; -1: none did

    # Whether an event is the end of a connection that had no other end of its handshake.
    cdef bint mismatched(self, int event, int connection) except -1 nogil
