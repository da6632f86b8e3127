"""The state machine of the broker: frames and ``now`` in, frames out.  No socket, no clock, no GIL."""


from cython.operator cimport dereference
from libc.string cimport memcmp, memset
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_data, zmq_msg_size, zmq_msg_t

from . cimport zmqapi
from .arrivals cimport Arrivals
from .chain cimport (
    NIL,
    OFF,
    Link,
    chain_append,
    chain_has,
    chain_init,
    chain_insert,
    chain_prepend,
    chain_remove,
)
from .codec cimport (
    disconnect_head,
    heartbeat_head,
    is_worker,
    parse_client,
    parse_worker,
    request_head,
)
from .codec_mdp cimport CLIENT_COMMAND_AT
from .commands cimport *
from .counters cimport *
from .envelope cimport (
    Frames,
    frame_set,
    frame_starts,
    frames_append,
    frames_clear,
    frames_compact,
    frames_copy,
    frames_extend,
    frames_free,
    frames_init,
    frames_move,
    frames_size,
    frames_swap,
)
from .events cimport (
    EVENT_DISCONNECTED,
    EVENT_EXPIRED,
    EVENT_FAILED,
    EVENT_JOINED,
    EVENT_LOST,
    EVENT_REDISPATCHED,
    EVENT_REFUSED,
    EVENT_SHED,
    Event,
)
from .expiry cimport ExpiryOrder, nanoseconds, seconds_of
from .identities cimport Identities
from .lru cimport LRUOrder, lru_again, lru_next, lru_ready, lru_remove
from .mmi cimport pack_map, pack_text, pack_uint
from .outbox cimport BACKEND, BOTH, FRONTEND, FULL, GONE, OK, CallableOutbox, Outbox
from .pace cimport PaceOrder
from .records cimport Request, Service, Worker
from .report cimport pack_services, pack_workers
from .tickets cimport ANSWERED, LATE, TICKET_SIZE, TicketTable
from .zmqapi cimport brigantine_zmq

from ..config import COMPACT_AFTER as _COMPACT_AFTER
from ..config import EVENT_NAME_BYTES as _EVENT_NAME_BYTES
from ..config import FRAME_OVERHEAD as _FRAME_OVERHEAD
from ..config import NAME_COPIES as _NAME_COPIES
from ..config import REQUEST_OVERHEAD as _REQUEST_OVERHEAD
from ..counters import COUNTERS
from ..wire import ANNOUNCEMENT as _ANNOUNCEMENT
from ..wire import BROKER_ERRORS, broker_error

__all__ = ["Switchboard"]

zmqapi.bind(&brigantine_zmq)

cdef int COMPACT_AFTER = _COMPACT_AFTER
cdef size_t EVENT_NAME_BYTES = _EVENT_NAME_BYTES
cdef int64_t FRAME_OVERHEAD = _FRAME_OVERHEAD
cdef int64_t REQUEST_OVERHEAD = _REQUEST_OVERHEAD
cdef int64_t NAME_COPIES = _NAME_COPIES
# No counter of its own: the end of a request that was replied to.
cdef int NO_REASON = -1

cdef enum:
    MMI_PREFIX_SIZE = 4  # "mmi."
    MILLISECOND = 1000000  # nanoseconds

# Names of the counters, for mmi.stats.
cdef vector[string] COUNTER_NAMES
for _name in COUNTERS:
    COUNTER_NAMES.push_back(<string>(<bytes>_name.encode()))

cdef string ANNOUNCEMENT = _ANNOUNCEMENT
# Frames of a broker's own answer, and by counter the last of them; empty where there is no answer.
cdef enum:
    ERROR_FRAMES = 2
cdef string ERROR_MARK
cdef vector[string] ERROR_DETAILS
ERROR_DETAILS.resize(COUNTER_COUNT)
for _index, _name in enumerate(COUNTERS):
    if _name in BROKER_ERRORS:
        ERROR_MARK, ERROR_DETAILS[<int>_index] = broker_error(_name)


cdef inline const char *data_of(zmq_msg_t *frame) noexcept nogil:
    return <const char *>zmq_msg_data(frame)


cdef inline bint is_mmi(const char *name, size_t size) noexcept nogil:
    return size >= MMI_PREFIX_SIZE and memcmp(name, b"mmi.", MMI_PREFIX_SIZE) == 0


cdef inline bint announced(const Frames *frames, int head, int protocol) noexcept nogil:
    """Whether the client of a request says by its routing id that it understands error answers.

    `head` is how many frames stand before the body: the address stack, and what the protocol adds.
    """
    cdef int last = 0
    if protocol == REQ:
        last = head - 2  # id... []
    elif protocol == MDP01:
        last = head - 4  # id... [] "MDPC01" service
    return frame_starts(frames, last, ANNOUNCEMENT.data(), ANNOUNCEMENT.size())


cdef inline bint name_is(const char *name, size_t size, const char *other, size_t length) noexcept nogil:
    return size == length and memcmp(name, other, length) == 0


cdef inline int loss_of(int reason) noexcept nogil:
    """The kind of event that tells of a worker's loss."""
    if reason == WORKERS_EXPIRED:
        return EVENT_EXPIRED
    return EVENT_DISCONNECTED if reason == WORKERS_DISCONNECTED else EVENT_LOST


