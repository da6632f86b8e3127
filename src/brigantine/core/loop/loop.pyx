"""The poll loop: turn after turn what has come in and what is due.  It owns the clock."""

import os

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcpy
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EVENT_ACCEPTED,
    ZMQ_EVENT_DISCONNECTED,
    zmq_errno,
    zmq_msg_data,
    zmq_msg_get,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_send,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..structures.clock cimport monotonic, thread_cpu
from ..wire.messages cimport REQ
from ..switchboard.counters cimport COUNTER_COUNT, EVENTS_MISSED, PAUSES, UNSENT_BYTES
from .descriptors cimport reserve_begins
from .handshakes cimport HANDSHAKE_SUCCEEDED, Handshakes
from ..wire.envelope cimport frame_set, frames_free, frames_init, frames_reserve
from ..switchboard.events cimport (
    EVENT_DRAINING,
    EVENT_PAUSE,
    EVENT_STOPPED,
    NO_CAUSE,
    Event,
    pack_event,
)
from ..structures.expiry cimport nanoseconds
from ..switchboard.from_worker cimport NEEDS_CONNECTIONS
from ..switchboard.notices cimport Notice, level_of, pack_notice
from ..switchboard.outbox cimport BACKEND, BOTH, FRONTEND
from ..switchboard.records cimport LATER, NO_CONNECTION
from .routers cimport CLIENT_MONITOR, CONTROL, EVENTS, MONITOR, SOCKETS, Routers
from ..switchboard.switchboard cimport Switchboard
from .commands cimport is_word
from ..libzmq.zmqapi cimport ZMQ_SRCFD, brigantine_zmq, raise_zmq_error

from ...config.limits import BATCH as _BATCH
from ...config.limits import FULL_RETRY as _FULL_RETRY
from ...config.limits import LAST_WORDS as _LAST_WORDS
from ...config.limits import MAX_SLEEP as _MAX_SLEEP
from ...config.limits import PAUSE as _PAUSE
from ...wire.loop import DRAIN as _DRAIN
from ...wire.loop import IGNORE as _IGNORE
from ...wire.loop import SERVICES as _SERVICES
from ...wire.loop import SIDES
from ...wire.loop import STOP as _STOP
from ...wire.loop import TAG_BYTES as _TAG_BYTES
from ...wire.loop import WATCH as _WATCH
from ...wire.loop import WORKERS as _WORKERS
from ...counters import COUNTERS
from ...net.descriptors import peer_address

__all__ = ["Loop"]

zmqapi.bind(&brigantine_zmq)

cdef int BATCH = _BATCH
cdef int64_t FULL_RETRY = nanoseconds(_FULL_RETRY)
cdef int64_t LAST_WORDS = nanoseconds(_LAST_WORDS)
cdef int64_t MAX_SLEEP = nanoseconds(_MAX_SLEEP)
cdef string STOP = _STOP
cdef string DRAIN = _DRAIN
cdef string IGNORE = _IGNORE
cdef string WATCH = _WATCH
cdef string WORKERS = _WORKERS
cdef string SERVICES = _SERVICES
cdef size_t TAG_BYTES = _TAG_BYTES

cdef enum:
    NOT_MEASURED = -1
    # A monitor's message: uint16 event and uint32 value in one frame, then the endpoint.
    EVENT_SIZE = 6
    VALUE_AT = 2


# What is told of a side: SIDES of brigantine.wire.loop.
cdef bytes CLIENTS_NAME = SIDES[0], WORKERS_NAME = SIDES[1]
cdef const char *CLIENTS_SIDE = CLIENTS_NAME
cdef const char *WORKERS_SIDE = WORKERS_NAME


