"""What each peer has been sent and has not yet taken, in bytes of memory."""

from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_init_data,
    zmq_msg_move,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import FRAME_OVERHEAD as _FRAME_OVERHEAD

zmqapi.bind(&brigantine_zmq)

cdef int64_t FRAME_OVERHEAD = _FRAME_OVERHEAD


cdef void taken(void *data, void *hint) noexcept nogil:
    """libzmq is done with a message.  In whatever thread, and maybe in a process that was forked."""
    cdef Charge *charge = <Charge *>hint
    zmq_msg_close(&charge.frame)
    charge.returns.give(charge)


cdef class Accounts:
    """Of the peers of both sides.  All methods are the loop's; see the .pxd for what other threads do."""

    def __cinit__(self, int64_t limit):
        self.returns = new Returns()
        self.limit = limit
        self.peers = NameTable()

    def __dealloc__(self):
        if self.returns != NULL:
            self.returns.let_go()

    cdef int64_t weigh(
        self, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies
    ) noexcept nogil:
        cdef int index
        cdef int64_t weight = FRAME_OVERHEAD * (heads + bodies)
        for index in range(heads):
            weight += <int64_t>zmq_msg_size(&head[index])
        for index in range(bodies):
            weight += <int64_t>zmq_msg_size(&body[index])
        return weight

    cdef bint admits(self, int side, zmq_msg_t *name, int64_t weight) except -1 nogil:
        cdef int account
        self.settle()
        # The sides are two sockets: one routing id can be two peers.
        self.key.assign(1, <char>side)
        self.key.append(<const char *>zmq_msg_data(name), zmq_msg_size(name))
        account = self.peers.find(self.key.data(), self.key.size())
        return account == NIL or self.outstanding[account] + weight <= self.limit

    cdef int charge(self, zmq_msg_t *frame, int64_t weight) except -1 nogil:
        cdef int account
        cdef Charge *charge = <Charge *>malloc(sizeof(Charge))
        if charge == NULL:
            with gil:
                raise MemoryError()
        zmq_msg_init(&charge.frame)
        zmq_msg_move(&charge.frame, frame)
        if zmq_msg_init_data(
            frame, zmq_msg_data(&charge.frame), zmq_msg_size(&charge.frame), taken, charge
        ) != 0:
            zmq_msg_init(frame)
            zmq_msg_move(frame, &charge.frame)
            free(charge)
            with gil:
                raise MemoryError()
        charge.returns = self.returns
        charge.bytes = weight
        self.returns.hold(weight)
        charge.account = account = self.peers.find(self.key.data(), self.key.size())
        if account == NIL:
            charge.account = account = self.peers.add(self.key.data(), self.key.size())
            if <size_t>account == self.outstanding.size():
                self.outstanding.push_back(0)
        self.outstanding[account] += weight
        return 0

    cdef int settle(self) except -1 nogil:
        cdef Charge *charge
        cdef Charge *after
        if not self.returns.some():
            return 0
        charge = self.returns.take()
        while charge != NULL:
            after = charge.next
            self.outstanding[charge.account] -= charge.bytes
            if self.outstanding[charge.account] == 0:
                self.peers.forget(charge.account)
            free(charge)
            charge = after
        return 0
