"""Which waiting requests are given up when there are more than the queue may hold.

The newest of the service that has most of what is short, requests or bytes, so that one service's
backlog turns no other's requests away.  Never one that was at a worker before.
"""

from .board cimport Board

# A new request waits, and there are more than may wait: shed others, or this one.
cdef int make_room(Board board, int slot) except -1 nogil
