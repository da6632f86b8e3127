"""What comes from workers."""

from zmq.backend.cython.libzmq cimport zmq_msg_size, zmq_msg_t

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..wire.codec cimport parse_worker
from ..wire.messages cimport (
    DIALECTS,
    MDP,
    MDP02,
    NONE,
    REQ,
    SAYS_DISCONNECT,
    SAYS_FINAL,
    SAYS_LEAVING,
    SAYS_MALFORMED,
    SAYS_PARTIAL,
    SAYS_READY,
    STRICT,
    Command,
)
from .counters cimport (
    DROP_MALFORMED_WORKER,
    DROP_REPLY_DUPLICATE,
    DROP_REPLY_FOREIGN,
    DROP_REPLY_LATE,
    DROP_REPLY_UNKNOWN,
    DROP_UNEXPECTED,
    FAILED,
    FAILED_REPLY_MALFORMED,
    FAILED_REPLY_TOO_LARGE,
    FAILED_WORKER_LOST,
    READY_AGAIN,
    WORKERS_DISCONNECTED,
    WORKERS_LOST,
)
from .endings cimport finish
from ..wire.envelope cimport data_of, frame_size
from .events cimport NO_CAUSE
from .notices cimport NOTICE_DIALECT, NOTICE_NOT_A_COMMAND, NOTICE_UNEXPECTED
from .noticing cimport notice_message
from .outbox cimport BACKEND, FRONTEND
from .records cimport NO_CONNECTION, Worker
from .requests cimport give_reply
from .services cimport give_places, service_name
from ..structures.tickets cimport ANSWERED, LATE, UNKNOWN
from .workers cimport (
    cut_off,
    find_worker,
    heard,
    is_leaving,
    is_unclaimed,
    known,
    let_go,
    lose,
    register,
    send_disconnect,
    set_free,
)
from ..libzmq.zmqapi cimport brigantine_zmq

zmqapi.bind(&brigantine_zmq)

cdef enum:
    # The ticket of a malformed answer is looked for in so many frames: in front of it, at most, an answer
    # has id [] header command; this leaves room for what does not belong there.
    TICKET_WITHIN = 8


cdef int from_worker(
    Board board, Frames *frames, int64_t now, int connection, bint dropped, bint synced
) except -1 nogil:
    cdef int worker, slot = UNKNOWN
    cdef bint reply
    cdef int allowed = board.protocols
    cdef Command command
    cdef zmq_msg_t *identity = frames.at
    if board.silent.chain.length and board.side == BACKEND and connection != NO_CONNECTION:
        end_silence(board, connection)
    if board.side == FRONTEND:  # where only those of Majordomo can be told from clients
        allowed &= MDP | DIALECTS
    command = parse_worker(frames, allowed)
    reply = command.says == SAYS_FINAL or command.says == SAYS_PARTIAL
    if dropped and not reply and command.says != SAYS_MALFORMED:
        return 0
    if command.says == SAYS_MALFORMED:
        return malformed(board, frames, &command, now, dropped)
    if command.says == SAYS_READY:
        if connection != NO_CONNECTION and not synced:
            return NEEDS_CONNECTIONS
        return on_ready(board, frames, &command, now, connection)
    if reply:
        slot = resolve(board, frames, &command)
    worker = known(board, identity, connection, board.requests[slot].worker if slot >= 0 else NIL)
    if reply and command.protocol == REQ and connection != NO_CONNECTION and not synced:
        if worker == NIL or is_leaving(board, worker):
            return NEEDS_CONNECTIONS  # it registers by its reply
    if worker != NIL and board.workers[worker].protocol != command.protocol:
        board.count[DROP_MALFORMED_WORKER] += 1
        notice_message(board, NOTICE_NOT_A_COMMAND, DROP_MALFORMED_WORKER, frames)
        if reply:
            slot = answered(board, frames, &command, worker)
        if slot >= 0:
            finish(board, slot, FAILED, FAILED_REPLY_MALFORMED, ANSWERED)
            set_free(board, worker)
        if board.workers[worker].protocol != REQ:
            heard(board, worker, now)
        return 0
    if reply:
        if worker == NIL:  # lost just now, maybe, and its requests with it
            slot = resolve(board, frames, &command)
        return on_reply(board, frames, &command, worker, slot, now, connection, dropped)
    if worker == NIL:
        # RFC 7: a valid command from a peer that never said READY is answered with DISCONNECT.
        board.count[DROP_UNEXPECTED] += 1
        notice_message(board, NOTICE_UNEXPECTED, DROP_UNEXPECTED, frames)
        if command.protocol & MDP and command.says != SAYS_DISCONNECT:
            send_disconnect(
                board, data_of(identity), zmq_msg_size(identity), command.protocol, command.dialect
            )
    elif command.says == SAYS_DISCONNECT:
        board.count[WORKERS_DISCONNECTED] += 1
        lose(board, worker, WORKERS_DISCONNECTED)
    elif command.says == SAYS_LEAVING:
        let_go(board, worker, now)
    else:
        heard(board, worker, now)
    return 0