cdef class Loop(Routers):
    """Loop(frontend, backend, control, config, monitor=None, protocols=1, \
default_service=b"", events=None, notices=None, client_monitor=None, reserve=None)\n--\n
    Runs one switchboard on a frontend and a backend ROUTER until told to stop, without the GIL.

    With ``backend`` None the frontend is for workers, too, which only Majordomo can tell apart.
    The sockets are bound by the caller and used by :meth:`run` alone while it runs.  ``control`` is
    a PAIR that receives a word of ``brigantine.wire.loop``.  ``monitor``, where given, is the
    monitor socket of the workers' side for ACCEPTED and DISCONNECTED events, set up before that was
    bound; without it a lost worker is noticed when the next request is sent to it.  ``client_monitor`` is
    the same of the clients' side, where that is another.  ``protocols``
    and ``default_service`` are those of :class:`~brigantine.core.Switchboard`.  ``events`` is a PAIR on
    which events leave after WATCH, as ``brigantine.events`` reads them.  ``notices`` is a
    :class:`NoticeQueue` for what a person should know.  ``reserve`` closes connections for which there
    are no file descriptors.

    Raises ``TypeError`` unless both sides are ROUTER sockets.
    """

    def __cinit__(
        self, frontend, backend, control, config, monitor=None, int protocols=REQ,
        default_service=b"", events=None, notices=None, client_monitor=None,
        reserve=None,
    ):
        frames_init(&self.event)
        frames_init(&self.notice)
        self.open_sockets(frontend, backend, control, config, monitor, events, client_monitor)
        self.switchboard = Switchboard(
            config, self, int.from_bytes(os.urandom(4), "little"), protocols, default_service
        )
        self.notices = notices
        self.noticed = notices is not None
        self.reserve = reserve
        self.worker_handshakes, self.client_handshakes = Handshakes(), Handshakes()
        self.reserves = reserve is not None
        if self.reserves:
            self.lent = PyByteArray_AS_STRING(reserve.lent)
        self.pause = nanoseconds(min(config.heartbeat_interval or _PAUSE, _PAUSE))
        self.drain_timeout = nanoseconds(config.drain_timeout)
        self.drain_deadline = self.drain_from = NO_DEADLINE
        self.workers_side = FRONTEND if self.single else BACKEND
        self.last = monotonic()
        self.worked = NOT_MEASURED
        frames_reserve(&self.event, 1)
        frames_reserve(&self.notice, 1)

    def __dealloc__(self):
        frames_free(&self.event)
        frames_free(&self.notice)

    def stats(self):
        """All counters; may be called from any thread, and always finds the ledger balanced."""
        cdef int64_t count[COUNTER_COUNT]
        with nogil:
            self.lock.read(count, self.switchboard.count, COUNTER_COUNT)
        count[UNSENT_BYTES] = self.accounts.returns.unsent()
        return {name: count[index] for index, name in enumerate(COUNTERS)}

    def run(self):
        """Route until STOP, or until DRAIN is done.  Then every request has ended."""
        cdef bint well = False
        self.enter()
        with nogil:
            try:
                self.c_run()
                well = True
            finally:
                self.lock.begin()
                try:  # no goodbyes where the sockets failed: the caller has terminated the context
                    self.switchboard.c_abort(well)
                finally:
                    self.lock.end()
            self.publish_state(EVENT_STOPPED, NO_CAUSE)

    cdef int c_run(self) except -1 nogil:
        cdef int index, more = 0
        cdef int64_t sleep, now, looked = 0
        self.last = monotonic()
        while not self.stopping:
            sleep = 0 if more or looked == 0 or self.must_look() else self.sleep()
            self.wait(sleep)
            now = self.now(sleep)
            self.worked = thread_cpu() if more else NOT_MEASURED
            if self.last - looked > MAX_SLEEP:
                # At first, and now and then, look at everything: libzmq signals a message to
                # a socket only once the socket was found empty.
                looked = self.last
                for index in range(SOCKETS):
                    self.news[index] = self.handles[index] != NULL
            more = 0
            # Before what workers sent: a close counts when they were found to have no more to say.
            if self.news[MONITOR] or self.news[CLIENT_MONITOR] or self.must_look():
                self.read_monitors(now)
            if self.news[self.workers_side] or self.must_look():
                more = self.read(self.workers_side, now)
            if not self.single and (self.news[FRONTEND] or self.must_look()):
                more |= self.read(FRONTEND, now)
            if self.drain_from != NO_DEADLINE and (
                self.quiet[FRONTEND] or now - self.drain_from >= LAST_WORDS
            ):
                self.switchboard.draining = True
                self.drain_from = NO_DEADLINE
            if self.news[CONTROL]:
                self.read_control(now)
            if self.crowd.size():
                self.reject_crowd()
            self.accounts.settle()
            self.lock.begin()
            try:
                self.switchboard.count[UNSENT_BYTES] = self.accounts.returns.unsent()
                self.switchboard.c_tick(now)
            finally:
                self.lock.end()
            if self.drain_deadline != NO_DEADLINE and (
                now >= self.drain_deadline
                or (self.switchboard.draining and self.switchboard.c_drained())
            ):
                break
        return self.read_last_words()

    cdef bint must_look(self) noexcept nogil:
        """Whether something waits for a socket to be found empty."""
        return (
            self.switchboard.c_has_leaving()
            or self.switchboard.c_has_departures()
            or self.drain_from != NO_DEADLINE
        )

    cdef int read_monitors(self, int64_t now) except -1 nogil:
        self.lock.begin()
        try:
            self.read_monitor(MONITOR, now)
            self.read_monitor(CLIENT_MONITOR, now)
            self.switchboard.c_clients_caught_up()
        finally:
            self.lock.end()
        return 0

    cdef int read_last_words(self) except -1 nogil:
        cdef int64_t began = monotonic()
        cdef int64_t now = self.last - self.credit
        self.switchboard.draining = True  # where clients are on the same socket
        while self.read(self.workers_side, now):
            if monotonic() - began > LAST_WORDS:
                break
        # Of workers where clients are, too.
        while self.switchboard.c_has_fronted() and self.read(FRONTEND, now):
            if monotonic() - began > LAST_WORDS:
                break
        return 0

    # -- time ---------------------------------------------------------------------------------

    cdef int64_t sleep(self) noexcept nogil:
        """Nanoseconds until something is due, at most MAX_SLEEP."""
        cdef int64_t due = self.switchboard.c_next_deadline()
        cdef int64_t now = self.last - self.credit
        cdef int64_t longest = FULL_RETRY if self.switchboard.blocked.chain.length else MAX_SLEEP
        if due < 0 or 0 <= self.drain_deadline < due:
            due = self.drain_deadline
        if due < 0:
            return longest
        return min(longest, max(0, due - now))

    cdef int64_t now(self, int64_t slept) except? -1 nogil:
        """Nanoseconds on the loop's own clock, which stops while the process is suspended.

        When a whole heartbeat interval, or PAUSE, went by that the loop neither asked to sleep nor was
        at work, the process was stopped (SIGSTOP, a suspended machine): what its peers sent meanwhile
        is still unread, so the gap counts for no deadline, nor does the sleep in it.
        """
        cdef int64_t clock = monotonic()
        cdef int64_t excess = clock - self.last - slept
        if excess > self.pause and self.worked != NOT_MEASURED:
            excess -= thread_cpu() - self.worked
        if excess > self.pause:
            self.credit += clock - self.last
            self.last = clock
            self.lock.begin()
            try:
                self.switchboard.note(PAUSES)
                self.publish_state(EVENT_PAUSE, PAUSES)
            finally:
                self.lock.end()
        self.last = clock
        return clock - self.credit

    # -- sockets ------------------------------------------------------------------------------

    cdef int read(self, int side, int64_t now) except -1 nogil:
        cdef bint watched = side == self.workers_side and self.handles[MONITOR] != NULL
        cdef int board_side = BOTH if self.single else side
        cdef int _turn, count, connection = NO_CONNECTION
        if side == FRONTEND and self.handles[CLIENT_MONITOR] != NULL:
            connection = LATER
        for _turn in range(BATCH):
            if self.discarding[side] and not self.discard(side):
                return 1
            count = self.receive(side)
            if count == 0:
                if self.must_look():
                    self.catch_up(side)
                return 0
            if watched:
                # -1 (NO_CONNECTION) for a peer over inproc, which has no descriptor.
                connection = zmq_msg_get(&self.inbox.at[0], ZMQ_SRCFD)
            self.lock.begin()
            try:
                if self.switchboard.c_take(
                    board_side, &self.inbox, now, connection, False
                ) == NEEDS_CONNECTIONS:
                    self.read_monitor(CLIENT_MONITOR if board_side == FRONTEND else MONITOR, now)
                    self.switchboard.c_take(board_side, &self.inbox, now, connection, True)
            finally:
                self.lock.end()
            if self.discarding[side]:
                return 1  # it takes as long as many messages, and others want a turn meanwhile
        return 1

    cdef int catch_up(self, int side) except -1 nogil:
        """On one side nothing was left, when all that is known of connections was known."""
        self.lock.begin()
        try:
            self.switchboard.c_caught_up(BOTH if self.single else side)
            if side == FRONTEND:
                self.switchboard.c_clients_read()
        finally:
            self.lock.end()
        return 0

    cdef int read_monitor(self, int which, int64_t now) except -1 nogil:
        cdef zmq_msg_t *frame = self.event.at
        cdef uint16_t event = 0
        cdef uint32_t value = 0
        if self.handles[which] == NULL:
            return 0
        while True:
            if zmq_msg_recv(&frame[0], self.handles[which], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN:
                    return 0
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            if zmq_msg_size(&frame[0]) == EVENT_SIZE:
                memcpy(&event, zmq_msg_data(&frame[0]), sizeof(event))
                memcpy(&value, <char *>zmq_msg_data(&frame[0]) + VALUE_AT, sizeof(value))
            while zmq_msg_more(&frame[0]) and zmq_msg_recv(&frame[0], self.handles[which], 0) >= 0:
                pass
            self.tell_connection(which, event, <int>value, now)

    cdef int tell_connection(self, int which, int event, int connection, int64_t now) except -1 nogil:
        cdef bint workers = which == MONITOR
        cdef bint clients = which == CLIENT_MONITOR or self.single
        # Where clients are, too, nobody need say anything.
        cdef int64_t opened = NO_DEADLINE if self.single else now
        if (
            self.worker_handshakes.mismatched(event, connection) if workers
            else self.client_handshakes.mismatched(event, connection)
        ):
            self.switchboard.c_mismatched(WORKERS_SIDE if workers else CLIENTS_SIDE, now)
        if event == ZMQ_EVENT_ACCEPTED:
            if self.reserves and (self.lent[0] or connection >= reserve_begins()):
                self.crowd.push_back(connection)  # that it was there is told all the same
                opened = NO_DEADLINE
            if workers:
                self.switchboard.c_connection_opened(connection, opened)
            if clients:
                self.switchboard.c_client_connected(connection)
        elif event == HANDSHAKE_SUCCEEDED and workers:
            self.switchboard.handshakes += 1
        elif event == ZMQ_EVENT_DISCONNECTED:
            if workers:
                self.switchboard.c_connection_closed(connection, now)
            if clients:
                self.switchboard.c_client_left(connection, now)
        return 0

    cdef int reject_crowd(self) except -1 nogil:
        with gil:
            for connection in self.crowd:
                self.reserve.reject(connection)
        self.crowd.clear()
        return 0

    cdef int read_control(self, int64_t now) except -1 nogil:
        cdef zmq_msg_t *frame = &self.event.at[0]
        cdef string answer
        while True:
            if zmq_msg_recv(frame, self.handles[CONTROL], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN:
                    return 0
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            # The question unchanged; after it the answer.
            answer.assign(<const char *>zmq_msg_data(frame), zmq_msg_size(frame))
            if is_word(frame, &STOP, 0):
                self.stopping = True
            elif is_word(frame, &DRAIN, 0) and self.drain_deadline == NO_DEADLINE:
                self.drain_deadline = now + self.drain_timeout
                self.drain_from = now  # what had come before is still accepted
                self.lock.begin()
                try:
                    self.publish_state(EVENT_DRAINING, NO_CAUSE)
                finally:
                    self.lock.end()
            elif is_word(frame, &IGNORE, 0):
                self.watched = False
                self.missed = 0
            elif is_word(frame, &WATCH, TAG_BYTES):
                self.watched = self.handles[EVENTS] != NULL
                self.reply_control(&answer)
            elif is_word(frame, &WORKERS, TAG_BYTES):
                self.switchboard.c_pack_workers(&answer)
                self.reply_control(&answer)
            elif is_word(frame, &SERVICES, TAG_BYTES):
                self.switchboard.c_pack_services(&answer)
                self.reply_control(&answer)

    cdef int reply_control(self, const string *answer) except -1 nogil:
        cdef zmq_msg_t *frame = self.event.at
        frame_set(frame, answer.data(), answer.size())
        while zmq_msg_send(frame, self.handles[CONTROL], ZMQ_DONTWAIT) < 0:
            if zmq_errno() == EAGAIN:
                return 0  # nobody takes the answers
            if zmq_errno() != EINTR:
                raise_zmq_error()
            self.interrupted()
        return 0

    # -- for readers of events -----------------------------------------------------------------

    cdef int publish_state(self, int kind, int reason) except -1 nogil:
        cdef Event event
        if not self.watched:
            return 0
        event.kind = kind
        event.reason = reason
        event.worker = event.service = NULL
        event.worker_size = event.service_size = 0
        return self.publish(&event)

    cdef int publish(self, const Event *event) except -1 nogil:
        """Never waits, but with the last event, when nothing is routed any more."""
        cdef int flags = 0 if event.kind == EVENT_STOPPED else ZMQ_DONTWAIT
        self.packed.clear()
        pack_event(&self.packed, event, self.last, self.missed)
        frame_set(self.notice.at, self.packed.data(), self.packed.size())
        while zmq_msg_send(self.notice.at, self.handles[EVENTS], flags) < 0:
            if zmq_errno() == EINTR:
                continue
            if zmq_errno() != EAGAIN:  # the caller has terminated the context: nobody watches
                self.watched = False
                return 0
            self.missed += 1
            self.switchboard.note(EVENTS_MISSED)
            return 0
        self.missed = 0
        return 0

    # -- for a person -------------------------------------------------------------------------

    cdef int put_notice(self, const Notice *notice) except -1 nogil:
        self.packed.clear()
        pack_notice(&self.packed, notice)
        return self.notices.c_put(&self.packed, level_of(notice.kind))

    cdef int leave_out(self, int level) except -1 nogil:
        self.notices.box.leave_out(level)
        return 0

    cdef int address_on(self, int connection, string *address) except -1 nogil:
        address.clear()
        with gil:
            found = peer_address(connection)
            if found is not None:
                address.append(<string>(<bytes>found.encode()))
        return 0
