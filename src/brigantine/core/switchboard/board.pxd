"""All that a switchboard knows, and that its rooms work on: nothing happens here.

What happens are functions that take the board, each in the room of its concept: services, requests,
workers, dispatch and so on.  None of them needs the GIL.

A request lives in one Request record from acceptance to its end; the record's index is the slot of
its ticket.  Invariants between two calls:

- a request waits (worker == NIL, in its service's `queue`) or is in flight (worker >= 0, in that
  worker's `requests`), and has a deadline either way;
- a registered worker with occupied < capacity is in its service's `free` or in `blocked`, any other
  in neither; one of PPP or MDP has a deadline in `idle_deadlines` or `busy_deadlines`, and one in
  `heartbeat_deadlines`; one that is in `leaving` is in none of these;
- a record of a lost worker stays only while its `requests` is not empty;
- after c_tick no request waits for a service in which a worker is free;
- accepted == replied + queued + in_flight + shed + failed.
"""

from libc.stdint cimport int64_t
from libcpp.map cimport map
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

from ..structures.arrivals cimport Arrivals
from .backlog cimport Backlog
from ..structures.chain cimport Chain, Link
from .counters cimport COUNTER_COUNT
from ..wire.envelope cimport Frames
from ..structures.expiry cimport ExpiryOrder
from ..structures.names cimport NameTable
from ..structures.lru cimport LRUOrder
from .notices cimport NoticeGate
from .outbox cimport Outbox
from ..structures.lanes cimport IntervalDeadlines
from .records cimport Departure, Request, Service, Worker
from ..structures.tickets cimport TicketTable
from .untold cimport Untold


cdef class Board:
    cdef Outbox outbox
    cdef int64_t count[COUNTER_COUNT]
    # limits, from BrokerConfig
    cdef int max_frames, max_depth, retries, liveness, busy_liveness
    cdef int64_t queue_limit, queue_bytes, max_message_bytes, max_services
    # protocols allowed, as flags of commands.pxd: of workers, of clients
    cdef int protocols, client_protocols
    cdef string default_service         # of clients and workers that name none
    cdef bint workers_at_frontend       # workers of MDP are served where clients are, too
    cdef int client_side                # where clients are
    cdef int side                       # of the message that is being handled
    # requests, by slot
    cdef TicketTable tickets
    cdef vector[Request] requests
    cdef vector[Link] request_links     # of every service's `queue` and every worker's `requests`
    cdef Arrivals arrivals              # of the requests that wait to be handed out for the first time
    cdef ExpiryOrder request_deadlines
    # those that wait for a service without a worker, and whose clients want to be told, and not late
    cdef ExpiryOrder no_service_deadlines
    # by counter of a request's end: the last frame of the answer to a client that wants to be told, or ""
    cdef vector[string] error_details
    cdef Untold untold                  # ends that their clients had no room to be told of
    # Requests by the connection that they came on, as far as that matters: see clients.pxd.
    cdef unordered_map[int, Chain] asked_on
    cdef vector[Link] asked_links
    cdef map[int, Departure] departures  # in the order in which they are looked at
    cdef int64_t turn                   # of the loop: how often it has ticked
    cdef int64_t kept_bytes             # of requests in flight: bodies to be sent again, joined PARTIALs
    cdef int64_t orphans                # requests in flight whose worker was lost
    # services, by index
    cdef NameTable service_names
    cdef vector[Service] services
    cdef vector[Link] dirty_links
    cdef int64_t services_made          # how many were made known, ever
    cdef Backlog backlog                # which of them have most waiting
    cdef int64_t taken                  # bytes of the message that is being handled
    cdef int64_t now                    # the time of the last call; -1 before the first
    cdef int64_t vacated                # when last a service was left without a worker; at first: the start
    cdef Chain dirty_services           # services in which a request or a worker may go on
    # workers, by index
    cdef NameTable identities
    cdef vector[Worker] workers
    cdef vector[string] addresses       # where each speaks from, "" where that is not known
    cdef vector[Link] free_links        # of every service's `free`: the LRU order
    cdef LRUOrder blocked               # workers whose pipe was full, to try again at the next tick
    # deadlines of workers of PPP and MDP: gone when idle, gone when at work, HEARTBEAT due to them
    cdef IntervalDeadlines idle_deadlines, busy_deadlines, heartbeat_deadlines
    cdef int64_t mdp_interval           # of workers of MDP; 0: the usual one of the three
    cdef bint separate_busy             # busy_deadlines are not idle_deadlines
    # Workers whose connection is known to be gone.  What they said before may still be unread, so they are
    # lost once all that had come was read, or when nothing is heard of them until this deadline.
    cdef ExpiryOrder leaving
    cdef int fronted                    # registered workers where clients are, which have another socket
    # open connections: descriptor (AT_FRONTEND: where clients are) -> worker, or NIL while none said READY
    cdef unordered_map[int, int] connections
    # descriptor -> the number of the connection that was opened on it last, and how many there were
    cdef unordered_map[int, int64_t] serials
    cdef int64_t opened
    # Connections where workers are on which nothing has come yet, by descriptor, until a person is told.
    cdef ExpiryOrder silent
    cdef int64_t handshakes             # that were done where workers are, of whatever connection
    cdef vector[int64_t] handshakes_at  # how many there were when a connection opened, by descriptor
    cdef int64_t sent_away_at           # when last a worker at the clients' socket was told DISCONNECT
    cdef NoticeGate notices             # what a person is told
    cdef bint draining
    cdef bint sending_off               # the sockets can't be used any more
    cdef Frames head                    # owned: the frames before the body that is being sent
    cdef Frames scratch                 # owned: body copies of a request that may be sent again
