"""Which waiting request goes to which worker, and when."""

from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_size, zmq_msg_t

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL, Chain, Link, chain_append, chain_has, chain_insert, chain_remove
from ..wire.codec cimport lead, request_head
from ..wire.messages cimport LED, REQ
from .counters cimport (
    IN_FLIGHT,
    QUEUED,
    QUEUED_BYTES,
    RETRIES_GIVEN_UP,
    WORKER_BEHIND,
    WORKER_FULL,
    WORKERS_IDLE,
)
from ..wire.envelope cimport data_of, frame_is, frames_clear, frames_compact, frames_copy
from ..structures.lru cimport lru_push_front, lru_next, lru_ready
from .outbox cimport FULL, GONE, OK
from .queues cimport joined_queue, left_queue
from .records cimport Request, Service, Worker
from .services cimport mark_dirty, take_place
from .shedding cimport make_room
from ..structures.tickets cimport TICKET_SIZE
from .workers cimport heard, leave
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import COMPACT_AFTER as _COMPACT_AFTER

zmqapi.bind(&brigantine_zmq)

cdef int COMPACT_AFTER = _COMPACT_AFTER

cdef enum:
    # Bytes: more than the head of a request at a worker can cost beside what it was charged for waiting.
    WORKER_HEAD = 512
    BURST = 3  # times what the others have in hand on average may be with a worker at the end of its burst


cdef int enqueue(Board board, int slot, int64_t now) except -1 nogil:
    cdef Request *request = &board.requests[slot]
    cdef zmq_msg_t *client = request.frames.at
    cdef Service *service = &board.services[request.service]
    cdef int before = board.arrivals.note(
        slot, data_of(client), zmq_msg_size(client), request.service
    )
    if before == NIL or not same_sender(board, request, before):
        chain_append(&service.queue, board.request_links.data(), slot)
    else:
        chain_insert(&service.queue, board.request_links.data(), slot, before)
    joined_queue(board, request)
    if service.free.length:
        mark_dirty(board, request.service)
    if board.count[QUEUED] > board.queue_limit or board.count[QUEUED_BYTES] > board.queue_bytes:
        dispatch_all(board, now)  # which may make room
        if request.worker == NIL and (
            board.count[QUEUED] > board.queue_limit
            or board.count[QUEUED_BYTES] > board.queue_bytes
        ):
            make_room(board, slot)
    # Unless it was sent or shed.
    if board.count[QUEUED] > COMPACT_AFTER and request.worker == NIL and request.frames.count:
        # Not the first: it shares nothing, and knows its connection.
        frames_compact(&request.frames, 1, request.frames.count)
    return 0


cdef bint same_sender(Board board, Request *request, int other) noexcept nogil:
    """Whether another waiting request came from the same client for the same service.

    Arrivals go by a hash, and a client may choose its routing id such that it is another's.
    """
    cdef Request *before = &board.requests[other]
    cdef zmq_msg_t *client
    if before.worker != NIL or before.service != request.service:
        return False
    if not chain_has(board.request_links.data(), other):
        return False
    client = before.frames.at
    return frame_is(&request.frames, 0, data_of(client), zmq_msg_size(client))


cdef int dispatch_all(Board board, int64_t now) except -1 nogil:
    cdef int service, worker
    cdef Chain *queue
    cdef Chain *free
    board.arrivals.clear()
    while board.dirty_services.length:
        service = board.dirty_services.head
        queue = &board.services[service].queue
        free = &board.services[service].free
        while queue.length and dispatch(board, queue.head, now) != NIL:
            pass
        worker = free.head
        if worker != NIL and board.workers[worker].burst:
            board.workers[worker].burst = False
            lru_next(free, board.free_links.data())
            lru_ready(free, board.free_links.data(), worker)
        if chain_has(board.dirty_links.data(), service):
            chain_remove(&board.dirty_services, board.dirty_links.data(), service)
    return 0


