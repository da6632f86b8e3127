"""What happens, told to readers of events: see brigantine.events.

Nothing is told while nobody watches.  watch_worker and watch_request are for callers that have looked
at outbox.watched themselves, as they stand in the way of every request; the others look.
"""

from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..wire.messages cimport Command
from ..wire.envelope cimport Frames
from .records cimport Request

# `kind` is one of events.pxd, `reason` a counter.
cdef int watch_worker(Board board, int kind, int reason, int worker) except -1 nogil
cdef int watch_request(Board board, int kind, int reason, const Request *request) except -1 nogil
# A request without a record has ended.
cdef int watch_refusal(
    Board board, int end, int reason, Frames *frames, Command *command
) except -1 nogil
# A READY was refused.
cdef int watch_ready(
    Board board, int reason, zmq_msg_t *identity, const char *name, size_t size
) except -1 nogil
