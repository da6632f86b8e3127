"""What comes from clients."""

from libc.stdint cimport int64_t

from .board cimport Board
from .envelope cimport Frames

# Handle one message.  Takes what it needs out of `frames`.
cdef int from_client(Board board, Frames *frames, int64_t now) except -1 nogil
