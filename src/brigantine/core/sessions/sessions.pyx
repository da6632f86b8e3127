"""The sessions of a server: opened, kept, bounded and expired; which request goes to a handler next."""

from libc.stdint cimport int64_t

from ..structures.chain cimport NIL, chain_append, chain_off, chain_pop, chain_remove
from ..structures.expiry cimport ExpiryOrder, earlier, moment, seconds_of
from .counters cimport (
    S_ACCEPTED,
    S_FAILED,
    S_FAILED_EXPIRED_IN_FLIGHT,
    S_FAILED_EXPIRED_QUEUED,
    S_FAILED_STOPPED,
    S_IN_FLIGHT,
    S_QUEUED,
    S_SESSIONS,
    S_SHED,
    S_SHED_CLIENT_BYTES,
    S_SHED_DRAINING,
    S_SHED_QUEUE_BYTES,
    S_SHED_QUEUE_FULL,
    S_SHED_SESSION_BYTES,
    S_SHED_SESSION_FULL,
    S_SHED_SESSIONS,
    SERVER_COUNT,
)
from .keeping cimport (
    ENDING,
    NEW,
    NOT_CLOSED,
    OPEN,
    OPENING,
    TELLS_KNOWN,
    TELLS_NONE,
    Session,
)

from ...config.limits import REQUEST_OVERHEAD as _REQUEST_OVERHEAD
from ...counters import SERVER_COUNTERS

__all__ = ["Sessions"]

cdef int64_t REQUEST_OVERHEAD = _REQUEST_OVERHEAD
cdef list NAMES = list(SERVER_COUNTERS)[:SERVER_COUNT]
cdef dict PLACES = {name: place for place, name in enumerate(NAMES)}

if NAMES[SERVER_COUNT - 1] != "unsent_bytes":
    raise ImportError("the counters of core/sessions/counters.pxd are not those of brigantine.counters")


