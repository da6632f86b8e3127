"""What comes from workers."""

from libc.stdint cimport int64_t

from .board cimport Board
from .envelope cimport Frames

# Handle one message that came on `connection`.  Takes what it needs out of `frames`.
cdef int from_worker(Board board, Frames *frames, int64_t now, int connection) except -1 nogil
