"""What waits for each service, and which has most of it."""

from __future__ import annotations

from .board import Board
from .records import Request, Service

__all__ = ["joined_queue", "keep_backlog", "left_queue"]


def joined_queue(board: Board, request: Request) -> None:
    """A request has been put into its service's queue."""
    request.service.bytes += request.charge
    if board.backlog.kept:
        _weigh(board, request.service)


def left_queue(board: Board, request: Request) -> None:
    """A request has been taken out of its service's queue."""
    request.service.bytes -= request.charge
    if board.backlog.kept:
        _weigh(board, request.service)


def _weigh(board: Board, service: Service) -> None:
    """Bring the backlog up to date with a service, or end it when it is not needed any more."""
    backlog, config, requests, size = board.backlog, board.config, 0, 0
    # Those that were at a worker before are in front of all others, and may not be shed.
    if service.queue and not board.requests[next(reversed(service.queue))].taken_back:
        requests, size = len(service.queue), service.bytes
    backlog.by_requests.put(service, requests)
    backlog.by_bytes.put(service, size)
    backlog.changes += 1
    # It took a look at each service to begin with: not more often than once in as many changes.
    if (
        board.count["queued"] <= config.queue_limit // 2
        and board.count["queued_bytes"] <= config.queue_bytes // 2
        and backlog.changes > len(board.services)
    ):
        backlog.drop()


def keep_backlog(board: Board) -> None:
    """Keep the backlog from now on."""
    if board.backlog.kept:
        return
    board.backlog.kept = True
    for service in board.services.values():
        _weigh(board, service)
    board.backlog.changes = 0
