"""Many peers on one socket: a ROUTER with a connection for each of them.

Every connection that a ROUTER makes is a peer of its own to the other side.  On our side it has the
name that ZMQ_CONNECT_ROUTING_ID gave it, which holds the peer's number.  So one socket is polled
however many peers there are, and libzmq picks the connection by a look-up of its own.
"""

from ..wire.envelope cimport Frames

cdef enum:
    # '#' and the number as an int lies in memory.  A name that libzmq makes up begins with a zero byte.
    NAME_SIZE = 5
    # What receive() answers beside a peer's number.
    NOTHING = -1
    # Frames of a message beyond this are thrown away: no protocol here has so many.
    MOST_FRAMES = 64


cdef class Line:
    cdef void *router        # handle of `socket`
    cdef object socket       # ROUTER with `count` connections; closed by whoever made it
    cdef readonly int count  # peers
    cdef Frames inbox        # owned: the message that was received last
    cdef Frames outgoing     # owned: the message that is being put together

    # Receive one message into the inbox: the number of the peer to which it was sent, or NOTHING.
    cdef int receive(self) except -2 nogil
    # Begin a message in `outgoing` from a peer.
    cdef int begin(self, int peer) except -1 nogil
    # Send `frames`, which are empty afterwards; false when there is no such connection (any more).
    cdef bint send(self, Frames *frames) except -1 nogil
    # Whether there is something to receive.  Asking makes the descriptor signal what comes later.
    cdef bint readable(self) except -1 nogil
