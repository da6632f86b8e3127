"""Many peers on one socket."""

import sys

import zmq

from libc.errno cimport EAGAIN, EINTR
from libc.string cimport memcpy
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EHOSTUNREACH,
    ZMQ_SNDMORE,
    zmq_errno,
    zmq_msg_data,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_send,
    zmq_msg_size,
)

from ..libzmq cimport zmqapi
from ..libzmq.polling cimport has_message
from ..wire.envelope cimport (
    Frames,
    frames_append,
    frames_clear,
    frames_free,
    frames_init,
    frames_reserve,
)
from ..libzmq.zmqapi cimport brigantine_zmq, handle_of, raise_zmq_error

__all__ = ["Line", "peer_name"]

zmqapi.bind(&brigantine_zmq)


def peer_name(number):
    """What ZMQ_CONNECT_ROUTING_ID has to be for the connection of peer ``number``."""
    return b"#" + number.to_bytes(NAME_SIZE - 1, sys.byteorder)


cdef class Line:
    """The ``count`` connections of a ROUTER, made in the order of their :func:`peer_name`."""

    def __cinit__(self, socket, int count):
        """Raises ``TypeError`` for anything but a ROUTER socket."""
        frames_init(&self.inbox)
        frames_init(&self.outgoing)
        self.router = handle_of(socket)
        if socket.type != zmq.ROUTER:
            raise TypeError(f"a ROUTER socket is needed, not {socket.type!r}")
        self.socket = socket
        self.count = count

    def __dealloc__(self):
        frames_free(&self.inbox)
        frames_free(&self.outgoing)

    cdef int receive(self) except -2 nogil:
        cdef Frames *inbox = &self.inbox
        cdef int place, peer
        while True:
            frames_clear(inbox)
            while True:
                frames_reserve(inbox, inbox.count + 1)
                place = inbox.count
                if zmq_msg_recv(&inbox.at[place], self.router, ZMQ_DONTWAIT) < 0:
                    if zmq_errno() == EINTR:
                        continue
                    if zmq_errno() == EAGAIN and place == 0:
                        return NOTHING
                    raise_zmq_error()
                if not zmq_msg_more(&inbox.at[place]):
                    inbox.count = place + 1
                    break
                inbox.count = min(place + 1, MOST_FRAMES - 1)
            if zmq_msg_size(&inbox.at[0]) == NAME_SIZE:
                memcpy(&peer, <char *>zmq_msg_data(&inbox.at[0]) + 1, sizeof(peer))
                if 0 <= peer < self.count:
                    return peer

    cdef int begin(self, int peer) except -1 nogil:
        cdef char name[NAME_SIZE]
        name[0] = c"#"
        memcpy(&name[1], &peer, sizeof(peer))
        frames_clear(&self.outgoing)
        return frames_append(&self.outgoing, name, NAME_SIZE)

    cdef bint send(self, Frames *frames) except -1 nogil:
        cdef int index
        cdef int flags = ZMQ_DONTWAIT | ZMQ_SNDMORE
        for index in range(frames.count):
            if index == frames.count - 1:
                flags = ZMQ_DONTWAIT
            while zmq_msg_send(&frames.at[index], self.router, flags) < 0:
                if zmq_errno() == EINTR:
                    continue
                if index == 0 and zmq_errno() in (EAGAIN, ZMQ_EHOSTUNREACH):
                    return False
                raise_zmq_error()
        return True

    cdef bint readable(self) except -1 nogil:
        return has_message(self.router)
