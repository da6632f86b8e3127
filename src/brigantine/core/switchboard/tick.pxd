"""What time brings: frozen workers and late requests expire; heartbeats; full pipes to try again."""

from libc.stdint cimport int64_t

from .board cimport Board

# Do all that is due by now, and hand out what waits.
cdef int run_timers(Board board, int64_t now) except -1 nogil
# When something is due, or -1.
cdef int64_t next_due(Board board) noexcept nogil
