"""Copies of what a device passes on, for observers: they never make it wait."""

import zmq

from libc.errno cimport EAGAIN, EINTR
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EVENTS,
    ZMQ_SNDMORE,
    zmq_errno,
    zmq_getsockopt,
    zmq_msg_close,
    zmq_msg_init,
    zmq_msg_send,
    zmq_msg_t,
    zmq_setsockopt,
)

from ..libzmq cimport zmqapi
from ..libzmq.zmqapi cimport brigantine_zmq, handle_of, raise_zmq_error

zmqapi.bind(&brigantine_zmq)

cdef extern from "zmq.h" nogil:
    int ZMQ_XPUB_NODROP
    int zmq_msg_copy(zmq_msg_t *to, zmq_msg_t *source)


cdef class Capture:
    def __cinit__(self, socket):
        zmq_msg_init(&self.copy)
        self.socket = socket
        self.handle = handle_of(socket)
        self.lossy = socket.type == zmq.PUB
        self.under_way = False

    def __dealloc__(self):
        zmq_msg_close(&self.copy)

    cdef int keep(self, zmq_msg_t *frame) except -1 nogil:
        if zmq_msg_copy(&self.copy, frame) < 0:
            raise_zmq_error()
        return 0

    cdef int passed(self, bint first, bint more) except -1 nogil:
        cdef int done = 0, always = 1, not_now = 0
        cdef int events
        cdef size_t size = sizeof(int)
        cdef bint sent
        if not first and not self.under_way:
            self.forget()
            return 0
        sent = self.send(more) == 0
        if first:
            if not sent:
                # libzmq learns of what has been taken a millisecond later, unless it is asked.
                zmq_getsockopt(self.handle, ZMQ_EVENTS, &events, &size)
                sent = self.send(more) == 0
            if not sent:
                done = COPY_MISSED
            if not sent and self.lossy:
                # Somebody has no room: libzmq takes him off its list until he has, and the others get it.
                zmq_setsockopt(self.handle, ZMQ_XPUB_NODROP, &not_now, sizeof(int))
                sent = self.send(more) == 0
                zmq_setsockopt(self.handle, ZMQ_XPUB_NODROP, &always, sizeof(int))
            self.under_way = sent
        if not sent:
            self.forget()
        elif not more:
            done |= COPY_TAKEN
        return done

    cdef void forget(self) noexcept nogil:
        zmq_msg_close(&self.copy)
        zmq_msg_init(&self.copy)

    cdef int send(self, bint more) except -1 nogil:
        cdef int flags = ZMQ_DONTWAIT | (ZMQ_SNDMORE if more else 0)
        while zmq_msg_send(&self.copy, self.handle, flags) < 0:
            if zmq_errno() == EAGAIN:
                return EAGAIN
            if zmq_errno() != EINTR:
                raise_zmq_error()
        return 0
