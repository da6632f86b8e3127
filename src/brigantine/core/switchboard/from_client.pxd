"""What comes from clients."""

from libc.stdint cimport int64_t

from .board cimport Board
from ..wire.codec cimport is_worker
from ..wire.envelope cimport Frames

# Handle one message.  Takes what it needs out of `frames`.  NEEDS_CONNECTIONS: see Switchboard.c_take.
cdef int from_client(
    Board board, Frames *frames, int64_t now, int connection, bint synced
) except -1 nogil
# Tell the client of a message that was dropped for `reason`, if that was a request and it asks to be told.
cdef int dropped_from_client(Board board, Frames *frames, int reason) except -1 nogil
# The connection of a worker that speaks where clients are.
cdef int at_frontend(Frames *frames, int connection) noexcept nogil


cdef inline bint is_served_there(Board board, const Frames *frames) noexcept nogil:
    """Whether a message where clients are is from a worker that may be served there."""
    return board.workers_at_frontend and is_worker(frames)
