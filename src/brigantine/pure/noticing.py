"""What a person should know, told by whoever sees it, and how much of it: see ``brigantine.notices``."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from ..config import (
    EVENT_NAME_BYTES,
    KIND_BURST,
    KIND_EVERY,
    NOTICE_BURST,
    NOTICE_EVERY,
    NOTICES_KNOWN,
)
from ..notices import KINDS, Notice, cut, level
from .records import Worker

if TYPE_CHECKING:
    from .board import Board

__all__ = [
    "NoticeGate",
    "notice",
    "notice_loss",
    "notice_message",
    "notice_ready",
    "notice_silence",
]

_SECOND = 1_000_000_000
# Nanoseconds, as sums of tenths of a second are not exact.
_KIND_EVERY, _NOTICE_EVERY = round(KIND_EVERY * _SECOND), round(NOTICE_EVERY * _SECOND)
_KIND_AHEAD = (KIND_BURST - 1) * _KIND_EVERY
_NOTICE_AHEAD = (NOTICE_BURST - 1) * _NOTICE_EVERY


class NoticeGate:
    """Lets through what is new, at a bounded rate: of each kind, and of all."""

    def __init__(self) -> None:
        #: Kind, reason and peer of the last notices of kinds told once; the oldest first.
        self._known: OrderedDict[tuple[str, str | None, bytes], None] = OrderedDict()
        # Nanoseconds at which all that were let through have been paid for: of all, and by kind.
        self._paid = 0
        self._kind_paid = dict.fromkeys(KINDS, 0)

    def known(self, told: Notice) -> bool:
        """Whether it was told of this peer before."""
        return KINDS[told.kind].once and (told.kind, told.reason, told.peer or b"") in self._known

    def admits(self, told: Notice, now: float) -> bool:
        """Whether there is room for it now; then it counts as told."""
        at, kind_paid = _nanoseconds(now), self._kind_paid[told.kind]
        if kind_paid - at > _KIND_AHEAD or self._paid - at > _NOTICE_AHEAD:
            return False
        self._kind_paid[told.kind] = max(kind_paid, at) + _KIND_EVERY
        self._paid = max(self._paid, at) + _NOTICE_EVERY
        if KINDS[told.kind].once:
            if len(self._known) == NOTICES_KNOWN:
                self._known.popitem(last=False)
            self._known[told.kind, told.reason, told.peer or b""] = None
        return True


def notice(board: Board, told: Notice) -> None:
    """Tell it, if it is new and the log has room for it."""
    if board.notices is None or board.gate.known(told):
        return
    if board.gate.admits(told, board.present):
        board.notices(told)
    else:
        board.leave_out(level(told))


def notice_message(board: Board, kind: str, reason: str | None, frames: list[bytes]) -> None:
    """A message, as it came; ``kind`` is one of ``brigantine.notices.KINDS``, ``reason`` a counter."""
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
        silence, lived = board.present - worker.heard_at, worker.heard_at - worker.joined_at
        numbers = (
            _nanoseconds(silence), worker.heard, _nanoseconds(lived), _nanoseconds(worker.longest)
        )  # fmt: skip
    notice(board, Notice(kind, reason, worker.identity, name, worker.address, numbers))


def notice_silence(board: Board, connection: int) -> None:
    """A peer has been connected where workers are for long, and has said nothing."""
    if board.notices is None:
        return
    told = Notice("silent", numbers=(_nanoseconds(board.silent.timeout),))
    # Asked first: of a crowd, the addresses of those that are told are looked up.
    if board.gate.admits(told, board.present):
        board.notices(told._replace(address=board.address_on(connection)))
    else:
        board.leave_out(level(told))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * _SECOND)
