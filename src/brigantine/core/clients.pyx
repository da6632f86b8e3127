"""Clients of ours whose connection has closed: what of theirs still waits is forgotten."""

from cython.operator cimport dereference, postincrement
from zmq.backend.cython.libzmq cimport zmq_msg_get

from . cimport zmqapi
from .chain cimport NIL, Chain, chain_append, chain_init, chain_remove
from .commands cimport MDP02, REQ, STRICT
from .counters cimport FAILED, FAILED_CLIENT_LEFT
from .endings cimport finish
from .records cimport LATER, NO_CONNECTION, Departure, Request
from .telling cimport is_ours
from .tickets cimport LATE
from .zmqapi cimport ZMQ_SRCFD, brigantine_zmq

zmqapi.bind(&brigantine_zmq)

cdef enum:
    # Turns of the loop: a request that came in the one before this may be on a connection whose beginning
    # is told in this one.
    SURE = 2
    # Frames before the body of a request that has passed no other broker, by its protocol.
    REQ_HEAD = 2
    MDP01_HEAD = 4
    MDP02_HEAD = 4
    LED_HEAD = 5  # MDP 0.2 in a dialect


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


cdef int file_requests(Board board) except -1 nogil:
    """Put the requests that came since the last time beside the others of their connections."""
    cdef int first = NIL
    cdef int slot = board.deadlines.chain.tail
    cdef Request *request
    while slot != NIL and not board.requests[slot].filed:
        first = slot
        slot = board.deadlines.links[slot].prev
    slot = first
    while slot != NIL:
        request = &board.requests[slot]
        request.filed = True
        request.connection = connection_of(request)
        if request.connection != NO_CONNECTION:
            append(board, slot, request.connection)
        slot = board.deadlines.links[slot].next
    return 0


cdef int append(Board board, int slot, int connection) except -1 nogil:
    cdef Chain fresh
    if board.asked_on.find(connection) == board.asked_on.end():
        chain_init(&fresh)
        board.asked_on[connection] = fresh
    chain_append(&board.asked_on[connection], board.asked_links.data(), slot)
    return 0


cdef int connection_of(Request *request) noexcept nogil:
    """Of a client of ours, or of MDP 0.2, that has asked without another broker in between; else none."""
    cdef int most = MDP02_HEAD
    if request.protocol != MDP02:
        most = REQ_HEAD if request.protocol == REQ else MDP01_HEAD
    elif request.dialect != STRICT:
        most = LED_HEAD
    if request.head != most:
        return NO_CONNECTION
    if request.protocol != MDP02 and not is_ours(&request.frames.at[0]):
        return NO_CONNECTION
    if request.connection != LATER:
        return request.connection
    # -1 (NO_CONNECTION) over inproc.
    return zmq_msg_get(&request.frames.at[0], ZMQ_SRCFD)


cdef int forget_waiting(Board board, int connection, int64_t until) except -1 nogil:
    """End what waits of a client of ours, and replies in parts that have begun.

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


cdef int leave_connection(Board board, int slot) except -1 nogil:
    found = board.asked_on.find(board.requests[slot].connection)
    chain_remove(&dereference(found).second, board.asked_links.data(), slot)
    if dereference(found).second.length == 0:
        board.asked_on.erase(found)
    return 0
