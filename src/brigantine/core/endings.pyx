"""How a request ends, and how its client is told."""

from libcpp.string cimport string
from libcpp.vector cimport vector

from . cimport zmqapi
from .chain cimport NIL, Link, chain_has, chain_remove
from .codec_mdp cimport CLIENT_COMMAND_AT
from .commands cimport MDP01, MDP02, REQ
from .counters cimport COUNTER_COUNT, ERROR_ANSWERS, IN_FLIGHT, QUEUED, QUEUED_BYTES, SHED
from .envelope cimport frame_set, frame_starts, frames_append, frames_clear
from .events cimport EVENT_FAILED, EVENT_SHED
from .outbox cimport OK
from .records cimport Request
from .services cimport give_places, leave_service
from .tickets cimport ANSWERED
from .watching cimport watch_refusal, watch_request
from .zmqapi cimport brigantine_zmq

from ..counters import COUNTERS
from ..wire import ANNOUNCEMENT as _ANNOUNCEMENT
from ..wire import BROKER_ERRORS, broker_error

zmqapi.bind(&brigantine_zmq)

cdef string ANNOUNCEMENT = _ANNOUNCEMENT
# Frames of a broker's own answer, and by counter the last of them; empty where there is no answer.
cdef enum:
    ERROR_FRAMES = 2
cdef string ERROR_MARK
cdef vector[string] ERROR_DETAILS
ERROR_DETAILS.resize(COUNTER_COUNT)
for _index, _name in enumerate(COUNTERS):
    if _name in BROKER_ERRORS:
        ERROR_MARK, ERROR_DETAILS[<int>_index] = broker_error(_name)


cdef bint announced(const Frames *frames, int head, int protocol) noexcept nogil:
    cdef int last = 0
    if protocol == REQ:
        last = head - 2  # id... []
    elif protocol == MDP01:
        last = head - 4  # id... [] "MDPC01" service
    return frame_starts(frames, last, ANNOUNCEMENT.data(), ANNOUNCEMENT.size())


cdef int refuse(Board board, Frames *frames, Command *command, int end, int reason) except -1 nogil:
    board.count[end] += 1
    board.count[reason] += 1
    watch_refusal(board, end, reason, frames, command)
    return tell(board, frames, command.body, command.protocol, reason)


cdef int tell(Board board, Frames *frames, int head, int protocol, int reason) except -1 nogil:
    if board.mute or ERROR_DETAILS[reason].empty() or not announced(frames, head, protocol):
        return 0
    if protocol == MDP02:
        frame_set(&frames.at[CLIENT_COMMAND_AT], b"\x03", 1)
    frames_clear(&board.scratch)
    frames_append(&board.scratch, ERROR_MARK.data(), ERROR_MARK.size())
    frames_append(&board.scratch, ERROR_DETAILS[reason].data(), ERROR_DETAILS[reason].size())
    if board.outbox.send(board.client_port, frames.at, head, board.scratch.at, ERROR_FRAMES) == OK:
        board.count[ERROR_ANSWERS] += 1
    return 0


cdef int finish(Board board, int slot, int end, int reason, int verdict) except -1 nogil:
    cdef Request *request = &board.requests[slot]
    cdef Link *links = board.request_links.data()
    cdef int worker = request.worker
    if worker == NIL:
        if chain_has(links, slot):
            chain_remove(&board.services[request.service].queue, links, slot)
        board.count[QUEUED] -= 1
        board.count[QUEUED_BYTES] -= request.charge
    else:
        chain_remove(&board.workers[worker].requests, links, slot)
        board.count[IN_FLIGHT] -= 1
    board.count[end] += 1
    if reason != NO_REASON:
        board.count[reason] += 1
        if board.outbox.watched:
            watch_request(board, EVENT_SHED if end == SHED else EVENT_FAILED, reason, request)
        tell(board, &request.frames, request.head, request.protocol, reason)
    frames_clear(&request.frames)
    frames_clear(&request.partial)
    board.deadlines.remove(slot)
    board.vacancies.remove(slot)
    board.tickets.c_close(slot, verdict)
    if worker != NIL:
        if request.orphan:
            board.orphans -= 1
        else:
            board.workers[worker].live -= 1
            if verdict == ANSWERED:
                give_places(board, worker, 1)
        forget_if_empty(board, worker)
    return leave_service(board, request.service)


cdef int forget_if_empty(Board board, int index) except -1 nogil:
    if board.workers[index].lost and board.workers[index].requests.length == 0:
        board.identities.forget(index)
    return 0
