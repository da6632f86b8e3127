"""A load generator: clients that ask and workers that answer, in one thread without the GIL."""

import os

import zmq

from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.string cimport memcpy
from posix.unistd cimport read

from ..libzmq.polling cimport POLLIN, pollfd
from ..structures.clock cimport monotonic
from ..wire.messages cimport MDP01 as _MDP01, MDP02 as _MDP02, PPP as _PPP, REQ as _REQ
from ..structures.expiry cimport nanoseconds, seconds_of
from .clients cimport CLIENT_COUNTERS, NO_MORE
from .schedule cimport NEVER, NO_CLIENT, NO_END
from .wire cimport PROXY as _PROXY

from ...errors import OptionName, ConfigError
from .clients import CLIENT_COUNTS
from .workers import WORKER_COUNTS

__all__ = ["PROTOCOLS", "Load"]

#: What the peers of each pattern speak; Majordomo by its version.
PROTOCOLS = {"lru": _REQ, "ppp": _PPP, "mdp 0.1": _MDP01, "mdp 0.2": _MDP02, "proxy": _PROXY}

cdef enum:
    # Messages handled from one socket before the other is looked at.
    BATCH = 64

# A wait ends by itself after so long, to count what is due meanwhile.
cdef int64_t MAX_SLEEP = nanoseconds(1.0)


