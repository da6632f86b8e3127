"""The services that the broker answers itself."""

from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from .counters cimport COUNTER_COUNT, WORKERS, WORKERS_IDLE, WORKERS_JOINED, WORKERS_LOST
from ..wire.envelope cimport data_of
from ..wire.mdp cimport (
    MMI_FOUND,
    MMI_NOT_FOUND,
    MMI_NOT_IMPLEMENTED,
    MMI_SERVICE,
    MMI_SERVICES,
    MMI_STATS,
    MMI_WORKERS,
)
from ..wire.msgpack_writer cimport pack_map, pack_text, pack_uint
from .report cimport pack_services
from ..libzmq.zmqapi cimport brigantine_zmq

from ...counters import COUNTERS

zmqapi.bind(&brigantine_zmq)

cdef vector[string] COUNTER_NAMES
for _name in COUNTERS:
    COUNTER_NAMES.push_back(<string>(<bytes>_name.encode()))


cdef inline bint name_is(const char *name, size_t size, const char *other) noexcept nogil:
    return size == strlen(other) and memcmp(name, other, size) == 0


cdef int answer_mmi(
    Board board, const char *name, size_t size, zmq_msg_t *asked, string *body
) except -1 nogil:
    cdef int index
    if name_is(name, size, MMI_SERVICE):
        index = board.service_names.find(data_of(asked), zmq_msg_size(asked))
        if index != NIL and board.services[index].workers:
            body.assign(<const char *>MMI_FOUND)
        else:
            body.assign(<const char *>MMI_NOT_FOUND)
    elif name_is(name, size, MMI_SERVICES):
        pack_services(body, board.service_names, &board.services)
    elif name_is(name, size, MMI_WORKERS):
        pack_map(body, 5)
        pack_text(body, b"known", 5)
        pack_uint(body, board.count[WORKERS])
        pack_text(body, b"idle", 4)
        pack_uint(body, board.count[WORKERS_IDLE])
        pack_text(body, b"busy", 4)
        pack_uint(body, board.count[WORKERS] - board.count[WORKERS_IDLE])
        pack_text(body, b"joined", 6)
        pack_uint(body, board.count[WORKERS_JOINED])
        pack_text(body, b"lost", 4)
        pack_uint(body, board.count[WORKERS_LOST])
    elif name_is(name, size, MMI_STATS):
        pack_map(body, COUNTER_COUNT)
        for index in range(COUNTER_COUNT):
            pack_text(body, COUNTER_NAMES[index].data(), COUNTER_NAMES[index].size())
            pack_uint(body, board.count[index])
    else:
        body.assign(<const char *>MMI_NOT_IMPLEMENTED)
    return 0
