"""Workers as the broker knows them: registered, heard of, free, lost."""

from cython.operator cimport dereference
from libc.string cimport memset
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL, chain_init, chain_off, chain_remove
from ..wire.codec cimport disconnect_head, heartbeat_head, leaving_head
from ..wire.messages cimport MDP, MDP02, REQ
from .counters cimport (
    DISCONNECTS,
    DROP_READY_GONE,
    DROP_READY_REFUSED,
    FAILED,
    FAILED_WORKER_LOST,
    HEARTBEATS,
    WORKER_FULL,
    WORKERS,
    WORKERS_DISCONNECTED,
    WORKERS_EXPIRED,
    WORKERS_IDLE,
    WORKERS_JOINED,
    WORKERS_LOST,
)
from .endings cimport finish, forget_if_empty
from ..wire.envelope cimport data_of
from .events cimport EVENT_DISCONNECTED, EVENT_EXPIRED, EVENT_JOINED, EVENT_LOST
from ..structures.lru cimport lru_ready, lru_remove
from .mmi cimport is_mmi
from .notices cimport NOTICE_DISCONNECTED, NOTICE_EXPIRED, NOTICE_LOST
from .noticing cimport notice_loss, notice_ready
from .outbox cimport FRONTEND, GONE, OK
from .records cimport NO_CONNECTION, Worker
from .requests cimport take_back
from .services cimport find_service, give_places, leave_service, mark_dirty
from .telling cimport is_ours
from ..structures.tickets cimport LATE
from .watching cimport watch_ready, watch_worker
from ..libzmq.zmqapi cimport brigantine_zmq

zmqapi.bind(&brigantine_zmq)

cdef enum:
    MILLISECOND = 1000000  # nanoseconds


cdef inline int loss_of(int reason) noexcept nogil:
    """The kind of event that tells of a worker's loss."""
    if reason == WORKERS_EXPIRED:
        return EVENT_EXPIRED
    return EVENT_DISCONNECTED if reason == WORKERS_DISCONNECTED else EVENT_LOST


cdef inline int notice_of(int reason) noexcept nogil:
    """The kind of notice that tells a person of it."""
    if reason == WORKERS_EXPIRED:
        return NOTICE_EXPIRED
    return NOTICE_DISCONNECTED if reason == WORKERS_DISCONNECTED else NOTICE_LOST


cdef int find_worker(Board board, zmq_msg_t *identity) noexcept nogil:
    if board.side == FRONTEND:
        return board.identities.find_apart(data_of(identity), zmq_msg_size(identity))
    return board.identities.find(data_of(identity), zmq_msg_size(identity))


cdef int known(Board board, zmq_msg_t *identity, int connection, int guess) except -2 nogil:
    cdef int index
    if guess == NIL or board.workers[guess].side != board.side or board.side == FRONTEND:
        index = find_worker(board, identity)
    else:
        index = board.identities.find_near(data_of(identity), zmq_msg_size(identity), guess)
    if index == NIL or board.workers[index].lost:
        return NIL
    if connection != board.workers[index].connection and connection != NO_CONNECTION:
        # It is back on another connection.  The ROUTER gives an identity away again only when all that
        # came on the old one was read.
        lose(board, index, WORKERS_LOST)
        return NIL
    if is_leaving(board, index):
        board.leaving.refresh(index, board.now)
    return index


cdef int register(
    Board board, zmq_msg_t *identity, const char *name, size_t size, Command *command, int64_t now,
    int connection,
) except -1 nogil:
    cdef int index, service
    cdef Worker *worker
    if connection != NO_CONNECTION and not take_connection(board, connection):
        board.count[DROP_READY_GONE] += 1
        notice_ready(board, DROP_READY_GONE, identity, name, size)
        return watch_ready(board, DROP_READY_GONE, identity, name, size)
    # Before its service is looked for: that may go with the last request.
    index = find_worker(board, identity)
    if index != NIL and board.workers[index].serial != serial_of(board, connection):
        end_replies(board, index, True)
    if command.protocol & MDP and is_mmi(name, size):
        board.count[DROP_READY_REFUSED] += 1
        watch_ready(board, DROP_READY_REFUSED, identity, name, size)
        notice_ready(board, DROP_READY_REFUSED, identity, name, size)
        return send_disconnect(
            board, data_of(identity), zmq_msg_size(identity), command.protocol, command.dialect
        )
    service = find_service(board, name, size, True)
    index = find_worker(board, identity)
    if index == NIL:
        index = add_worker(board, identity)
    # Otherwise it was lost, and is back while an answer of its former life may still come.
    worker = &board.workers[index]
    worker.service = service
    worker.protocol = command.protocol
    worker.dialect = command.dialect
    worker.capacity = command.capacity
    worker.connection = connection
    worker.serial = serial_of(board, connection)
    worker.side = board.side
    board.fronted += worker.side == FRONTEND
    worker.occupied = worker.live = 0
    worker.burst = worker.lost = worker.stopping = False
    worker.joined_at = worker.heard_at = now
    worker.longest = 0
    worker.heard = -1  # READY itself is counted below
    board.outbox.address_of(identity, &board.addresses[index])
    if connection != NO_CONNECTION:
        board.connections[connection] = index
    board.services[service].workers += 1
    board.services[service].unoccupied += 1
    board.services[service].users += 1
    board.count[WORKERS] += 1
    board.count[WORKERS_JOINED] += 1
    if board.outbox.watched:
        watch_worker(board, EVENT_JOINED, WORKERS_JOINED, index)
    if worker.protocol != REQ:
        set_intervals(board, index, command)
        heard(board, index, now)
        board.heartbeat_deadlines.refresh(index, now)
    set_free(board, index)
    if worker.protocol != REQ and is_ours(identity):
        return heartbeat(board, index, now)  # one of our workers waits to be told that it is registered
    return 0