cdef void end_silence(Board board, int connection) noexcept nogil:
    """Something has come on a connection, whatever it is."""
    if <size_t>connection < board.silent.links.size():  # else it is not known yet that it was opened
        board.silent.remove(connection)


cdef int malformed(
    Board board, Frames *frames, Command *command, int64_t now, bint dropped
) except -1 nogil:
    """RFC 7: a peer that sends what is no command is treated as invalid.

    Where the protocol has no such rule, it lives at least: any frame is a heartbeat.  One with the
    ticket of a request is what it has to say to that: there will be no other reply, by any worker.
    """
    cdef int worker, slot
    cdef bint lost
    cdef zmq_msg_t *identity = frames.at
    if not dropped:  # else it is counted as that
        board.count[DROP_MALFORMED_WORKER] += 1
        notice_message(board, NOTICE_NOT_A_COMMAND, DROP_MALFORMED_WORKER, frames)
    if frames.count == 0:
        return 0
    worker = find_worker(board, identity)
    if worker == NIL:
        return 0
    lost = board.workers[worker].lost
    slot = answered(board, frames, command, worker)
    if dropped and slot < 0 and command.ticket == NONE:  # whatever it was, it was no answer
        return 0
    if slot >= 0:
        finish(board, slot, FAILED, FAILED_REPLY_MALFORMED, ANSWERED)
    if lost:  # and forgotten, if that was the last of its requests
        return 0
    if command.protocol & MDP and board.workers[worker].protocol == command.protocol and not dropped:
        send_disconnect(board, data_of(identity), zmq_msg_size(identity), command.protocol, command.dialect)
        return lose(board, worker, DROP_MALFORMED_WORKER)
    if slot < 0:
        give_expired_place(board, worker, slot)
    if board.workers[worker].protocol != REQ:
        heard(board, worker, now)
    set_free(board, worker)
    return 0


cdef int answered(Board board, Frames *frames, Command *command, int worker) noexcept nogil:
    """What a malformed message answers: the slot of a request of its sender, whose ticket is in it.

    Where there is none (below 0): what the frame resolves to that should be a ticket.
    """
    cdef int index, slot
    for index in range(1, min(frames.count, TICKET_WITHIN)):
        slot = board.tickets.c_resolve(data_of(&frames.at[index]), frame_size(frames, index))
        if slot >= 0 and board.requests[slot].worker == worker:
            return slot
    if command.ticket == NONE:
        return UNKNOWN
    return min(resolve(board, frames, command), <int>UNKNOWN)


cdef int give_expired_place(Board board, int worker, int slot) except -1 nogil:
    """A worker is done with what has that ticket, which it does not hold.

    It is the place of a request that expired meanwhile.  A REQ worker has but one request, so
    whatever it says tells that it is done with it.
    """
    if board.workers[worker].occupied > board.workers[worker].live:
        if slot == LATE or board.workers[worker].protocol == REQ:
            give_places(board, worker, 1)
    return 0


