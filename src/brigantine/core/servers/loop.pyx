"""The loop of a server: turn after turn what has come in, what handlers have answered, what is due."""

from cpython.bytearray cimport PyByteArray_AS_STRING
from libc.errno cimport EAGAIN, EINTR
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memcpy
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    ZMQ_DONTWAIT,
    ZMQ_EVENT_ACCEPTED,
    ZMQ_EVENT_DISCONNECTED,
    zmq_errno,
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_more,
    zmq_msg_recv,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..structures.clock cimport monotonic, thread_cpu
from ..loop.descriptors cimport reserve_begins
from ..structures.expiry cimport earlier, nanoseconds
from .handoff cimport Handoff, Work
from ..switchboard.events cimport NO_CAUSE
from ..switchboard.notices cimport NOTICE_MISMATCHED, Notice, new_notice
from ..switchboard.outbox cimport BACKEND, FRONTEND
from ..libzmq.polling cimport POLLIN, pollfd
from ..loop.routers cimport CONTROL, MONITOR, SOCKETS
from ..sessions.counters cimport (
    S_FAILED_STOPPED,
    S_IN_FLIGHT,
    S_PAUSES,
    S_QUEUED,
    S_SESSIONS,
    S_UNSENT_BYTES,
    SERVER_COUNT,
)
from ..sessions.keeping cimport STOPPED, TELLS_KNOWN
from ..sessions.sessions cimport WAITING
from ..loop.commands cimport is_word
from ..libzmq.zmqapi cimport brigantine_zmq, raise_zmq_error

from ...config.limits import BATCH as _BATCH
from ...config.limits import LAST_WORDS as _LAST_WORDS
from ...config.limits import LINGER as _LINGER
from ...config.limits import MAX_SLEEP as _MAX_SLEEP
from ...config.limits import PAUSE as _PAUSE
from ...wire.loop import DRAIN as _DRAIN
from ...wire.loop import SIDES
from ...wire.loop import STOP as _STOP
from ...counters import SERVER_COUNTERS

__all__ = ["ServerLoop"]

zmqapi.bind(&brigantine_zmq)

cdef int BATCH = _BATCH
cdef int64_t LAST_WORDS = nanoseconds(_LAST_WORDS)
cdef int64_t LINGER = nanoseconds(_LINGER)
cdef int64_t MAX_SLEEP = nanoseconds(_MAX_SLEEP)
cdef string STOP = _STOP
cdef string DRAIN = _DRAIN
cdef string CLIENTS_SIDE = SIDES[0]
cdef list NAMES = list(SERVER_COUNTERS)[:SERVER_COUNT]

cdef enum:
    NOT_MEASURED = -1
    EVENT_SIZE = 6  # a monitor's message: uint16 event and uint32 value in one frame, then the endpoint
    VALUE_AT = 2
    # The place of the bell of the handlers' answers in what is polled: a server has no backend.
    ANSWERS = BACKEND


