"""What a server sends to its clients: replies and errors, in the framing of each."""

from libc.stdint cimport int64_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_t

from ..wire.envelope cimport Frames
from .handoff cimport Work
from ..loop.routers cimport Routers
from ..sessions.sessions cimport Sessions

# What is known of the client of a session, beside what Sessions knows; by its index there.
cdef struct Client:
    zmq_msg_t name     # its first address frame as it came: keeps what libzmq knows of the connection
    bint delimiter     # what it last sent had the empty frame
    bint bare          # it has sent something without
    bint ours          # it has said HELLO
    bint single        # a REQ socket, connected to the ROUTER directly


cdef class Sending(Routers):
    cdef Sessions sessions
    cdef vector[Client] clients       # by session; owned
    cdef Frames head                  # owned: the frames before a body
    cdef Frames empty                 # owned: a message without body
    cdef unsigned char epoch[8]
    cdef int max_depth
    # Error answers by counter, as frames: for clients that read a broker's, and for all others.
    cdef vector[vector[string]] told, untold

    cdef int speak(self, object config, bytes epoch, int tells) except -1
    # Tell a client that its request has ended without a reply.
    cdef int tell(self, Work *work, int reason) except -1 nogil
    cdef int tell_to(
        self, const string *key, bint delimiter, bint ours, bint told, int64_t serial,
        uint64_t number, int reason,
    ) except -1 nogil
    # Send a body, whose frames are left empty, to an address; what became of it: see outbox.pxd.  Of kind 0
    # it has no head.
    cdef int send_to(
        self, const string *key, bint delimiter, int kind, int64_t serial, uint64_t number,
        zmq_msg_t *body, int bodies,
    ) except -1 nogil
    cdef int forget_client(self, int session) except -1 nogil
