"""The records of requests: opened, taken back from a lost worker, replied to."""

from libc.string cimport memset
from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL, chain_off, chain_prepend
from ..wire.mdp cimport client_reply_head
from ..wire.messages cimport MDP02, NONE
from .counters cimport (
    DROP_PARTIAL_SHED,
    FAILED,
    FAILED_CLIENT_GONE,
    FAILED_PARTIALS_TOO_LARGE,
    IN_FLIGHT,
    PARTIALS,
    QUEUED,
    QUEUED_BYTES,
    REDISPATCHED,
    REPLIED,
    SHED,
    SHED_CLIENT_BYTES,
    SHED_CLIENT_FULL,
)
from .endings cimport NO_REASON, finish
from ..wire.envelope cimport frame_set, frames_clear, frames_copy, frames_move, frames_size, frames_swap
from .events cimport EVENT_REDISPATCHED
from .outbox cimport BEHIND, FULL, OK, UNWEIGHED
from .queues cimport joined_queue
from .records cimport Request
from ..structures.tickets cimport ANSWERED, LATE
from .watching cimport watch_request
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import FRAME_OVERHEAD as _FRAME_OVERHEAD
from ...config.limits import NAME_COPIES as _NAME_COPIES
from ...config.limits import REQUEST_OVERHEAD as _REQUEST_OVERHEAD

zmqapi.bind(&brigantine_zmq)

cdef int64_t FRAME_OVERHEAD = _FRAME_OVERHEAD
cdef int64_t REQUEST_OVERHEAD = _REQUEST_OVERHEAD
cdef int64_t NAME_COPIES = _NAME_COPIES


cdef int open_request(
    Board board, Frames *frames, Command *command, int service, int64_t now, int connection
) except -1 nogil:
    cdef Request fresh
    cdef Request *request
    cdef int slot = board.tickets.c_open()
    if <size_t>slot == board.requests.size():
        memset(&fresh, 0, sizeof(fresh))
        board.request_links.push_back(chain_off())
        board.asked_links.push_back(chain_off())
        board.arrivals.reserve(slot + 1)
        board.request_deadlines.reserve(slot + 1)
        board.no_service_deadlines.reserve(slot + 1)
        board.requests.push_back(fresh)
    request = &board.requests[slot]
    # All that came, the service's name included, and what holding it costs.
    request.charge = REQUEST_OVERHEAD + FRAME_OVERHEAD * (frames.count - 1)
    request.charge += frames_size(frames, 0, frames.count)
    if command.service != NONE:
        request.charge += (NAME_COPIES - 1) * zmq_msg_size(&frames.at[command.service])
    frames_swap(&request.frames, frames)
    request.head = command.body
    request.protocol = command.protocol
    request.dialect = command.dialect
    request.service = service
    request.worker = NIL
    request.retries = board.retries
    request.kept = 0
    request.taken_back = request.orphan = request.begun = False
    request.connection = connection
    request.filed = False
    request.turn = board.turn
    board.services[service].users += 1
    board.count[QUEUED] += 1
    board.count[QUEUED_BYTES] += request.charge
    board.request_deadlines.refresh(slot, now)
    return slot


cdef int take_back(Board board, int slot) except -1 nogil:
    cdef Request *request = &board.requests[slot]
    board.tickets.c_renew(slot)
    board.no_service_deadlines.remove(slot)  # there was a worker: it has until its deadline
    request.retries -= 1
    request.taken_back = True
    request.begun = False
    board.kept_bytes -= request.kept
    request.kept = 0
    frames_clear(&request.partial)
    chain_prepend(&board.services[request.service].queue, board.request_links.data(), slot)
    joined_queue(board, request)
    board.count[REDISPATCHED] += 1
    if board.outbox.watched:
        watch_request(board, EVENT_REDISPATCHED, REDISPATCHED, request)
    request.worker = NIL
    board.count[IN_FLIGHT] -= 1
    board.count[QUEUED] += 1
    board.count[QUEUED_BYTES] += request.charge
    return 0


