"""How a client is told that its request got no reply: at once, or as soon as it has room for that.

Only a client that asks for it is told: see "Error answers" in docs/additions.md.  `reason` is the counter
that the request went to.
"""

from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..wire.envelope cimport Frames
from ..wire.messages cimport Command

# Whether the client of a request says by its routing id that it understands error answers.  `head`
# is how many frames come before the body: the address stack, and what the protocol adds.
cdef bint announced(const Frames *frames, int head, int protocol) noexcept nogil
# Whether a peer says by its routing id that it understands what only ours do.
cdef bint is_ours(zmq_msg_t *identity) noexcept nogil
# Tell a client that understands it how its request ended.  `frames` are those of the request, of which
# `head` come before the body.
cdef int tell(
    Board board, Frames *frames, int head, int protocol, int dialect, int reason
) except -1 nogil
# The same of a request that got no record.
cdef int tell_refused(
    Board board, Frames *frames, const Command *command, int reason
) except -1 nogil
# Try again to tell those who had no room, if it is time for that.
cdef int tell_again(Board board, int64_t now) except -1 nogil
# When it is, or -1.
cdef int64_t next_telling(Board board) noexcept nogil
# Tell them for the last time, or give them up.
cdef int tell_no_more(Board board) except -1 nogil