cdef class Load:
    """Runs ``clients``, ``workers`` or both until told to stop, or for as long as :meth:`run` says.

    With ``rate`` 0 each client sends its next request when it has a reply (closed loop); otherwise
    ``rate`` requests a second are meant to be sent over all clients at even distances (open loop).
    """

    def __cinit__(self, clients, workers, double rate=0.0):
        """Raises :class:`~brigantine.errors.ConfigError` for neither, or a rate without clients."""
        if clients is None and workers is None:
            raise ConfigError("clients and workers are both 0: there is nothing to do")
        if not 0 <= rate < 1e9:
            raise ConfigError(OptionName("rate"), f" must be from 0 to 1e9 requests a second, not {rate!r}")
        self.clients, self.workers = clients, workers
        self.has_clients = clients is not None
        self.has_workers = workers is not None
        self.pipe = os.pipe()
        for descriptor in self.pipe:
            os.set_blocking(descriptor, False)
        for index in range(POLLED):
            self.signals[index] = pollfd(-1, POLLIN, 0)  # poll passes over it
        self.signals[WAKE_AT].fd = self.pipe[0]
        if self.has_clients:
            self.schedule = Schedule(self.clients.line.count, rate)
            self.signals[CLIENTS_AT].fd = self.clients.line.socket.getsockopt(zmq.FD)
        if self.has_workers:
            self.signals[WORKERS_AT].fd = self.workers.line.socket.getsockopt(zmq.FD)

    def close(self):
        """Give the descriptors back.  Not while :meth:`run` runs; the sockets are the caller's."""
        pipe, self.pipe = self.pipe, ()
        for descriptor in pipe:
            os.close(descriptor)

    # -- from any thread ------------------------------------------------------------------------

    def stop(self):
        """Make :meth:`run` return at once."""
        self._wish(STOP)

    def announce(self):
        """Have all workers say READY again, as to a broker that was restarted."""
        self._wish(ANNOUNCE)

    def forget(self):
        """Take back what came too late for a :meth:`run` that has ended, or it would meet the next."""
        self.wishes.take()

    def _wish(self, int flag):
        self.wishes.add(flag)
        if self.pipe:
            try:
                os.write(self.pipe[1], b"\0")
            except BlockingIOError:  # full of reasons to wake up already
                pass

    def counts(self):
        """All counters by name as they stood together after some turn of late, and ``unsent``."""
        cdef int64_t count[PUBLISHED]
        with nogil:
            self.lock.read(count, self.published, PUBLISHED)
        names = (*CLIENT_COUNTS, *WORKER_COUNTS, "unsent")
        return {name: count[index] for index, name in enumerate(names)}

    # -- the run ----------------------------------------------------------------------------------

    def run(self, requests=None, duration=None, double warmup=0.0):
        """Send until ``requests`` are sent or ``duration`` seconds are over; wait for what is out.

        What happens in the first ``warmup`` seconds, which come on top, counts for nothing.  Without
        clients it ends after ``duration``, or by :meth:`stop`.  Returns whether :meth:`stop` ended it.
        """
        cdef int64_t most = NO_END if requests is None else requests
        cdef int64_t last = NEVER if duration is None else nanoseconds(duration)
        if most < 1 or last < 0 or warmup < 0:
            raise ConfigError(
                OptionName("requests"),
                f" ({requests}) must be 1 or more, duration ({duration}) and warmup "
                f"({warmup}) not negative"
            )
        if self.has_clients and requests is None and duration is None:
            raise ConfigError("with clients, requests or duration must say when it is over")
        with nogil:
            self.c_run(nanoseconds(warmup), last, most)
        return self.interrupted

    @property
    def seconds(self):
        """How long the last run took from the end of its warm-up until its last reply counted."""
        cdef int64_t end = self.ended
        if self.has_clients:
            end = max(end, self.clients.last_reply)
        return seconds_of(max(0, end - self.counted_from)) if self.counted_from else 0.0

    @property
    def latencies(self):
        """The :class:`~.histogram.Histogram` of the last run; ``None`` without clients."""
        return self.clients.latencies if self.has_clients else None

    @property
    def worst_lag(self):
        """Seconds that a request was sent later than it was meant to, at most."""
        return seconds_of(self.clients.worst_lag) if self.has_clients else 0.0

    cdef int c_run(self, int64_t warmup, int64_t duration, int64_t requests) except -1 nogil:
        cdef int64_t now = monotonic(), turned = now
        cdef bint more
        brigantine_wake_in_time()
        self.begin(now, warmup, duration, requests)
        while True:
            now = monotonic()
            if self.has_workers and now - turned - self.asked_to_sleep > self.workers.interval:
                self.workers.forgive(now)
            self.obey(now)
            if not self.counted_from and now >= self.warm:
                self.count_from_here(now)
            if not self.ended and (
                self.interrupted or now >= self.end or (self.has_clients and self.schedule.left <= 0)
            ):
                self.finish_sending(now)
            more = self.turn(now)
            self.publish()
            if self.interrupted or (self.ended and (not self.has_clients or not self.clients.out)):
                return 0
            turned = monotonic()
            self.asked_to_sleep = 0
            if not more:
                self.wait(self.next_deadline())

    cdef int begin(
        self, int64_t now, int64_t warmup, int64_t duration, int64_t requests
    ) except -1 nogil:
        cdef int client
        self.warm = now + warmup
        self.end = NEVER if duration == NEVER else self.warm + duration
        self.requests = requests
        self.counted_from = self.ended = self.unsent = self.asked_to_sleep = 0
        self.interrupted = False
        if self.has_clients:
            self.schedule.begin(now, self.end, NO_END)
        if warmup == 0:
            self.count_from_here(now)
        if self.has_clients:
            for client in range(self.clients.line.count):
                self.pump(client, now)
        return 0

    cdef void count_from_here(self, int64_t now) noexcept nogil:
        """The end of the warm-up."""
        self.counted_from = now
        if self.has_clients:
            self.clients.count_from_here()
            self.schedule.left = self.requests
        if self.has_workers:
            self.workers.count_from_here()

    cdef int obey(self, int64_t now) except -1 nogil:
        """Do what other threads wish."""
        cdef int wish = self.wishes.take()
        if wish & STOP:
            self.interrupted = True
        if wish & ANNOUNCE and self.has_workers:
            self.workers.announce(now)
        return 0

    cdef int finish_sending(self, int64_t now) except -1 nogil:
        """Send what was meant to be sent until now and can be; from now on only receive."""
        cdef int client
        self.ended = now
        if not self.has_clients:
            return 0
        while not self.interrupted:
            client = self.schedule.come(now)
            if client == NO_CLIENT:
                break
            self.pump(client, now)
        if self.schedule.spacing:
            self.unsent = min(self.schedule.left, self.schedule.issued - self.schedule.taken)
        self.schedule.left = 0
        return 0

    cdef bint turn(self, int64_t now) except -1 nogil:
        """Receive, send and count what there is; whether there may be more already."""
        cdef int client, _turn
        cdef bint more = False
        if self.has_workers:
            for _turn in range(BATCH):
                if not self.workers.serve(now):
                    break
            else:
                more = True
            self.workers.tick(now)
        if not self.has_clients:
            return more
        for _turn in range(BATCH):
            client = self.clients.take()
            if client == NO_MORE:
                break
            if client >= 0:
                self.pump(client, monotonic())
        else:
            more = True
        while True:
            client = self.clients.expire(now)
            if client == NO_MORE:
                break
            self.pump(client, now)
        for _turn in range(BATCH):
            client = self.schedule.come(now)
            if client == NO_CLIENT:
                break
            self.pump(client, now)
        else:
            more = True
        return more

    cdef int pump(self, int client, int64_t now) except -1 nogil:
        """Send what a client is to send, as far as its window allows."""
        cdef int64_t intended
        while self.clients.has_place(client):
            intended = self.schedule.next_for(client, now)
            if intended == NEVER:
                break
            self.clients.ask(client, intended, now)
            self.schedule.took(client)
        return 0

    cdef int64_t next_deadline(self) noexcept nogil:
        cdef int64_t deadline = NEVER, timeout
        if not self.counted_from:
            deadline = self.warm
        elif not self.ended:
            deadline = self.end
        if self.has_clients:
            deadline = min(deadline, self.schedule.next_time())
            timeout = self.clients.timeouts.next_deadline()
            if timeout >= 0:
                deadline = min(deadline, timeout)
        if self.has_workers:
            deadline = min(deadline, self.workers.next_deadline())
        return deadline

    cdef int wait(self, int64_t until) except -1 nogil:
        """Sleep until there is something to receive, at the longest until then."""
        cdef int64_t sleep = min(until - monotonic(), MAX_SLEEP)
        cdef char wakes[64]
        if (
            sleep <= 0
            or (self.has_clients and self.clients.line.readable())
            or (self.has_workers and self.workers.line.readable())
        ):
            return 0
        self.asked_to_sleep = sleep
        if brigantine_sleep(self.signals, POLLED, sleep) < 0:
            if errno != EINTR:
                with gil:
                    PyErr_SetFromErrno(OSError)
            with gil:
                PyErr_CheckSignals()
        elif self.signals[WAKE_AT].revents:
            read(self.signals[WAKE_AT].fd, wakes, sizeof(wakes))
        return 0

    cdef void publish(self) noexcept nogil:
        self.lock.begin()
        if self.has_clients:
            memcpy(self.published, self.clients.count, sizeof(self.clients.count))
        if self.has_workers:
            memcpy(&self.published[CLIENT_COUNTERS], self.workers.count, sizeof(self.workers.count))
        self.published[UNSENT] = self.unsent
        self.lock.end()
