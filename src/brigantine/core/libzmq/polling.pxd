"""Waiting for descriptors; whether a socket has a message; what to do when a signal interrupts a call."""

from cpython.exc cimport PyErr_CheckSignals
from zmq.backend.cython.libzmq cimport ZMQ_EVENTS, ZMQ_POLLIN, zmq_getsockopt

from .zmqapi cimport raise_zmq_error

cdef extern from "<poll.h>" nogil:
    ctypedef struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd *fds, unsigned long count, int timeout)
    int POLLIN


cdef inline bint has_message(void *socket) except -1 nogil:
    """Whether a socket has a message to receive."""
    cdef int events = 0
    cdef size_t size = sizeof(events)
    if zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0:
        raise_zmq_error()
    return (events & ZMQ_POLLIN) != 0


cdef inline int check_signals(bint in_main_thread) except -1 nogil:
    """A signal came in the middle of a call.  Python's handlers run in its main thread alone."""
    if in_main_thread:
        with gil:
            PyErr_CheckSignals()
    return 0
