"""Which requests came on which connection."""

from cython.operator cimport dereference
from zmq.backend.cython.libzmq cimport zmq_msg_get

from ..libzmq cimport zmqapi
from ..libzmq.zmqapi cimport ZMQ_SRCFD, brigantine_zmq
from ..structures.chain cimport NIL, Chain, chain_append, chain_init, chain_remove
from ..wire.messages cimport MDP02, REQ, STRICT
from .records cimport LATER, NO_CONNECTION, Request
from .telling cimport is_ours

zmqapi.bind(&brigantine_zmq)

cdef enum:
    # Frames before the body of a request that has passed no other broker, by its protocol.
    REQ_HEAD = 2
    MDP01_HEAD = 4
    MDP02_HEAD = 4
    LED_HEAD = 5  # MDP 0.2 in a dialect


cdef int file_requests(Board board) except -1 nogil:
    """Put the requests that came since the last time beside the others of their connections."""
    cdef int first = NIL
    cdef int slot = board.request_deadlines.chain.tail
    cdef Request *request
    while slot != NIL and not board.requests[slot].filed:
        first = slot
        slot = board.request_deadlines.links[slot].prev
    slot = first
    while slot != NIL:
        request = &board.requests[slot]
        request.filed = True
        request.connection = connection_of(request)
        if request.connection != NO_CONNECTION:
            append(board, slot, request.connection)
        slot = board.request_deadlines.links[slot].next
    return 0


cdef int append(Board board, int slot, int connection) except -1 nogil:
    cdef Chain fresh
    if board.asked_on.find(connection) == board.asked_on.end():
        chain_init(&fresh)
        board.asked_on[connection] = fresh
    chain_append(&board.asked_on[connection], board.asked_links.data(), slot)
    return 0


cdef int connection_of(Request *request) noexcept nogil:
    """Of one of our clients, or of MDP 0.2, that has asked without another broker in between; else none."""
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


cdef int leave_connection(Board board, int slot) except -1 nogil:
    found = board.asked_on.find(board.requests[slot].connection)
    chain_remove(&dereference(found).second, board.asked_links.data(), slot)
    if dereference(found).second.length == 0:
        board.asked_on.erase(found)
    return 0
