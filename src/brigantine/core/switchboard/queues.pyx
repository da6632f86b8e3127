"""What waits for each service, and which has most of it."""

from .counters cimport QUEUED, QUEUED_BYTES


cdef int weigh(Board board, int index) except -1 nogil:
    cdef Service *service = &board.services[index]
    cdef int64_t requests = 0
    cdef int64_t bytes_ = 0
    # Those that were at a worker before are in front of all others, and may not be shed.
    if service.queue.length and not board.requests[service.queue.tail].taken_back:
        requests = service.queue.length
        bytes_ = service.bytes
    board.backlog.move(
        &board.backlog.by_requests, index, service.age, service.weighed_requests, requests
    )
    board.backlog.move(&board.backlog.by_bytes, index, service.age, service.weighed_bytes, bytes_)
    service.weighed_requests = requests
    service.weighed_bytes = bytes_
    board.backlog.changes += 1
    # It took a look at each service to begin with: not more often than once in as many changes.
    if (
        board.count[QUEUED] <= board.queue_limit // 2
        and board.count[QUEUED_BYTES] <= board.queue_bytes // 2
        and board.backlog.changes > <int64_t>board.services.size()
    ):
        board.backlog.drop()
    return 0


cdef int keep_backlog(Board board) except -1 nogil:
    cdef int index
    if board.backlog.kept:
        return 0
    board.backlog.kept = True
    for index in range(<int>board.services.size()):
        board.services[index].weighed_requests = board.services[index].weighed_bytes = 0
        weigh(board, index)
    board.backlog.changes = 0
    return 0
