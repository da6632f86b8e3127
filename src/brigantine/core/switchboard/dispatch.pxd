"""Which waiting request goes to which worker, and when."""

from libc.stdint cimport int64_t

from .board cimport Board

# Let a new request wait for its turn in dispatch_all, or shed it at the bounds of the queue.  It follows
# the one that its client sent before, if that came since the last dispatch_all.
cdef int enqueue(Board board, int slot, int64_t now) except -1 nogil
# Send waiting requests as long as workers are free, oldest first.  Then a turn has ended.
cdef int dispatch_all(Board board, int64_t now) except -1 nogil
