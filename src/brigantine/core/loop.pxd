"""The poll loop: the only room that calls libzmq's send, receive and poll.  It owns the clock."""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .envelope cimport Frames
from .outbox cimport Outbox
from .seqlock cimport SeqLock
from .switchboard cimport Switchboard

cdef extern from "<poll.h>" nogil:
    ctypedef struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout)
    int POLLIN

cdef enum:
    SIDES = 2  # FRONTEND and BACKEND of outbox.pxd index what follows
    # What is polled: both routers by their side, then these.
    CONTROL = 2
    MONITOR = 3
    SOCKETS = 4  # beside them, never polled: EVENTS, on which events leave
    EVENTS = 4
    HANDLES = 5
    NO_DEADLINE = -1


cdef class Loop(Outbox):
    cdef Switchboard switchboard
    cdef SeqLock lock                # odd while the switchboard is at work: see stats()
    # Handles of sockets that `sockets` keeps alive; used by the thread in run() alone.
    cdef void *handles[HANDLES]      # MONITOR is NULL where connections are not watched
    cdef pollfd signals[SOCKETS]     # descriptors that become readable when there is news
    cdef bint news[SOCKETS]          # what the last wait() found
    cdef bint quiet[SIDES]           # found empty and not used since: its descriptor will tell of news
    cdef object sockets
    cdef Frames inbox                # owned: the message that is being received
    cdef Frames event                # owned: the message of monitor or control that is being received
    cdef Frames notice               # owned: the event that is being sent
    cdef string packed               # what is packed for it, and keeps its memory
    cdef int64_t missed              # events since the last one that was sent
    cdef bint discarding[SIDES]      # the rest of an oversized message is still to be thrown away
    cdef bint single                 # one socket for both sides: it stands at FRONTEND
    cdef bint stopping
    cdef bint in_main_thread         # run() is called there, so Ctrl-C must be looked for
    cdef int64_t drain_deadline      # loop time, or NO_DEADLINE
    # nanoseconds
    cdef int64_t interval            # of heartbeats
    cdef int64_t drain_timeout
    cdef int64_t last                # the clock when it was last read
    cdef int64_t credit              # time that the process was stopped, in all

    cdef int c_run(self) except -1 nogil
    cdef int interrupted(self) except -1 nogil
    # Wait up to `sleep` nanoseconds for news; none of it is missed.
    cdef int wait(self, int64_t sleep) except -1 nogil
    cdef bint readable(self, int index) except -1 nogil
    cdef int64_t sleep(self) noexcept nogil
    cdef int64_t now(self, int64_t slept) except? -1 nogil
    # Handle up to BATCH messages of one side; whether there may be more.
    cdef int read(self, int side, int64_t now) except -1 nogil
    # Receive one message into the inbox: its frames, 0 when there is none, -2 when it had too many.
    cdef int receive(self, int side) except -1 nogil
    # Throw away frames of an oversized message; whether its end was reached.
    cdef int discard(self, int side) except -1 nogil
    cdef int read_control(self, int64_t now) except -1 nogil
    # Answer the question that stands in `event`.
    cdef int reply_control(self, const string *answer) except -1 nogil
    # Publish what happened to the broker itself.
    cdef int publish_state(self, int kind, int reason) except -1 nogil
