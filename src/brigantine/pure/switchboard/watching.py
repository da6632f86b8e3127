"""What happens, told to readers of events: see :mod:`brigantine.events`."""

from __future__ import annotations

from ...config.limits import EVENT_NAME_BYTES
from ..wire.messages import Command
from .board import Board
from .records import Request, Worker
from .services import service_name

__all__ = ["watch", "watch_ready", "watch_refusal", "watch_request", "watch_worker"]


def watch(board: Board, kind: str, reason: str, worker: bytes | None, service: bytes) -> None:
    """``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter."""
    if board.events is not None:
        board.events(kind, reason, worker, service[:EVENT_NAME_BYTES])


def watch_request(board: Board, kind: str, reason: str, request: Request) -> None:
    worker = None if request.worker is None else request.worker.identity
    watch(board, kind, reason, worker, request.service.name)


def watch_worker(board: Board, kind: str, reason: str, worker: Worker) -> None:
    watch(board, kind, reason, worker.identity, worker.service.name)


def watch_refusal(
    board: Board, end: str, reason: str, frames: list[bytes], command: Command
) -> None:
    """A request without a record has ended."""
    watch(board, end, reason, None, service_name(board, frames, command))


def watch_ready(board: Board, reason: str, identity: bytes, name: bytes) -> None:
    """A READY was refused."""
    watch(board, "refused", reason, identity, name)
