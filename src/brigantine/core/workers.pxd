"""Workers as the broker knows them: registered, heard of, free, lost."""

from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from .commands cimport Command

# The registered worker of that identity, if it still speaks on the same connection; or NIL.  `guess` is who
# it probably is, or NIL.
cdef int known(Board board, zmq_msg_t *identity, int connection, int guess) except -2 nogil
# Make a worker known, on a connection that is open, and free.
cdef int register(
    Board board, zmq_msg_t *identity, const char *name, size_t size, Command *command, int64_t now,
    int connection,
) except -1 nogil
# Let a worker that has a place take part again.
cdef void set_free(Board board, int worker) noexcept nogil
# Any frame from a worker counts as its heartbeat (not for REQ: it has no deadline).
cdef void heard(Board board, int worker, int64_t now) noexcept nogil
# Nothing was sent to the worker for an interval.
cdef int heartbeat(Board board, int worker, int64_t now) except -1 nogil
# DISCONNECT for who speaks MDP, known or not.
cdef int send_disconnect(Board board, const char *name, size_t size, int protocol) except -1 nogil
# A worker is gone: out of every order; its requests go to others, or wait for their end.  `reason` is
# the counter that says why.
cdef int lose(Board board, int worker, int reason) except -1 nogil
