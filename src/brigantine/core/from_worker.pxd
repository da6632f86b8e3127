"""What comes from workers."""

from libc.stdint cimport int64_t

from .board cimport Board
from .envelope cimport Frames

# Handle one message that came on `connection`.  Takes what it needs out of `frames`.  With `dropped` it
# was beyond the bounds: a reply still says that its sender lives and is done, anything else nothing.
cdef int from_worker(
    Board board, Frames *frames, int64_t now, int connection, bint dropped
) except -1 nogil
