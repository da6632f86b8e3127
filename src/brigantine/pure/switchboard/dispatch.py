"""Which waiting request goes to which worker, and when."""

from __future__ import annotations

from ..wire import codec
from ..wire.messages import REQ
from .board import Board
from .outbox import Sent
from .queues import joined_queue, left_queue
from .records import Request, State, Worker
from .services import mark_dirty, take_place
from .shedding import make_room
from .workers import heard, leave

__all__ = ["dispatch_all", "enqueue"]

#: Times what the others have in hand on average may be with a worker at the end of its burst.
_BURST = 3


def enqueue(board: Board, request: Request, now: float) -> None:
    """Let a new request wait for its turn in dispatch_all, or shed it at the bounds of the queue."""
    service, count, config = request.service, board.count, board.config
    service.queue[request.slot] = None
    joined_queue(board, request)
    board.arrivals.setdefault((request.address[0], service), []).append(request.slot)
    if service.free:
        mark_dirty(board, service)
    if count["queued"] <= config.queue_limit and count["queued_bytes"] <= config.queue_bytes:
        return
    dispatch_all(board, now)  # which may make room
    if request.worker is None and (
        count["queued"] > config.queue_limit or count["queued_bytes"] > config.queue_bytes
    ):
        make_room(board, request)


def dispatch_all(board: Board, now: float) -> None:
    """Send waiting requests as long as workers are free, oldest first.  Then a turn has ended."""
    if board.arrivals:
        _stand_together(board)
        board.arrivals.clear()
    while board.dirty_services:
        service = next(iter(board.dirty_services))
        while service.queue:
            request = board.requests[next(iter(service.queue))]
            if _dispatch(board, request, now) is None:
                break
        head = service.free.head()
        if head is not None and board.workers[head].burst:
            board.workers[head].burst = False
            service.free.next()
            service.free.ready(head)
        del board.dirty_services[service]


def _stand_together(board: Board) -> None:
    """Have the requests that each client sent since the last dispatch_all follow each other.

    Replies that leave together for one connection share a system call, and so do the requests that
    its client sends when it has them.
    """
    for (_, service), slots in board.arrivals.items():
        for slot in slots:
            service.queue.move_to_end(slot)


def _dispatch(board: Board, request: Request, now: float) -> Worker | None:
    """Send a waiting request to the least recently used worker that takes it: that worker."""
    service = request.service
    while True:
        key = service.free.next()
        if key is None:
            return None
        worker = board.workers[key]
        head = codec.request_head(
            worker.identity, board.tickets.token(request.slot), worker.protocol, worker.dialect
        )
        sent = board.outbox(worker.side, [*head, *request.body])
        if sent == Sent.OK:
            break
        if sent == Sent.GONE:
            leave(board, worker)  # it may have answered what it holds
        else:
            board.count["worker_full" if sent == Sent.FULL else "worker_behind"] += 1
            worker.burst = False
            board.blocked.ready(key)
    del service.queue[request.slot]
    left_queue(board, request)
    worker.requests[request.slot] = None
    take_place(worker)
    worker.live += 1
    request.worker = worker
    request.state = State.IN_FLIGHT
    _keep_body(board, request)
    board.count["queued"] -= 1
    board.count["queued_bytes"] -= request.charge
    board.count["in_flight"] += 1
    _requeue(worker)
    if worker.protocol != REQ:
        board.heartbeat_deadlines.refresh(key, now)
        if worker.occupied == 1 and board.separate_busy:
            heard(board, worker, now)  # from now on it may be silent for longer
    return worker


def _keep_body(board: Board, request: Request) -> None:
    """Keep the body of a request that was sent if it may be sent again, as far as queue_bytes go."""
    if request.retries and board.kept_bytes + request.charge > board.config.queue_bytes:
        request.retries = 0
        board.count["retries_given_up"] += 1
    if request.retries:
        request.kept = request.charge
        board.kept_bytes += request.kept
    else:
        request.body = []


def _requeue(worker: Worker) -> None:
    """Put a worker that was given a request back into the LRU order, if it has a place left.

    Messages to one peer share a system call, so where every worker has something in hand, a burst goes
    on until this one has three times what the others have on average.  As long as anybody is idle
    each gets one.
    """
    worker.burst = False
    if worker.occupied == worker.capacity:
        return
    service = worker.service
    others = service.in_hand - worker.occupied
    if not service.unoccupied and worker.occupied * (service.workers - 1) < _BURST * others:
        worker.burst = True
        service.free.push_front(worker.key)
    else:
        service.free.ready(worker.key)
