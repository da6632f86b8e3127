"""What comes from clients."""

from libc.stdint cimport int64_t

from .board cimport Board
from .envelope cimport Frames

# Handle one message.  Takes what it needs out of `frames`.
cdef int from_client(Board board, Frames *frames, int64_t now, int connection) except -1 nogil
# Tell the client of a message that was dropped for `reason`, if that was a request and it asks to be told.
cdef int dropped_from_client(Board board, Frames *frames, int reason) except -1 nogil
