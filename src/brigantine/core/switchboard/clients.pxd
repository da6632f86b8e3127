"""Our clients whose connection has closed: their waiting requests are forgotten.

Nobody takes the replies, and nobody comes back for them: each of our clients has its own routing id, and
a new one on a new connection.  Of others nothing is known: they may have left on purpose, or come back.

A descriptor is used again, at once as a rule, and what its former owner sent may be read after its close
is known.  So a close counts for requests that came well before it, and for all that came on that descriptor
when the clients' side was found empty after it, unless the descriptor has been given away meanwhile.
"""

from libc.stdint cimport int64_t

from .board cimport Board

cdef int client_connected(Board board, int connection) except -1 nogil
cdef int client_left(Board board, int connection) except -1 nogil
# Where clients are nothing was left unread.
cdef int clients_read(Board board) noexcept nogil
# All is told of connections that were opened or closed until after that.
cdef int clients_caught_up(Board board) except -1 nogil
