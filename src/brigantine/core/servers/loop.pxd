"""The loop of a server: turn after turn what has come in, what handlers have answered, what is due."""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from ..loop.handshakes cimport Handshakes
from .serving cimport Serving

cdef enum:
    NEVER = -1


cdef class ServerLoop(Serving):
    cdef object reserve          # brigantine.net.descriptors.DescriptorReserve, or None
    cdef bint reserves           # it is not None
    cdef const char *lent        # not 0: all descriptors are of it; memory of `reserve`
    cdef Handshakes handshakes
    cdef vector[int] crowd       # connections to be closed: they have descriptors of the reserve
    cdef readonly int64_t unheard  # connections that were closed, as nothing came by them
    cdef bint stopping
    cdef int64_t drain_deadline  # loop time, or NEVER
    cdef int64_t drain_from      # loop time: refuse what comes later; or NEVER
    # nanoseconds
    cdef int64_t drain_timeout, pause, timeout
    cdef int64_t last            # the clock when it was last read
    cdef int64_t looked          # when everything was last looked at; 0: not yet
    cdef int64_t worked          # CPU time at the beginning of a turn of which there is much to do
    cdef int64_t credit          # time that the process was stopped, in all

    cdef int c_run(self) except -1 nogil
    cdef int turn(self) except -1 nogil
    cdef int64_t sleep(self) noexcept nogil
    cdef int64_t now(self, int64_t slept) except? -1 nogil
    # Handle up to BATCH messages; whether there may be more.
    cdef int read(self, int64_t now) except -1 nogil
    cdef int read_monitor(self) except -1 nogil
    # One event of the monitor.
    cdef int tell_connection(self, int event, int connection) except -1 nogil
    cdef int read_control(self, int64_t now) except -1 nogil
    cdef int hang_up_unheard(self, int64_t now) except -1 nogil
    cdef int keep_time(self, int64_t now) except -1 nogil
    # No more requests: end what waits, let handlers finish for a moment, close all sessions.
    cdef int wind_up(self) except -1 nogil
    cdef int finish_turn(self, int64_t began) except -1 nogil