cdef int on_ready(
    Board board, Frames *frames, Command *command, int64_t now, int connection
) except -1 nogil:
    cdef int index
    cdef Worker *worker
    cdef zmq_msg_t *identity = frames.at
    cdef const char *name
    cdef size_t size
    index = known(board, identity, connection, NIL)
    if index != NIL and is_leaving(board, index):
        # It is back, on the same descriptor or none: all that it said before was read.
        lose(board, index, WORKERS_LOST)
    elif index != NIL:
        worker = &board.workers[index]
        board.count[READY_AGAIN] += 1
        if worker.protocol != command.protocol:
            return 0
        if worker.protocol & MDP:  # RFC 7: READY is sent once a connection
            send_disconnect(
                board, data_of(identity), zmq_msg_size(identity), worker.protocol, worker.dialect
            )
            return lose(board, index, READY_AGAIN)
        if worker.protocol == REQ:
            # Busy with a live request: one job at a time, whatever it says.  Otherwise what it
            # was busy with has expired, and it is free.
            if worker.occupied and worker.live == 0:
                give_places(board, index, worker.occupied)
                set_free(board, index)
            return 0
        lose(board, index, READY_AGAIN)  # RFC 6: a new conversation
    service_name(board, frames, command, &name, &size)
    if command.dialect != STRICT:
        notice_message(board, NOTICE_DIALECT, NO_CAUSE, frames)
    return register(board, identity, name, size, command, now, connection)


cdef int resolve(Board board, Frames *frames, Command *command) noexcept nogil:
    cdef zmq_msg_t *ticket = &frames.at[command.ticket]
    return board.tickets.c_resolve(data_of(ticket), zmq_msg_size(ticket))


cdef int on_reply(
    Board board, Frames *frames, Command *command, int worker, int slot, int64_t now, int connection,
    bint dropped,
) except -1 nogil:
    cdef zmq_msg_t *identity = frames.at
    cdef bint partial = command.says == SAYS_PARTIAL
    cdef bint matched
    cdef int holder = worker
    if holder == NIL:
        holder = find_worker(board, identity)
    matched = slot >= 0 and holder != NIL and board.requests[slot].worker == holder
    if matched and command.protocol == MDP02 and cut_off(board, slot, connection):
        finish(board, slot, FAILED, FAILED_WORKER_LOST, LATE)
        matched = False
        slot = LATE
    if dropped:
        if matched:  # after a part the worker is still at work on the rest
            finish(board, slot, FAILED, FAILED_REPLY_TOO_LARGE, LATE if partial else ANSWERED)
    elif matched:
        give_reply(board, slot, &frames.at[command.body], frames.count - command.body, partial)
    elif slot >= 0:
        board.count[DROP_REPLY_FOREIGN] += 1
    elif slot == ANSWERED:
        board.count[DROP_REPLY_DUPLICATE] += 1
    elif slot == LATE:
        board.count[DROP_REPLY_LATE] += 1
    else:
        board.count[DROP_REPLY_UNKNOWN] += 1
    if worker == NIL:
        if command.protocol != REQ and not matched and not dropped:
            notice_message(board, NOTICE_UNEXPECTED, DROP_UNEXPECTED, frames)
        if command.protocol == REQ:
            # Its reply says that it is free, though it answers the broker that ran here before,
            # or comes on a new connection.
            return register(
                board, identity, board.default_service.data(),
                board.default_service.size(), command, now, connection,
            )
        if command.protocol & MDP and not dropped:
            send_disconnect(
                board, data_of(identity), zmq_msg_size(identity), command.protocol, command.dialect
            )
        return 0
    if not partial and not matched:
        give_expired_place(board, worker, slot)
    if command.protocol == REQ and is_leaving(board, worker) and is_unclaimed(board, connection):
        # It may be back on the same descriptor without a READY.  If not, the next send will tell.
        lose(board, worker, WORKERS_LOST)
        return register(
            board, identity, board.default_service.data(), board.default_service.size(), command,
            now, connection,
        )
    if command.protocol != REQ:
        heard(board, worker, now)  # it may be idle now, which has another deadline
    if not partial:
        set_free(board, worker)
    return 0
