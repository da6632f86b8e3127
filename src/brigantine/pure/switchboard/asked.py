"""Which requests came on which connection, where that matters: their clients may leave."""

from __future__ import annotations

from ..wire.messages import MDP02
from .board import Board
from .records import NO_CONNECTION, Request
from .telling import is_ours

__all__ = ["file_request", "leave_connection"]


def file_request(board: Board, request: Request, connection: int) -> None:
    """Put a request beside the others of its connection, if that matters and it came without a hop."""
    request.turn = board.turn
    if connection == NO_CONNECTION or len(request.address) > 1:
        return
    if request.protocol == MDP02 or is_ours(request.address[0]):
        request.connection = connection
        board.asked_on.setdefault(connection, {})[request.slot] = None


def leave_connection(board: Board, request: Request) -> None:
    """A request has ended."""
    asked = board.asked_on[request.connection]
    del asked[request.slot]
    if not asked:
        del board.asked_on[request.connection]
