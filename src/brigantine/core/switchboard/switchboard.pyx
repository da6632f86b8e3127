"""The state machine of the broker: frames and ``now`` in, frames out.  No socket, no clock, no GIL."""

from libc.string cimport strlen
from cython.operator cimport dereference

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from .clients cimport client_connected, client_left, clients_caught_up, clients_read
from ..wire.codec cimport disconnect_head, is_worker
from ..wire.messages cimport MDP
from .counters cimport (
    DROP_TOO_LARGE,
    DROP_TOO_MANY_FRAMES,
    EVENTS_MISSED,
    FAILED,
    FAILED_STOPPED,
    IN_FLIGHT,
    PAUSES,
    QUEUED,
    UNSENT_BYTES,
)
from .dispatch cimport dispatch_all
from .endings cimport finish
from ..wire.envelope cimport frames_extend, frames_free, frames_init, frames_size
from .events cimport NO_CAUSE
from ..structures.expiry cimport nanoseconds, seconds_of
from .from_client cimport at_frontend, dropped_from_client, from_client, is_served_there
from .from_worker cimport NEEDS_CONNECTIONS, from_worker
from .notices cimport (
    NOTICE_MISMATCHED,
    NOTICE_NO_HANDSHAKE,
    NOTICE_NOT_A_COMMAND,
    NOTICE_NOT_A_REQUEST,
    Notice,
    new_notice,
)
from .noticing cimport notice, notice_message
from .outbox cimport BOTH, FRONTEND, CallableOutbox
from .records cimport AT_FRONTEND, NO_CONNECTION
from .report cimport pack_services, pack_workers
from .telling cimport tell_no_more
from .tick cimport run_timers, next_due
from ..structures.tickets cimport LATE
from .workers cimport ANY_SIDE, leave, lose_leaving
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import REPLY_BYTES as _REPLY_BYTES
from ...config.limits import REPLY_FRAMES as _REPLY_FRAMES
from ...counters import COUNTERS

__all__ = ["Switchboard"]

zmqapi.bind(&brigantine_zmq)

cdef enum:
    NEVER = -1

cdef int REPLY_FRAMES = _REPLY_FRAMES
cdef int64_t REPLY_BYTES = _REPLY_BYTES


