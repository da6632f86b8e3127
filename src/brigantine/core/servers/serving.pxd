"""What comes to a server from its clients: framing, sessions, requests."""

from libc.stdint cimport int64_t, uint64_t
from libcpp.string cimport string

from .handing cimport Handing
from ..loop.notice_queue cimport NoticeQueue
from ..switchboard.notices cimport Notice, NoticeGate
from ..structures.expiry cimport ExpiryOrder

# Where the parts of the message in the inbox begin.
cdef struct Parts:
    int depth          # address frames
    bint delimiter     # an empty frame follows
    int body           # index of its first frame


cdef class Serving(Handing):
    cdef string key                   # address of the message in the inbox, as Sessions has it
    cdef uint64_t timeout_ms
    cdef int max_frames, plain
    cdef int64_t max_bytes
    cdef NoticeQueue notices          # None: nowhere
    cdef NoticeGate gate
    cdef int64_t present              # loop time of this turn
    cdef ExpiryOrder quiet_fds        # connections by which nothing has come, by descriptor

    cdef int configure(
        self, object config, bytes epoch, object handoff, int tells, int workers
    ) except -1
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
    # Whether its client says in its routing id that it reads error answers.
    cdef bint announced(self) noexcept nogil
    # Tell the client that it is refused.
    cdef int tell_new(
        self, const Parts *parts, int reason, uint64_t number, bint ours
    ) except -1 nogil
    cdef int drop(self, int counter, int reason) except -1 nogil
    # Tell a person of the message in the inbox; or of anything.
    cdef int notice(self, int kind, int reason) except -1 nogil
    cdef int put_notice(self, const Notice *told) except -1 nogil
    # New of connections has to be known, before a session is bound to one.
    cdef int look_at_connections(self) except -1 nogil