cdef class Switchboard:
    """Switchboard(config, outbox, seed=0, sync_connections=None, protocols=1, default_service=b"")\n--\n
    Decides for every message what is sent to whom.

    ``outbox(port, frames)`` must send or refuse at once, and return 0 (sent), 1 (the peer's
    high-water mark is reached) or 2 (no such peer).  ``sync_connections()`` is called before a
    worker is registered: whoever feeds :meth:`connection_opened` and :meth:`connection_closed` must
    catch up there.  ``protocols`` are those that workers may speak, as flags (REQ 1, PPP 2, MDP 0.1
    4, MDP 0.2 8).  Clients without a header go to ``default_service``, and so do workers that name
    no service; with ``None`` such clients are refused.  Not thread-safe: one loop calls it.
    """

    def __cinit__(
        self, config, outbox, seed=0, sync_connections=None, int protocols=REQ, default_service=b""
    ):
        memset(self.count, 0, sizeof(self.count))
        frames_init(&self.head)
        frames_init(&self.scratch)
        chain_init(&self.due)
        if isinstance(outbox, Outbox):
            self.outbox = outbox
        else:
            self.outbox = CallableOutbox(outbox, sync_connections)
        self.max_frames = config.max_frames
        self.max_depth = config.max_depth
        self.max_message_bytes = config.max_message_bytes
        self.max_services = config.max_services
        self.queue_limit = config.queue_limit
        self.queue_bytes = config.queue_bytes
        self.retries = config.retries
        self.liveness = config.liveness
        self.busy_liveness = config.busy_liveness
        self.protocols = protocols
        self.client_protocols = protocols & MDP
        if default_service is not None:
            self.client_protocols |= REQ
        self.default_service = <bytes>(default_service or b"")
        self.worker_port = BACKEND
        self.client_port = FRONTEND
        self.tickets = TicketTable(seed)
        self.arrivals = Arrivals()
        self.deadlines = ExpiryOrder(config.request_ttl)
        self.service_names = Identities()
        self.identities = Identities()
        self.parked = LRUOrder()
        self.idle = self.busy = PaceOrder(config.heartbeat_interval * config.liveness)
        self.split = config.busy_liveness > 0
        if self.split:
            self.busy = PaceOrder(config.heartbeat_interval * config.busy_liveness)
        self.beats = PaceOrder(config.heartbeat_interval)
        # Within this time a worker that lives has said READY anew.
        self.vacancies = ExpiryOrder(config.heartbeat_interval * config.liveness)
        self.present = self.vacated = -1

    def __dealloc__(self):
        cdef size_t slot
        for slot in range(self.requests.size()):
            frames_free(&self.requests[slot].frames)
            frames_free(&self.requests[slot].partial)
        frames_free(&self.head)
        frames_free(&self.scratch)

    # -- what comes in ------------------------------------------------------------------------

    cdef int c_take(self, int port, Frames *frames, int64_t now, int connection) except -1 nogil:
        self.present = now
        if self.vacated < 0:
            self.vacated = now
        if port == BOTH:
            self.worker_port = self.client_port = BOTH
        if frames.count > self.max_frames:
            self.count[DROP_TOO_MANY_FRAMES] += 1
        elif frames_size(frames, 0, frames.count) > self.max_message_bytes:
            self.count[DROP_TOO_LARGE] += 1
        elif port == FRONTEND or (port == BOTH and not is_worker(frames)):
            self.from_client(frames, now)
        else:
            self.from_worker(frames, now, connection)
        return 0

    cdef int c_tick(self, int64_t now) except -1 nogil:
        cdef int index = self.deadlines.expired(now)
        self.present = now
        if self.vacated < 0:
            self.vacated = now
        while index != NIL:
            # A worker at work on it stays busy until it says something: it may still be at work.
            if self.requests[index].worker == NIL:
                self.finish(index, FAILED, FAILED_EXPIRED_QUEUED, LATE)
            else:
                self.finish(index, FAILED, FAILED_EXPIRED_IN_FLIGHT, LATE)
            index = self.deadlines.expired(now)
        index = self.vacancies.expired(now)
        while index != NIL:
            if (
                self.requests[index].worker == NIL
                and self.services[self.requests[index].service].workers == 0
            ):
                self.finish(index, FAILED, FAILED_NO_SERVICE, LATE)
            index = self.vacancies.expired(now)
        index = self.idle.expired(now)
        while index != NIL:
            self.count[WORKERS_EXPIRED] += 1
            self.lose(index, WORKERS_EXPIRED)
            index = self.idle.expired(now)
        if self.split:
            index = self.busy.expired(now)
            while index != NIL:
                self.count[WORKERS_EXPIRED] += 1
                self.lose(index, WORKERS_EXPIRED)
                index = self.busy.expired(now)
        index = self.beats.expired(now)
        while index != NIL:
            self.heartbeat(index, now)
            index = self.beats.expired(now)
        index = self.parked.next()
        while index != NIL:
            self.set_free(index)
            index = self.parked.next()
        return self.settle(now)

    cdef int64_t c_next_deadline(self) noexcept nogil:
        cdef int64_t due = self.deadlines.next_deadline()
        cdef int64_t each
        each = self.vacancies.next_deadline()
        if 0 <= each < due or due < 0:
            due = each
        each = self.idle.next_deadline()
        if 0 <= each < due or due < 0:
            due = each
        each = self.busy.next_deadline()
        if 0 <= each < due or due < 0:
            due = each
        each = self.beats.next_deadline()
        if 0 <= each < due or due < 0:
            due = each
        return due

    cdef void note(self, int counter) noexcept nogil:
        self.count[counter] += 1

    cdef int c_connection_opened(self, int connection) except -1 nogil:
        self.connections[connection] = NIL
        return 0

    cdef int c_connection_closed(self, int connection) except -1 nogil:
        cdef int worker
        found = self.connections.find(connection)
        if found == self.connections.end():
            return 0
        worker = dereference(found).second
        self.connections.erase(found)
        if worker != NIL:
            self.lose(worker, WORKERS_LOST)
        return 0

    cdef bint c_drained(self) noexcept nogil:
        return self.count[QUEUED] == 0 and self.count[IN_FLIGHT] == self.orphans

    cdef int c_pack_services(self, string *out) except -1 nogil:
        return pack_services(out, self.service_names, &self.services)

    cdef int c_pack_workers(self, string *out) except -1 nogil:
        return pack_workers(
            out, self.service_names, self.identities, &self.workers, &self.free_links
        )

    cdef int c_abort(self, bint goodbyes) except -1 nogil:
        cdef int slot = self.deadlines.chain.head
        cdef int index
        self.mute = not goodbyes
        self.arrivals.clear()
        while slot != NIL:
            self.finish(slot, FAILED, FAILED_STOPPED, LATE)
            slot = self.deadlines.chain.head
        if self.mute:
            return 0
        for index in range(<int>self.workers.size()):
            if not self.workers[index].lost and self.workers[index].protocol & MDP:
                disconnect_head(
                    &self.head, self.identities.names[index].data(),
                    self.identities.names[index].size(), self.workers[index].protocol,
                )
                self.outbox.send(self.worker_port, self.head.at, self.head.count, NULL, 0)
        return 0

    # -- clients ------------------------------------------------------------------------------

    cdef int from_client(self, Frames *frames, int64_t now) except -1 nogil:
        cdef int slot, service
        cdef const char *name
        cdef size_t size
        cdef bint vacant
        cdef Command command = parse_client(frames, self.max_depth, self.client_protocols)
        if command.says == SAYS_TOO_DEEP:
            self.count[DROP_TOO_DEEP] += 1
            return 0
        if command.says != SAYS_REQUEST:
            self.count[DROP_MALFORMED_REQUEST] += 1
            return 0
        self.count[ACCEPTED] += 1
        if command.service == NONE:
            name = self.default_service.data()
            size = self.default_service.size()
        else:
            name = data_of(&frames.at[command.service])
            size = zmq_msg_size(&frames.at[command.service])
        if self.protocols & MDP and is_mmi(name, size):
            return self.answer_mmi(frames, &command, name, size)
        if self.draining:
            return self.refuse(frames, &command, SHED, SHED_DRAINING)
        vacant = (
            command.service != NONE
            and self.is_vacant(name, size)
            and announced(frames, command.body, command.protocol)
        )
        if vacant and now - self.vacated >= self.vacancies.timeout:
            return self.refuse(frames, &command, FAILED, FAILED_NO_SERVICE)
        service = self.find_service(name, size, False)
        if service == NIL:
            return self.refuse(frames, &command, SHED, SHED_SERVICES)
        slot = self.open_request(frames, &command, service, now)
        if vacant:
            self.vacancies.refresh(slot, now)
        return self.enqueue(slot, now)

    cdef int open_request(
        self, Frames *frames, Command *command, int service, int64_t now
    ) except -1 nogil:
        """Take the frames into a new waiting request; returns its slot."""
        cdef Request fresh
        cdef Request *request
        cdef Link link
        cdef int slot = self.tickets.c_open()
        if <size_t>slot == self.requests.size():
            memset(&fresh, 0, sizeof(fresh))
            link.prev = OFF
            link.next = NIL
            self.request_links.push_back(link)
            self.arrivals.reserve(slot + 1)
            self.deadlines.reserve(slot + 1)
            self.vacancies.reserve(slot + 1)
            self.requests.push_back(fresh)
        request = &self.requests[slot]
        # All that came, the service's name included, and what holding it costs.
        request.charge = REQUEST_OVERHEAD + FRAME_OVERHEAD * (frames.count - 1)
        request.charge += frames_size(frames, 0, frames.count)
        if command.service != NONE:
            request.charge += (NAME_COPIES - 1) * zmq_msg_size(&frames.at[command.service])
        frames_swap(&request.frames, frames)
        request.head = command.body
        request.protocol = command.protocol
        request.service = service
        request.worker = NIL
        request.retries = self.retries
        request.orphan = False
        self.services[service].users += 1
        self.count[QUEUED] += 1
        self.count[QUEUED_BYTES] += request.charge
        self.deadlines.refresh(slot, now)
        return slot

    cdef bint is_vacant(self, const char *name, size_t size) noexcept nogil:
        """Whether nobody offers the service of that name."""
        cdef int index = self.service_names.find(name, size)
        return index == NIL or self.services[index].workers == 0

    cdef int refuse(self, Frames *frames, Command *command, int end, int reason) except -1 nogil:
        """End a request that was accepted but gets no record."""
        self.count[end] += 1
        self.count[reason] += 1
        self.watch_refusal(end, reason, frames, command)
        return self.tell(frames, command.body, command.protocol, reason)

    cdef int tell(self, Frames *frames, int head, int protocol, int reason) except -1 nogil:
        """Tell a client that understands it how its request ended, if it is still there."""
        if self.mute or ERROR_DETAILS[reason].empty() or not announced(frames, head, protocol):
            return 0
        if protocol == MDP02:
            frame_set(&frames.at[CLIENT_COMMAND_AT], b"\x03", 1)
        frames_clear(&self.scratch)
        frames_append(&self.scratch, ERROR_MARK.data(), ERROR_MARK.size())
        frames_append(&self.scratch, ERROR_DETAILS[reason].data(), ERROR_DETAILS[reason].size())
        if self.outbox.send(self.client_port, frames.at, head, self.scratch.at, ERROR_FRAMES) == OK:
            self.count[ERROR_ANSWERS] += 1
        return 0

    cdef int answer_mmi(
        self, Frames *frames, Command *command, const char *name, size_t size
    ) except -1 nogil:
        """Answer in the broker's own name: the request's frames are those of its reply, but the body."""
        cdef string body
        cdef int index, sent
        self.count[MMI] += 1
        self.count[REPLIED] += 1  # beforehand, so that the ledger in the answer balances
        if name_is(name, size, b"mmi.service", 11):
            index = self.service_names.find(
                data_of(&frames.at[command.body]), zmq_msg_size(&frames.at[command.body])
            )
            if index != NIL and self.services[index].workers:
                body.assign(b"200", 3)
            else:
                body.assign(b"404", 3)
        elif name_is(name, size, b"mmi.services", 12):
            self.c_pack_services(&body)
        elif name_is(name, size, b"mmi.workers", 11):
            pack_map(&body, 5)
            pack_text(&body, b"known", 5)
            pack_uint(&body, self.count[WORKERS])
            pack_text(&body, b"idle", 4)
            pack_uint(&body, self.count[WORKERS_IDLE])
            pack_text(&body, b"busy", 4)
            pack_uint(&body, self.count[WORKERS] - self.count[WORKERS_IDLE])
            pack_text(&body, b"joined", 6)
            pack_uint(&body, self.count[WORKERS_JOINED])
            pack_text(&body, b"lost", 4)
            pack_uint(&body, self.count[WORKERS_LOST])
        elif name_is(name, size, b"mmi.stats", 9):
            pack_map(&body, COUNTER_COUNT)
            for index in range(COUNTER_COUNT):
                pack_text(&body, COUNTER_NAMES[index].data(), COUNTER_NAMES[index].size())
                pack_uint(&body, self.count[index])
        else:
            body.assign(b"501", 3)
        if command.protocol == MDP02:
            frame_set(&frames.at[CLIENT_COMMAND_AT], b"\x03", 1)
        frame_set(&frames.at[command.body], body.data(), body.size())
        sent = self.outbox.send(
            self.client_port, frames.at, command.body, &frames.at[command.body], 1
        )
        if sent == OK:
            return 0
        self.count[REPLIED] -= 1
        if sent == FULL:
            self.count[SHED] += 1
            self.count[SHED_CLIENT_FULL] += 1
            self.watch_refusal(SHED, SHED_CLIENT_FULL, frames, command)
        else:
            self.count[FAILED] += 1
            self.count[FAILED_CLIENT_GONE] += 1
            self.watch_refusal(FAILED, FAILED_CLIENT_GONE, frames, command)
        return 0

    cdef int find_service(self, const char *name, size_t size, bint by_worker) except -2 nogil:
        """The service of that name, made known if need be; NIL beyond the bound.

        The bound is for clients, who can name any number of services: a worker has a connection.
        """
        cdef Service fresh
        cdef Link link
        cdef int index = self.service_names.find(name, size)
        if index != NIL:
            return index
        if not by_worker and self.count[SERVICES] >= self.max_services:
            return NIL
        index = self.service_names.add(name, size)
        memset(&fresh, 0, sizeof(fresh))
        chain_init(&fresh.free)
        chain_init(&fresh.queue)
        if <size_t>index == self.services.size():
            link.prev = OFF
            link.next = NIL
            self.due_links.push_back(link)
            self.services.push_back(fresh)
        self.services[index] = fresh
        self.count[SERVICES] += 1
        return index

    cdef int leave_service(self, int service) except -1 nogil:
        """A worker or a request needs it no longer."""
        self.services[service].users -= 1
        if self.services[service].users == 0:
            if chain_has(self.due_links.data(), service):
                chain_remove(&self.due, self.due_links.data(), service)
            self.service_names.forget(service)
            self.count[SERVICES] -= 1
        return 0

    cdef int enqueue(self, int slot, int64_t now) except -1 nogil:
        """Let a new request wait for its turn in settle, or shed it at the bounds of the queue.

        It stands behind the one that its client sent before, if that came since the last settle.
        """
        cdef Request *request = &self.requests[slot]
        cdef zmq_msg_t *client = request.frames.at
        cdef Service *service = &self.services[request.service]
        cdef int before = self.arrivals.note(
            slot, data_of(client), zmq_msg_size(client), request.service
        )
        if before == NIL:
            chain_append(&service.queue, self.request_links.data(), slot)
        else:
            chain_insert(&service.queue, self.request_links.data(), slot, before)
        if service.free.length:
            self.mark(request.service)
        if self.count[QUEUED] > self.queue_limit or self.count[QUEUED_BYTES] > self.queue_bytes:
            self.settle(now)  # which may make room
            if request.worker == NIL and self.count[QUEUED] > self.queue_limit:
                return self.finish(slot, SHED, SHED_QUEUE_FULL, LATE)
            if request.worker == NIL and self.count[QUEUED_BYTES] > self.queue_bytes:
                return self.finish(slot, SHED, SHED_QUEUE_BYTES, LATE)
        if request.worker == NIL and self.count[QUEUED] > COMPACT_AFTER:
            frames_compact(&request.frames, 0, request.frames.count)
        return 0

    cdef int dispatch(self, int slot, int64_t now) except -2 nogil:
        """Send a waiting request to the least recently used worker that takes it.

        Returns the worker, or NIL.  Messages to one peer share a system call, so a worker's turn goes on
        while it was given fewer in a row than the next one has in hand: with an idle one next to it
        each gets one, and the busier all are, the more they get at once.
        """
        cdef int index, sent, following
        cdef int service = self.requests[slot].service
        cdef Worker *worker
        cdef Request *request
        cdef Link *links
        while True:
            index = lru_next(&self.services[service].free, self.free_links.data())
            if index == NIL:
                return NIL
            self.count[WORKERS_IDLE] -= 1
            sent = self.send_to_worker(slot, index)
            if sent == OK:
                break
            if sent == GONE:
                self.lose(index, WORKERS_LOST)
            else:
                self.count[WORKER_FULL] += 1
                self.workers[index].run = 0
                self.parked.ready(index)
        worker = &self.workers[index]
        request = &self.requests[slot]
        links = self.request_links.data()
        if chain_has(links, slot):
            chain_remove(&self.services[service].queue, links, slot)
        chain_append(&worker.requests, links, slot)
        worker.occupied += 1
        worker.live += 1
        request.worker = index
        self.count[QUEUED] -= 1
        self.count[QUEUED_BYTES] -= request.charge
        self.count[IN_FLIGHT] += 1
        worker.run += 1
        following = self.services[service].free.head
        if worker.occupied == worker.capacity:
            worker.run = 0
        else:
            if following != NIL and worker.run < self.workers[following].occupied:
                lru_again(&self.services[service].free, self.free_links.data(), index)
            else:
                worker.run = 0
                lru_ready(&self.services[service].free, self.free_links.data(), index)
            self.count[WORKERS_IDLE] += 1
        if worker.protocol != REQ:
            self.beats.refresh(index, now)
            if worker.occupied == 1 and self.split:
                self.heard(index, now)  # from now on it may be silent for longer
        return index

    cdef int send_to_worker(self, int slot, int worker) except -1 nogil:
        """Hand a request to the outbox, behind its head.  Returns what became of it."""
        cdef char token[TICKET_SIZE]
        cdef const string *name = &self.identities.names[worker]
        cdef Request *request = &self.requests[slot]
        cdef zmq_msg_t *body = &request.frames.at[request.head]
        cdef int bodies = request.frames.count - request.head
        if request.retries > 0:  # it may be sent again: send copies, which share what is large
            frames_clear(&self.scratch)
            frames_copy(&self.scratch, body, bodies)
            body = self.scratch.at
        self.tickets.write(slot, token)
        request_head(
            &self.head, name.data(), name.size(), self.workers[worker].protocol, token, TICKET_SIZE
        )
        return self.outbox.send(self.worker_port, self.head.at, self.head.count, body, bodies)

    cdef int settle(self, int64_t now) except -1 nogil:
        """Send waiting requests as long as workers are free, oldest first.  Then a turn has ended."""
        cdef int service, worker
        cdef Chain *queue
        cdef Chain *free
        self.arrivals.clear()
        while self.due.length:
            service = self.due.head
            queue = &self.services[service].queue
            free = &self.services[service].free
            while queue.length and self.dispatch(queue.head, now) != NIL:
                pass
            worker = free.head
            if worker != NIL and self.workers[worker].run:
                self.workers[worker].run = 0
                lru_next(free, self.free_links.data())
                lru_ready(free, self.free_links.data(), worker)
            if chain_has(self.due_links.data(), service):
                chain_remove(&self.due, self.due_links.data(), service)
        return 0

    # -- workers ------------------------------------------------------------------------------

    cdef int from_worker(self, Frames *frames, int64_t now, int connection) except -1 nogil:
        cdef int worker
        cdef Command command = parse_worker(frames, self.protocols)
        cdef zmq_msg_t *identity = frames.at
        if command.says == SAYS_MALFORMED:
            return self.malformed(frames, &command, now)
        if command.says == SAYS_READY:
            return self.on_ready(frames, &command, now, connection)
        worker = self.known(identity, connection)
        if worker != NIL and self.workers[worker].protocol != command.protocol:
            self.count[DROP_MALFORMED_WORKER] += 1
            if self.workers[worker].protocol != REQ:
                self.heard(worker, now)
            return 0
        if command.says == SAYS_FINAL or command.says == SAYS_PARTIAL:
            return self.on_reply(frames, &command, worker, now, connection)
        if worker == NIL:
            # RFC 7: a valid command from a peer that never said READY is answered with DISCONNECT.
            self.count[DROP_UNEXPECTED] += 1
            if command.protocol & MDP and command.says != SAYS_DISCONNECT:
                self.send_disconnect(data_of(identity), zmq_msg_size(identity), command.protocol)
        elif command.says == SAYS_DISCONNECT:
            self.count[WORKERS_DISCONNECTED] += 1
            self.lose(worker, WORKERS_DISCONNECTED)
        else:
            self.heard(worker, now)
        return 0

    cdef int malformed(self, Frames *frames, Command *command, int64_t now) except -1 nogil:
        """RFC 7: a peer that sends what is no command is treated as invalid.

        Where the protocol has no such rule, it lives at least: any frame is a heartbeat.
        """
        cdef int worker
        cdef zmq_msg_t *identity = frames.at
        self.count[DROP_MALFORMED_WORKER] += 1
        if frames.count == 0:
            return 0
        worker = self.identities.find(data_of(identity), zmq_msg_size(identity))
        if worker == NIL or self.workers[worker].lost:
            return 0
        if command.protocol & MDP and self.workers[worker].protocol == command.protocol:
            self.send_disconnect(data_of(identity), zmq_msg_size(identity), command.protocol)
            return self.lose(worker, DROP_MALFORMED_WORKER)
        if self.workers[worker].protocol != REQ:
            self.heard(worker, now)
        return 0

    cdef int send_disconnect(self, const char *name, size_t size, int protocol) except -1 nogil:
        self.count[DISCONNECTS] += 1
        disconnect_head(&self.head, name, size, protocol)
        self.outbox.send(self.worker_port, self.head.at, self.head.count, NULL, 0)
        return 0

    cdef int on_ready(
        self, Frames *frames, Command *command, int64_t now, int connection
    ) except -1 nogil:
        cdef int index
        cdef Worker *worker
        cdef zmq_msg_t *identity = frames.at
        cdef const char *name
        cdef size_t size
        # It may be back on the same descriptor, its old connection's end not yet heard of.
        if connection != NO_CONNECTION:
            self.outbox.sync_connections()
        index = self.known(identity, connection)
        if index != NIL:
            worker = &self.workers[index]
            self.count[READY_AGAIN] += 1
            if worker.protocol != command.protocol:
                return 0
            if worker.protocol & MDP:  # RFC 7: READY is sent once a connection
                self.send_disconnect(data_of(identity), zmq_msg_size(identity), worker.protocol)
                return self.lose(index, READY_AGAIN)
            if worker.protocol == REQ:
                # Busy with a live request: one job at a time, whatever it says.  Otherwise what it
                # was busy with has expired, and it is free.
                if worker.occupied and worker.live == 0:
                    worker.occupied = 0
                    self.set_free(index)
                return 0
            self.lose(index, READY_AGAIN)  # RFC 6: a new conversation
        if command.service == NONE:
            name = self.default_service.data()
            size = self.default_service.size()
        else:
            name = data_of(&frames.at[command.service])
            size = zmq_msg_size(&frames.at[command.service])
        return self.register(identity, name, size, command, now, connection)

    cdef int on_reply(
        self, Frames *frames, Command *command, int worker, int64_t now, int connection
    ) except -1 nogil:
        cdef zmq_msg_t *identity = frames.at
        cdef zmq_msg_t *ticket = &frames.at[command.ticket]
        cdef bint partial = command.says == SAYS_PARTIAL
        cdef bint matched
        cdef int slot = self.tickets.c_resolve(data_of(ticket), zmq_msg_size(ticket))
        cdef int holder = worker
        if holder == NIL:
            holder = self.identities.find(data_of(identity), zmq_msg_size(identity))
        matched = slot >= 0 and holder != NIL and self.requests[slot].worker == holder
        if matched:
            self.answer(slot, &frames.at[command.body], frames.count - command.body, partial)
        elif slot >= 0:
            self.count[DROP_REPLY_FOREIGN] += 1
        elif slot == ANSWERED:
            self.count[DROP_REPLY_DUPLICATE] += 1
        elif slot == LATE:
            self.count[DROP_REPLY_LATE] += 1
        else:
            self.count[DROP_REPLY_UNKNOWN] += 1
        if worker == NIL:
            if command.protocol == REQ:
                # Its reply says that it is free, though it answers the broker that ran here before,
                # or comes on a new connection.
                return self.register(
                    identity, self.default_service.data(),
                    self.default_service.size(), command, now, connection,
                )
            if command.protocol & MDP:
                self.send_disconnect(data_of(identity), zmq_msg_size(identity), command.protocol)
            return 0
        if not partial and not matched and self.workers[worker].occupied > self.workers[worker].live:
            # The place of a request that expired meanwhile.  A REQ worker has but one request, so
            # whatever it answers says that it is done with it.
            if command.protocol == REQ or slot == LATE:
                self.workers[worker].occupied -= 1
        if command.protocol != REQ:
            self.heard(worker, now)  # it may be idle now, which has another deadline
        if not partial:
            self.set_free(worker)
        return 0

    cdef int answer(self, int slot, zmq_msg_t *body, int bodies, bint partial) except -1 nogil:
        """Give the client its reply: the end of the request, whether the client takes it or not."""
        cdef Request *request = &self.requests[slot]
        cdef int sent
        if partial:
            if request.protocol != MDP02:
                return self.join(slot, body, bodies)
            frames_clear(&self.head)
            frames_copy(&self.head, request.frames.at, request.head)
            frame_set(&self.head.at[CLIENT_COMMAND_AT], b"\x02", 1)
            sent = self.outbox.send(
                self.client_port, self.head.at, self.head.count, body, bodies
            )
            self.count[PARTIALS if sent == OK else DROP_PARTIAL_SHED] += 1
            request.retries = 0  # its client must not get parts of two workers
            return 0
        if request.protocol == MDP02:
            frame_set(&request.frames.at[CLIENT_COMMAND_AT], b"\x03", 1)
        if request.partial.count:
            frames_move(&request.partial, body, bodies)
            if self.too_large(&request.partial):
                return self.finish(slot, FAILED, FAILED_PARTIALS_TOO_LARGE, ANSWERED)
            body = request.partial.at
            bodies = request.partial.count
        # The head of the request is that of its reply: address stack, and what the protocol needs.
        sent = self.outbox.send(self.client_port, request.frames.at, request.head, body, bodies)
        if sent == OK:
            return self.finish(slot, REPLIED, NO_REASON, ANSWERED)
        if sent == FULL:
            return self.finish(slot, SHED, SHED_CLIENT_FULL, ANSWERED)
        return self.finish(slot, FAILED, FAILED_CLIENT_GONE, ANSWERED)

    cdef int join(self, int slot, zmq_msg_t *body, int bodies) except -1 nogil:
        """Keep a PARTIAL for a client that can take one reply only."""
        cdef Frames *partial = &self.requests[slot].partial
        self.count[PARTIALS] += 1
        frames_move(partial, body, bodies)
        if self.too_large(partial):
            return self.finish(slot, FAILED, FAILED_PARTIALS_TOO_LARGE, LATE)
        return 0

    cdef bint too_large(self, const Frames *body) noexcept nogil:
        """Whether a joined reply is beyond the bounds of a message."""
        return (
            body.count > self.max_frames
            or frames_size(body, 0, body.count) > self.max_message_bytes
        )

    cdef int known(self, zmq_msg_t *identity, int connection) except -2 nogil:
        """The registered worker of that identity, if it still speaks on the same connection; or NIL."""
        cdef int index = self.identities.find(data_of(identity), zmq_msg_size(identity))
        if index == NIL or self.workers[index].lost:
            return NIL
        if connection != self.workers[index].connection and connection != NO_CONNECTION:
            self.lose(index, WORKERS_LOST)  # it is back on another connection: the old one is dead
            return NIL
        return index

    cdef int register(
        self, zmq_msg_t *identity, const char *name, size_t size, Command *command, int64_t now,
        int connection,
    ) except -1 nogil:
        """Make a worker known, on a connection that is open, and free."""
        cdef int index, service
        cdef Worker fresh
        cdef Worker *worker
        cdef Link link
        if connection != NO_CONNECTION:
            self.outbox.sync_connections()
            found = self.connections.find(connection)
            if found == self.connections.end():
                self.count[DROP_READY_GONE] += 1
                self.watch_ready(DROP_READY_GONE, identity, name, size)
                return 0
            if dereference(found).second != NIL:
                # The descriptor was used again: its former worker is gone.
                self.lose(dereference(found).second, WORKERS_LOST)
        if command.protocol & MDP and is_mmi(name, size):
            self.count[DROP_READY_REFUSED] += 1
            self.watch_ready(DROP_READY_REFUSED, identity, name, size)
            return self.send_disconnect(data_of(identity), zmq_msg_size(identity), command.protocol)
        service = self.find_service(name, size, True)
        index = self.identities.find(data_of(identity), zmq_msg_size(identity))
        if index == NIL:
            index = self.identities.add(data_of(identity), zmq_msg_size(identity))
            memset(&fresh, 0, sizeof(fresh))
            chain_init(&fresh.requests)
            if <size_t>index == self.workers.size():
                link.prev = OFF
                link.next = NIL
                self.free_links.push_back(link)
                self.workers.push_back(fresh)
                self.parked.reserve(index + 1)
                self.idle.reserve(index + 1)
                self.busy.reserve(index + 1)
                self.beats.reserve(index + 1)
            self.workers[index] = fresh
        # Otherwise it was lost, and is back while an answer of its former life may still come.
        worker = &self.workers[index]
        worker.service = service
        worker.protocol = command.protocol
        worker.capacity = command.capacity
        worker.connection = connection
        worker.occupied = worker.live = worker.run = 0
        worker.lost = False
        if connection != NO_CONNECTION:
            self.connections[connection] = index
        self.services[service].workers += 1
        self.services[service].users += 1
        self.count[WORKERS] += 1
        self.count[WORKERS_JOINED] += 1
        if self.outbox.watched:
            self.watch_worker(EVENT_JOINED, WORKERS_JOINED, index)
        if worker.protocol != REQ:
            self.pace(index, <int64_t>command.interval * MILLISECOND)
            self.heard(index, now)
            self.beats.refresh(index, now)
        self.set_free(index)
        return 0

    cdef int pace(self, int worker, int64_t interval) except -1 nogil:
        """Hold a worker to its own heartbeat interval (nanoseconds; 0: the broker's)."""
        self.idle.assign(worker, interval * self.liveness)
        if self.split:
            self.busy.assign(worker, interval * self.busy_liveness)
        self.beats.assign(worker, interval)
        return 0

    cdef void heard(self, int worker, int64_t now) noexcept nogil:
        """Any frame from a worker counts as its heartbeat."""
        # At work, too, on what has expired meanwhile.
        cdef bint at_work = self.workers[worker].occupied > 0
        if self.split:
            if at_work:
                self.idle.remove(worker)
            else:
                self.busy.remove(worker)
        if at_work:
            self.busy.refresh(worker, now)
        else:
            self.idle.refresh(worker, now)

    cdef int heartbeat(self, int worker, int64_t now) except -1 nogil:
        """Nothing was sent to the worker for an interval."""
        cdef const string *name = &self.identities.names[worker]
        cdef int sent
        heartbeat_head(&self.head, name.data(), name.size(), self.workers[worker].protocol)
        sent = self.outbox.send(self.worker_port, self.head.at, self.head.count, NULL, 0)
        if sent == GONE:
            return self.lose(worker, WORKERS_LOST)
        self.count[HEARTBEATS if sent == OK else WORKER_FULL] += 1
        self.beats.refresh(worker, now)
        return 0

    cdef void set_free(self, int index) noexcept nogil:
        """Let a worker that has a place take part again."""
        cdef Worker *worker = &self.workers[index]
        if worker.occupied >= worker.capacity or self.parked.has(index):
            return
        if lru_ready(&self.services[worker.service].free, self.free_links.data(), index):
            self.count[WORKERS_IDLE] += 1
        self.mark(worker.service)

    cdef void mark(self, int service) noexcept nogil:
        """A request or a worker of this service may go on: see settle."""
        if not chain_has(self.due_links.data(), service):
            chain_append(&self.due, self.due_links.data(), service)

    cdef int lose(self, int index, int reason) except -1 nogil:
        """A worker is gone: out of every order; its requests go to others, or wait for their end."""
        cdef Worker *worker = &self.workers[index]
        cdef int service = worker.service
        cdef int slot, before
        if lru_remove(&self.services[service].free, self.free_links.data(), index):
            self.count[WORKERS_IDLE] -= 1
        self.parked.remove(index)
        if worker.protocol != REQ:
            self.idle.release(index)
            if self.split:
                self.busy.release(index)
            self.beats.release(index)
        worker.lost = True
        worker.live = worker.occupied = 0
        found = self.connections.find(worker.connection)
        if found != self.connections.end() and dereference(found).second == index:
            dereference(found).second = NIL
        worker.connection = NO_CONNECTION
        self.services[service].workers -= 1
        if self.services[service].workers == 0:
            self.vacated = self.present
        self.count[WORKERS] -= 1
        self.count[WORKERS_LOST] += 1
        if self.outbox.watched:
            self.watch_worker(loss_of(reason), reason, index)
        slot = worker.requests.tail
        while slot != NIL:  # from the last to the first, so that they queue in their order
            before = self.request_links[slot].prev
            if not self.requests[slot].orphan:
                if self.requests[slot].retries > 0:
                    chain_remove(&worker.requests, self.request_links.data(), slot)
                    self.take_back(slot)
                else:
                    self.requests[slot].orphan = True
                    self.orphans += 1
            slot = before
        self.forget_if_empty(index)
        self.mark(service)
        return self.leave_service(service)

    cdef int take_back(self, int slot) except -1 nogil:
        """Put a request whose worker was lost at the head of the queue, under a new ticket."""
        cdef Request *request = &self.requests[slot]
        self.tickets.c_renew(slot)
        self.vacancies.remove(slot)  # there was a worker: it has until its deadline
        request.retries -= 1
        frames_clear(&request.partial)
        chain_prepend(&self.services[request.service].queue, self.request_links.data(), slot)
        self.count[REDISPATCHED] += 1
        if self.outbox.watched:
            self.watch_request(EVENT_REDISPATCHED, REDISPATCHED, request)
        request.worker = NIL
        self.count[IN_FLIGHT] -= 1
        self.count[QUEUED] += 1
        self.count[QUEUED_BYTES] += request.charge
        return 0

    cdef int forget_if_empty(self, int index) except -1 nogil:
        if self.workers[index].lost and self.workers[index].requests.length == 0:
            self.identities.forget(index)
        return 0

    # -- ends ---------------------------------------------------------------------------------

    cdef int finish(self, int slot, int end, int reason, int verdict) except -1 nogil:
        cdef Request *request = &self.requests[slot]
        cdef Link *links = self.request_links.data()
        cdef int worker = request.worker
        if worker == NIL:
            if chain_has(links, slot):
                chain_remove(&self.services[request.service].queue, links, slot)
            self.count[QUEUED] -= 1
            self.count[QUEUED_BYTES] -= request.charge
        else:
            chain_remove(&self.workers[worker].requests, links, slot)
            self.count[IN_FLIGHT] -= 1
        self.count[end] += 1
        if reason != NO_REASON:
            self.count[reason] += 1
            if self.outbox.watched:
                self.watch_request(EVENT_SHED if end == SHED else EVENT_FAILED, reason, request)
            self.tell(&request.frames, request.head, request.protocol, reason)
        frames_clear(&request.frames)
        frames_clear(&request.partial)
        self.deadlines.remove(slot)
        self.vacancies.remove(slot)
        self.tickets.c_close(slot, verdict)
        if worker != NIL:
            if request.orphan:
                self.orphans -= 1
            else:
                self.workers[worker].live -= 1
                if verdict == ANSWERED:
                    self.workers[worker].occupied -= 1
            self.forget_if_empty(worker)
        return self.leave_service(request.service)

    # -- for who watches ----------------------------------------------------------------------

    cdef int watch(
        self, int kind, int reason, const string *worker, const char *name, size_t size
    ) except -1 nogil:
        """Publish an event; only while somebody watches."""
        cdef Event event
        event.kind = kind
        event.reason = reason
        event.worker = NULL
        event.worker_size = 0
        if worker != NULL:
            event.worker = worker.data()
            event.worker_size = worker.size()
        event.service = name
        event.service_size = min(size, EVENT_NAME_BYTES)
        return self.outbox.publish(&event)

    cdef int watch_worker(self, int kind, int reason, int worker) except -1 nogil:
        cdef const string *name = &self.service_names.names[self.workers[worker].service]
        return self.watch(
            kind, reason, &self.identities.names[worker], name.data(), name.size()
        )

    cdef int watch_request(self, int kind, int reason, const Request *request) except -1 nogil:
        cdef const string *name = &self.service_names.names[request.service]
        cdef const string *worker = NULL
        if request.worker != NIL:
            worker = &self.identities.names[request.worker]
        return self.watch(kind, reason, worker, name.data(), name.size())

    cdef int watch_refusal(
        self, int end, int reason, Frames *frames, Command *command
    ) except -1 nogil:
        """A request without a record has ended."""
        cdef const char *name = self.default_service.data()
        cdef size_t size = self.default_service.size()
        if not self.outbox.watched:
            return 0
        if command.service != NONE:
            name = data_of(&frames.at[command.service])
            size = zmq_msg_size(&frames.at[command.service])
        return self.watch(EVENT_SHED if end == SHED else EVENT_FAILED, reason, NULL, name, size)

    cdef int watch_ready(
        self, int reason, zmq_msg_t *identity, const char *name, size_t size
    ) except -1 nogil:
        """A READY was refused."""
        cdef string worker
        if not self.outbox.watched:
            return 0
        worker.assign(data_of(identity), zmq_msg_size(identity))
        return self.watch(EVENT_REFUSED, reason, &worker, name, size)

    # -- from Python --------------------------------------------------------------------------

    def watch_with(self, events):
        """Have ``events(kind, reason, worker, service)`` called for what happens; ``None`` ends it.

        ``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter, ``worker`` an
        identity or ``None``, ``service`` a name, cut off at ``EVENT_NAME_BYTES``.
        """
        if not isinstance(self.outbox, CallableOutbox):
            raise TypeError("events go where messages go, which here is no callable")
        (<CallableOutbox>self.outbox).events = events
        self.outbox.watched = events is not None

    def packed_services(self):
        """All services, as the answer to SERVICES of ``brigantine.control``."""
        cdef string body
        self.c_pack_services(&body)
        return <bytes>body

    def packed_workers(self):
        """All workers, as the answer to WORKERS of ``brigantine.control``."""
        cdef string body
        self.c_pack_workers(&body)
        return <bytes>body

    def receive(self, int port, frames, double now, int connection=NO_CONNECTION):
        """Handle one message as the ROUTER on ``port`` received it (routing id first)."""
        self.take(port, frames, now, connection)
        self.settle(nanoseconds(now))

    def take(self, int port, frames, double now, int connection=NO_CONNECTION):
        """As :meth:`receive`, but requests are handed to workers in :meth:`tick`."""
        cdef Frames parts
        frames_init(&parts)
        try:
            frames_extend(&parts, frames)
            self.c_take(port, &parts, nanoseconds(now), connection)
        finally:
            frames_free(&parts)

    def count_too_many_frames(self):
        """Count a message of which the loop read no more than ``max_frames`` frames."""
        self.count[DROP_TOO_MANY_FRAMES] += 1

    def count_pause(self):
        """Count a gap that the loop has credited to every deadline."""
        self.count[PAUSES] += 1

    def count_event_missed(self):
        """Count an event for which a slow reader left no room."""
        self.count[EVENTS_MISSED] += 1

    def tick(self, double now):
        """Do what is due: fail requests, give up workers, send heartbeats, try full pipes again."""
        self.c_tick(nanoseconds(now))

    def next_deadline(self):
        """When :meth:`tick` has something to do, in the time of ``now``; ``None`` for never."""
        cdef int64_t due = self.c_next_deadline()
        return None if due < 0 else seconds_of(due)

    def has_parked(self):
        """Whether :meth:`tick` has workers to try again whose pipe was full."""
        return self.parked.chain.length > 0

    def connection_opened(self, int connection):
        """A peer connected where workers do; ``connection`` (a descriptor) names it until it closes."""
        self.c_connection_opened(connection)

    def connection_closed(self, int connection):
        """A connection is gone, and with it the worker that spoke on it.

        Its requests are sent to others at the next :meth:`receive` or :meth:`tick`.
        """
        self.c_connection_closed(connection)

    def drain(self):
        """From now on shed new requests; go on with those accepted."""
        self.draining = True

    def drained(self):
        """Whether nothing waits, and nothing is in flight at a worker that is still there."""
        return self.c_drained()

    def abort(self, bint goodbyes=True):
        """Fail everything that is left, as the broker stops now.

        With ``goodbyes`` clients that understand it and workers of MDP are told; without, nothing
        is sent any more.
        """
        self.c_abort(goodbyes)

    def counters(self):
        """All counters by name (see :data:`brigantine.COUNTERS`)."""
        return {name: self.count[index] for index, name in enumerate(COUNTERS)}

    def idle_workers(self, bytes service=b""):
        """Identities of the free workers of a service, least recently used first."""
        cdef int index = self.service_names.find(service, len(service))
        cdef int worker
        identities = []
        if index != NIL:
            worker = self.services[index].free.head
            while worker != NIL:
                identities.append(self.identities.name(worker))
                worker = self.free_links[worker].next
        return identities
