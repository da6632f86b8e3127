"""Error answers that their clients had no room for."""

from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..wire.envelope cimport (
    data_of,
    frames_compact,
    frames_copy,
    frames_free,
    frames_init,
    frames_size,
)
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import FRAME_OVERHEAD as _FRAME_OVERHEAD
from ...config.limits import REQUEST_OVERHEAD as _REQUEST_OVERHEAD
from ...config.limits import UNTOLD_BYTES as _UNTOLD_BYTES
from ...config.limits import UNTOLD_OF_PEER as _UNTOLD_OF_PEER

zmqapi.bind(&brigantine_zmq)

cdef int64_t FRAME_OVERHEAD = _FRAME_OVERHEAD
cdef int64_t REQUEST_OVERHEAD = _REQUEST_OVERHEAD
cdef int64_t UNTOLD_BYTES = _UNTOLD_BYTES
cdef int UNTOLD_OF_PEER = _UNTOLD_OF_PEER


cdef class Untold:
    """The queue; who is told what is in ``telling``."""

    def __cinit__(self):
        self.peers = NameTable()

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.ends.size()):
            frames_free(&self.ends[index].head)

    cdef bint keep(
        self, const Frames *frames, int head, int reason, int64_t deadline
    ) except? -1 nogil:
        cdef End end
        cdef const char *name = data_of(&frames.at[0])
        cdef size_t size = zmq_msg_size(&frames.at[0])
        end.charge = REQUEST_OVERHEAD + FRAME_OVERHEAD * (head - 1) + frames_size(frames, 0, head)
        if self.charge + end.charge > UNTOLD_BYTES:
            return False
        end.peer = self.peers.find(name, size)
        if end.peer == NIL:
            end.peer = self.peers.add(name, size)
            if <size_t>end.peer == self.of_peer.size():
                self.of_peer.push_back(0)
        elif self.of_peer[end.peer] >= UNTOLD_OF_PEER:
            return False
        end.reason = reason
        end.deadline = deadline
        frames_init(&end.head)
        frames_copy(&end.head, frames.at, head)
        frames_compact(&end.head, 0, head)
        self.of_peer[end.peer] += 1
        self.charge += end.charge
        self.ends.push_back(end)
        return True

    cdef int drop(self) except -1 nogil:
        cdef End end = self.ends.front()
        self.ends.pop_front()
        self.charge -= end.charge
        self.of_peer[end.peer] -= 1
        if self.of_peer[end.peer] == 0:
            self.peers.forget(end.peer)
        frames_free(&end.head)
        return 0

    cdef int pass_over(self) except -1 nogil:
        self.ends.push_back(self.ends.front())
        self.ends.pop_front()
        return 0