cdef bint take_connection(Board board, int connection) except -1 nogil:
    """Whether a connection is open; then no other worker speaks on it any more."""
    found = board.connections.find(connection)
    if found == board.connections.end():
        return False
    if dereference(found).second != NIL:
        # The descriptor was used again: its former worker is gone.
        lose(board, dereference(found).second, WORKERS_LOST)
    return True


cdef int add_worker(Board board, zmq_msg_t *identity) except -1 nogil:
    """An empty record for a new worker; returns its index."""
    cdef Worker fresh
    cdef int index
    if board.side == FRONTEND:
        index = board.identities.add_apart(data_of(identity), zmq_msg_size(identity))
    else:
        index = board.identities.add(data_of(identity), zmq_msg_size(identity))
    memset(&fresh, 0, sizeof(fresh))
    chain_init(&fresh.requests)
    if <size_t>index == board.workers.size():
        board.free_links.push_back(chain_off())
        board.workers.push_back(fresh)
        board.addresses.resize(index + 1)
        board.blocked.reserve(index + 1)
        board.idle_deadlines.reserve(index + 1)
        board.busy_deadlines.reserve(index + 1)
        board.heartbeat_deadlines.reserve(index + 1)
        board.leaving.reserve(index + 1)
    board.workers[index] = fresh
    return index


cdef int set_intervals(Board board, int worker, const Command *ready) except -1 nogil:
    """Hold a worker to the heartbeat interval that it announces, or to that of its protocol."""
    cdef int64_t interval = <int64_t>ready.interval * MILLISECOND  # 0: the usual one
    if interval == 0 and ready.protocol & MDP:
        interval = board.mdp_interval
    board.idle_deadlines.assign(worker, interval * board.liveness)
    if board.separate_busy:
        board.busy_deadlines.assign(worker, interval * board.busy_liveness)
    board.heartbeat_deadlines.assign(worker, interval)
    return 0


cdef void set_free(Board board, int index) noexcept nogil:
    cdef Worker *worker = &board.workers[index]
    if worker.occupied >= worker.capacity or worker.stopping:
        return
    if board.blocked.has(index) or is_leaving(board, index):
        return
    if lru_ready(&board.services[worker.service].free, board.free_links.data(), index):
        board.count[WORKERS_IDLE] += 1
    mark_dirty(board, worker.service)


cdef void heard(Board board, int worker, int64_t now) noexcept nogil:
    # At work, too, on what has expired meanwhile.
    cdef Worker *of = &board.workers[worker]
    cdef bint at_work = of.occupied > 0
    of.longest = max(of.longest, now - of.heard_at)
    of.heard_at = now
    of.heard += 1
    if is_leaving(board, worker):
        return
    if board.separate_busy:
        if at_work:
            board.idle_deadlines.remove(worker)
        else:
            board.busy_deadlines.remove(worker)
    if at_work:
        board.busy_deadlines.refresh(worker, now)
    else:
        board.idle_deadlines.refresh(worker, now)


cdef int heartbeat(Board board, int worker, int64_t now) except -1 nogil:
    cdef const string *name = &board.identities.names[worker]
    cdef int sent
    heartbeat_head(
        &board.head, name.data(), name.size(), board.workers[worker].protocol,
        board.workers[worker].dialect,
    )
    sent = board.outbox.send(
        board.workers[worker].side, board.head.at, board.head.count, NULL, 0
    )
    if sent == GONE:
        return leave(board, worker)
    board.count[HEARTBEATS if sent == OK else WORKER_FULL] += 1
    board.heartbeat_deadlines.refresh(worker, now)
    return 0


cdef int send_disconnect(
    Board board, const char *name, size_t size, int protocol, int dialect
) except -1 nogil:
    board.count[DISCONNECTS] += 1
    disconnect_head(&board.head, name, size, protocol, dialect)
    board.outbox.send(board.side, board.head.at, board.head.count, NULL, 0)
    return 0


