"""What happens, told to readers of events: see brigantine.events."""

from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from .counters cimport SHED
from ..wire.envelope cimport data_of
from .events cimport EVENT_FAILED, EVENT_REFUSED, EVENT_SHED, Event
from .services cimport service_name
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import EVENT_NAME_BYTES as _EVENT_NAME_BYTES

zmqapi.bind(&brigantine_zmq)

cdef size_t EVENT_NAME_BYTES = _EVENT_NAME_BYTES


cdef int watch(
    Board board, int kind, int reason, const string *worker, const char *name, size_t size
) except -1 nogil:
    """Publish an event; only while somebody watches."""
    cdef Event event
    event.kind = kind
    event.reason = reason
    event.worker = NULL
    event.worker_size = 0
    if worker != NULL:
        event.worker = worker.data()
        event.worker_size = worker.size()
    event.service = name
    event.service_size = min(size, EVENT_NAME_BYTES)
    return board.outbox.publish(&event)


cdef int watch_worker(Board board, int kind, int reason, int worker) except -1 nogil:
    cdef const string *name = &board.service_names.names[board.workers[worker].service]
    return watch(
        board, kind, reason, &board.identities.names[worker], name.data(), name.size()
    )


cdef int watch_request(Board board, int kind, int reason, const Request *request) except -1 nogil:
    cdef const string *name = &board.service_names.names[request.service]
    cdef const string *worker = NULL
    if request.worker != NIL:
        worker = &board.identities.names[request.worker]
    return watch(board, kind, reason, worker, name.data(), name.size())


cdef int watch_refusal(
    Board board, int end, int reason, Frames *frames, Command *command
) except -1 nogil:
    cdef const char *name
    cdef size_t size
    if not board.outbox.watched:
        return 0
    service_name(board, frames, command, &name, &size)
    return watch(board, EVENT_SHED if end == SHED else EVENT_FAILED, reason, NULL, name, size)


cdef int watch_ready(
    Board board, int reason, zmq_msg_t *identity, const char *name, size_t size
) except -1 nogil:
    cdef string worker
    if not board.outbox.watched:
        return 0
    worker.assign(data_of(identity), zmq_msg_size(identity))
    return watch(board, EVENT_REFUSED, reason, &worker, name, size)
