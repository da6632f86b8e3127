"""Where a switchboard hands its frames: a socket pair in the loop, a Python callable in tests."""

from zmq.backend.cython.libzmq cimport zmq_msg_t

from .events cimport Event

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


cdef class Outbox:
    cdef bint watched  # somebody wants events; nobody else calls publish()

    # Send `head` and `body` as one message; the routing id is its first frame.  After OK all frames
    # are empty (libzmq owns what they held); after FULL or GONE they are as they were.
    cdef int send(
        self, int port, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies
    ) except -1 nogil
    # Tell the switchboard about every backend connection opened or closed up to now.
    cdef int sync_connections(self) except -1 nogil
    # Tell who watches, if there is room for it: never waits.
    cdef int publish(self, const Event *event) except -1 nogil


cdef class CallableOutbox(Outbox):
    cdef object function  # function(port, frames) -> Sent
    cdef object sync      # function() or None
    cdef object events    # function(kind, reason, worker, service) or None
