"""How a request ends, and how its client is told.

`end` is the ledger's counter that a request ends in (REPLIED, SHED, FAILED), `reason` the counter that
says why.
"""

from .board cimport Board
from .commands cimport Command
from .envelope cimport Frames

cdef enum:
    NO_REASON = -1  # no counter of its own: the end of a request that was replied to

# The one place where a request ends; `verdict` is what a later reply to it will be told.
cdef int finish(Board board, int slot, int end, int reason, int verdict) except -1 nogil
# End a request that was accepted but gets no record.
cdef int refuse(Board board, Frames *frames, Command *command, int end, int reason) except -1 nogil
# Tell a client that understands it how its request ended, if it is still there.  `frames` are those of the
# request, of which `head` stand before the body.
cdef int tell(Board board, Frames *frames, int head, int protocol, int reason) except -1 nogil
# Whether the client of a request says by its routing id that it understands error answers.  `head`
# is how many frames stand before the body: the address stack, and what the protocol adds.
cdef bint announced(const Frames *frames, int head, int protocol) noexcept nogil
# Let go of a lost worker's record once none of its requests may be answered any more.
cdef int forget_if_empty(Board board, int worker) except -1 nogil
