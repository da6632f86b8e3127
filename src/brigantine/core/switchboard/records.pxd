"""What the switchboard knows of a service, a worker and a request."""

from libc.stdint cimport int64_t

from ..structures.chain cimport Chain
from ..wire.envelope cimport Frames

cdef enum:
    NO_CONNECTION = -1  # of a peer that has none to name (inproc, and tests)
    LATER = -2          # not looked at yet: the first frame of the message tells
    # Added to the descriptor of a worker where clients are: a descriptor is used again on either side, and
    # the monitors of both tell of that in no order.
    AT_FRONTEND = 1 << 30

cdef struct Service:
    Chain free         # workers that could take a request now, least recently used at the head
    Chain queue        # slots of the waiting requests, next one at the head
    int workers        # registered workers
    int unoccupied     # those of them that hold nothing
    int in_hand        # places taken at all of them
    int users          # registered workers and requests that have not ended: it stays while there are
    int64_t bytes      # charged to what is in `queue`
    int64_t age        # how many services had been made known before it
    # what the backlog has it with; 0 where it is not in there (stale while the backlog is not kept)
    int64_t weighed_requests, weighed_bytes

cdef struct Worker:
    int service        # index of the service it is registered for
    int protocol       # as in commands.pxd
    int dialect        # likewise
    int capacity       # requests it takes at once
    int connection     # the descriptor it speaks on (AT_FRONTEND: where), or NO_CONNECTION
    int64_t serial     # tells that connection from others on the same descriptor: see Board.serials
    int side           # the side that it is at: a worker is what has an identity on a side
    int occupied       # places taken: live requests, and those that expired while it was at work
    bint stopping      # it has said that it is leaving: it gets nothing more
    bint burst         # it is at the head of `free` for more than one request
    int live           # requests of this conversation that have not ended
    # Times of the loop: when it said READY, when it was last heard of, and the longest between two words
    int64_t joined_at
    int64_t heard_at
    int64_t longest
    int64_t heard      # how often, after READY
    bint lost          # not registered any more; `requests` may still be answered
    Chain requests     # slots of the requests it may answer, in the order they were sent

cdef struct Request:
    Frames frames      # owned: address stack and what belongs to it, and the body until it is sent
    Frames partial     # owned: what came as PARTIAL for a client that can take one reply only
    int head           # frames before the body: they precede the reply, too
    int protocol       # the client's, as its dialect
    int dialect
    int service        # index
    int worker         # index of the worker that holds it; NIL while it waits
    int retries        # how often it may still be sent to another worker
    bint taken_back    # it was at a worker before, which was lost
    bint begun         # a part of its reply has come: the rest must come by the same way
    bint orphan        # in flight, but its worker was lost
    int connection     # the descriptor that it came on, NO_CONNECTION or LATER
    bint filed         # it has been put beside the others of its connection, if that matters
    int64_t turn       # of the loop, in which it came
    int64_t charge     # bytes that it counts for while it waits
    int64_t kept       # ... in flight: its charge if its body is kept, to be sent again; joined PARTIALs

# A client's connection that has closed.
cdef struct Departure:
    bint taken         # its descriptor has been given away since
    bint read          # the clients' side was found empty since
