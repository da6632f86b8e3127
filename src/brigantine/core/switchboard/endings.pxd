"""How a request ends, and how its client is told.

`end` is the ledger's counter that a request ends in (REPLIED, SHED, FAILED), `reason` the counter that
says why.
"""

from .board cimport Board
from ..wire.messages cimport Command
from ..wire.envelope cimport Frames

cdef enum:
    NO_REASON = -1  # no counter of its own: the end of a request that was replied to

# The one place where a request ends; `verdict` is what a later reply to it will be told.
cdef int finish(Board board, int slot, int end, int reason, int verdict) except -1 nogil
# End a request that was accepted but gets no record.
cdef int refuse(Board board, Frames *frames, Command *command, int end, int reason) except -1 nogil
# Let go of a lost worker's record once none of its requests may be answered any more.
cdef int forget_if_empty(Board board, int worker) except -1 nogil
