"""Workers as the broker knows them: registered, heard of, free, lost."""

from cython.operator cimport dereference
from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..structures.chain cimport NIL, chain_has
from ..wire.messages cimport Command

cdef enum:
    ANY_SIDE = -1

# The worker of that identity on the side of the message that is being handled, registered or not; or NIL.
cdef int find_worker(Board board, zmq_msg_t *identity) noexcept nogil
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
# DISCONNECT for a peer that speaks MDP, known or not.
cdef int send_disconnect(
    Board board, const char *name, size_t size, int protocol, int dialect
) except -1 nogil
# One of our workers stops: it gets nothing more, and learns when all that was on its way has come.
cdef int let_go(Board board, int worker, int64_t now) except -1 nogil
# A worker's connection is gone: it gets nothing more, and is lost when all that it said was read.
cdef int leave(Board board, int worker) except -1 nogil
# All that workers on a side (or ANY_SIDE) had sent was read: those whose connection is gone are lost.
cdef int lose_leaving(Board board, int side) except -1 nogil
# A worker is gone: out of every order; its requests go to others, or wait for their end.  `reason` is
# the counter that says why.
cdef int lose(Board board, int worker, int reason) except -1 nogil
# Whether an answer of MDP 0.2 to a request in flight, which came on that connection, may lack what went
# before it.
cdef bint cut_off(Board board, int slot, int connection) noexcept nogil


cdef inline bint is_leaving(Board board, int worker) noexcept nogil:
    return board.leaving.chain.length != 0 and chain_has(board.leaving.links.data(), worker)


cdef inline bint is_unclaimed(Board board, int connection) noexcept nogil:
    """Whether a connection is open on which no worker is registered."""
    found = board.connections.find(connection)
    return found != board.connections.end() and dereference(found).second == NIL
