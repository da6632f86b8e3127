"""The sockets of a broker's loop: the room that polls them, and receives and sends what is routed."""

from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t

from ..libzmq.polling cimport pollfd
from .accounts cimport Accounts
from ..wire.envelope cimport Frames
from ..switchboard.outbox cimport Outbox

cdef enum:
    SIDES = 2  # FRONTEND and BACKEND of outbox.pxd index what follows
    # What is polled: both routers by their side, then these.
    CONTROL = 2
    MONITOR = 3         # of the socket where workers are
    CLIENT_MONITOR = 4  # of the clients', where that is another
    SOCKETS = 5  # beside them, never polled: EVENTS, on which events leave
    EVENTS = 5
    HANDLES = 6


cdef class Routers(Outbox):
    # Handles of sockets that `sockets` keeps alive; used by the thread in run() alone.
    cdef void *handles[HANDLES]      # MONITOR is NULL where connections are not watched
    cdef pollfd signals[SOCKETS]     # descriptors that become readable when there is news
    cdef bint news[SOCKETS]          # what the last wait() found
    cdef bint quiet[SIDES]           # found empty and not used since: its descriptor will tell of news
    cdef object sockets
    cdef Frames inbox                # owned: the message that is being received
    cdef bint discarding[SIDES]      # the rest of an oversized message is still to be thrown away
    cdef bint single                 # one socket for both sides: it is at FRONTEND
    cdef bint in_main_thread         # the sockets are used there, so Ctrl-C must be looked for
    cdef Accounts accounts           # of the peers of both sides
    cdef int most_frames             # that are kept of a message: more than any may have

    # To be called by the constructor: take the sockets.  Raises TypeError for a side that is no ROUTER.
    cdef int open_sockets(
        self, object frontend, object backend, object control, object config, object monitor,
        object events, object client_monitor,
    ) except -1
    # To be called first by the thread that is going to use the sockets.
    cdef int enter(self) except -1
    # A signal came in the middle of a call: have Python handle it, or raise what its handler raises.
    cdef int interrupted(self) except -1 nogil
    # Wait up to `sleep` nanoseconds for news; none of it is missed.
    cdef int wait(self, int64_t sleep) except -1 nogil
    # Receive one message into the inbox: its frames, 0 when there is none.  Of one with more than
    # `most_frames` the rest is to be discarded.
    cdef int receive(self, int side) except -1 nogil
    # Throw away frames of an oversized message; whether its end was reached.
    cdef int discard(self, int side) except -1 nogil
