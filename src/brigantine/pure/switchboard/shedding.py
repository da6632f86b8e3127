"""Which waiting requests are given up when there are more than the queue may hold.

The newest of the service that has most of what is short, requests or bytes, so that one service's
backlog turns no other's requests away.  Never one that was at a worker before.
"""

from __future__ import annotations

from ..structures.tickets import Verdict
from .board import Board
from .endings import finish
from .queues import joined_queue, keep_backlog, left_queue
from .records import Request

__all__ = ["make_room"]


def make_room(board: Board, request: Request) -> None:
    """A new request waits, and there are more than may wait: shed others, or this one."""
    count, config, by_requests = board.count, board.config, board.backlog.by_requests
    full = count["queued"] > config.queue_limit
    excess = count["queued_bytes"] - config.queue_bytes
    keep_backlog(board)
    service = by_requests.heaviest()
    if full and by_requests.weight(service) <= by_requests.weight(request.service):
        finish(board, request, "shed", "shed_queue_full", Verdict.LATE)
    elif excess > 0:
        # What was sent back here by lost workers may be beyond the bound, too; that is not for this one.
        _free_bytes(board, request, min(excess, request.charge))
    else:
        victim = board.requests[next(reversed(service.queue))]
        finish(board, victim, "shed", "shed_queue_full", Verdict.LATE)


def _free_bytes(board: Board, request: Request, excess: int) -> None:
    """Shed so many bytes of others, or, where that is not possible, nothing but this request."""
    by_bytes, victims = board.backlog.by_bytes, []
    while excess > 0:
        service = by_bytes.heaviest()
        if by_bytes.weight(service) <= by_bytes.weight(request.service):
            break
        victim = board.requests[service.queue.popitem()[0]]
        left_queue(board, victim)
        victims.append(victim)
        excess -= victim.charge
    if excess > 0:
        for victim in reversed(victims):  # put them back
            victim.service.queue[victim.slot] = None
            joined_queue(board, victim)
        victims = [request]
    for victim in victims:
        finish(board, victim, "shed", "shed_queue_bytes", Verdict.LATE)