cdef int give_reply(Board board, int slot, zmq_msg_t *body, int bodies, bint partial) except -1 nogil:
    cdef Request *request = &board.requests[slot]
    # What came from both sides is more than what leaves.
    cdef int64_t most = request.charge + board.taken + FRAME_OVERHEAD * bodies
    cdef int sent, heads
    if partial:
        if request.protocol != MDP02:
            return join(board, slot, body, bodies)
        frames_clear(&board.head)
        frames_copy(&board.head, request.frames.at, request.head)
        heads = client_reply_head(&board.head, request.head, MDP02, request.dialect, True)
        sent = board.outbox.send(
            board.client_side, board.head.at, heads, body, bodies, most
        )
        if sent != OK:
            # Without this part the reply would have a hole: nothing more of it leaves.  The worker is at
            # work on the rest all the same.
            board.count[DROP_PARTIAL_SHED] += 1
            return not_taken(board, slot, sent, LATE)
        board.count[PARTIALS] += 1
        request.begun = True
        return keep_no_longer(board, request)
    if request.partial.count:
        frames_move(&request.partial, body, bodies)
        if too_large(board, &request.partial):
            return finish(board, slot, FAILED, FAILED_PARTIALS_TOO_LARGE, ANSWERED)
        body = request.partial.at
        bodies = request.partial.count
        most = UNWEIGHED
    # The head of the request is that of its reply: address stack, and what the protocol needs.
    heads = client_reply_head(&request.frames, request.head, request.protocol, request.dialect, False)
    sent = board.outbox.send(
        board.client_side, request.frames.at, heads, body, bodies, most
    )
    if sent == OK:
        return finish(board, slot, REPLIED, NO_REASON, ANSWERED)
    return not_taken(board, slot, sent, ANSWERED)


cdef int keep_no_longer(Board board, Request *request) except -1 nogil:
    """It is not sent again: its client must not get parts of two workers."""
    cdef int index
    request.retries = 0
    if request.kept:
        board.kept_bytes -= request.kept
        request.kept = 0
        for index in range(request.head, request.frames.count):
            frame_set(&request.frames.at[index], b"", 0)
    return 0


cdef int not_taken(Board board, int slot, int sent, int verdict) except -1 nogil:
    """End a request whose client did not take its reply, or a part of it."""
    if sent == FULL:
        return finish(board, slot, SHED, SHED_CLIENT_FULL, verdict)
    if sent == BEHIND:
        return finish(board, slot, SHED, SHED_CLIENT_BYTES, verdict)
    return finish(board, slot, FAILED, FAILED_CLIENT_GONE, verdict)


cdef int join(Board board, int slot, zmq_msg_t *body, int bodies) except -1 nogil:
    """Keep a PARTIAL for a client that can take one reply only."""
    cdef Request *request = &board.requests[slot]
    cdef Frames *partial = &request.partial
    cdef int before = partial.count
    cdef int64_t cost
    board.count[PARTIALS] += 1
    request.begun = True
    frames_move(partial, body, bodies)
    cost = FRAME_OVERHEAD * bodies + frames_size(partial, before, partial.count)
    request.kept += cost
    board.kept_bytes += cost
    if too_large(board, partial) or too_much(board, request):
        return finish(board, slot, FAILED, FAILED_PARTIALS_TOO_LARGE, LATE)
    return 0


cdef bint too_large(Board board, const Frames *body) noexcept nogil:
    """Whether a joined reply is beyond the bounds of a message."""
    return (
        body.count > board.max_frames
        or frames_size(body, 0, body.count) > board.max_message_bytes
    )


cdef bint too_much(Board board, const Request *request) noexcept nogil:
    """Whether all that is kept for requests at workers is beyond queue_bytes; one alone may be."""
    return board.kept_bytes > max(board.queue_bytes, request.kept)
