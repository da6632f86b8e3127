"""Our clients whose connection has closed: their waiting requests are forgotten.

Nobody takes the replies, and nobody comes back for them: each of our clients has a routing id for
itself, and a new one on a new connection.  Of others nothing is known: they may have left on purpose,
or come back.

A descriptor is used again, at once as a rule, and what its former owner sent may be read after its close
is known.  So a close counts for requests that came well before it, and for all that came on that
descriptor when the clients' side was found empty after it, unless the descriptor has been given away
meanwhile.
"""

from __future__ import annotations

from ..structures.tickets import Verdict
from ..wire.messages import MDP02
from .board import Board
from .endings import finish
from .records import Departure, State
from .telling import is_ours

__all__ = ["client_connected", "client_left", "clients_caught_up", "clients_read"]

#: Turns of the loop: a request that came in the one before this may be on a connection whose beginning is
#: told in this one.
_SURE = 2


def client_connected(board: Board, connection: int) -> None:
    """A descriptor has been given away."""
    if connection in board.departures:
        board.departures[connection].taken = True


def client_left(board: Board, connection: int) -> None:
    """A connection has closed."""
    _forget_waiting(board, connection, board.turn - _SURE)
    board.departures[connection] = Departure()


def clients_read(board: Board) -> None:
    """Where clients are nothing was left unread."""
    for departure in board.departures.values():
        departure.read = True


def clients_caught_up(board: Board) -> None:
    """All is told of connections that were opened or closed until after that."""
    for connection in sorted(board.departures):
        departure = board.departures[connection]
        if departure.read:
            del board.departures[connection]
            if not departure.taken:
                _forget_waiting(board, connection, board.turn)


def _forget_waiting(board: Board, connection: int, until: int) -> None:
    """End the waiting requests of one of our clients, and replies in parts that have begun.

    As far as they came on that connection, until that turn of the loop.
    """
    for slot in list(board.asked_on.get(connection, ())):
        request = board.requests[slot]
        waits = request.state is State.QUEUED and is_ours(request.address[0])
        # One that is back under its routing id has lost parts in between.
        begun = request.begun and request.protocol == MDP02
        if (waits or begun) and request.turn <= until:
            finish(board, request, "failed", "failed_client_left", Verdict.LATE)
