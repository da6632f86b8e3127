"""Messages of a server: what comes in from clients, and what its handlers answer."""

from libc.stdint cimport int64_t, uint64_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_t

from ..wire.envelope cimport Frames
from .desk cimport Answer, Desk, Work
from ..loop.notice_queue cimport NoticeQueue
from ..switchboard.notices cimport Notice, NoticeGate
from ..loop.routers cimport Routers
from ..structures.expiry cimport ExpiryOrder
from ..structures.seqlock cimport SeqLock
from ..sessions.counters cimport SERVER_COUNT
from ..sessions.sessions cimport Sessions

# What is known of the client of a session, beside what Sessions knows; by its index there.
cdef struct Client:
    zmq_msg_t name     # its first address frame as it came: keeps what libzmq knows of the connection
    bint delimiter     # what it last sent had the empty frame
    bint bare          # it has sent something without
    bint ours          # it has said HELLO
    bint single        # a REQ socket, connected to the ROUTER directly


# Where the parts of the message in the inbox begin.
cdef struct Parts:
    int depth          # address frames
    bint delimiter     # an empty frame follows
    int body           # index of its first frame


cdef class Serving(Routers):
    cdef Sessions sessions
    cdef Desk desk
    cdef SeqLock lock                 # odd while `sessions` changes: see stats()
    cdef vector[Work *] works         # of requests that have not ended, by job; owned
    cdef vector[Client] clients       # by session; owned
    cdef vector[Work *] spare         # owned
    cdef vector[void *] handed        # what next goes to the handlers
    cdef vector[void *] answers       # what has come from them; owned
    cdef int at_work                  # works at the handlers
    cdef int most                     # requests that may be there at once, of those that have not ended
    cdef Frames head                  # owned: the frames before a body
    cdef Frames empty                 # owned: a message without body
    cdef string key                   # address of the message in the inbox, as Sessions has it
    cdef unsigned char epoch[8]
    cdef uint64_t timeout_ms
    cdef int max_frames, max_depth, plain
    cdef int64_t max_bytes
    # Error answers by counter, as frames: for clients that read a broker's, and for all others.
    cdef vector[vector[string]] told, untold
    cdef NoticeQueue notices          # None: nowhere
    cdef NoticeGate gate
    cdef int64_t present              # loop time of this turn
    cdef ExpiryOrder quiet_fds        # connections by which nothing has come, by descriptor

    cdef int configure(
        self, object config, bytes epoch, object desk, int tells, int workers
    ) except -1
    cdef bint announced(self) noexcept nogil
    cdef string key_of(self, int session) noexcept nogil

    # Something has come by that connection, or it has closed.
    cdef int heard_by(self, int fd) except -1 nogil
    # The message in the inbox.
    cdef int take_message(self, int64_t now) except -1 nogil
    cdef int split(self, Parts *parts) except -1 nogil
    cdef int make_key(self, int depth) except -1 nogil
    cdef int take_head(self, const Parts *parts, const unsigned char *head, int64_t now) except -1 nogil
    cdef int hear(self, const Parts *parts, int64_t now) except? -2 nogil
    cdef int take_request(
        self, const Parts *parts, int session, uint64_t number, bint ours, int64_t now
    ) except -1 nogil
    # Hand out as much as handlers can soon be at: what is beyond waits, within the bounds of Sessions.
    cdef int hand_out(self) except -1 nogil
    # What handlers have answered.
    cdef int take_answers(self, int64_t now) except -1 nogil
    cdef int take_answer(self, Answer *answer, int64_t now) except -1 nogil
    cdef int send_reply(self, Answer *answer) except -1 nogil
    cdef int send_push(self, Answer *answer) except -1 nogil
    cdef int end_work(self, Work *work, int outcome, int64_t now) except -1 nogil
    # End requests whose time is over.
    cdef int end_overdue(self, int64_t now) except -1 nogil
    # Tell a client that its request has ended without a reply; what is in the inbox is its request.
    cdef int tell(self, Work *work, int reason) except -1 nogil
    cdef int tell_new(
        self, const Parts *parts, int reason, uint64_t number, bint ours
    ) except -1 nogil
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
    cdef Work *take_spare(self) except NULL nogil
    cdef int give_back(self, Work *work) except -1 nogil
    cdef int drop(self, int counter, int reason) except -1 nogil
    # Tell a person of the message in the inbox; or of anything.
    cdef int notice(self, int kind, int reason) except -1 nogil
    cdef int put_notice(self, const Notice *told) except -1 nogil
    # New of connections has to be known, before a session is bound to one.
    cdef int look_at_connections(self) except -1 nogil