cdef class ServerLoop(Serving):
    """ServerLoop(frontend, control, config, epoch, handoff, workers, tells=0, monitor=None, \
notices=None, reserve=None)\n--\n
    Runs the sessions of a server on a ROUTER until told to stop, without the GIL.

    ``config`` is a ``brigantine.ServerConfig``, ``epoch`` eight random bytes, ``handoff`` the
    :class:`Handoff` from which ``workers`` handlers take tasks, ``tells`` that of :class:`Sessions`.  The
    socket is bound by the caller and used by :meth:`run` alone while it runs; ``control`` is a PAIR that
    receives STOP and DRAIN of ``brigantine.wire.loop``.  ``monitor`` is the ROUTER's for ACCEPTED and
    DISCONNECTED events.  ``notices`` is a :class:`NoticeQueue`, ``reserve`` closes connections for which
    there are no file descriptors.

    Raises ``TypeError`` for any other socket than a ROUTER.
    """

    def __cinit__(
        self, frontend, control, config, bytes epoch not None, Handoff handoff not None, int workers,
        int tells=TELLS_KNOWN, monitor=None, notices=None, reserve=None,
    ):
        self.open_sockets(frontend, None, control, config, monitor, None, None)
        self.signals[ANSWERS] = pollfd(handoff.box.loop.ends[0], POLLIN, 0)
        self.most_frames = config.max_frames + 1
        self.configure(config, epoch, handoff, tells, workers)
        self.notices = notices
        self.reserve = reserve
        self.reserves = reserve is not None
        if self.reserves:
            self.lent = PyByteArray_AS_STRING(reserve.lent)
        self.handshakes = Handshakes()
        self.timeout = nanoseconds(config.session_timeout)
        self.pause = min(nanoseconds(_PAUSE), self.timeout // 2)
        self.drain_timeout = nanoseconds(config.drain_timeout)
        self.drain_deadline = self.drain_from = NEVER
        self.last = monotonic()
        self.worked = NOT_MEASURED

    def stats(self):
        """All counters, see ``brigantine.SERVER_COUNTERS``; may be called from any thread."""
        cdef int64_t count[SERVER_COUNT]
        with nogil:
            self.lock.read(count, self.sessions.count, SERVER_COUNT)
        count[S_UNSENT_BYTES] = self.accounts.returns.unsent()
        return {name: count[index] for index, name in enumerate(NAMES)}

    def run(self):
        """Serve until STOP, or until DRAIN is done.  Then every request and session has ended."""
        self.enter()
        try:
            with nogil:
                self.c_run()
                self.wind_up()
        finally:
            self.handoff.box.end()

    cdef int c_run(self) except -1 nogil:
        self.last = monotonic()
        while not self.stopping:
            self.turn()
            if self.drain_deadline != NEVER and (
                self.present >= self.drain_deadline
                or (
                    self.sessions.draining
                    and not self.sessions.count[S_QUEUED] and not self.sessions.count[S_IN_FLIGHT]
                )
            ):
                return 0
        return 0

    cdef int turn(self) except -1 nogil:
        cdef int64_t sleep = self.sleep()
        cdef int64_t now
        cdef bint more
        cdef int index
        if sleep and not self.handoff.box.lie_down():
            sleep = 0
        self.wait(sleep)
        now = self.now(sleep)
        if self.last - self.looked > MAX_SLEEP:
            # At first, and now and then, look at everything: see Loop.c_run().
            self.looked = self.last
            for index in range(SOCKETS):
                self.news[index] = self.news[index] or self.handles[index] != NULL
        if self.news[ANSWERS]:
            self.handoff.box.loop.hush()
        if self.news[MONITOR]:
            self.read_monitor()
        self.take_answers(now)
        more = self.news[FRONTEND] and self.read(now)
        self.worked = thread_cpu() if more else NOT_MEASURED
        if self.news[CONTROL]:
            self.read_control(now)
        self.lock.begin()
        try:
            self.keep_time(now)
            self.hand_out()
        finally:
            self.lock.end()
        self.hang_up_unheard(now)
        if self.crowd.size():
            with gil:
                for connection in self.crowd:
                    self.reserve.reject(connection)
            self.crowd.clear()
        self.accounts.settle()
        return 0

    cdef int keep_time(self, int64_t now) except -1 nogil:
        if self.drain_from != NEVER and (
            self.quiet[FRONTEND] or now - self.drain_from >= LAST_WORDS
        ):
            self.sessions.draining = True
            self.drain_from = NEVER
        self.end_overdue(now)
        # What is unread may be of a session that seems silent.  One whose time is over by that much again
        # is closed all the same: of those that speak each has its turn by then.
        self.sessions.c_sweep(now if self.quiet[FRONTEND] else now - self.timeout)
        return 0

    cdef int hang_up_unheard(self, int64_t now) except -1 nogil:
        """A client whose routing id is another's is connected, and never heard: it is to connect anew."""
        cdef int fd
        if not self.quiet[FRONTEND]:
            return 0
        fd = self.quiet_fds.expired(now)
        while fd != NIL:
            with gil:
                if self.reserve is not None and self.reserve.hang_up_unheard(fd):
                    self.unheard += 1
            fd = self.quiet_fds.expired(now)
        return 0

    # -- time ---------------------------------------------------------------------------------

    cdef int64_t sleep(self) noexcept nogil:
        """Nanoseconds until something is due, at most MAX_SLEEP."""
        cdef int64_t due = earlier(self.sessions.c_next_deadline(), self.quiet_fds.next_deadline())
        if not self.quiet[FRONTEND] or not self.looked:
            return 0
        due = earlier(due, self.drain_deadline)
        if due < 0:
            return MAX_SLEEP
        return min(MAX_SLEEP, max(0, due - (self.last - self.credit)))

    cdef int64_t now(self, int64_t slept) except? -1 nogil:
        """Nanoseconds on the loop's own clock, which stops while the process is suspended.

        What clients sent meanwhile is still unread, so that time counts for no deadline: see Loop.now().
        """
        cdef int64_t clock = monotonic()
        cdef int64_t excess = clock - self.last - slept
        if excess > self.pause and self.worked != NOT_MEASURED:
            excess -= thread_cpu() - self.worked
        if excess > self.pause:
            self.credit += clock - self.last
            self.lock.begin()
            self.sessions.note(S_PAUSES, 1)
            self.lock.end()
        self.last = clock
        self.present = clock - self.credit
        return self.present

    # -- sockets ------------------------------------------------------------------------------

    cdef int read(self, int64_t now) except -1 nogil:
        cdef int _turn
        for _turn in range(BATCH):
            if self.discarding[FRONTEND] and not self.discard(FRONTEND):
                return 1
            if self.receive(FRONTEND) == 0:
                return 0
            self.lock.begin()
            try:
                self.take_message(now)
            finally:
                self.lock.end()
            if self.discarding[FRONTEND]:
                return 1  # it takes as long as many messages
        return 1

    cdef int look_at_connections(self) except -1 nogil:
        return self.read_monitor()

    cdef int read_monitor(self) except -1 nogil:
        cdef zmq_msg_t frame
        cdef uint16_t event = 0
        cdef uint32_t value = 0
        if self.handles[MONITOR] == NULL:
            return 0
        zmq_msg_init(&frame)
        try:
            while True:
                if zmq_msg_recv(&frame, self.handles[MONITOR], ZMQ_DONTWAIT) < 0:
                    if zmq_errno() == EAGAIN:
                        return 0
                    if zmq_errno() == EINTR:
                        self.interrupted()
                        continue
                    raise_zmq_error()
                if zmq_msg_size(&frame) == EVENT_SIZE:
                    memcpy(&event, zmq_msg_data(&frame), sizeof(event))
                    memcpy(&value, <char *>zmq_msg_data(&frame) + VALUE_AT, sizeof(value))
                while zmq_msg_more(&frame) and zmq_msg_recv(&frame, self.handles[MONITOR], 0) >= 0:
                    pass
                self.tell_connection(event, <int>value)
        finally:
            zmq_msg_close(&frame)

    cdef int tell_connection(self, int event, int connection) except -1 nogil:
        cdef Notice told
        if self.handshakes.mismatched(event, connection):
            told = new_notice(NOTICE_MISMATCHED, NO_CAUSE)
            told.peer, told.peer_size = CLIENTS_SIDE.data(), CLIENTS_SIDE.size()
            self.put_notice(&told)
        if event == ZMQ_EVENT_DISCONNECTED:
            self.sessions.c_disconnected(connection)
            self.heard_by(connection)
        elif event == ZMQ_EVENT_ACCEPTED:
            self.quiet_fds.reserve(connection + 1)
            self.quiet_fds.refresh(connection, self.present)
            if self.reserves and (self.lent[0] or connection >= reserve_begins()):
                self.crowd.push_back(connection)
        return 0

    cdef int read_control(self, int64_t now) except -1 nogil:
        cdef zmq_msg_t word
        zmq_msg_init(&word)
        try:
            while True:
                if zmq_msg_recv(&word, self.handles[CONTROL], ZMQ_DONTWAIT) < 0:
                    if zmq_errno() == EAGAIN:
                        return 0
                    if zmq_errno() == EINTR:
                        self.interrupted()
                        continue
                    raise_zmq_error()
                if is_word(&word, &STOP, 0):
                    self.stopping = True
                elif is_word(&word, &DRAIN, 0) and self.drain_deadline == NEVER:
                    self.drain_deadline = now + self.drain_timeout
                    self.drain_from = now  # what had come before is still accepted
        finally:
            zmq_msg_close(&word)

    # -- the end ------------------------------------------------------------------------------

    cdef int wind_up(self) except -1 nogil:
        cdef int64_t began = monotonic()
        cdef int job
        cdef Work *work
        # Nobody reads these any more: what comes there must not wake it again and again.
        self.signals[FRONTEND].fd = self.signals[MONITOR].fd = self.signals[CONTROL].fd = -1
        self.lock.begin()
        try:
            self.sessions.draining = True
            for job in range(<int>self.works.size()):
                work = self.works[job]
                if work != NULL and self.sessions.jobs[job].state == WAITING:
                    self.tell(work, S_FAILED_STOPPED)
                    self.sessions.c_end(job, S_FAILED_STOPPED, self.present)
                    self.works[job] = NULL
                    self.give_back(work)
        finally:
            self.lock.end()
        # Requests that handlers are at find their clients' sessions open still.
        while self.sessions.count[S_IN_FLIGHT] and monotonic() - began < LINGER:
            self.finish_turn(began)
        self.lock.begin()
        try:
            for job in range(<int>self.works.size()):
                work = self.works[job]
                if work != NULL and not work.over:
                    self.tell(work, S_FAILED_STOPPED)
                    self.sessions.c_end(job, S_FAILED_STOPPED, self.present)
                    work.over = True
            self.sessions.c_close_all(STOPPED, self.present)
        finally:
            self.lock.end()
        began = monotonic()
        while self.sessions.count[S_SESSIONS] and monotonic() - began < LINGER:
            self.finish_turn(began)
        return 0

    cdef int finish_turn(self, int64_t began) except -1 nogil:
        """Hand out what is left, and take what comes of it."""
        cdef int64_t left = max(0, LINGER - (monotonic() - began))
        self.lock.begin()
        try:
            self.hand_out()
        finally:
            self.lock.end()
        if self.handoff.box.lie_down() and self.at_work:
            self.quiet[FRONTEND] = True  # it is not read any more
            self.wait(left)
            self.handoff.box.loop.hush()
        self.take_answers(self.present)
        return 0
