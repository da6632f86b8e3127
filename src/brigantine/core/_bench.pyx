"""The hot paths in a tight loop, as the broker runs them: what the benchmarks time.

Each class prepares its data once; ``run(count)`` does ``count`` rounds and leaves things as they were.
Sending is played by zmq_msg_move, which empties a frame as zmq_msg_send does.
"""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_data, zmq_msg_t

from .libzmq cimport zmqapi
from .structures.chain cimport NIL
from .wire.mdp cimport CLIENT_02, CLIENT_REQUEST, FINAL_02, HEADER_SIZE
from .wire.req cimport head_req
from .switchboard.dispatch cimport dispatch_all
from .wire.envelope cimport (
    Frames,
    find_delimiter,
    frames_append,
    frames_clear,
    frames_extend,
    frames_free,
    frames_init,
    frames_move,
    frames_size,
    frames_swap,
)
from .structures.expiry cimport ExpiryOrder, nanoseconds
from .structures.lru cimport LRUOrder
from .sessions.counters cimport S_REPLIED
from .sessions.keeping cimport TELLS_NONE
from .sessions.sessions cimport Sessions, Turn
from .switchboard.outbox cimport BACKEND, FRONTEND, OK, UNWEIGHED, Outbox
from .switchboard.records cimport NO_CONNECTION
from .switchboard.switchboard cimport Switchboard
from .structures.tickets cimport ANSWERED, TicketTable
from .libzmq.zmqapi cimport brigantine_zmq

from ..config import BrokerConfig
from ..config.servers import ServerConfig
from ..config.protocols import Protocol
from ..wire.req import READY
from ..wire.mdp import READY as MDP_READY
from ..wire.mdp import WORKER_02

__all__ = [
    "EnvelopeRounds",
    "ExpiryRounds",
    "LRURounds",
    "MajordomoRounds",
    "SessionsRounds",
    "SwitchboardRounds",
    "TicketRounds",
]

zmqapi.bind(&brigantine_zmq)

cdef enum:
    IDENTITY_SIZE = 5
    TOKEN_SIZE = 16
    COMMAND_AT = 2  # its place in a message of an MDP 0.2 worker

cdef const char *IDENTITY = b"\x00\x12\x34\x56\x78"
cdef const char *TOKEN = b"0000000012345678"


def _identity(number):
    """Five bytes, the first of them zero, as libzmq makes them up."""
    return b"\0" + number.to_bytes(4, "big")


cdef class EnvelopeRounds:
    """A round: check a request's bounds, split it, wrap it for a worker, the reply for the client.

    Nothing is moved: the body is sent from where it was received, after a new head, and the reply
    goes after the address stack and delimiter in place.
    """

    cdef Frames inbox, request, head
    cdef int max_frames, max_depth, delimiter
    cdef int64_t max_bytes

    def __cinit__(self, frames):
        frames_init(&self.inbox)
        frames_init(&self.request)
        frames_init(&self.head)
        frames_extend(&self.inbox, frames)
        self.max_frames = BrokerConfig.max_frames
        self.max_depth = BrokerConfig.max_depth
        self.max_bytes = BrokerConfig.max_message_bytes

    def __dealloc__(self):
        frames_free(&self.inbox)
        frames_free(&self.request)
        frames_free(&self.head)

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        with nogil:
            for _turn in range(count):
                self.round()

    cdef int round(self) except -1 nogil:
        if (
            self.inbox.count > self.max_frames
            or frames_size(&self.inbox, 0, self.inbox.count) > self.max_bytes
        ):
            return 0
        self.delimiter = find_delimiter(&self.inbox, self.max_depth)
        frames_swap(&self.request, &self.inbox)
        head_req(&self.head, IDENTITY, IDENTITY_SIZE, TOKEN, TOKEN_SIZE)
        frames_swap(&self.request, &self.inbox)
        return 0


cdef class LRURounds:
    """A round: take the least recently used of ``workers`` workers, and append it again."""

    cdef LRUOrder order

    def __cinit__(self, int workers):
        cdef int worker
        self.order = LRUOrder()
        self.order.reserve(workers)
        for worker in range(workers):
            self.order.ready(worker)

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        cdef int worker
        with nogil:
            for _turn in range(count):
                worker = self.order.next()
                if worker != NIL:
                    self.order.ready(worker)


cdef class ExpiryRounds:
    """A round: one sweep over ``workers`` deadlines, of which ``share`` has expired and is set again."""

    cdef ExpiryOrder order
    cdef int64_t now, step

    def __cinit__(self, int workers, double share):
        cdef int worker
        self.order = ExpiryOrder(1.0)
        self.order.reserve(workers)
        self.now = nanoseconds(1.0)
        self.step = nanoseconds(share)
        # Spread evenly: in `share` seconds that share of them expires.
        for worker in range(workers):
            self.order.refresh(worker, nanoseconds((worker + 1.0) / workers))

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        with nogil:
            for _turn in range(count):
                self.round()

    cdef void round(self) noexcept nogil:
        cdef int worker
        self.now += self.step
        worker = self.order.expired(self.now)
        while worker != NIL:
            self.order.refresh(worker, self.now)
            worker = self.order.expired(self.now)


