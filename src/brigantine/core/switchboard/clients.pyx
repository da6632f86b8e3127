"""Our clients whose connection has closed: their waiting requests are forgotten."""

from cython.operator cimport dereference, postincrement

from ..structures.chain cimport NIL
from ..wire.messages cimport MDP02
from .asked cimport file_requests
from .counters cimport FAILED, FAILED_CLIENT_LEFT
from .endings cimport finish
from .records cimport Departure
from .telling cimport is_ours
from ..structures.tickets cimport LATE

cdef enum:
    # Turns of the loop: a request that came in the one before this may be on a connection whose beginning
    # is told in this one.
    SURE = 2


cdef int client_connected(Board board, int connection) except -1 nogil:
    found = board.departures.find(connection)
    if found != board.departures.end():
        dereference(found).second.taken = True
    return 0


cdef int client_left(Board board, int connection) except -1 nogil:
    cdef Departure fresh
    file_requests(board)
    forget_waiting(board, connection, board.turn - SURE)
    fresh.taken = fresh.read = False
    board.departures[connection] = fresh
    return 0


cdef int clients_read(Board board) noexcept nogil:
    at = board.departures.begin()
    while at != board.departures.end():
        dereference(at).second.read = True
        postincrement(at)
    return 0


cdef int clients_caught_up(Board board) except -1 nogil:
    cdef int connection
    cdef Departure departure
    at = board.departures.begin()
    if at != board.departures.end():
        file_requests(board)
    while at != board.departures.end():
        connection = dereference(at).first
        departure = dereference(at).second
        postincrement(at)
        if not departure.read:
            continue
        board.departures.erase(connection)
        if not departure.taken:
            forget_waiting(board, connection, board.turn)
    return 0


cdef int forget_waiting(Board board, int connection, int64_t until) except -1 nogil:
    """End the waiting requests of one of our clients, and replies in parts that have begun.

    As far as they came on that connection, until that turn of the loop.
    """
    cdef int slot, following
    cdef bint waits, begun
    found = board.asked_on.find(connection)
    if found == board.asked_on.end():
        return 0
    slot = dereference(found).second.head
    while slot != NIL:
        following = board.asked_links[slot].next
        waits = board.requests[slot].worker == NIL and is_ours(&board.requests[slot].frames.at[0])
        # One that is back under its routing id has lost parts in between.
        begun = board.requests[slot].begun and board.requests[slot].protocol == MDP02
        if (waits or begun) and board.requests[slot].turn <= until:
            finish(board, slot, FAILED, FAILED_CLIENT_LEFT, LATE)
        slot = following
    return 0