cdef int let_go(Board board, int index, int64_t now) except -1 nogil:
    cdef Worker *worker = &board.workers[index]
    cdef const string *name = &board.identities.names[index]
    worker.stopping = True
    if lru_remove(&board.services[worker.service].free, board.free_links.data(), index):
        board.count[WORKERS_IDLE] -= 1
    board.blocked.remove(index)
    if worker.protocol != REQ:
        heard(board, index, now)
    leaving_head(&board.head, name.data(), name.size(), worker.protocol)
    if board.outbox.send(worker.side, board.head.at, board.head.count, NULL, 0) == GONE:
        return leave(board, index)
    return 0


cdef int leave(Board board, int index) except -1 nogil:
    cdef Worker *worker = &board.workers[index]
    if is_leaving(board, index):
        return 0
    if lru_remove(&board.services[worker.service].free, board.free_links.data(), index):
        board.count[WORKERS_IDLE] -= 1
    board.blocked.remove(index)
    if worker.protocol != REQ:
        board.idle_deadlines.remove(index)
        board.busy_deadlines.remove(index)
        board.heartbeat_deadlines.remove(index)
    board.leaving.refresh(index, board.now)
    return 0


cdef int lose_leaving(Board board, int side) except -1 nogil:
    cdef int following, index = board.leaving.chain.head
    while index != NIL:
        following = board.leaving.links[index].next
        if side == ANY_SIDE or board.workers[index].side == side:
            lose(board, index, WORKERS_LOST)
        index = following
    return 0


cdef int lose(Board board, int index, int reason) except -1 nogil:
    cdef Worker *worker = &board.workers[index]
    cdef int service = worker.service
    cdef int slot, before
    if lru_remove(&board.services[service].free, board.free_links.data(), index):
        board.count[WORKERS_IDLE] -= 1
    board.blocked.remove(index)
    board.leaving.remove(index)
    if worker.protocol != REQ:
        board.idle_deadlines.release(index)
        if board.separate_busy:
            board.busy_deadlines.release(index)
        board.heartbeat_deadlines.release(index)
    worker.lost = True
    board.fronted -= worker.side == FRONTEND
    give_places(board, index, worker.occupied)
    worker.live = 0
    found = board.connections.find(worker.connection)
    if found != board.connections.end() and dereference(found).second == index:
        dereference(found).second = NIL
    worker.connection = NO_CONNECTION
    board.services[service].workers -= 1
    board.services[service].unoccupied -= 1
    if board.services[service].workers == 0:
        board.vacated = board.now
    board.count[WORKERS] -= 1
    board.count[WORKERS_LOST] += 1
    if board.outbox.watched:
        watch_worker(board, loss_of(reason), reason, index)
    notice_loss(board, notice_of(reason), reason, index)
    slot = worker.requests.tail
    while slot != NIL:  # from the last to the first, so that they queue in their order
        before = board.request_links[slot].prev
        if not board.requests[slot].orphan:
            if board.requests[slot].retries > 0:
                chain_remove(&worker.requests, board.request_links.data(), slot)
                take_back(board, slot)
            else:
                board.requests[slot].orphan = True
                board.orphans += 1
        slot = before
    forget_if_empty(board, index)
    end_replies(board, index, reason == WORKERS_LOST)
    mark_dirty(board, service)
    return leave_service(board, service)


cdef int64_t serial_of(Board board, int connection) noexcept nogil:
    """The number of the connection that was opened last on a descriptor; 0 where there is none."""
    found = board.serials.find(connection)
    return 0 if found == board.serials.end() else dereference(found).second


cdef bint cut_off(Board board, int slot, int connection) noexcept nogil:
    # That is so on another connection than the request's worker was lost on, and where its connection has
    # closed, the descriptor has been given away again, and nobody has said READY there yet.
    cdef int worker = board.requests[slot].worker
    if board.workers[worker].lost:
        return serial_of(board, connection) != board.workers[worker].serial
    return (
        board.requests[slot].begun
        and is_leaving(board, worker)
        and is_unclaimed(board, connection)
    )


cdef int end_replies(Board board, int index, bint all_of_them) except -1 nogil:
    """A worker was lost: end its requests whose reply could have a hole.

    Those are the ones of which a part has come.  With ``all_of_them`` its connection has ended: what
    comes on another may be the rest of a reply whose first parts are gone, if it can send parts at all.
    """
    cdef int slot = board.workers[index].requests.head
    cdef int following
    all_of_them = all_of_them and board.workers[index].protocol == MDP02
    while slot != NIL:
        following = board.request_links[slot].next
        if all_of_them or board.requests[slot].begun:
            finish(board, slot, FAILED, FAILED_WORKER_LOST, LATE)
        slot = following
    return 0
