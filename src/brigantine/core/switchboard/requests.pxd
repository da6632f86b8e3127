"""The records of requests: opened, taken back from a lost worker, replied to."""

from libc.stdint cimport int64_t
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..wire.messages cimport Command
from ..wire.envelope cimport Frames

# Take the frames into a new waiting request; returns its slot.
cdef int open_request(
    Board board, Frames *frames, Command *command, int service, int64_t now, int connection
) except -1 nogil
# Put a request whose worker was lost at the head of the queue, under a new ticket.
cdef int take_back(Board board, int slot) except -1 nogil
# Give the client its reply, or a part of it.  A reply is the request's end, taken or not, and so is a
# part that was not taken.
cdef int give_reply(Board board, int slot, zmq_msg_t *body, int bodies, bint partial) except -1 nogil
