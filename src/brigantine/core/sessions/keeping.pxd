"""The sessions of a server as such: opened, found, closed, expired.

A session is in the expiry order only while nothing of it waits or is at work, so no handler ever holds a
closed one.
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from ..structures.chain cimport Chain, Link
from ..structures.expiry cimport ExpiryOrder
from ..structures.names cimport NameTable
from .counters cimport SERVER_COUNT

cdef enum:
    # Why a session has ended: places in brigantine.servers.session.REASONS.
    NOT_CLOSED = 0
    TIMED_OUT = 1
    LEFT = 2
    REPLACED = 3
    STOPPED = 4
    # In place of a descriptor.
    NO_FD = -1

cdef enum:
    FREE = 0      # no session
    NEW = 1       # its opening is to be handed out
    OPENING = 2   # ... is being called
    OPEN = 3
    ENDING = 4    # its end is being called

# Who wants to be told: nobody of an opening, and of an end where something of the session was handed out;
# of every opening and end; of none.
cdef enum:
    TELLS_KNOWN = 0
    TELLS_ALL = 1
    TELLS_NONE = 2

cdef struct Session:
    int64_t serial      # of all sessions ever; tells it from a later one at its place
    int64_t connection  # by which connection it came
    int64_t bytes       # of its waiting requests
    int fd              # descriptor of that connection, or NO_FD
    int key             # its place in `keys`; NIL once it takes nothing more
    int phase
    int closing         # why it is to end, or NOT_CLOSED
    int at_work         # requests
    Chain waiting       # of `job_links`
    bint known          # something of it was handed out, and its end is to be
    bint cut            # its connection has closed: nothing can be sent


cdef class Keeping:
    cdef int64_t count[SERVER_COUNT]
    cdef vector[Session] sessions     # by index
    cdef vector[Link] ready_links     # of sessions, by index
    cdef vector[Link] fd_links        # of sessions, by index
    cdef vector[int] free_sessions
    cdef vector[int] session_at       # by index in `keys`
    cdef vector[Chain] by_fd          # sessions of a connection, by descriptor
    cdef NameTable keys               # address stacks of sessions that take requests
    cdef Chain ready                  # sessions of which something can be handed out
    cdef ExpiryOrder silence          # of sessions with nothing to do
    cdef int64_t serial               # the last that was given
    cdef int max_sessions, concurrency
    cdef int tells
    cdef bint opened                  # whether the last c_hear() opened a session
    cdef bint draining                # nothing more is accepted

    # The session of an address; NIL when there is none.
    cdef int c_find(self, const char *key, size_t size) noexcept nogil
    # A message has come: the session of its address, opened if need be; NIL when it was refused.  Another
    # connection than the one it came by before opens another session in its place.
    cdef int c_hear(
        self, const char *key, size_t size, int64_t connection, int fd, int64_t now
    ) except? -2 nogil
    cdef inline void note(self, int counter, int64_t more) noexcept nogil:
        self.count[counter] += more

    # End a session as soon as nothing of it is at work; it takes nothing more.
    cdef int c_close(self, int session, int reason, int64_t now) except -1 nogil
    cdef int c_close_all(self, int reason, int64_t now) except -1 nogil
    # Close what has been silent for too long; how many.
    cdef int c_sweep(self, int64_t now) except -1 nogil
    # The connection with this descriptor has closed.
    cdef int c_disconnected(self, int fd) except -1 nogil
    # Whether that session is still there, and can be sent something.
    cdef bint c_reachable(self, int session, int64_t serial) noexcept nogil

    cdef int place_of(self, int64_t serial) noexcept
    cdef int take_session(self) except -1 nogil
    cdef int settle(self, int session, int64_t now) except -1 nogil
    cdef int release(self, int session) except -1 nogil
    cdef int unbind(self, int session) except -1 nogil
    cdef int grow_descriptors(self, int fd) except -1 nogil
