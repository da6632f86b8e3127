"""What comes from clients."""

from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_get, zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..wire.codec cimport disconnect_head, may_be_command, parse_client
from ..wire.mdp cimport client_reply_head, is_client_header
from ..wire.req cimport is_ready_word
from ..wire.messages cimport (
    DIALECTS,
    MDP,
    NONE,
    REQ,
    SAYS_REQUEST,
    SAYS_TOO_DEEP,
    SAYS_WORKER,
    STRICT,
    Command,
)
from .counters cimport (
    ACCEPTED,
    DISCONNECTS,
    DROP_MALFORMED_REQUEST,
    DROP_TOO_DEEP,
    DROP_WRONG_SIDE,
    FAILED,
    FAILED_CLIENT_GONE,
    FAILED_NO_SERVICE,
    MMI,
    REPLIED,
    SHED,
    SHED_CLIENT_BYTES,
    SHED_CLIENT_FULL,
    SHED_DRAINING,
    SHED_SERVICES,
)
from .dispatch cimport enqueue
from .endings cimport refuse
from ..wire.envelope cimport data_of, frame_set, frame_starts
from .events cimport NO_CAUSE
from ..structures.expiry cimport nanoseconds
from .from_worker cimport from_worker
from .mmi cimport answer_mmi, is_mmi
from .notices cimport (
    NOTICE_DIALECT,
    NOTICE_FOREIGN_REQUEST,
    NOTICE_NOT_A_REQUEST,
    NOTICE_WRONG_SIDE,
)
from .noticing cimport notice_message
from .outbox cimport BEHIND, FULL, OK
from .records cimport AT_FRONTEND, LATER, NO_CONNECTION
from .requests cimport open_request
from .services cimport find_service, is_vacant, service_name
from .telling cimport announced, tell_refused
from .watching cimport watch_refusal
from ..libzmq.zmqapi cimport ZMQ_SRCFD, brigantine_zmq

from ...config.limits import SENT_AWAY_EVERY as _SENT_AWAY_EVERY
from ...wire.req import WORKER_ANNOUNCEMENT as _WORKER_ANNOUNCEMENT

zmqapi.bind(&brigantine_zmq)

cdef int64_t SENT_AWAY_EVERY = nanoseconds(_SENT_AWAY_EVERY)
cdef string WORKER_ANNOUNCEMENT = _WORKER_ANNOUNCEMENT


cdef int from_client(
    Board board, Frames *frames, int64_t now, int connection, bint synced
) except -1 nogil:
    cdef int slot, service
    cdef const char *name
    cdef size_t size
    cdef bint vacant
    cdef Command command = parse_client(frames, board.max_depth, board.client_protocols)
    if command.says == SAYS_TOO_DEEP:
        board.count[DROP_TOO_DEEP] += 1
        notice_message(board, NOTICE_NOT_A_REQUEST, DROP_TOO_DEEP, frames)
        return 0
    if command.says == SAYS_WORKER:
        if is_served_there(board, frames):
            return from_worker(
                board, frames, now, at_frontend(frames, connection), False, synced
            )
        return worker_at_frontend(board, frames, &command, now)
    if command.says != SAYS_REQUEST:
        board.count[DROP_MALFORMED_REQUEST] += 1
        notice_message(board, NOTICE_NOT_A_REQUEST, DROP_MALFORMED_REQUEST, frames)
        return tell_misdirected(board, frames)
    if command.service == NONE:
        if may_be_command(frames, command.body):
            if is_ready(frames, &command):
                board.count[DROP_WRONG_SIDE] += 1
                notice_message(board, NOTICE_WRONG_SIDE, DROP_WRONG_SIDE, frames)
                return 0
            if board.outbox.noticed and is_foreign(frames, &command):
                notice_message(board, NOTICE_FOREIGN_REQUEST, NO_CAUSE, frames)
    elif command.dialect != STRICT:
        notice_message(board, NOTICE_DIALECT, NO_CAUSE, frames)
    service_name(board, frames, &command, &name, &size)
    board.count[ACCEPTED] += 1
    if board.protocols & MDP and is_mmi(name, size):
        return reply_mmi(board, frames, &command, name, size)
    if board.draining:
        return refuse(board, frames, &command, SHED, SHED_DRAINING)
    vacant = (
        command.service != NONE
        and is_vacant(board, name, size)
        and announced(frames, command.body, command.protocol)
    )
    if vacant and now - board.vacated >= board.no_service_deadlines.timeout:
        return refuse(board, frames, &command, FAILED, FAILED_NO_SERVICE)
    service = find_service(board, name, size, False)
    if service == NIL:
        return refuse(board, frames, &command, SHED, SHED_SERVICES)
    slot = open_request(board, frames, &command, service, now, connection)
    if vacant:
        board.no_service_deadlines.refresh(slot, now)
    return enqueue(board, slot, now)


