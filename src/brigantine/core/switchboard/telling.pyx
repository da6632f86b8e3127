"""How a client is told that its request got no reply."""

from libc.string cimport memcmp
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_size, zmq_msg_t

from ..libzmq cimport zmqapi
from ..wire.codec cimport client_identity_at
from ..wire.mdp cimport client_reply_head
from .counters cimport DROP_ERROR_ANSWER, ERROR_ANSWERS, ERROR_ANSWERS_WAITING
from ..wire.envelope cimport data_of, frame_starts, frames_append, frames_clear
from ..structures.expiry cimport nanoseconds
from .outbox cimport BEHIND, FULL, OK
from .untold cimport End
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import UNTOLD_RETRY as _UNTOLD_RETRY
from ...config.limits import UNTOLD_TRIES as _UNTOLD_TRIES
from ...wire.req import ANNOUNCEMENT as _ANNOUNCEMENT
from ...wire.req import BROKER_ERROR_MARK as _ERROR_MARK

zmqapi.bind(&brigantine_zmq)

cdef string ANNOUNCEMENT = _ANNOUNCEMENT
cdef int64_t UNTOLD_RETRY = nanoseconds(_UNTOLD_RETRY)
cdef int UNTOLD_TRIES = _UNTOLD_TRIES
cdef string ERROR_MARK = _ERROR_MARK
# Frames of a broker's own answer.
cdef enum:
    ERROR_FRAMES = 2


cdef bint announced(const Frames *frames, int head, int protocol) noexcept nogil:
    return frame_starts(
        frames, client_identity_at(head, protocol), ANNOUNCEMENT.data(), ANNOUNCEMENT.size()
    )


cdef bint is_ours(zmq_msg_t *identity) noexcept nogil:
    return (
        zmq_msg_size(identity) >= ANNOUNCEMENT.size()
        and memcmp(data_of(identity), ANNOUNCEMENT.data(), ANNOUNCEMENT.size()) == 0
    )


cdef int tell(
    Board board, Frames *frames, int head, int protocol, int dialect, int reason
) except -1 nogil:
    cdef int sent
    if board.sending_off or board.error_details[reason].empty() or not announced(frames, head, protocol):
        return 0
    head = client_reply_head(frames, head, protocol, dialect, False)
    sent = send_error(board, frames.at, head, reason)
    if sent == OK:
        board.count[ERROR_ANSWERS] += 1
    elif (sent == FULL or sent == BEHIND) and board.untold.keep(
        frames, head, reason, board.now + board.request_deadlines.timeout
    ):
        board.count[ERROR_ANSWERS_WAITING] += 1
        if board.untold.ends.size() == 1:
            board.untold.due = board.now + UNTOLD_RETRY
    else:
        board.count[DROP_ERROR_ANSWER] += 1
    return 0


cdef int tell_refused(
    Board board, Frames *frames, const Command *command, int reason
) except -1 nogil:
    return tell(board, frames, command.body, command.protocol, command.dialect, reason)


cdef int send_error(Board board, zmq_msg_t *head, int heads, int reason) except -1 nogil:
    frames_clear(&board.scratch)
    frames_append(&board.scratch, ERROR_MARK.data(), ERROR_MARK.size())
    frames_append(
        &board.scratch, board.error_details[reason].data(), board.error_details[reason].size()
    )
    return board.outbox.send(board.client_side, head, heads, board.scratch.at, ERROR_FRAMES)


cdef int64_t next_telling(Board board) noexcept nogil:
    return -1 if board.untold.ends.empty() else board.untold.due


cdef int tell_again(Board board, int64_t now) except -1 nogil:
    """So many that still have no room are enough for one time: the next ones are tried at the next."""
    cdef int tries = UNTOLD_TRIES
    cdef size_t left = board.untold.ends.size()
    if left == 0 or now < board.untold.due:
        return 0
    while left and tries:
        if not tell_front(board, now):
            board.untold.pass_over()
            tries -= 1
        left -= 1
    board.untold.due = now + UNTOLD_RETRY
    return 0


cdef bint tell_front(Board board, int64_t now) except? -1 nogil:
    """Whether the one in front is done with: told, or given up."""
    cdef End *end = &board.untold.ends.front()
    cdef int sent = FULL
    if end.deadline > now:
        sent = send_error(board, end.head.at, end.head.count, end.reason)
        if sent == FULL or sent == BEHIND:
            return False
    board.count[ERROR_ANSWERS if sent == OK else DROP_ERROR_ANSWER] += 1
    board.count[ERROR_ANSWERS_WAITING] -= 1
    board.untold.drop()
    return True


cdef int tell_no_more(Board board) except -1 nogil:
    while not board.untold.ends.empty():
        if board.sending_off or not tell_front(board, board.now):
            board.count[DROP_ERROR_ANSWER] += 1
            board.count[ERROR_ANSWERS_WAITING] -= 1
            board.untold.drop()
    return 0
