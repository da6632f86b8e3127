"""What time brings: frozen workers and late requests expire; heartbeats; full pipes to try again."""

from __future__ import annotations

from ..structures.tickets import Verdict
from .board import Board
from .dispatch import dispatch_all
from .endings import finish
from .noticing import notice_silence
from .records import State
from .telling import next_telling, tell_again
from .workers import heartbeat, lose, set_free

__all__ = ["next_due", "run_timers"]


def run_timers(board: Board, now: float) -> None:
    """Do all that is due by now, and hand out what waits."""
    board.turn += 1
    for slot in board.request_deadlines.sweep(now):
        request = board.requests[slot]
        # A worker at work on it stays busy until it says something: it may still be at work.
        queued = request.state is State.QUEUED
        reason = "failed_expired_queued" if queued else "failed_expired_in_flight"
        finish(board, request, "failed", reason, Verdict.LATE)
    for slot in board.no_service_deadlines.sweep(now):
        request = board.requests[slot]
        if request.state is State.QUEUED and not request.service.workers:
            finish(board, request, "failed", "failed_no_service", Verdict.LATE)
    for order in (
        (board.idle_deadlines, board.busy_deadlines)
        if board.separate_busy
        else (board.idle_deadlines,)
    ):
        for key in order.sweep(now):
            board.count["workers_expired"] += 1
            lose(board, board.workers[key], "workers_expired")
    for key in board.leaving.sweep(now):
        lose(board, board.workers[key])
    for connection in board.silent.sweep(now):
        notice_silence(board, connection)
    for key in board.heartbeat_deadlines.sweep(now):
        heartbeat(board, board.workers[key], now)
    while (blocked := board.blocked.next()) is not None:
        set_free(board, board.workers[blocked])
    tell_again(board, now)
    dispatch_all(board, now)


def next_due(board: Board) -> float | None:
    """When something is due; ``None`` for never."""
    orders = (
        board.request_deadlines, board.no_service_deadlines, board.idle_deadlines,
        board.busy_deadlines, board.heartbeat_deadlines, board.leaving, board.silent,
    )  # fmt: skip
    deadlines = (order.next_deadline() for order in orders)
    return min(
        (each for each in (*deadlines, next_telling(board)) if each is not None), default=None
    )