cdef int tell_misdirected(Board board, Frames *frames) except -1 nogil:
    """Tell a client that its protocol is not spoken here, in that protocol, if it asks to be told."""
    cdef Command command = parse_client(frames, board.max_depth, REQ | MDP | DIALECTS)
    if command.says != SAYS_REQUEST:
        return 0
    return tell_refused(board, frames, &command, DROP_MALFORMED_REQUEST)


cdef bint is_ready(const Frames *frames, const Command *command) noexcept nogil:
    """Whether that is the READY of a REQ worker.  Our clients may ask with any body."""
    if frames.count != command.body + 1 or not is_ready_word(frames, command.body):
        return False
    if not announced(frames, command.body, command.protocol):
        return True
    return frame_starts(
        frames, command.address - 1, WORKER_ANNOUNCEMENT.data(), WORKER_ANNOUNCEMENT.size()
    )


cdef bint is_foreign(const Frames *frames, const Command *command) noexcept nogil:
    """Whether a plain request is most likely one of MDP.  It may be none, and is passed on."""
    return frames.count > command.body + 1 and is_client_header(frames, command.body)


cdef int at_frontend(Frames *frames, int connection) noexcept nogil:
    if connection == LATER:
        connection = zmq_msg_get(&frames.at[0], ZMQ_SRCFD)  # -1 (NO_CONNECTION) over inproc
    return connection if connection == NO_CONNECTION else connection + AT_FRONTEND


cdef int worker_at_frontend(
    Board board, const Frames *frames, const Command *command, int64_t now
) except -1 nogil:
    """A worker at the clients' socket that is not served there: what it says is never a request.

    It is told DISCONNECT, so that it tries again when it has been given the right endpoint; not often, for
    it comes back at once.
    """
    board.count[DROP_WRONG_SIDE] += 1
    notice_message(board, NOTICE_WRONG_SIDE, DROP_WRONG_SIDE, frames)
    if not command.protocol & board.protocols or now - board.sent_away_at < SENT_AWAY_EVERY:
        return 0
    board.sent_away_at = now
    board.count[DISCONNECTS] += 1
    disconnect_head(
        &board.head, data_of(&frames.at[0]), zmq_msg_size(&frames.at[0]), command.protocol,
        command.dialect,
    )
    board.outbox.send(board.client_side, board.head.at, board.head.count, NULL, 0)
    return 0


cdef int dropped_from_client(Board board, Frames *frames, int reason) except -1 nogil:
    cdef Command command = parse_client(frames, board.max_depth, board.client_protocols)
    if command.says != SAYS_REQUEST:
        return 0
    return tell_refused(board, frames, &command, reason)


cdef int reply_mmi(
    Board board, Frames *frames, Command *command, const char *name, size_t size
) except -1 nogil:
    """Answer in the broker's own name: the request's frames are those of its reply, but the body."""
    cdef string body
    cdef int heads, sent, reason
    board.count[MMI] += 1
    board.count[REPLIED] += 1  # beforehand, so that the ledger in the answer balances
    answer_mmi(board, name, size, &frames.at[command.body], &body)
    heads = client_reply_head(frames, command.body, command.protocol, command.dialect, False)
    frame_set(&frames.at[command.body], body.data(), body.size())
    sent = board.outbox.send(
        board.client_side, frames.at, heads, &frames.at[command.body], 1
    )
    if sent == OK:
        return 0
    board.count[REPLIED] -= 1
    if sent == FULL or sent == BEHIND:
        reason = SHED_CLIENT_FULL if sent == FULL else SHED_CLIENT_BYTES
        board.count[SHED] += 1
        board.count[reason] += 1
        watch_refusal(board, SHED, reason, frames, command)
        tell_refused(board, frames, command, reason)
    else:
        board.count[FAILED] += 1
        board.count[FAILED_CLIENT_GONE] += 1
        watch_refusal(board, FAILED, FAILED_CLIENT_GONE, frames, command)
    return 0
