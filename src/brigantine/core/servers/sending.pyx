"""What a server sends to its clients: replies and errors, in the framing of each."""

from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_close, zmq_msg_init, zmq_msg_size, zmq_msg_t

from ..libzmq cimport zmqapi
from ..wire.envelope cimport (
    data_of,
    frame_empty,
    frame_set,
    frames_append,
    frames_clear,
    frames_free,
    frames_init,
    frames_reserve,
)
from ..switchboard.outbox cimport FRONTEND
from ..sessions.counters cimport SERVER_COUNT
from .heads cimport (
    ASK,
    BEAT,
    BYE,
    EPOCH_AT,
    FAILED,
    FINAL,
    GONE,
    HEARD,
    HELLO,
    PART,
    PUSH,
    REFUSED,
    SERIAL_AT,
    WELCOME,
    head_set,
    read_big,
)
from ..sessions.sessions cimport Sessions
from ..libzmq.zmqapi cimport brigantine_zmq

from ...counters import SERVER_COUNTERS
from ...wire import server as server_wire
from ...wire.server_errors import answers_of

zmqapi.bind(&brigantine_zmq)

# Kinds of heads by name, as heads.pxd has them.
HEADS = {
    "HELLO": HELLO, "BEAT": BEAT, "ASK": ASK, "BYE": BYE, "WELCOME": WELCOME, "HEARD": HEARD, "PART": PART,
    "FINAL": FINAL, "FAILED": FAILED, "PUSH": PUSH, "GONE": GONE, "REFUSED": REFUSED,
}


cdef check_heads():
    """Raise ``ImportError`` unless a head is, byte for byte, what ``brigantine.wire.server`` writes."""
    cdef zmq_msg_t frame
    token = bytes(range(1, 17))
    zmq_msg_init(&frame)
    for name, kind in HEADS.items():
        head_set(&frame, kind, <const unsigned char *><const char *>token, read_big(
            <const unsigned char *><const char *>token + SERIAL_AT - EPOCH_AT
        ), 1 << 60 | 5)
        found = data_of(&frame)[:zmq_msg_size(&frame)]
        if found != server_wire.pack_head(getattr(server_wire, name), token, 1 << 60 | 5):
            raise ImportError(f"{name} of core/servers/heads.pxd is {found!r}")
    zmq_msg_close(&frame)


check_heads()


cdef class Sending(Routers):
    """Base of the server's loop: see :class:`~brigantine.core.ServerLoop`."""

    def __cinit__(self, *_, **__):
        frames_init(&self.head)
        frames_init(&self.empty)

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.clients.size()):
            zmq_msg_close(&self.clients[index].name)
        frames_free(&self.head)
        frames_free(&self.empty)

    cdef int speak(self, object config, bytes epoch, int tells) except -1:
        self.sessions = Sessions(config, tells)
        memcpy(self.epoch, <const char *>epoch, sizeof(self.epoch))
        self.max_depth = config.max_depth
        for name in list(SERVER_COUNTERS)[:SERVER_COUNT]:
            frames, foreign = answers_of(name, SERVER_COUNTERS[name])
            self.told.push_back(frames)
            self.untold.push_back(foreign)
        return 0

    cdef int tell(self, Work *work, int reason) except -1 nogil:
        if not self.sessions.c_reachable(work.turn.session, work.turn.serial):
            return 0
        return self.tell_to(
            work.key, work.delimiter, work.ours, work.told, work.turn.serial, work.number, reason
        )

    cdef int tell_to(
        self, const string *key, bint delimiter, bint ours, bint told, int64_t serial,
        uint64_t number, int reason,
    ) except -1 nogil:
        cdef vector[string] *frames = &self.told[reason] if ours or told else &self.untold[reason]
        cdef size_t index
        frames_clear(&self.empty)
        for index in range(frames.size()):
            frames_append(&self.empty, frames.at(index).data(), frames.at(index).size())
        self.send_to(
            key, delimiter, FAILED if ours else 0, serial, number, self.empty.at, self.empty.count
        )
        return 0

    cdef int send_to(
        self, const string *key, bint delimiter, int kind, int64_t serial, uint64_t number,
        zmq_msg_t *body, int bodies,
    ) except -1 nogil:
        cdef Frames *head = &self.head
        cdef size_t at = 0, size
        cdef int count = 0, sent
        frames_reserve(head, self.max_depth + 3)
        while at < key.size():
            size = <unsigned char>key.at(at)
            frame_set(&head.at[count], key.data() + at + 1, size)
            at += size + 1
            count += 1
        if delimiter or kind:
            frame_empty(&head.at[count])
            count += 1
        if kind:
            head_set(&head.at[count], kind, self.epoch, <uint64_t>serial, number)
            count += 1
        head.count = count
        sent = self.send(FRONTEND, head.at, count, body, bodies)
        return sent

    cdef int forget_client(self, int session) except -1 nogil:
        if <size_t>session < self.clients.size():
            zmq_msg_close(&self.clients[session].name)
            zmq_msg_init(&self.clients[session].name)
        return 0
