"""When which client is to send."""

from libcpp.algorithm cimport fill

__all__ = ["Schedule"]

NEVER = <int64_t>1 << 62
NO_END = <int64_t>1 << 62

cdef double SECOND = 1e9


cdef class Schedule:
    """A closed loop with ``rate`` 0, else an open one of ``rate`` requests a second over all clients."""

    def __cinit__(self, int clients, double rate):
        self.clients = clients
        self.spacing = SECOND / rate if rate else 0.0
        self.sent.resize(clients)

    cdef void begin(self, int64_t now, int64_t end, int64_t left) noexcept nogil:
        self.start = now
        self.end = end
        self.left = left
        self.issued = self.taken = 0
        fill(self.sent.begin(), self.sent.end(), <int64_t>0)

    cdef int64_t next_for(self, int client, int64_t now) noexcept nogil:
        cdef int64_t number
        if self.left <= 0:
            return NEVER
        if self.spacing == 0.0:
            return now
        number = client + self.sent[client] * self.clients
        return self.moment(number) if number < self.issued else NEVER

    cdef void took(self, int client) noexcept nogil:
        self.left -= 1
        self.taken += 1
        self.sent[client] += 1

    cdef int come(self, int64_t now) noexcept nogil:
        cdef int client
        if self.next_time() > now:
            return NO_CLIENT
        client = <int>(self.issued % self.clients)
        self.issued += 1
        return client

    cdef int64_t next_time(self) noexcept nogil:
        cdef int64_t moment
        # Those that wait for a client are promised a place in what is left.
        if self.spacing == 0.0 or self.issued - self.taken >= self.left:
            return NEVER
        moment = self.moment(self.issued)
        return moment if moment < self.end else NEVER

    cdef int64_t moment(self, int64_t number) noexcept nogil:
        return self.start + <int64_t>(number * self.spacing)
