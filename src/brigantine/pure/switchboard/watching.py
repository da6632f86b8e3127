"""What happens, told to readers of events: see :mod:`brigantine.events`."""

from __future__ import annotations

from ...config.limits import EVENT_NAME_BYTES
from .board import Board
from .records import Request

__all__ = ["watch", "watch_request"]


def watch(board: Board, kind: str, reason: str, worker: bytes | None, service: bytes) -> None:
    """``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter."""
    if board.events is not None:
        board.events(kind, reason, worker, service[:EVENT_NAME_BYTES])


def watch_request(board: Board, kind: str, reason: str, request: Request) -> None:
    worker = None if request.worker is None else request.worker.identity
    watch(board, kind, reason, worker, request.service.name)
