"""Connections to a bound socket whose types do not fit: as brigantine.net.sockets.Handshakes."""

from zmq.backend.cython.libzmq cimport ZMQ_EVENT_ACCEPTED, ZMQ_EVENT_DISCONNECTED

from ...net.sockets import HANDSHAKES as _HANDSHAKES

cdef int HANDSHAKES = _HANDSHAKES


cdef class Handshakes:
    """Told what the monitor of one socket tells."""

    cdef bint mismatched(self, int event, int connection) except -1 nogil:
        cdef bint found
        if event == ZMQ_EVENT_ACCEPTED:
            if self.ended_at.size() <= <size_t>connection:
                self.ended_at.resize(connection + 1, -1)
            self.ended_at[connection] = self.ended
        elif event & HANDSHAKES:
            self.ended += 1
        elif event == ZMQ_EVENT_DISCONNECTED and <size_t>connection < self.ended_at.size():
            found = self.ended_at[connection] == self.ended
            self.ended_at[connection] = -1
            return found
        return False
