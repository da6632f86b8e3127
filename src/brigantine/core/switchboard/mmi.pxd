"""The services that the broker answers itself: `mmi.service` (RFC 8/MMI) and ours, see docs/mdp.md."""

from libc.string cimport memcmp, strlen
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .board cimport Board
from ..wire.mdp cimport MMI_PREFIX


cdef inline bint is_mmi(const char *name, size_t size) noexcept nogil:
    return size >= strlen(MMI_PREFIX) and memcmp(name, MMI_PREFIX, strlen(MMI_PREFIX)) == 0


# The body of the reply to a request for the service `name`, whose own body begins with `asked`.
cdef int answer_mmi(
    Board board, const char *name, size_t size, zmq_msg_t *asked, string *body
) except -1 nogil