cdef int dispatch(Board board, int slot, int64_t now) except -2 nogil:
    """Send a waiting request to the least recently used worker that takes it: that worker, or NIL."""
    cdef int index, sent
    cdef int service = board.requests[slot].service
    cdef Worker *worker
    cdef Request *request
    cdef Link *links
    while True:
        index = lru_next(&board.services[service].free, board.free_links.data())
        if index == NIL:
            return NIL
        board.count[WORKERS_IDLE] -= 1
        sent = send_to_worker(board, slot, index)
        if sent == OK:
            break
        if sent == GONE:
            leave(board, index)  # it may have answered what it holds
        else:
            board.count[WORKER_FULL if sent == FULL else WORKER_BEHIND] += 1
            board.workers[index].burst = False
            board.blocked.ready(index)
    worker = &board.workers[index]
    request = &board.requests[slot]
    links = board.request_links.data()
    if chain_has(links, slot):
        chain_remove(&board.services[service].queue, links, slot)
        left_queue(board, request)
    chain_append(&worker.requests, links, slot)
    take_place(board, index)
    worker.live += 1
    request.worker = index
    if request.retries > 0:
        if may_keep(board, request):
            request.kept = request.charge
            board.kept_bytes += request.kept
        else:
            request.retries = 0
            board.count[RETRIES_GIVEN_UP] += 1
    board.count[QUEUED] -= 1
    board.count[QUEUED_BYTES] -= request.charge
    board.count[IN_FLIGHT] += 1
    requeue(board, index)
    if worker.protocol != REQ:
        board.heartbeat_deadlines.refresh(index, now)
        if worker.occupied == 1 and board.separate_busy:
            heard(board, index, now)  # from now on it may be silent for longer
    return index


cdef void requeue(Board board, int index) noexcept nogil:
    """Put a worker that was given a request back into the LRU order, if it has a place left.

    Messages to one peer share a system call, so where every worker has something in hand, a burst goes on
    until this one has three times what the others have on average.  As long as anybody is idle each
    gets one.
    """
    cdef Worker *worker = &board.workers[index]
    cdef Service *service = &board.services[worker.service]
    worker.burst = False
    if worker.occupied == worker.capacity:
        return
    if service.unoccupied == 0 and (
        <int64_t>worker.occupied * (service.workers - 1)
        < <int64_t>BURST * (service.in_hand - worker.occupied)
    ):
        worker.burst = True
        lru_push_front(&service.free, board.free_links.data(), index)
    else:
        lru_ready(&service.free, board.free_links.data(), index)
    board.count[WORKERS_IDLE] += 1


cdef inline bint may_keep(Board board, const Request *request) noexcept nogil:
    """Whether the body of a request that is sent is kept, as it may be sent again: up to queue_bytes."""
    return request.retries > 0 and board.kept_bytes + request.charge <= board.queue_bytes


cdef int send_to_worker(Board board, int slot, int worker) except -1 nogil:
    """Hand a request to the outbox, after its head.  Returns what became of it."""
    cdef char token[TICKET_SIZE]
    cdef const string *name = &board.identities.names[worker]
    cdef Request *request = &board.requests[slot]
    cdef zmq_msg_t *body = &request.frames.at[request.head]
    cdef int bodies = request.frames.count - request.head
    if may_keep(board, request):  # it may be sent again: send copies, which share what is large
        frames_clear(&board.scratch)
        frames_copy(&board.scratch, body, bodies)
        body = board.scratch.at
    board.tickets.write(slot, token)
    request_head(
        &board.head, name.data(), name.size(), board.workers[worker].protocol, token, TICKET_SIZE
    )
    if board.workers[worker].dialect == LED:
        lead(&board.head)
    return board.outbox.send(
        board.workers[worker].side, board.head.at, board.head.count, body, bodies,
        request.charge + WORKER_HEAD,
    )