cdef class SessionsRounds:
    """A round: a request of one of ``sessions`` sessions in turn: heard, handed out, done, swept."""

    cdef Sessions board
    cdef vector[string] keys
    cdef size_t next
    cdef int64_t now

    def __cinit__(self, int sessions):
        cdef int number
        self.board = Sessions(ServerConfig(max_sessions=sessions, session_timeout=86400.0), TELLS_NONE)
        for number in range(sessions):
            self.keys.push_back(<string>(b"\x05\0" + number.to_bytes(4, "big")))
            self.board.c_hear(self.keys.back().data(), self.keys.back().size(), 1, -1, 0)

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        with nogil:
            for _turn in range(count):
                self.round()

    cdef int round(self) except -1 nogil:
        cdef Turn turn
        cdef string *key = &self.keys[self.next]
        cdef int session = self.board.c_hear(key.data(), key.size(), 1, -1, self.now)
        self.next = self.next + 1 if self.next + 1 < self.keys.size() else 0
        self.now += 1
        self.board.c_ask(session, 64, self.now)
        self.board.c_next(&turn)
        self.board.c_done(&turn, S_REPLIED, self.now)
        return self.board.c_sweep(self.now)


cdef class TicketRounds:
    """A round: open a ticket beside ``live`` others, write it, resolve what was written, close it."""

    cdef TicketTable table

    def __cinit__(self, int live):
        cdef int _ticket
        self.table = TicketTable()
        for _ticket in range(live):
            self.table.c_open()

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        cdef char[TOKEN_SIZE] token
        with nogil:
            for _turn in range(count):
                self.table.write(self.table.c_open(), token)
                self.table.c_close(self.table.c_resolve(token, TOKEN_SIZE), ANSWERED)


cdef class Wire(Outbox):
    """Takes every message, and keeps the last one sent to a worker: it is its own reply."""

    cdef Frames last

    def __cinit__(self):
        frames_init(&self.last)

    def __dealloc__(self):
        frames_free(&self.last)

    cdef int send(
        self, int side, zmq_msg_t *head, int heads, zmq_msg_t *body, int bodies,
        int64_t most=UNWEIGHED,
    ) except -1 nogil:
        frames_clear(&self.last)
        frames_move(&self.last, head, heads)
        frames_move(&self.last, body, bodies)
        return OK


cdef class SwitchboardRounds:
    """A round: a request comes in and goes to a worker, its reply comes in and goes to the client."""

    cdef Switchboard switchboard
    cdef Wire wire
    cdef Frames inbox
    cdef bytes body

    def __cinit__(self, int workers, bytes body not None):
        frames_init(&self.inbox)
        self.body = body
        self.wire = Wire()
        self.switchboard = Switchboard(BrokerConfig(), self.wire)
        for number in range(workers):
            self.switchboard.receive(BACKEND, [_identity(number), b"", READY], 0.0)

    def __dealloc__(self):
        frames_free(&self.inbox)

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        cdef const char *body = self.body
        cdef size_t size = len(self.body)
        with nogil:
            for _turn in range(count):
                frames_clear(&self.inbox)
                frames_append(&self.inbox, IDENTITY, IDENTITY_SIZE)
                frames_append(&self.inbox, NULL, 0)
                frames_append(&self.inbox, body, size)
                self.switchboard.c_take(FRONTEND, &self.inbox, 0, NO_CONNECTION, False)
                dispatch_all(self.switchboard, 0)
                frames_clear(&self.inbox)
                frames_swap(&self.inbox, &self.wire.last)
                self.switchboard.c_take(BACKEND, &self.inbox, 0, NO_CONNECTION, False)
                dispatch_all(self.switchboard, 0)

    def replied(self):
        """Rounds done so far."""
        return self.switchboard.counters()["replied"]


cdef class MajordomoRounds:
    """As :class:`SwitchboardRounds`, in MDP 0.2: of ``services`` services, each with a worker, in turn."""

    cdef Switchboard switchboard
    cdef Wire wire
    cdef Frames inbox
    cdef bytes body
    cdef vector[string] names
    cdef size_t next
    cdef char command

    def __cinit__(self, int services, bytes body not None):
        frames_init(&self.inbox)
        self.command = CLIENT_REQUEST
        self.body = body
        self.wire = Wire()
        self.switchboard = Switchboard(
            BrokerConfig(max_services=services), self.wire, protocols=Protocol.MDP02
        )
        for number in range(services):
            name = b"service-%d" % number
            self.names.push_back(name)
            self.switchboard.receive(
                BACKEND, [_identity(number), WORKER_02, MDP_READY, name], 0.0
            )

    def __dealloc__(self):
        frames_free(&self.inbox)

    def run(self, int64_t count):
        """``count`` rounds."""
        cdef int64_t _turn
        cdef const char *body = self.body
        cdef size_t size = len(self.body)
        with nogil:
            for _turn in range(count):
                self.round(body, size)

    cdef int round(self, const char *body, size_t size) except -1 nogil:
        cdef string *name = &self.names[self.next]
        self.next = (self.next + 1) % self.names.size()
        frames_clear(&self.inbox)
        frames_append(&self.inbox, IDENTITY, IDENTITY_SIZE)
        frames_append(&self.inbox, CLIENT_02, HEADER_SIZE)
        frames_append(&self.inbox, &self.command, 1)
        frames_append(&self.inbox, name.data(), name.size())
        frames_append(&self.inbox, body, size)
        self.switchboard.c_take(FRONTEND, &self.inbox, 0, NO_CONNECTION, False)
        dispatch_all(self.switchboard, 0)
        frames_clear(&self.inbox)
        frames_swap(&self.inbox, &self.wire.last)
        (<char *>zmq_msg_data(&self.inbox.at[COMMAND_AT]))[0] = FINAL_02
        self.switchboard.c_take(BACKEND, &self.inbox, 0, NO_CONNECTION, False)
        dispatch_all(self.switchboard, 0)
        return 0

    def replied(self):
        """Rounds done so far."""
        return self.switchboard.counters()["replied"]
