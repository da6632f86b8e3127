"""The services that the broker answers itself: `mmi.service` (RFC 8/MMI) and ours, see docs/mdp.md."""

from libc.string cimport memcmp
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board

cdef enum:
    MMI_PREFIX_SIZE = 4  # "mmi."


cdef inline bint is_mmi(const char *name, size_t size) noexcept nogil:
    return size >= MMI_PREFIX_SIZE and memcmp(name, b"mmi.", MMI_PREFIX_SIZE) == 0


# The body of the reply to a request for the service `name`, whose own body begins with `asked`.
cdef int answer_mmi(
    Board board, const char *name, size_t size, zmq_msg_t *asked, string *body
) except -1 nogil
