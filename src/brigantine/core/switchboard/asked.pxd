"""Which requests came on which connection, where that matters: their clients may leave.

On the way of a request there is no look at a connection: requests are put beside theirs when one closes,
each once, newest first until one that is there already.
"""

from .board cimport Board

# Put the requests that came since the last time beside the others of their connections.
cdef int file_requests(Board board) except -1 nogil
# A request has ended.
cdef int leave_connection(Board board, int slot) except -1 nogil
