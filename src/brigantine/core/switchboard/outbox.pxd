"""Where a switchboard hands its frames: a socket pair in the loop, a Python callable in tests."""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .events cimport Event
from .notices cimport Notice

# The two sides of a broker.
cdef enum:
    FRONTEND = 0
    BACKEND = 1
    BOTH = 2  # one socket for clients and for workers (Majordomo)

# What became of a message.
cdef enum:
    OK = 0
    FULL = 1  # the peer's high-water mark is reached (EAGAIN)
    GONE = 2  # no such peer is connected (EHOSTUNREACH)
    BEHIND = 3  # the peer has yet to take what it was sent, and with this message it would be too much


# Nothing is known of what a message costs.
cdef enum:
    UNWEIGHED = -1


cdef class Outbox:
    cdef bint watched  # somebody wants events; nobody else calls publish()
    cdef bint noticed  # somebody tells a person; nobody else calls put_notice() and leave_out()

    # Send `head` and `body` as one message; the routing id is its first frame.  After OK all frames
    # are empty (libzmq owns what they held); otherwise they are as they were.  `most` is what the
    # message costs in memory, or more than that: who knows that it is little spares a look at each frame.
    cdef int send(
        self, int side, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies, int64_t most=*
    ) except -1 nogil
    # Tell who watches, if there is room for it: never waits.
    cdef int publish(self, const Event *event) except -1 nogil
    # Have it told to a person; count one of that level of logging that is not.  Neither waits.
    cdef int put_notice(self, const Notice *notice) except -1 nogil
    cdef int leave_out(self, int level) except -1 nogil
    # Where the peer speaks from that has sent a frame; "" where that is not known.
    cdef int address_of(self, zmq_msg_t *frame, string *address) except -1 nogil
    # The same of the peer of a connection, which may have sent none.
    cdef int address_on(self, int connection, string *address) except -1 nogil


cdef class CallableOutbox(Outbox):
    cdef object function  # function(side, frames) -> Sent
    cdef object events    # function(kind, reason, worker, service) or None
    # function(Notice), function(level), function() and function(connection), or None
    cdef object notices, left_out, address, address_on_connection
