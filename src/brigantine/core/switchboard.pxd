"""The state machine of the broker: frames and `now` in, frames out.  No socket, no clock, no GIL.

A request lives in one Request record from acceptance to its end; the record's index is the slot of
its ticket.  Invariants between two calls:

- a request waits (worker == NIL, in its service's `queue`) or is in flight (worker >= 0, in that
  worker's `requests`), and has a deadline either way;
- a registered worker with occupied < capacity is in its service's `free` or in `parked`, any other
  in neither; one of PPP or MDP has a deadline in `idle` or `busy`, and one in `beats`;
- a record of a lost worker stays only while its `requests` is not empty;
- after c_tick no request waits for a service in which a worker is free;
- accepted == replied + queued + in_flight + shed + failed.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_t

from .arrivals cimport Arrivals
from .chain cimport Chain, Link
from .commands cimport Command
from .counters cimport COUNTER_COUNT
from .envelope cimport Frames
from .expiry cimport ExpiryOrder
from .identities cimport Identities
from .lru cimport LRUOrder
from .outbox cimport Outbox
from .pace cimport PaceOrder
from .records cimport Request, Service, Worker
from .tickets cimport TicketTable

cdef enum:
    # The connection of a peer that has none to name (inproc, and tests).
    NO_CONNECTION = -1


cdef class Switchboard:
    cdef Outbox outbox
    cdef int64_t count[COUNTER_COUNT]
    # limits, from BrokerConfig
    cdef int max_frames, max_depth, retries, liveness, busy_liveness
    cdef int64_t queue_limit, queue_bytes, max_message_bytes, max_services
    # protocols allowed, as flags of commands.pxd: of workers, of clients
    cdef int protocols, client_protocols
    cdef string default_service         # of clients and workers that name none
    cdef int worker_port, client_port   # where they are
    # requests, by slot
    cdef TicketTable tickets
    cdef vector[Request] requests
    cdef vector[Link] request_links     # of every service's `queue` and every worker's `requests`
    cdef Arrivals arrivals              # of the requests that wait to be handed out for the first time
    cdef ExpiryOrder deadlines
    # those that wait for a service without a worker, and whose clients want to be told, and not late
    cdef ExpiryOrder vacancies
    cdef int64_t orphans                # requests in flight whose worker was lost
    # services, by index
    cdef Identities service_names
    cdef vector[Service] services
    cdef vector[Link] due_links
    cdef int64_t present                # the time of the last call; -1 before the first
    cdef int64_t vacated                # when last a service was left without a worker; at first: the start
    cdef Chain due                      # services in which a request or a worker may go on
    # workers, by index
    cdef Identities identities
    cdef vector[Worker] workers
    cdef vector[Link] free_links        # of every service's `free`: the LRU order
    cdef LRUOrder parked                # workers whose pipe was full, to try again at the next tick
    # deadlines of workers of PPP and MDP: gone when idle, gone when at work, HEARTBEAT due to them
    cdef PaceOrder idle, busy, beats
    cdef bint split                     # busy is not idle
    # open connections: descriptor -> worker, or NIL while none said READY on it
    cdef unordered_map[int, int] connections
    cdef bint draining
    cdef bint mute                      # the sockets can't be used any more
    cdef Frames head                    # owned: what stands in front of what is being sent
    cdef Frames scratch                 # owned: body copies of a request that may be sent again

    # Handle one message as the ROUTER on `port` received it.  Takes what it needs out of `frames`.
    # Requests are handed to workers in c_tick, which must follow the last message.
    cdef int c_take(self, int port, Frames *frames, int64_t now, int connection) except -1 nogil
    # Do what is due: fail requests, give up workers, send heartbeats, try full pipes again.
    cdef int c_tick(self, int64_t now) except -1 nogil
    # When c_tick has something to do, or -1.
    cdef int64_t c_next_deadline(self) noexcept nogil
    # Count what the loop saw by itself.
    cdef void note(self, int counter) noexcept nogil
    cdef int c_connection_opened(self, int connection) except -1 nogil
    cdef int c_connection_closed(self, int connection) except -1 nogil
    cdef bint c_drained(self) noexcept nogil
    # Append what there is, as msgpack: see report.pxd.
    cdef int c_pack_services(self, string *out) except -1 nogil
    cdef int c_pack_workers(self, string *out) except -1 nogil
    # Fail what is left; with goodbyes, say so to who understands it.
    cdef int c_abort(self, bint goodbyes) except -1 nogil

    # clients
    cdef int from_client(self, Frames *frames, int64_t now) except -1 nogil
    cdef int open_request(
        self, Frames *frames, Command *command, int service, int64_t now
    ) except -1 nogil
    cdef bint is_vacant(self, const char *name, size_t size) noexcept nogil
    cdef int refuse(self, Frames *frames, Command *command, int end, int reason) except -1 nogil
    cdef int tell(self, Frames *frames, int head, int protocol, int reason) except -1 nogil
    cdef int answer_mmi(
        self, Frames *frames, Command *command, const char *name, size_t size
    ) except -1 nogil
    cdef int find_service(self, const char *name, size_t size, bint by_worker) except -2 nogil
    cdef int leave_service(self, int service) except -1 nogil
    cdef int enqueue(self, int slot, int64_t now) except -1 nogil
    cdef int dispatch(self, int slot, int64_t now) except -2 nogil
    cdef int send_to_worker(self, int slot, int worker) except -1 nogil
    cdef int settle(self, int64_t now) except -1 nogil
    # workers
    cdef int from_worker(self, Frames *frames, int64_t now, int connection) except -1 nogil
    cdef int malformed(self, Frames *frames, Command *command, int64_t now) except -1 nogil
    cdef int send_disconnect(self, const char *name, size_t size, int protocol) except -1 nogil
    cdef int on_ready(
        self, Frames *frames, Command *command, int64_t now, int connection
    ) except -1 nogil
    cdef int on_reply(
        self, Frames *frames, Command *command, int worker, int64_t now, int connection
    ) except -1 nogil
    cdef int answer(self, int slot, zmq_msg_t *body, int bodies, bint partial) except -1 nogil
    cdef int join(self, int slot, zmq_msg_t *body, int bodies) except -1 nogil
    cdef bint too_large(self, const Frames *body) noexcept nogil
    cdef int known(self, zmq_msg_t *identity, int connection) except -2 nogil
    cdef int register(
        self, zmq_msg_t *identity, const char *name, size_t size, Command *command, int64_t now,
        int connection,
    ) except -1 nogil
    cdef int pace(self, int worker, int64_t interval) except -1 nogil
    cdef void heard(self, int worker, int64_t now) noexcept nogil
    cdef int heartbeat(self, int worker, int64_t now) except -1 nogil
    cdef void set_free(self, int worker) noexcept nogil
    cdef void mark(self, int service) noexcept nogil
    # A worker is gone; `reason` is the counter that says why.
    cdef int lose(self, int worker, int reason) except -1 nogil
    cdef int take_back(self, int slot) except -1 nogil
    cdef int forget_if_empty(self, int worker) except -1 nogil
    # the one place where a request ends
    cdef int finish(self, int slot, int end, int reason, int verdict) except -1 nogil
    # for who watches: watch() itself only while outbox.watched
    cdef int watch(
        self, int kind, int reason, const string *worker, const char *name, size_t size
    ) except -1 nogil
    cdef int watch_worker(self, int kind, int reason, int worker) except -1 nogil
    cdef int watch_request(self, int kind, int reason, const Request *request) except -1 nogil
    cdef int watch_refusal(
        self, int end, int reason, Frames *frames, Command *command
    ) except -1 nogil
    cdef int watch_ready(
        self, int reason, zmq_msg_t *identity, const char *name, size_t size
    ) except -1 nogil
