"""Which waiting requests are given up when there are more than the queue may hold."""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from ..structures.chain cimport chain_append, chain_remove
from .counters cimport QUEUED, QUEUED_BYTES, SHED, SHED_QUEUE_BYTES, SHED_QUEUE_FULL
from .endings cimport finish
from .queues cimport joined_queue, keep_backlog, left_queue
from ..structures.tickets cimport LATE


cdef int make_room(Board board, int slot) except -1 nogil:
    cdef int service, own = board.requests[slot].service
    cdef bint full = board.count[QUEUED] > board.queue_limit
    cdef int64_t excess = board.count[QUEUED_BYTES] - board.queue_bytes
    keep_backlog(board)
    service = board.backlog.heaviest(&board.backlog.by_requests)
    if full and board.services[service].weighed_requests <= board.services[own].weighed_requests:
        return finish(board, slot, SHED, SHED_QUEUE_FULL, LATE)
    if excess > 0:
        # What was sent back here by lost workers may be beyond the bound, too; that is not for this one.
        excess = min(excess, board.requests[slot].charge)
        return free_bytes(board, slot, own, excess)
    return finish(board, board.services[service].queue.tail, SHED, SHED_QUEUE_FULL, LATE)


cdef int free_bytes(Board board, int slot, int own, int64_t excess) except -1 nogil:
    """Shed so many bytes of others, or, where that is not possible, nothing but this request."""
    cdef vector[int] victims
    cdef int index, victim, service
    while excess > 0:
        service = board.backlog.heaviest(&board.backlog.by_bytes)
        if board.services[service].weighed_bytes <= board.services[own].weighed_bytes:
            break
        victim = board.services[service].queue.tail
        chain_remove(&board.services[service].queue, board.request_links.data(), victim)
        left_queue(board, &board.requests[victim])
        victims.push_back(victim)
        excess -= board.requests[victim].charge
    if excess > 0:  # put them back
        for index in range(<int>victims.size() - 1, -1, -1):
            victim = victims[index]
            service = board.requests[victim].service
            chain_append(&board.services[service].queue, board.request_links.data(), victim)
            joined_queue(board, &board.requests[victim])
        return finish(board, slot, SHED, SHED_QUEUE_BYTES, LATE)
    for index in range(<int>victims.size()):
        finish(board, victims[index], SHED, SHED_QUEUE_BYTES, LATE)
    return 0
