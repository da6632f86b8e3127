"""How a request ends, and how its client is told.

``end`` is the ledger's counter that a request ends in (replied, shed, failed), ``reason`` the counter
that says why.
"""

from __future__ import annotations

from ..structures.tickets import Verdict
from ..wire.messages import Command
from .asked import leave_connection
from .board import Board
from .queues import left_queue
from .records import NO_CONNECTION, Request, State, Worker
from .services import give_places, leave_service
from .telling import tell, tell_refused
from .watching import watch_refusal, watch_request

__all__ = ["finish", "forget_if_empty", "refuse"]


def finish(board: Board, request: Request, end: str, reason: str | None, verdict: Verdict) -> None:
    """The one place where a request ends; ``verdict`` is what a later reply to it will be told."""
    count = board.count
    if request.state is State.QUEUED:
        if request.slot in request.service.queue:
            del request.service.queue[request.slot]
            left_queue(board, request)
        count["queued"] -= 1
        count["queued_bytes"] -= request.charge
    else:
        count["in_flight"] -= 1
    board.kept_bytes -= request.kept
    count[end] += 1
    if reason is not None:
        count[reason] += 1
        watch_request(board, end, reason, request)
    spoken = (request.protocol, request.dialect)
    tell(board, request.address, request.service.name, spoken, reason)
    if request.connection != NO_CONNECTION:
        leave_connection(board, request)
    del board.requests[request.slot]
    board.request_deadlines.remove(request.slot)
    board.no_service_deadlines.remove(request.slot)
    board.tickets.close(request.slot, verdict)
    worker = request.worker
    if worker is not None:
        del worker.requests[request.slot]
        if request.orphan:
            board.orphans -= 1
        else:
            worker.live -= 1
            if verdict is Verdict.ANSWERED:
                give_places(worker, 1)
        forget_if_empty(board, worker)
    leave_service(board, request.service)


def refuse(board: Board, frames: list[bytes], command: Command, end: str, reason: str) -> None:
    """End a request that was accepted but gets no record."""
    board.count[end] += 1
    board.count[reason] += 1
    watch_refusal(board, end, reason, frames, command)
    tell_refused(board, frames, command, reason)


def forget_if_empty(board: Board, worker: Worker) -> None:
    """Let go of a lost worker's record once none of its requests may be answered any more."""
    if worker.lost and not worker.requests:
        board.workers.pop(worker.key, None)