cdef class Sessions(Keeping):
    """Sessions(config, tells=0)\n--\n
    What a server knows of its clients, with the bounds of a ``brigantine.ServerConfig``.

    ``tells``: who wants to be told: of ends only where something of the session was handed out (0), of
    every opening and end (1), of none (2).  ``now`` is monotonic seconds and never goes back.
    """

    def __cinit__(self, config, int tells=TELLS_KNOWN):
        self.ttl = ExpiryOrder(config.request_ttl)
        self.session_requests = config.session_requests
        self.session_bytes = config.session_bytes
        self.queue_limit = config.queue_limit
        self.queue_bytes = config.queue_bytes

    # -- for Python ---------------------------------------------------------------------------

    def hear(self, bytes key not None, double now, int64_t connection=0, int descriptor=-1):
        """A message has come from this address: the serial number of its session, 0 when it is refused.

        It opens a session where there is none, and where the one that there is came by another connection.
        """
        cdef int session = self.c_hear(key, len(key), connection, descriptor, moment(now))
        return 0 if session == NIL else self.sessions[session].serial

    def find(self, bytes key not None):
        """The serial number of the session of an address; 0 when there is none."""
        cdef int session = self.c_find(key, len(key))
        return 0 if session == NIL else self.sessions[session].serial

    def ask(self, bytes key not None, int64_t size, double now):
        """A request of ``size`` bytes, after :meth:`hear`: its number, or the counter it is shed to."""
        cdef int session = self.c_find(key, len(key))
        cdef int job
        if session == NIL:
            self.c_refuse(S_SHED_DRAINING if self.draining else S_SHED_SESSIONS)
            return "shed_draining" if self.draining else "shed_sessions"
        job = self.c_ask(session, size, moment(now))
        return job if job >= 0 else NAMES[-job]

    def next(self):
        """What is to be handed out next: ``(event, serial, request, reason)``; ``None`` when nothing is.

        The event is 0 (the session opens), 1 (a request) or 2 (it has closed).  ``request`` is ``None``
        for what is none, ``reason`` 0 for what is no end.
        """
        cdef Turn turn
        if not self.c_next(&turn):
            return None
        return (turn.event, turn.serial, None if turn.job == NIL else turn.job, turn.reason)

    def done(self, turn, double now, outcome="replied"):
        """What :meth:`next` has handed out is done with, and that is the counter of the request."""
        cdef Turn handed
        handed.event, handed.serial, job, handed.reason = turn
        handed.job = NIL if job is None else job
        handed.session = self.place_of(handed.serial)
        if handed.session == NIL:
            raise ValueError(f"no session {handed.serial}")
        self.c_done(&handed, PLACES[outcome], moment(now))

    def end(self, int number, str outcome not None, double now):
        """A request has ended for its client, and is counted so; its handler may still be at work."""
        self.c_end(number, PLACES[outcome], moment(now))

    def is_over(self, int number):
        """Whether a request at a handler has ended for its client."""
        return self.jobs[number].state == OVER

    def waits(self, int number):
        """Whether a request waits for a handler."""
        return self.jobs[number].state == WAITING

    def refuse(self, str reason not None):
        """A request of nobody who could have a session."""
        self.c_refuse(PLACES[reason])

    def address(self, int64_t serial):
        """The address of a session that can be sent something, else ``None``."""
        cdef int index = self.place_of(serial)
        if index == NIL or self.sessions[index].cut or self.sessions[index].key == NIL:
            return None
        return self.keys.name(self.sessions[index].key)

    def overdue(self, double now):
        """End the requests whose time is over: their numbers."""
        cdef int64_t at = moment(now)
        cdef int job = self.c_overdue(at)
        found = []
        while job != NIL:
            found.append(job)
            self.c_end(
                job,
                S_FAILED_EXPIRED_QUEUED if self.jobs[job].state == WAITING
                else S_FAILED_EXPIRED_IN_FLIGHT,
                at,
            )
            job = self.c_overdue(at)
        return found

    def close(self, bytes key not None, int reason, double now):
        """End the session of an address, as soon as nothing of it is at work; whether there is one."""
        cdef int session = self.c_find(key, len(key))
        if session == NIL:
            return False
        self.c_close(session, reason, moment(now))
        return True

    def close_all(self, int reason, double now):
        """End all sessions."""
        self.c_close_all(reason, moment(now))

    def sweep(self, double now):
        """Close the sessions that were silent for too long; how many."""
        return self.c_sweep(moment(now))

    def disconnected(self, int descriptor):
        """The connection with this descriptor has closed: nothing can be sent to its sessions."""
        self.c_disconnected(descriptor)

    def reachable(self, bytes key not None):
        """Whether there is a session of this address, and its connection is open."""
        cdef int session = self.c_find(key, len(key))
        return session != NIL and not self.sessions[session].cut

    def next_deadline(self):
        """When :meth:`sweep` or :meth:`overdue` has something to do; ``None``: never."""
        cdef int64_t due = self.c_next_deadline()
        return None if due < 0 else seconds_of(due)

    def stats(self):
        """The counters, see ``brigantine.SERVER_COUNTERS``."""
        return {name: self.count[place] for place, name in enumerate(NAMES)}

    def __len__(self):
        return self.count[S_SESSIONS]

    # -- requests -----------------------------------------------------------------------------

    cdef void c_refuse(self, int reason) noexcept nogil:
        self.count[S_ACCEPTED] += 1
        self.count[S_SHED] += 1
        self.count[reason] += 1

    cdef int c_ask(self, int index, int64_t size, int64_t now) except? -1000 nogil:
        cdef Session *session = &self.sessions[index]
        cdef int job, reason = 0
        size += REQUEST_OVERHEAD
        if self.draining:
            reason = S_SHED_DRAINING
        elif session.waiting.length >= self.session_requests:
            reason = S_SHED_SESSION_FULL
        elif session.waiting.length and session.bytes + size > self.session_bytes:
            reason = S_SHED_SESSION_BYTES
        elif self.count[S_QUEUED] >= self.queue_limit:
            reason = S_SHED_QUEUE_FULL
        elif self.count[S_QUEUED] and self.waiting_bytes + size > self.queue_bytes:
            reason = S_SHED_QUEUE_BYTES
        if reason:
            self.c_refuse(reason)
            return -reason
        job = self.take_job(index, size)
        session = &self.sessions[index]
        chain_append(&session.waiting, self.job_links.data(), job)
        session.bytes += size
        self.waiting_bytes += size
        self.count[S_ACCEPTED] += 1
        self.count[S_QUEUED] += 1
        self.ttl.refresh(job, now)
        self.settle(index, now)
        return job

    cdef int take_job(self, int session, int64_t size) except -1 nogil:
        cdef int job
        if self.free_jobs.empty():
            job = <int>self.jobs.size()
            self.jobs.resize(job + 1)
            self.job_links.resize(job + 1, chain_off())
            self.ttl.reserve(job + 1)
        else:
            job = self.free_jobs.back()
            self.free_jobs.pop_back()
        self.jobs[job].session = session
        self.jobs[job].state = WAITING
        self.jobs[job].size = size
        return job

    cdef bint c_next(self, Turn *turn) except -1 nogil:
        cdef int index = self.ready.head
        cdef Session *session
        if index == NIL:
            return False
        chain_remove(&self.ready, self.ready_links.data(), index)
        session = &self.sessions[index]
        turn.session = index
        turn.serial = session.serial
        turn.job = NIL
        turn.reason = NOT_CLOSED
        session.known = self.tells != TELLS_NONE
        if session.phase == NEW:
            turn.event = OPENED
            session.phase = OPENING
        elif session.waiting.length:
            turn.event = REQUEST
            turn.job = chain_pop(&session.waiting, self.job_links.data())
            self.jobs[turn.job].state = AT_WORK
            session.bytes -= self.jobs[turn.job].size
            self.waiting_bytes -= self.jobs[turn.job].size
            session.at_work += 1
            self.count[S_QUEUED] -= 1
            self.count[S_IN_FLIGHT] += 1
            if session.waiting.length and session.at_work < self.concurrency:
                chain_append(&self.ready, self.ready_links.data(), index)
        else:
            turn.event = CLOSED
            turn.reason = session.closing
            session.phase = ENDING
        return True

    cdef int c_done(self, const Turn *turn, int outcome, int64_t now) except -1 nogil:
        cdef Session *session = &self.sessions[turn.session]
        if turn.event == CLOSED:
            return self.release(turn.session)
        if turn.event == OPENED:
            session.phase = OPEN
        else:
            if self.jobs[turn.job].state == AT_WORK:
                self.count[S_IN_FLIGHT] -= 1
                self.finished(outcome)
                self.ttl.remove(turn.job)
            self.jobs[turn.job].state = NO_JOB
            self.free_jobs.push_back(turn.job)
            session.at_work -= 1
        return self.settle(turn.session, now)

    cdef int c_end(self, int job, int outcome, int64_t now) except -1 nogil:
        cdef Job *record = &self.jobs[job]
        cdef int index = record.session
        cdef Session *session = &self.sessions[index]
        self.ttl.remove(job)
        self.finished(outcome)
        if record.state == AT_WORK:
            self.count[S_IN_FLIGHT] -= 1
            record.state = OVER
            return 0
        self.count[S_QUEUED] -= 1
        chain_remove(&session.waiting, self.job_links.data(), job)
        session.bytes -= record.size
        self.waiting_bytes -= record.size
        record.state = NO_JOB
        self.free_jobs.push_back(job)
        return self.settle(index, now)

    cdef int finished(self, int outcome) except -1 nogil:
        self.count[outcome] += 1
        if S_SHED_QUEUE_FULL <= outcome <= S_SHED_CLIENT_BYTES:
            self.count[S_SHED] += 1
        elif S_FAILED_EXPIRED_QUEUED <= outcome <= S_FAILED_STOPPED:
            self.count[S_FAILED] += 1
        return 0

    cdef int c_overdue(self, int64_t now) noexcept nogil:
        return self.ttl.expired(now)

    cdef int64_t c_next_deadline(self) noexcept nogil:
        return earlier(self.silence.next_deadline(), self.ttl.next_deadline())
