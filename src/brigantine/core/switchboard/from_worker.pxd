"""What comes from workers."""

from libc.stdint cimport int64_t

from .board cimport Board
from ..wire.envelope cimport Frames

cdef enum:
    NEEDS_CONNECTIONS = 1

# Handle one message that came on `connection`.  Takes what it needs out of `frames`.  With `dropped` it
# was beyond the bounds: a reply still says that its sender lives and is done, anything else nothing.
# NEEDS_CONNECTIONS: see Switchboard.c_take.
cdef int from_worker(
    Board board, Frames *frames, int64_t now, int connection, bint dropped, bint synced
) except -1 nogil
