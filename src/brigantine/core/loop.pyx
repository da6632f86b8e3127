"""The poll loop: the only room that sends, receives and polls.  It owns the clock."""

import secrets
import threading

import zmq

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memcmp, memcpy
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EHOSTUNREACH,
    ZMQ_EVENT_ACCEPTED,
    ZMQ_EVENT_DISCONNECTED,
    ZMQ_EVENTS,
    ZMQ_POLLIN,
    ZMQ_SNDMORE,
    zmq_errno,
    zmq_getsockopt,
    zmq_msg_data,
    zmq_msg_get,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_send,
    zmq_msg_size,
    zmq_msg_t,
)

from . cimport zmqapi
from .clock cimport monotonic
from .commands cimport REQ
from .counters cimport COUNTER_COUNT, DROP_TOO_MANY_FRAMES, EVENTS_MISSED, PAUSES
from .envelope cimport (
    Frames,
    frame_set,
    frames_clear,
    frames_free,
    frames_init,
    frames_reserve,
)
from .events cimport (
    EVENT_DRAINING,
    EVENT_PAUSE,
    EVENT_STOPPED,
    NO_CAUSE,
    Event,
    pack_event,
)
from .expiry cimport nanoseconds
from .outbox cimport BACKEND, BOTH, FRONTEND, FULL, GONE, OK, Outbox
from .records cimport NO_CONNECTION
from .switchboard cimport Switchboard
from .zmqapi cimport ZMQ_SRCFD, brigantine_zmq, handle_of, raise_zmq_error

from ..config import BATCH as _BATCH
from ..config import DISCARD_BATCH as _DISCARD_BATCH
from ..config import FULL_RETRY as _FULL_RETRY
from ..config import MAX_SLEEP as _MAX_SLEEP
from ..control import DRAIN as _DRAIN
from ..control import IGNORE as _IGNORE
from ..control import SERVICES as _SERVICES
from ..control import STOP as _STOP
from ..control import TAG_BYTES as _TAG_BYTES
from ..control import WATCH as _WATCH
from ..control import WORKERS as _WORKERS
from ..counters import COUNTERS

__all__ = ["Loop"]

zmqapi.bind(&brigantine_zmq)

cdef int BATCH = _BATCH
cdef int DISCARD_BATCH = _DISCARD_BATCH
cdef int64_t FULL_RETRY = nanoseconds(_FULL_RETRY)
cdef int64_t MAX_SLEEP = nanoseconds(_MAX_SLEEP)
cdef string STOP = _STOP
cdef string DRAIN = _DRAIN
cdef string IGNORE = _IGNORE
cdef string WATCH = _WATCH
cdef string WORKERS = _WORKERS
cdef string SERVICES = _SERVICES
cdef size_t TAG_BYTES = _TAG_BYTES
cdef int64_t MILLISECOND = 1000000

cdef enum:
    TOO_MANY = -2
    # A monitor's message: uint16 event and uint32 value in one frame, the endpoint in another.
    EVENT_FRAMES = 2
    EVENT_SIZE = 6
    VALUE_AT = 2


