"""Where a switchboard hands its frames."""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_gets,
    zmq_msg_init,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from .events cimport Event
from .notices cimport Notice, pack_notice
from ..libzmq.zmqapi cimport brigantine_zmq

from ...counters import COUNTERS as _COUNTERS
from ...events import KINDS as _KINDS
from ...notices.kinds import unpack_notice

zmqapi.bind(&brigantine_zmq)

cdef list KINDS = list(_KINDS)
cdef list COUNTERS = list(_COUNTERS)


cdef class Outbox:
    """The interface."""

    cdef int send(
        self, int side, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies,
        int64_t most=UNWEIGHED,
    ) except -1 nogil:
        return GONE

    cdef int publish(self, const Event *event) except -1 nogil:
        return 0

    cdef int put_notice(self, const Notice *notice) except -1 nogil:
        return 0

    cdef int leave_out(self, int level) except -1 nogil:
        return 0

    cdef int address_of(self, zmq_msg_t *frame, string *address) except -1 nogil:
        cdef const char *found = zmq_msg_gets(frame, b"Peer-Address")
        address.clear()
        if found != NULL:
            address.append(found)
        return 0

    cdef int address_on(self, int connection, string *address) except -1 nogil:
        address.clear()
        return 0


cdef class CallableOutbox(Outbox):
    """Hands every message to a Python callable, as a list of bytes."""

    def __cinit__(self, function):
        self.function = function

    cdef int send(
        self, int side, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies,
        int64_t most=UNWEIGHED,
    ) except -1 nogil:
        cdef int index, sent
        with gil:
            frames = [as_bytes(&head[index]) for index in range(heads)]
            frames += [as_bytes(&body[index]) for index in range(bodies)]
            sent = self.function(side, frames)
        if sent == OK:
            emptied(head, heads)
            emptied(body, bodies)
        return sent

    cdef int publish(self, const Event *event) except -1 nogil:
        with gil:
            self.events(
                KINDS[event.kind], COUNTERS[event.reason],
                None if event.worker == NULL else event.worker[:event.worker_size],
                None if event.service == NULL else event.service[:event.service_size],
            )
        return 0

    cdef int put_notice(self, const Notice *notice) except -1 nogil:
        cdef string message
        pack_notice(&message, notice)
        with gil:
            self.notices(unpack_notice(<bytes>message))
        return 0

    cdef int leave_out(self, int level) except -1 nogil:
        with gil:
            if self.left_out is not None:
                self.left_out(level)
        return 0

    cdef int address_of(self, zmq_msg_t *frame, string *address) except -1 nogil:
        address.clear()
        with gil:
            found = None if self.address is None else self.address()
            if found is not None:
                address.append(<string>(<bytes>found.encode()))
        return 0

    cdef int address_on(self, int connection, string *address) except -1 nogil:
        address.clear()
        with gil:
            ask = self.address_on_connection
            found = None if ask is None else ask(connection)
            if found is not None:
                address.append(<string>(<bytes>found.encode()))
        return 0


cdef bytes as_bytes(zmq_msg_t *frame):
    return (<const char *>zmq_msg_data(frame))[:zmq_msg_size(frame)]


cdef void emptied(zmq_msg_t *frames, int count) noexcept nogil:
    """What a send does to frames: libzmq takes what they hold."""
    cdef int index
    for index in range(count):
        zmq_msg_close(&frames[index])
        zmq_msg_init(&frames[index])
