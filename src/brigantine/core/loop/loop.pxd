"""The poll loop: turn after turn what has come in and what is due.  It owns the clock."""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from ..wire.envelope cimport Frames
from .handshakes cimport Handshakes
from .notice_queue cimport NoticeQueue
from .routers cimport Routers
from ..structures.seqlock cimport SeqLock
from ..switchboard.switchboard cimport Switchboard

cdef enum:
    NO_DEADLINE = -1


cdef class Loop(Routers):
    cdef Switchboard switchboard
    cdef SeqLock lock                # odd while the switchboard is at work: see stats()
    cdef Frames event                # owned: the message of monitor or control that is being received
    cdef Frames notice               # owned: the event that is being sent
    cdef string packed               # what is packed for it, and keeps its memory
    cdef NoticeQueue notices         # what a person is told goes there; None: nowhere
    cdef object reserve              # brigantine.net.descriptors.DescriptorReserve, or None
    cdef bint reserves               # it is not None
    cdef const char *lent            # not 0: all descriptors are of it; memory of `reserve`
    cdef vector[int] crowd           # connections to be closed: they have descriptors of the reserve
    cdef Handshakes worker_handshakes, client_handshakes
    cdef int64_t missed              # events since the last one that was sent
    cdef int workers_side            # where workers are
    cdef bint stopping
    cdef int64_t drain_from          # loop time: drain what comes later; or NO_DEADLINE
    cdef int64_t drain_deadline      # loop time, or NO_DEADLINE
    # nanoseconds
    cdef int64_t pause               # if so much is missing the process was stopped
    cdef int64_t drain_timeout
    cdef int64_t last                # the clock when it was last read
    cdef int64_t worked              # CPU time at the beginning of a turn of which there is much to do
    cdef int64_t credit              # time that the process was stopped, in all

    cdef int c_run(self) except -1 nogil
    cdef int64_t sleep(self) noexcept nogil
    cdef int64_t now(self, int64_t slept) except? -1 nogil
    # Handle up to BATCH messages of one side; whether there may be more.
    cdef int read(self, int side, int64_t now) except -1 nogil
    # Tell which connections were opened and closed up to now, in that order.
    cdef int read_monitor(self, int which, int64_t now) except -1 nogil
    # Read what workers had said before the end was asked for.
    cdef int read_last_words(self) except -1 nogil
    # All that is new of connections; what it settles of clients whose connections have closed.
    cdef int read_monitors(self, int64_t now) except -1 nogil
    # What one event of a monitor tells.
    cdef int tell_connection(self, int which, int event, int connection, int64_t now) except -1 nogil
    # Close connections for which there are no descriptors.
    cdef int reject_crowd(self) except -1 nogil
    cdef bint must_look(self) noexcept nogil
    cdef int catch_up(self, int side) except -1 nogil
    cdef int read_control(self, int64_t now) except -1 nogil
    # Answer the question in `event`.
    cdef int reply_control(self, const string *answer) except -1 nogil
    # Publish what happened to the broker itself.
    cdef int publish_state(self, int kind, int reason) except -1 nogil
