"""What waits for each service, and which has most of it."""

from libc.stdint cimport int64_t

from .board cimport Board
from .records cimport Request, Service

# Bring the backlog up to date with a service, or end it when it is not needed any more.
cdef int weigh(Board board, int service) except -1 nogil
# Keep the backlog from now on.
cdef int keep_backlog(Board board) except -1 nogil


cdef inline int joined_queue(Board board, Request *request) except -1 nogil:
    """A request has been put into its service's queue."""
    board.services[request.service].bytes += request.charge
    if board.backlog.kept:
        weigh(board, request.service)
    return 0


cdef inline int left_queue(Board board, Request *request) except -1 nogil:
    """A request has been taken out of its service's queue."""
    board.services[request.service].bytes -= request.charge
    if board.backlog.kept:
        weigh(board, request.service)
    return 0
