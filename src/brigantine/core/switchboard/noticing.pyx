"""What a person should know, told where it is seen: see brigantine.notices.kinds."""

from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_size, zmq_msg_t

from ..libzmq cimport zmqapi
from ..wire.envelope cimport data_of
from .events cimport NO_CAUSE
from .notices cimport NOTICE_EXPIRED, NOTICE_REFUSED, NOTICE_SILENT, level_of, new_notice
from .records cimport Worker
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import EVENT_NAME_BYTES as _EVENT_NAME_BYTES

zmqapi.bind(&brigantine_zmq)

cdef size_t EVENT_NAME_BYTES = _EVENT_NAME_BYTES


cdef int notice(Board board, Notice *told) except -1 nogil:
    cdef bint due
    if not board.outbox.noticed:
        return 0
    if not board.notices.admits(told, board.now, &due):
        if due:
            board.outbox.leave_out(level_of(told.kind))
        return 0
    return board.outbox.put_notice(told)


cdef inline const char *address_or_null(const string *address) noexcept nogil:
    return address.c_str() if address.size() else NULL


cdef int notice_message(Board board, int kind, int reason, const Frames *frames) except -1 nogil:
    cdef Notice told = new_notice(kind, reason)
    cdef string address
    if not board.outbox.noticed:
        return 0
    told.frames = frames
    if frames.count > 0:
        board.outbox.address_of(&frames.at[0], &address)
        told.address = address_or_null(&address)
        told.peer = data_of(&frames.at[0])
        told.peer_size = zmq_msg_size(&frames.at[0])
    return notice(board, &told)


cdef int notice_ready(
    Board board, int reason, zmq_msg_t *identity, const char *name, size_t size
) except -1 nogil:
    cdef Notice told = new_notice(NOTICE_REFUSED, reason)
    cdef string address
    if not board.outbox.noticed:
        return 0
    told.peer = data_of(identity)
    told.peer_size = zmq_msg_size(identity)
    told.service = name
    told.service_size = min(size, EVENT_NAME_BYTES)
    board.outbox.address_of(identity, &address)
    told.address = address_or_null(&address)
    return notice(board, &told)


cdef int notice_loss(Board board, int kind, int reason, int index) except -1 nogil:
    cdef Notice told = new_notice(kind, reason)
    cdef const Worker *worker = &board.workers[index]
    cdef const string *peer = &board.identities.names[index]
    cdef const string *name = &board.service_names.names[worker.service]
    told.peer = peer.data()
    told.peer_size = peer.size()
    told.service = name.data()
    told.service_size = min(name.size(), EVENT_NAME_BYTES)
    told.address = address_or_null(&board.addresses[index])
    if kind == NOTICE_EXPIRED:
        told.number_count = 4
        told.numbers[0] = board.now - worker.heard_at
        told.numbers[1] = worker.heard
        told.numbers[2] = worker.heard_at - worker.joined_at
        told.numbers[3] = worker.longest
    return notice(board, &told)


cdef int notice_silence(Board board, int connection) except -1 nogil:
    cdef Notice told = new_notice(NOTICE_SILENT, NO_CAUSE)
    cdef string address
    cdef bint due
    if not board.outbox.noticed:
        return 0
    # Asked first: of a crowd, the addresses of those that are told are looked up.
    if not board.notices.admits(&told, board.now, &due):
        return board.outbox.leave_out(level_of(told.kind))
    board.outbox.address_on(connection, &address)
    told.address = address_or_null(&address)
    told.number_count = 1
    told.numbers[0] = board.silent.timeout
    return board.outbox.put_notice(&told)
