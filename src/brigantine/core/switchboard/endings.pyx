"""How a request ends, and how its client is told."""

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL, Link, chain_has, chain_remove
from .asked cimport leave_connection
from .counters cimport IN_FLIGHT, QUEUED, QUEUED_BYTES, SHED
from ..wire.envelope cimport frames_clear
from .events cimport EVENT_FAILED, EVENT_SHED
from .queues cimport left_queue
from .records cimport Request
from .services cimport give_places, leave_service
from .telling cimport tell, tell_refused
from ..structures.tickets cimport ANSWERED
from .watching cimport watch_refusal, watch_request
from ..libzmq.zmqapi cimport brigantine_zmq

zmqapi.bind(&brigantine_zmq)


cdef int refuse(Board board, Frames *frames, Command *command, int end, int reason) except -1 nogil:
    board.count[end] += 1
    board.count[reason] += 1
    watch_refusal(board, end, reason, frames, command)
    return tell_refused(board, frames, command, reason)


cdef int finish(Board board, int slot, int end, int reason, int verdict) except -1 nogil:
    cdef Request *request = &board.requests[slot]
    cdef Link *links = board.request_links.data()
    cdef int worker = request.worker
    if worker == NIL:
        if chain_has(links, slot):
            chain_remove(&board.services[request.service].queue, links, slot)
            left_queue(board, request)
        board.count[QUEUED] -= 1
        board.count[QUEUED_BYTES] -= request.charge
    else:
        chain_remove(&board.workers[worker].requests, links, slot)
        board.count[IN_FLIGHT] -= 1
        board.kept_bytes -= request.kept
    board.count[end] += 1
    if reason != NO_REASON:
        board.count[reason] += 1
        if board.outbox.watched:
            watch_request(board, EVENT_SHED if end == SHED else EVENT_FAILED, reason, request)
        tell(
            board, &request.frames, request.head, request.protocol, request.dialect, reason
        )
    if chain_has(board.asked_links.data(), slot):
        leave_connection(board, slot)
    frames_clear(&request.frames)
    frames_clear(&request.partial)
    board.request_deadlines.remove(slot)
    board.no_service_deadlines.remove(slot)
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