cdef class Loop(Outbox):
    """Loop(frontend, backend, control, config, monitor=None, protocols=1, \
default_service=b"", events=None)\n--\n
    Runs one switchboard on a frontend and a backend ROUTER until told to stop, without the GIL.

    With ``backend`` None the frontend is for workers, too, which only Majordomo can tell apart.
    The sockets are bound by the caller and used by :meth:`run` alone while it runs.  ``control`` is
    a PAIR that receives a word of ``brigantine.control``.  ``monitor``, where given, is the
    monitor socket of the workers' side for ACCEPTED and DISCONNECTED events, set up before that was
    bound; without it a lost worker is noticed when the next request is sent to it.  ``protocols``
    and ``default_service`` are those of :class:`~brigantine.core.Switchboard`.  ``events`` is a PAIR on
    which events leave after WATCH, as ``brigantine.events`` reads them.

    Raises ``TypeError`` unless both sides are ROUTER sockets.
    """

    def __cinit__(
        self, frontend, backend, control, config, monitor=None, int protocols=REQ,
        default_service=b"", events=None,
    ):
        frames_init(&self.inbox)
        frames_init(&self.event)
        frames_init(&self.notice)
        self.single = backend is None
        for name, socket in (("frontend", frontend), ("backend", backend)):
            if socket is None:
                continue
            if socket.type != zmq.ROUTER:
                raise TypeError(f"{name} must be a ROUTER socket, not {socket.type!r}")
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self.sockets = (frontend, backend, control, monitor, events)
        for index, socket in (
            (FRONTEND, frontend), (BACKEND, backend), (CONTROL, control), (MONITOR, monitor)
        ):
            self.handles[index] = NULL
            self.signals[index] = pollfd(-1, 0, 0)  # poll passes over it
            if socket is not None:
                self.handles[index] = handle_of(socket)
                self.signals[index] = pollfd(socket.getsockopt(zmq.FD), POLLIN, 0)
        self.handles[EVENTS] = NULL if events is None else handle_of(events)
        self.switchboard = Switchboard(
            config, self, secrets.randbits(32), None, protocols, default_service
        )
        self.interval = nanoseconds(config.heartbeat_interval)
        self.drain_timeout = nanoseconds(config.drain_timeout)
        self.drain_deadline = NO_DEADLINE
        self.last = monotonic()
        frames_reserve(&self.event, EVENT_FRAMES)
        frames_reserve(&self.notice, 1)

    def __dealloc__(self):
        frames_free(&self.inbox)
        frames_free(&self.event)
        frames_free(&self.notice)

    def stats(self):
        """All counters; may be called from any thread, and always finds the ledger balanced."""
        cdef int64_t count[COUNTER_COUNT]
        with nogil:
            self.lock.read(count, self.switchboard.count, COUNTER_COUNT)
        return {name: count[index] for index, name in enumerate(COUNTERS)}

    def run(self):
        """Route until STOP, or until DRAIN is done.  Then every request has ended."""
        cdef bint well = False
        self.in_main_thread = threading.current_thread() is threading.main_thread()
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
            sleep = 0 if more or looked == 0 else self.sleep()
            self.wait(sleep)
            now = self.now(sleep)
            if self.last - looked > MAX_SLEEP:
                # At first, and now and then, look at everything: libzmq signals a message to
                # a socket only once the socket was found empty.
                looked = self.last
                for index in range(SOCKETS):
                    self.news[index] = self.handles[index] != NULL
            more = 0
            if self.news[BACKEND]:
                more = self.read(BACKEND, now)
            # After what workers sent: the last word of one that left was sent before it did.
            if self.news[MONITOR]:
                self.lock.begin()
                try:
                    self.sync_connections()
                finally:
                    self.lock.end()
            if self.news[FRONTEND]:
                more |= self.read(FRONTEND, now)
            if self.news[CONTROL]:
                self.read_control(now)
            self.lock.begin()
            try:
                self.switchboard.c_tick(now)
            finally:
                self.lock.end()
            if self.drain_deadline != NO_DEADLINE and (
                self.switchboard.c_drained() or now >= self.drain_deadline
            ):
                break
        return 0

    cdef int interrupted(self) except -1 nogil:
        """A signal came in the middle of a call.  Python's handlers run in its main thread alone."""
        if self.in_main_thread:
            with gil:
                PyErr_CheckSignals()
        return 0

    # -- waiting ------------------------------------------------------------------------------

    cdef int wait(self, int64_t sleep) except -1 nogil:
        """Instead of zmq_poll, which polls twice and asks every socket each time.

        The descriptor of a socket is readable when libzmq has put something in its mailbox, and
        using the socket may empty the mailbox without a word.  So a router that was used since it was
        found empty is asked before the sleep; the others are read until they are empty.
        """
        cdef int index, ready = 0
        for index in range(SOCKETS):
            self.news[index] = False
        for index in range(SIDES):
            if self.handles[index] != NULL and not self.quiet[index]:
                self.news[index] = self.readable(index)
                self.quiet[index] = not self.news[index]
                if self.news[index]:
                    sleep = 0
        # poll counts whole milliseconds: round up, or it would spin until the deadline.
        ready = poll(self.signals, SOCKETS, <int>((sleep + MILLISECOND - 1) // MILLISECOND))
        if ready < 0:
            if errno != EINTR:
                with gil:
                    PyErr_SetFromErrno(OSError)
            self.interrupted()
        for index in range(SOCKETS):
            if ready > 0 and self.signals[index].revents:
                self.news[index] = True
        return 0

    cdef bint readable(self, int index) except -1 nogil:
        cdef int events = 0
        cdef size_t size = sizeof(events)
        if zmq_getsockopt(self.handles[index], ZMQ_EVENTS, &events, &size) != 0:
            raise_zmq_error()
        return (events & ZMQ_POLLIN) != 0

    # -- time ---------------------------------------------------------------------------------

    cdef int64_t sleep(self) noexcept nogil:
        """Nanoseconds until something is due, at most MAX_SLEEP."""
        cdef int64_t due = self.switchboard.c_next_deadline()
        cdef int64_t now = self.last - self.credit
        cdef int64_t longest = FULL_RETRY if self.switchboard.parked.chain.length else MAX_SLEEP
        if due < 0 or 0 <= self.drain_deadline < due:
            due = self.drain_deadline
        if due < 0:
            return longest
        return min(longest, max(0, due - now))

    cdef int64_t now(self, int64_t slept) except? -1 nogil:
        """Nanoseconds on the loop's own clock, which stands still while the process is stopped.

        When a whole heartbeat interval went by that the loop neither asked to sleep nor could have
        spent on a batch, the process was stopped (SIGSTOP, a suspended machine): what its peers
        sent meanwhile is still unread, so the gap counts for no deadline, nor does the sleep in it.
        """
        cdef int64_t clock = monotonic()
        cdef int64_t excess = clock - self.last - slept
        if excess > self.interval:
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
        cdef bint watched = (side == BACKEND or self.single) and self.handles[MONITOR] != NULL
        cdef int port = BOTH if self.single else side
        cdef int _turn, count, connection = NO_CONNECTION
        for _turn in range(BATCH):
            if self.discarding[side] and not self.discard(side):
                return 1
            count = self.receive(side)
            if count == 0:
                return 0
            if count == TOO_MANY:
                continue
            if watched:
                # -1 (NO_CONNECTION) for a peer over inproc, which has no descriptor.
                connection = zmq_msg_get(&self.inbox.at[0], ZMQ_SRCFD)
            self.lock.begin()
            try:
                self.switchboard.c_take(port, &self.inbox, now, connection)
            finally:
                self.lock.end()
        return 1

    cdef int receive(self, int side) except -1 nogil:
        cdef Frames *inbox = &self.inbox
        cdef void *router = self.handles[side]
        frames_clear(inbox)
        self.quiet[side] = False
        while True:
            frames_reserve(inbox, inbox.count + 1)
            if zmq_msg_recv(&inbox.at[inbox.count], router, ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN and inbox.count == 0:
                    self.quiet[side] = True
                    return 0
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            inbox.count += 1
            if not zmq_msg_more(&inbox.at[inbox.count - 1]):
                return inbox.count
            if inbox.count == self.switchboard.max_frames:
                self.lock.begin()
                self.switchboard.note(DROP_TOO_MANY_FRAMES)
                self.lock.end()
                self.discarding[side] = True
                return TOO_MANY

    cdef int discard(self, int side) except -1 nogil:
        cdef int _turn
        cdef zmq_msg_t *frame
        frames_clear(&self.inbox)
        frames_reserve(&self.inbox, 1)
        self.inbox.count = 1
        frame = &self.inbox.at[0]
        for _turn in range(DISCARD_BATCH):
            if zmq_msg_recv(frame, self.handles[side], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            if not zmq_msg_more(frame):
                self.discarding[side] = False
                return True
        return False

    cdef int send(
        self, int port, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies
    ) except -1 nogil:
        cdef int side = FRONTEND if self.single else port
        cdef void *router = self.handles[side]
        cdef int index, number, total = heads + bodies
        cdef int flags = ZMQ_DONTWAIT | ZMQ_SNDMORE
        cdef zmq_msg_t *frame
        self.quiet[side] = False
        for index in range(total):
            frame = &head[index] if index < heads else &body[index - heads]
            if index == total - 1:
                flags = ZMQ_DONTWAIT
            while zmq_msg_send(frame, router, flags) < 0:
                number = zmq_errno()
                if number == EINTR:
                    self.interrupted()
                elif index == 0 and number == EAGAIN:
                    return FULL
                elif index == 0 and number == ZMQ_EHOSTUNREACH:
                    return GONE
                else:
                    raise_zmq_error()
        return OK

    cdef int sync_connections(self) except -1 nogil:
        """Pass on which backend connections were opened and closed, in that order."""
        cdef zmq_msg_t *frame = self.event.at
        cdef uint16_t event = 0
        cdef uint32_t value = 0
        if self.handles[MONITOR] == NULL:
            return 0
        while True:
            if zmq_msg_recv(&frame[0], self.handles[MONITOR], ZMQ_DONTWAIT) < 0:
                if zmq_errno() == EAGAIN:
                    return 0
                if zmq_errno() == EINTR:
                    self.interrupted()
                    continue
                raise_zmq_error()
            if zmq_msg_size(&frame[0]) == EVENT_SIZE:
                memcpy(&event, zmq_msg_data(&frame[0]), sizeof(event))
                memcpy(&value, <char *>zmq_msg_data(&frame[0]) + VALUE_AT, sizeof(value))
            while zmq_msg_more(&frame[0]) and zmq_msg_recv(&frame[0], self.handles[MONITOR], 0) >= 0:
                pass
            if event == ZMQ_EVENT_ACCEPTED:
                self.switchboard.c_connection_opened(<int>value)
            elif event == ZMQ_EVENT_DISCONNECTED:
                self.switchboard.c_connection_closed(<int>value)

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
            answer.clear()
            if is_word(frame, &STOP, 0):
                self.stopping = True
            elif is_word(frame, &DRAIN, 0) and self.drain_deadline == NO_DEADLINE:
                self.drain_deadline = now + self.drain_timeout
                self.switchboard.draining = True
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
        cdef int index = 0
        frame_set(&frame[1], answer.data(), answer.size())
        while index < EVENT_FRAMES:
            if zmq_msg_send(
                &frame[index], self.handles[CONTROL], ZMQ_DONTWAIT | (ZMQ_SNDMORE if index == 0 else 0)
            ) >= 0:
                index += 1
            elif zmq_errno() == EAGAIN:
                return 0  # nobody takes the answers
            elif zmq_errno() == EINTR:
                self.interrupted()
            else:
                raise_zmq_error()
        return 0

    # -- for who watches ----------------------------------------------------------------------

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


cdef inline bint is_word(zmq_msg_t *frame, const string *word, size_t more) noexcept nogil:
    """Whether a frame holds a word with `more` bytes behind it."""
    return (
        zmq_msg_size(frame) == word.size() + more
        and memcmp(zmq_msg_data(frame), word.data(), word.size()) == 0
    )
