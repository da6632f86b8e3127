"""What a person should know, told where it is seen: see ``brigantine.notices.kinds``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...config.limits import EVENT_NAME_BYTES
from ...notices.kinds import Notice, cut, level
from .notices import nanoseconds
from .records import Worker

if TYPE_CHECKING:
    from .board import Board

__all__ = [
    "notice",
    "notice_loss",
    "notice_message",
    "notice_ready",
    "notice_silence",
]


def notice(board: Board, told: Notice) -> None:
    """Tell it, if it is new and the log has room for it."""
    if board.notices is None or board.gate.known(told):
        return
    if board.gate.admits(told, board.now):
        board.notices(told)
    else:
        board.leave_out(level(told))


def notice_message(board: Board, kind: str, reason: str | None, frames: list[bytes]) -> None:
    """A message, as it came; ``kind`` is one of ``KINDS``, ``reason`` a counter."""
    if board.notices is not None:
        peer, address = (frames[0], board.address()) if frames else (None, None)
        said = frames[1:]
        notice(board, Notice(kind, reason, peer, None, address, (), cut(said), len(said)))


def notice_ready(board: Board, reason: str, identity: bytes, name: bytes) -> None:
    """A READY was refused."""
    if board.notices is not None:
        name = name[:EVENT_NAME_BYTES]
        notice(board, Notice("refused", reason, identity, name, board.address()))


def notice_loss(board: Board, kind: str, reason: str, worker: Worker) -> None:
    """A worker is gone."""
    if board.notices is None:
        return
    name = worker.service.name[:EVENT_NAME_BYTES]
    numbers: tuple[int, ...] = ()
    if kind == "expired":
        silence, lived = board.now - worker.heard_at, worker.heard_at - worker.joined_at
        numbers = (
            nanoseconds(silence), worker.heard, nanoseconds(lived), nanoseconds(worker.longest)
        )  # fmt: skip
    notice(board, Notice(kind, reason, worker.identity, name, worker.address, numbers))


def notice_silence(board: Board, connection: int) -> None:
    """A peer has been connected where workers are for long, and has said nothing."""
    if board.notices is None:
        return
    told = Notice("silent", numbers=(nanoseconds(board.silent.timeout),))
    # Asked first: of a crowd, the addresses of those that are told are looked up.
    if board.gate.admits(told, board.now):
        board.notices(told._replace(address=board.address_on(connection)))
    else:
        board.leave_out(level(told))
