"""Copies of what a device passes on, for observers: they never make it wait."""

from zmq.backend.cython.libzmq cimport zmq_msg_t

cdef enum:
    # What has become of a copy: all its frames have been taken, or somebody has missed it.
    COPY_TAKEN = 1
    COPY_MISSED = 2


cdef class Capture:
    cdef object socket     # keeps alive what the handle is of
    cdef void *handle
    cdef bint lossy        # a PUB: who has room gets the copy, though others have none
    cdef zmq_msg_t copy    # owned: of the frame that is about to be passed on
    cdef bint under_way    # the first frame of the message was taken

    # Keep a copy of a frame, before it is passed on.
    cdef int keep(self, zmq_msg_t *frame) except -1 nogil
    # That frame was passed on, the first of its message or a later one: COPY_TAKEN, COPY_MISSED, both
    # or neither.
    cdef int passed(self, bint first, bint more) except -1 nogil
    # It was not.
    cdef void forget(self) noexcept nogil
    cdef int send(self, bint more) except -1 nogil
