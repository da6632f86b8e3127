"""What a person should know, told where it is seen: see brigantine.notices.kinds.

Nothing of this is called for a message that is well.
"""

from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..wire.envelope cimport Frames
from .notices cimport Notice

# Tell it, if it is new and the log has room for it.
cdef int notice(Board board, Notice *told) except -1 nogil
# A message, as it came; `kind` is one of notices.pxd, `reason` a counter or NO_CAUSE.
cdef int notice_message(Board board, int kind, int reason, const Frames *frames) except -1 nogil
# A READY was refused.
cdef int notice_ready(
    Board board, int reason, zmq_msg_t *identity, const char *name, size_t size
) except -1 nogil
# A worker is gone.
cdef int notice_loss(Board board, int kind, int reason, int worker) except -1 nogil
# A peer has been connected where workers are for long, and has said nothing.
cdef int notice_silence(Board board, int connection) except -1 nogil
