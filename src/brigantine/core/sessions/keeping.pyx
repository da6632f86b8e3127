"""The sessions of a server as such: opened, found, closed, expired."""

from libc.stdint cimport int64_t

from ..structures.chain cimport NIL, chain_append, chain_has, chain_init, chain_off, chain_pop, chain_remove
from ..structures.expiry cimport ExpiryOrder
from ..structures.names cimport NameTable
from .counters cimport (
    S_CLOSED_TIMEOUT,
    S_SESSIONS,
    S_SESSIONS_CLOSED,
    S_SESSIONS_OPENED,
    S_SESSIONS_REFUSED,
    SERVER_COUNT,
)


cdef class Keeping:
    """Base of :class:`~brigantine.core.Sessions`."""

    def __cinit__(self, config, int tells=TELLS_KNOWN):
        cdef int place
        for place in range(SERVER_COUNT):
            self.count[place] = 0
        self.keys = NameTable()
        self.silence = ExpiryOrder(config.session_timeout)
        chain_init(&self.ready)
        self.max_sessions = config.max_sessions
        self.concurrency = config.session_concurrency or 1
        self.tells = tells

    cdef int place_of(self, int64_t serial) noexcept:
        """For tests: the core itself keeps the place beside the number."""
        cdef int index
        for index in range(<int>self.sessions.size()):
            if self.sessions[index].phase != FREE and self.sessions[index].serial == serial:
                return index
        return NIL

    cdef int c_find(self, const char *key, size_t size) noexcept nogil:
        cdef int place = self.keys.find(key, size)
        return NIL if place == NIL else self.session_at[place]

    cdef int c_hear(
        self, const char *key, size_t size, int64_t connection, int fd, int64_t now
    ) except? -2 nogil:
        cdef int index = self.c_find(key, size)
        cdef Session *session
        self.opened = False
        if index != NIL:
            session = &self.sessions[index]
            if session.connection == connection:
                if chain_has(self.silence.links.data(), index):
                    self.silence.refresh(index, now)
                return index
            self.c_close(index, REPLACED, now)
        if self.draining:
            return NIL
        if self.count[S_SESSIONS] >= self.max_sessions:
            self.count[S_SESSIONS_REFUSED] += 1
            return NIL
        index = self.take_session()
        session = &self.sessions[index]
        session.key = self.keys.add(key, size)
        if <size_t>session.key >= self.session_at.size():
            self.session_at.resize(session.key + 1, NIL)
        self.session_at[session.key] = index
        session.connection = connection
        session.fd = fd
        session.phase = NEW if self.tells == TELLS_ALL else OPEN
        if fd >= 0:
            if <size_t>fd >= self.by_fd.size():
                self.grow_descriptors(fd)
            chain_append(&self.by_fd[fd], self.fd_links.data(), index)
        self.count[S_SESSIONS] += 1
        self.count[S_SESSIONS_OPENED] += 1
        self.opened = True
        self.settle(index, now)
        return index

    cdef int grow_descriptors(self, int fd) except -1 nogil:
        cdef Chain empty
        chain_init(&empty)
        self.by_fd.resize(fd + 1, empty)
        return 0

    cdef int take_session(self) except -1 nogil:
        cdef int index
        cdef Session blank
        if self.free_sessions.empty():
            index = <int>self.sessions.size()
            self.sessions.resize(index + 1)
            self.ready_links.resize(index + 1, chain_off())
            self.fd_links.resize(index + 1, chain_off())
            self.silence.reserve(index + 1)
        else:
            index = self.free_sessions.back()
            self.free_sessions.pop_back()
        self.serial += 1
        blank.serial = self.serial
        blank.connection = blank.bytes = 0
        blank.fd = NO_FD
        blank.key = NIL
        blank.phase = FREE
        blank.closing = NOT_CLOSED
        blank.at_work = 0
        chain_init(&blank.waiting)
        blank.known = blank.cut = False
        self.sessions[index] = blank
        return index

    cdef int c_close(self, int index, int reason, int64_t now) except -1 nogil:
        cdef Session *session = &self.sessions[index]
        if session.closing:
            return 0
        session.closing = reason
        if session.key != NIL:
            self.keys.forget(session.key)
            session.key = NIL
        return self.settle(index, now)

    cdef int c_close_all(self, int reason, int64_t now) except -1 nogil:
        cdef int index
        for index in range(<int>self.sessions.size()):
            if self.sessions[index].phase != FREE:
                self.c_close(index, reason, now)
        return 0

    cdef int c_sweep(self, int64_t now) except -1 nogil:
        cdef int closed = 0, index = self.silence.expired(now)
        while index != NIL:
            self.c_close(index, TIMED_OUT, now)
            closed += 1
            index = self.silence.expired(now)
        return closed

    cdef int c_disconnected(self, int fd) except -1 nogil:
        cdef int index
        if fd < 0 or <size_t>fd >= self.by_fd.size():
            return 0
        index = chain_pop(&self.by_fd[fd], self.fd_links.data())
        while index != NIL:
            self.sessions[index].cut = True
            self.sessions[index].fd = NO_FD
            index = chain_pop(&self.by_fd[fd], self.fd_links.data())
        return 0

    cdef int unbind(self, int index) except -1 nogil:
        cdef int fd = self.sessions[index].fd
        if fd >= 0 and chain_has(self.fd_links.data(), index):
            chain_remove(&self.by_fd[fd], self.fd_links.data(), index)
        self.sessions[index].fd = NO_FD
        return 0

    cdef bint c_reachable(self, int index, int64_t serial) noexcept nogil:
        cdef Session *session
        if index < 0 or <size_t>index >= self.sessions.size():
            return False
        session = &self.sessions[index]
        return session.serial == serial and session.key != NIL and not session.cut

    cdef int settle(self, int index, int64_t now) except -1 nogil:
        """Into which orders a session belongs, after anything of it has changed."""
        cdef Session *session = &self.sessions[index]
        cdef bint idle = (
            session.phase == OPEN and not session.at_work and not session.waiting.length
        )
        cdef bint ready
        if idle and session.closing and not (self.tells == TELLS_ALL or session.known):
            return self.release(index)
        ready = session.phase == NEW or (idle and session.closing) or (
            session.phase == OPEN and session.waiting.length
            and session.at_work < self.concurrency
        )
        if ready != chain_has(self.ready_links.data(), index):
            if ready:
                chain_append(&self.ready, self.ready_links.data(), index)
            else:
                chain_remove(&self.ready, self.ready_links.data(), index)
        if idle and not session.closing:
            self.silence.refresh(index, now)
        else:
            self.silence.remove(index)
        return 0

    cdef int release(self, int index) except -1 nogil:
        cdef Session *session = &self.sessions[index]
        if chain_has(self.ready_links.data(), index):
            chain_remove(&self.ready, self.ready_links.data(), index)
        self.silence.remove(index)
        self.unbind(index)
        session.phase = FREE
        self.count[S_SESSIONS] -= 1
        self.count[S_SESSIONS_CLOSED] += 1
        self.count[S_CLOSED_TIMEOUT + session.closing - TIMED_OUT] += 1
        self.free_sessions.push_back(index)
        return 0