cdef class Switchboard(Board):
    """Switchboard(config, outbox, seed=0, protocols=1, default_service=b"")\n--\n
    Decides for every message what is sent to whom.

    ``outbox(side, frames)`` must send or refuse at once, and return 0 (sent), 1 (the peer's
    high-water mark is reached), 2 (no such peer) or 3 (it has too many bytes yet to take).
    ``protocols`` are
    those that workers may speak, as flags (REQ 1, PPP 2, MDP 0.1 4, MDP 0.2 8).  Clients without a
    header go to ``default_service``, and so do workers that name no service; with ``None`` such
    clients are refused.  Not thread-safe: one loop calls it.
    """

    cdef int c_take(
        self, int side, Frames *frames, int64_t now, int connection, bint synced
    ) except -1 nogil:
        self.now = now
        if self.vacated < 0:
            self.vacated = now
        self.side = side
        if side == BOTH:
            self.client_side = BOTH
        self.taken = frames_size(frames, 0, frames.count)
        if frames.count > self.max_frames or self.taken > self.max_message_bytes:
            return self.take_large(side, frames, now, connection, synced)
        elif side == FRONTEND or (side == BOTH and not is_worker(frames)):
            return from_client(self, frames, now, connection, synced)
        return from_worker(self, frames, now, connection, False, synced)

    cdef int take_large(
        self, int side, Frames *frames, int64_t now, int connection, bint synced
    ) except -1 nogil:
        """A message beyond the bounds of a request; of one with too many frames the last are missing."""
        cdef bint client = side == BOTH and not is_worker(frames)
        cdef int reason
        if side == FRONTEND:
            client = not is_served_there(self, frames)
        if frames.count > self.max_frames + (0 if client else REPLY_FRAMES):
            reason = DROP_TOO_MANY_FRAMES
        elif client or self.taken > self.max_message_bytes + REPLY_BYTES:
            reason = DROP_TOO_LARGE
        elif side == FRONTEND:
            return from_client(self, frames, now, connection, synced)
        else:
            return from_worker(self, frames, now, connection, False, synced)
        if client:
            self.count[reason] += 1
            notice_message(self, NOTICE_NOT_A_REQUEST, reason, frames)
            return dropped_from_client(self, frames, reason)
        if side == FRONTEND:
            connection = at_frontend(frames, connection)
        if from_worker(self, frames, now, connection, True, synced) == NEEDS_CONNECTIONS:
            return NEEDS_CONNECTIONS
        self.count[reason] += 1
        notice_message(self, NOTICE_NOT_A_COMMAND, reason, frames)
        return 0

    cdef int c_tick(self, int64_t now) except -1 nogil:
        return run_timers(self, now)

    cdef int64_t c_next_deadline(self) noexcept nogil:
        return next_due(self)

    cdef void note(self, int counter) noexcept nogil:
        self.count[counter] += 1

    cdef int c_connection_opened(self, int connection, int64_t now) except -1 nogil:
        self.connections[connection] = NIL
        self.opened += 1
        self.serials[connection] = self.opened
        if now >= 0:
            self.silent.reserve(connection + 1)
            self.silent.refresh(connection, now)
            if self.handshakes_at.size() < <size_t>connection + 1:
                self.handshakes_at.resize(connection + 1)
            self.handshakes_at[connection] = self.handshakes
        return 0

    cdef int c_mismatched(self, const char *side, int64_t now) except -1 nogil:
        cdef Notice told = new_notice(NOTICE_MISMATCHED, NO_CAUSE)
        self.now = now
        told.peer = side
        told.peer_size = strlen(side)
        notice(self, &told)
        self.handshakes += 1  # what has ended is known: nothing else is told of it
        return 0

    cdef int c_connection_closed(self, int connection, int64_t now) except -1 nogil:
        cdef Notice told
        self.now = now
        if self.vacated < 0:
            self.vacated = now
        if <size_t>connection < self.silent.links.size() and self.silent.remove(connection):
            # None was done since it opened: its own neither.
            if self.handshakes_at[connection] == self.handshakes:
                told = new_notice(NOTICE_NO_HANDSHAKE, NO_CAUSE)
                notice(self, &told)
        return self.close_connection(connection)

    cdef int close_connection(self, int connection) except -1 nogil:
        cdef int worker
        found = self.connections.find(connection)
        if found == self.connections.end():
            return 0
        worker = dereference(found).second
        self.connections.erase(found)
        if worker != NIL:
            leave(self, worker)
        return 0

    cdef int c_client_connected(self, int connection) except -1 nogil:
        if self.workers_at_frontend:
            self.c_connection_opened(connection + AT_FRONTEND, NEVER)
        return client_connected(self, connection)

    cdef int c_client_left(self, int connection, int64_t now) except -1 nogil:
        self.now = now
        if self.workers_at_frontend:
            self.close_connection(connection + AT_FRONTEND)
        return client_left(self, connection)

    cdef bint c_has_departures(self) noexcept nogil:
        return not self.departures.empty()

    cdef int c_clients_read(self) noexcept nogil:
        return clients_read(self)

    cdef int c_clients_caught_up(self) except -1 nogil:
        return clients_caught_up(self)

    cdef bint c_has_leaving(self) noexcept nogil:
        return self.leaving.chain.length != 0

    cdef bint c_has_fronted(self) noexcept nogil:
        return self.fronted != 0

    cdef int c_caught_up(self, int side) except -1 nogil:
        return lose_leaving(self, side)

    cdef bint c_drained(self) noexcept nogil:
        return self.count[QUEUED] == 0 and self.count[IN_FLIGHT] == self.orphans

    cdef int c_pack_services(self, string *out) except -1 nogil:
        return pack_services(out, self.service_names, &self.services)

    cdef int c_pack_workers(self, string *out) except -1 nogil:
        return pack_workers(
            out, self.service_names, self.identities, &self.workers, &self.free_links
        )

    cdef int c_abort(self, bint goodbyes) except -1 nogil:
        cdef int slot = self.request_deadlines.chain.head
        cdef int index
        self.sending_off = not goodbyes
        self.arrivals.clear()
        while slot != NIL:
            finish(self, slot, FAILED, FAILED_STOPPED, LATE)
            slot = self.request_deadlines.chain.head
        tell_no_more(self)
        if self.sending_off:
            return 0
        for index in range(<int>self.workers.size()):
            if not self.workers[index].lost and self.workers[index].protocol & MDP:
                disconnect_head(
                    &self.head, self.identities.names[index].data(),
                    self.identities.names[index].size(), self.workers[index].protocol,
                    self.workers[index].dialect,
                )
                self.outbox.send(
                    self.workers[index].side, self.head.at, self.head.count, NULL, 0
                )
        return 0

    # -- from Python --------------------------------------------------------------------------

    def receive(self, int side, frames, double now, int connection=NO_CONNECTION):
        """Handle one message as the ROUTER on ``side`` received it (routing id first).

        There is no other yet to handle, nor a connection that has opened or closed.
        """
        self.take(side, frames, now, connection, True)
        self.hand_out(now)
        while self.c_has_leaving():
            self.caught_up(now)
            self.hand_out(now)

    def take(self, int side, frames, double now, int connection=NO_CONNECTION, bint synced=False):
        """As :meth:`receive`, but others may follow, and requests are handed to workers in :meth:`tick`.

        ``False``: nothing was done, as it depends on which connections have opened and closed up to
        now.  Then tell all of them, and hand the message in again with ``synced``.
        """
        cdef Frames parts
        frames_init(&parts)
        try:
            frames_extend(&parts, frames)
            return self.c_take(
                side, &parts, nanoseconds(now), connection, synced
            ) != NEEDS_CONNECTIONS
        finally:
            frames_free(&parts)

    def count_pause(self):
        """Count a gap that the loop has credited to every deadline."""
        self.count[PAUSES] += 1

    def count_event_missed(self):
        """Count an event for which a slow reader left no room."""
        self.count[EVENTS_MISSED] += 1

    def note_unsent(self, int64_t size):
        """Say how many bytes peers have yet to take."""
        self.count[UNSENT_BYTES] = size

    def tick(self, double now):
        """Do what is due: fail requests, give up workers, send heartbeats, try full pipes again."""
        self.c_tick(nanoseconds(now))

    def next_deadline(self):
        """When :meth:`tick` has something to do, in the time of ``now``; ``None`` for never."""
        cdef int64_t due = self.c_next_deadline()
        return None if due < 0 else seconds_of(due)

    def has_blocked(self):
        """Whether :meth:`tick` has workers to try again whose pipe was full."""
        return self.blocked.chain.length > 0

    def connection_opened(self, int connection, now=None):
        """A peer connected where workers do; ``connection`` (a descriptor) names it until it closes.

        With ``now``, where only workers do: a person is told of one that says nothing.
        """
        self.c_connection_opened(connection, NEVER if now is None else nanoseconds(now))

    def handshake_done(self):
        """One of the peers that have connected where workers do has finished ZMTP's handshake."""
        self.handshakes += 1

    def mismatched(self, bytes side, double now):
        """A peer has come to that side, one of ``SIDES``, whose type of socket can't be connected there."""
        self.c_mismatched(side, nanoseconds(now))

    def connection_closed(self, int connection, double now):
        """A connection is gone.  The worker that spoke on it gets nothing more.

        What it said before may still be unread: it is lost at :meth:`caught_up`, at latest when nothing
        was heard of it for ``heartbeat_interval * liveness``.
        """
        self.c_connection_closed(connection, nanoseconds(now))

    def client_connected(self, int connection):
        """A peer connected where clients do, a worker maybe: see ``workers_at_frontend``."""
        self.c_client_connected(connection)

    def client_left(self, int connection, double now):
        """A client's connection is gone.  Waiting requests of one of our clients on it are to be forgotten.

        At once what came two ticks ago or earlier, and the rest at :meth:`clients_caught_up`.
        """
        self.c_client_left(connection, nanoseconds(now))

    def has_departures(self):
        """Whether :meth:`clients_read` and :meth:`clients_caught_up` are waited for."""
        return self.c_has_departures()

    def clients_read(self):
        """All that clients had sent was handed in."""
        self.c_clients_read()

    def clients_caught_up(self):
        """After :meth:`clients_read` all was told of clients' connections that was known then."""
        self.c_clients_caught_up()

    def has_leaving(self):
        """Whether :meth:`caught_up` is waited for."""
        return self.c_has_leaving()

    def has_fronted(self):
        """Whether a worker is registered where clients are, which have a socket of their own."""
        return self.c_has_fronted()

    def caught_up(self, double now, int side=ANY_SIDE):
        """All that workers had sent was handed in: those whose connection has closed are lost.

        With ``side``, a side, it was all that had come there.  Their requests are sent to others in
        :meth:`tick`.
        """
        self.now = nanoseconds(now)
        self.c_caught_up(side)

    def hand_out(self, double now):
        """Send waiting requests as long as workers are free, as :meth:`tick` does at its end."""
        dispatch_all(self, nanoseconds(now))

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

    def watch_with(self, events):
        """Have ``events(kind, reason, worker, service)`` called for what happens; ``None`` ends it.

        ``kind`` is one of :data:`brigantine.events.KINDS`, ``reason`` a counter, ``worker`` an
        identity or ``None``, ``service`` a name, cut off at ``EVENT_NAME_BYTES``.
        """
        if not isinstance(self.outbox, CallableOutbox):
            raise TypeError("events go where messages go, which here is no callable")
        (<CallableOutbox>self.outbox).events = events
        self.outbox.watched = events is not None

    def notice_with(self, notices, left_out=None, address=None, address_on=None):
        """Have ``notices(notice)`` called with what a person should know; ``None`` ends it.

        A ``notice`` is a ``Notice``.  ``left_out(level)`` is called for each that
        is beyond the bounds; ``address()`` tells where the peer speaks from whose message is being handled,
        ``address_on(connection)`` where that of a connection does.
        """
        if not isinstance(self.outbox, CallableOutbox):
            raise TypeError("notices go where messages go, which here is no callable")
        (<CallableOutbox>self.outbox).notices = notices
        (<CallableOutbox>self.outbox).left_out = left_out
        (<CallableOutbox>self.outbox).address = address
        (<CallableOutbox>self.outbox).address_on_connection = address_on
        self.outbox.noticed = notices is not None

    def packed_services(self):
        """All services, as the answer to SERVICES of ``brigantine.wire.loop``."""
        cdef string body
        self.c_pack_services(&body)
        return <bytes>body

    def packed_workers(self):
        """All workers, as the answer to WORKERS of ``brigantine.wire.loop``."""
        cdef string body
        self.c_pack_workers(&body)
        return <bytes>body

    def counters(self):
        """All counters by name (see :data:`brigantine.COUNTERS`)."""
        return {name: self.count[index] for index, name in enumerate(COUNTERS)}

    def idle_workers(self, bytes service=b""):
        """NameTable of the free workers of a service, least recently used first."""
        cdef int index = self.service_names.find(service, len(service))
        cdef int worker
        identities = []
        if index != NIL:
            worker = self.services[index].free.head
            while worker != NIL:
                identities.append(self.identities.name(worker))
                worker = self.free_links[worker].next
        return identities
