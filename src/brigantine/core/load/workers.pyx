"""The workers of a load generator."""

import msgpack

from libcpp.algorithm cimport fill

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL, chain_has
from ..structures.clock cimport monotonic
from ..wire.messages cimport MDP01, MDP02, PPP
from .line cimport NOTHING
from .schedule cimport NEVER
from .wire cimport (
    ASKS,
    BEATS,
    DISCONNECTS,
    PROXY,
    append_disconnect,
    append_heartbeat,
    append_ready,
    broker_says,
    make_reply,
)
from ..libzmq.zmqapi cimport brigantine_zmq

from ...wire.ready import MAX_CAPACITY
from ...errors import OptionName, ConfigError

__all__ = ["WORKER_COUNTS", "Workers"]

zmqapi.bind(&brigantine_zmq)

WORKER_COUNTS = (
    "served", "heartbeats_sent", "heartbeats_received", "disconnects", "ready_again", "nonsense",
)  # fmt: skip


cdef class Workers:
    """Workers on the connections of ``line``.

    ``protocol`` is one of load_wire; ``interval`` is seconds between heartbeats, and ``liveness``
    how many of them the broker may be silent.
    """

    def __cinit__(
        self, Line line not None, int protocol, bytes service not None, int capacity,
        double interval, int liveness,
    ):
        if not 1 <= capacity <= MAX_CAPACITY:
            raise ConfigError(OptionName("capacity"), f" must be from 1 to {MAX_CAPACITY}, not {capacity}")
        if capacity > 1 and protocol not in (PPP, MDP01, MDP02):
            raise ConfigError(
                f"capacity {capacity}: only workers of ppp and mdp can take several requests at once"
            )
        if not interval > 0 or liveness < 1:
            raise ConfigError(
                OptionName("heartbeat_interval"),
                f" ({interval!r}) and liveness ({liveness}) must be above 0"
            )
        self.line = line
        self.protocol = protocol
        self.heartbeating = protocol in (PPP, MDP01, MDP02)
        self.service = service
        self.capacity = msgpack.packb(capacity) if capacity > 1 else b""
        self.served.resize(line.count)
        self.heartbeats = ExpiryOrder(interval)
        self.silences = ExpiryOrder(interval * liveness)
        self.absences = ExpiryOrder(interval)
        self.interval = self.heartbeats.timeout
        for order in (self.heartbeats, self.silences, self.absences):
            (<ExpiryOrder>order).reserve(line.count)

    def start(self):
        """READY from all workers, for the first time."""
        self.announce(monotonic())
        self.count_from_here()

    def goodbye(self):
        """DISCONNECT from all workers, where the protocol has it."""
        cdef int worker
        if self.protocol == MDP01 or self.protocol == MDP02:
            for worker in range(self.line.count):
                self.line.begin(worker)
                append_disconnect(&self.line.outgoing, self.protocol)
                self.line.send(&self.line.outgoing)

    def counts(self):
        """Every counter by its name in WORKER_COUNTS."""
        return {name: self.count[index] for index, name in enumerate(WORKER_COUNTS)}

    def shares(self):
        """Requests that each worker has answered, in the order of the workers."""
        return [self.served[worker] for worker in range(self.line.count)]

    cdef void count_from_here(self) noexcept nogil:
        cdef int counter
        for counter in range(WORKER_COUNTERS):
            self.count[counter] = 0
        fill(self.served.begin(), self.served.end(), <int64_t>0)

    cdef int announce(self, int64_t now) except -1 nogil:
        cdef int worker
        for worker in range(self.line.count):
            self.ready(worker, now)
            if self.heartbeating:
                self.silences.refresh(worker, now)
        return 0

    cdef int ready(self, int worker, int64_t now) except -1 nogil:
        """READY from one worker."""
        if self.protocol == PROXY:
            return 0
        self.line.begin(worker)
        append_ready(
            &self.line.outgoing, self.protocol, self.service.data(), self.service.size(),
            self.capacity.data(), self.capacity.size(),
        )
        self.count[READY_AGAIN] += 1
        if self.heartbeating:
            self.absences.remove(worker)
            self.heartbeats.refresh(worker, now)
        return self.line.send(&self.line.outgoing)

    cdef bint serve(self, int64_t now) except -1 nogil:
        cdef int worker = self.line.receive()
        if worker == NOTHING:
            return False
        if self.heartbeating:
            self.silences.refresh(worker, now)
        self.say(now, worker)
        return True

    cdef int say(self, int64_t now, int worker) except -1 nogil:
        """Answer the message in the inbox."""
        cdef int said = broker_says(&self.line.inbox, self.protocol)
        if said == ASKS:
            make_reply(&self.line.inbox, self.protocol)
            if self.line.send(&self.line.inbox):
                self.served[worker] += 1
                self.count[SERVED] += 1
            if self.heartbeating and chain_has(self.heartbeats.links.data(), worker):
                self.heartbeats.refresh(worker, now)
        elif said == BEATS:
            self.count[HEARTBEATS_RECEIVED] += 1
        elif said == DISCONNECTS:
            self.count[DISCONNECTED] += 1
            self.heartbeats.remove(worker)
            self.silences.remove(worker)
            self.absences.refresh(worker, now)
        else:
            self.count[NONSENSE] += 1
        return 0

    cdef int tick(self, int64_t now) except -1 nogil:
        cdef int worker
        if not self.heartbeating:
            return 0
        while True:
            worker = self.heartbeats.expired(now)
            if worker == NIL:
                break
            self.heartbeats.refresh(worker, now)
            self.line.begin(worker)
            append_heartbeat(&self.line.outgoing, self.protocol)
            self.line.send(&self.line.outgoing)
            self.count[HEARTBEATS_SENT] += 1
        while True:
            worker = self.silences.expired(now)
            if worker == NIL:
                break
            # Once in a silence: what a suspended broker has not read yet waits for it.
            self.ready(worker, now)
        while True:
            worker = self.absences.expired(now)
            if worker == NIL:
                break
            self.ready(worker, now)
            self.silences.refresh(worker, now)
        return 0

    cdef int64_t next_deadline(self) noexcept nogil:
        cdef int64_t deadline = NEVER
        if self.heartbeats.next_deadline() >= 0:
            deadline = min(deadline, self.heartbeats.next_deadline())
        if self.silences.next_deadline() >= 0:
            deadline = min(deadline, self.silences.next_deadline())
        if self.absences.next_deadline() >= 0:
            deadline = min(deadline, self.absences.next_deadline())
        return deadline

    cdef void forgive(self, int64_t now) noexcept nogil:
        cdef int worker
        for worker in range(self.line.count):
            if chain_has(self.silences.links.data(), worker):
                self.silences.refresh(worker, now)
