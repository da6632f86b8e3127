"""Words that a handle sends to its loop: see brigantine.wire.loop."""

from libc.string cimport memcmp
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_data, zmq_msg_size, zmq_msg_t


cdef inline bint is_word(zmq_msg_t *frame, const string *word, size_t more) noexcept nogil:
    """Whether a frame holds a word with `more` bytes after it."""
    return (
        zmq_msg_size(frame) == word.size() + more
        and memcmp(zmq_msg_data(frame), word.data(), word.size()) == 0
    )
