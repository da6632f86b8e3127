"""How a client is told that its request got no reply: at once, or as soon as it has room for that.

Only a client that asks for it is told: see "Error answers" in docs/additions.md.  ``reason`` is the counter
that the request went to.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...config.limits import UNTOLD_RETRY, UNTOLD_TRIES
from ...wire.req import ANNOUNCEMENT
from ..wire.mdp import client_reply_head
from ..wire.messages import Command
from .board import Board
from .outbox import Sent
from .untold import End

__all__ = [
    "announced",
    "is_ours",
    "next_telling",
    "tell",
    "tell_again",
    "tell_no_more",
    "tell_refused",
]

#: What is answered for a peer that reads too slowly.
_NO_ROOM = (Sent.FULL, Sent.BEHIND)


def is_ours(peer: bytes) -> bool:
    """Whether a peer says by its routing id that it understands what only ours do."""
    return peer.startswith(ANNOUNCEMENT)


def announced(address: Sequence[bytes]) -> bool:
    """Whether the client of a request says so: its routing id is the last of the address stack."""
    return is_ours(address[-1])


def tell(
    board: Board, address: list[bytes], name: bytes, spoken: tuple[int, int], reason: str | None
) -> None:
    """Tell a client that understands it how its request ended.

    ``name`` is that of the service, ``spoken`` the client's protocol and dialect.
    """
    if board.sending_off or reason not in board.error_bodies or not announced(address):
        return
    head = client_reply_head(address, name, *spoken, partial=False)
    end = End(head, reason, board.now + board.request_deadlines.timeout)
    sent = _send(board, end)
    if sent == Sent.OK:
        board.count["error_answers"] += 1
    elif sent in _NO_ROOM and board.untold.keep(end):
        board.count["error_answers_waiting"] += 1
        if len(board.untold.ends) == 1:
            board.untold.due = board.now + UNTOLD_RETRY
    else:
        board.count["drop_error_answer"] += 1


def tell_refused(board: Board, frames: list[bytes], command: Command, reason: str) -> None:
    """Tell the client of a request that got no record, if it asks to be told."""
    name = frames[command.service] if command.service >= 0 else b""
    spoken = (command.protocol, command.dialect)
    tell(board, frames[: command.address], name, spoken, reason)


def _send(board: Board, end: End) -> int:
    return board.outbox(board.client_side, [*end.head, *board.error_bodies[end.reason]])


def next_telling(board: Board) -> float | None:
    """When to try again to tell those who had no room; ``None`` when there are none."""
    return board.untold.due if board.untold.ends else None


def tell_again(board: Board, now: float) -> None:
    """Try again to tell those who had no room, if it is time for that.

    So many that still have none are enough for one time: the next ones are tried at the next.
    """
    untold, tries = board.untold, UNTOLD_TRIES
    if not untold.ends or now < untold.due:
        return
    for _ in range(len(untold.ends)):
        if not _tell_front(board, now):
            untold.pass_over()
            tries -= 1
            if not tries:
                break
    untold.due = now + UNTOLD_RETRY


def _tell_front(board: Board, now: float) -> bool:
    """Whether the one in front is done with: told, or given up."""
    end = board.untold.ends[0]
    sent: int = Sent.FULL
    if end.deadline > now:
        sent = _send(board, end)
        if sent in _NO_ROOM:
            return False
    board.count["error_answers" if sent == Sent.OK else "drop_error_answer"] += 1
    board.count["error_answers_waiting"] -= 1
    board.untold.drop()
    return True


def tell_no_more(board: Board) -> None:
    """Tell them for the last time, or give them up."""
    while board.untold.ends:
        if board.sending_off or not _tell_front(board, board.now):
            board.count["drop_error_answer"] += 1
            board.count["error_answers_waiting"] -= 1
            board.untold.drop()
