"""The clients of a load generator."""

from libc.string cimport memcmp, memcpy, memset
from zmq.backend.cython.libzmq cimport zmq_msg_data

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..structures.clock cimport monotonic
from ..wire.envelope cimport Frames, frame_is, frame_size
from .line cimport NOTHING
from .wire cimport (
    IS_MALFORMED,
    IS_PARTIAL,
    append_blank,
    append_request_head,
    reply_body,
)
from ..libzmq.zmqapi cimport brigantine_zmq

from ...errors import OptionName, ConfigError
from ...wire.req import BROKER_ERROR_MARK as _BROKER_ERROR_MARK
from ...wire.req import ERROR_MARK as _ERROR_MARK

__all__ = ["CLIENT_COUNTS", "Clients"]

zmqapi.bind(&brigantine_zmq)

CLIENT_COUNTS = (
    "sent", "replies", "lost", "late", "duplicates", "wrong", "errors", "partials",
)  # fmt: skip

cdef enum:
    KEPT_LOST = 1 << 20
    # An error report has two frames: a mark, and a msgpack map.
    ERROR_FRAMES = 2

cdef string ERROR_MARK = _ERROR_MARK
cdef string BROKER_ERROR_MARK = _BROKER_ERROR_MARK
# Printable: what prints a message need not fear one of ours.
_FILL = bytes(range(0x21, 0x7F))


cdef class Clients:
    """Clients on the connections of ``line``, with up to ``window`` requests out each.

    ``protocol`` is one of load_wire; ``size`` the bytes of a body, at least 16; ``timeout`` the
    seconds after which a request counts as lost.
    """

    def __cinit__(
        self, Line line not None, int protocol, int window, int size, bytes service not None,
        double timeout,
    ):
        cdef int client, place
        if window < 1:
            raise ConfigError(OptionName("window"), f" must be 1 or more, not {window}")
        if size < <int>sizeof(Stamp):
            raise ConfigError(OptionName("size"), f" must be {sizeof(Stamp)} bytes or more, not {size}")
        if not timeout > 0:
            raise ConfigError(OptionName("timeout"), f" must be above 0 seconds, not {timeout!r}")
        self.line = line
        self.protocol = protocol
        self.window = window
        self.size = size
        self.service = service
        self.fill = (_FILL * (size // len(_FILL) + 1))[:size]
        self.slots.resize(line.count * window)
        self.free.resize(line.count * window)
        self.free_count.resize(line.count)
        for client in range(line.count):
            self.free_count[client] = window
            for place in range(window):
                self.free[client * window + place] = client * window + place
        self.timeouts = ExpiryOrder(timeout)
        self.timeouts.reserve(line.count * window)
        self.latencies = Histogram()
        self.count_from_here()

    cdef void count_from_here(self) noexcept nogil:
        self.first = self.number + 1
        memset(self.count, 0, sizeof(self.count))
        self.latencies.c_clear()
        self.last_reply = self.worst_lag = 0

    cdef bint has_place(self, int client) noexcept nogil:
        return self.free_count[client] > 0

    cdef int ask(self, int client, int64_t intended, int64_t now) except -1 nogil:
        cdef Stamp stamp
        cdef Slot *slot
        cdef char *body
        self.number += 1
        self.free_count[client] -= 1
        stamp.client = client
        stamp.slot = self.free[client * self.window + self.free_count[client]]
        stamp.number = self.number
        slot = &self.slots[stamp.slot]
        slot.number = self.number
        slot.intended = intended
        self.timeouts.refresh(stamp.slot, now)
        self.out += 1
        self.note(SENT, self.number)
        self.worst_lag = max(self.worst_lag, now - intended)
        self.line.begin(client)
        append_request_head(
            &self.line.outgoing, self.protocol, self.service.data(), self.service.size()
        )
        body = append_blank(&self.line.outgoing, self.size)
        memcpy(body, self.fill.data(), self.size)
        memcpy(body, &stamp, sizeof(stamp))
        # What can't be sent now (an inproc broker is gone) has no reply, and is lost in time.
        self.line.send(&self.line.outgoing)
        return 0

    cdef int take(self) except -2 nogil:
        cdef int body, client = self.line.receive()
        cdef Frames *inbox = &self.line.inbox
        if client == NOTHING:
            return NO_MORE
        body = reply_body(inbox, self.protocol, self.service.data(), self.service.size())
        if body == IS_PARTIAL:
            self.count[PARTIALS] += 1
            return NO_PLACE
        if body == IS_MALFORMED:
            self.count[WRONG] += 1
            return NO_PLACE
        if inbox.count == body + 1:
            return self.answer(client, body)
        if inbox.count == body + ERROR_FRAMES and (
            frame_is(inbox, body, ERROR_MARK.data(), ERROR_MARK.size())
            or frame_is(inbox, body, BROKER_ERROR_MARK.data(), BROKER_ERROR_MARK.size())
        ):
            return self.error(client)
        self.count[WRONG] += 1
        return NO_PLACE

    cdef int answer(self, int client, int body) except -2 nogil:
        """A reply of one body frame."""
        cdef Stamp stamp
        cdef const char *data
        cdef int64_t now
        if frame_size(&self.line.inbox, body) != <size_t>self.size:
            self.count[WRONG] += 1
            return NO_PLACE
        data = <const char *>zmq_msg_data(&self.line.inbox.at[body])
        memcpy(&stamp, data, sizeof(stamp))
        if (
            stamp.client != client
            or not client * self.window <= stamp.slot < (client + 1) * self.window
            or not 0 < stamp.number <= self.number
            or memcmp(
                data + sizeof(stamp), self.fill.data() + sizeof(stamp), self.size - sizeof(stamp)
            ) != 0
        ):
            self.count[WRONG] += 1
            return NO_PLACE
        if self.slots[stamp.slot].number != stamp.number:
            return self.unknown(stamp.number)
        now = monotonic()
        if stamp.number >= self.first:
            self.count[REPLIES] += 1
            self.latencies.note(now - self.slots[stamp.slot].intended)
            self.last_reply = now
        return self.release(stamp.slot)

    cdef int error(self, int client) except -2 nogil:
        """An error report.  It does not say what it answers: taken for the oldest that is out."""
        cdef int slot, oldest = NIL
        for slot in range(client * self.window, (client + 1) * self.window):
            if self.slots[slot].number and (
                oldest == NIL or self.slots[slot].number < self.slots[oldest].number
            ):
                oldest = slot
        if oldest == NIL:
            self.count[LATE] += 1
            return NO_PLACE
        self.note(ERRORS, self.slots[oldest].number)
        # If it was for another one, a reply may still come.
        if self.lost.size() < KEPT_LOST:
            self.lost.insert(self.slots[oldest].number)
        return self.release(oldest)

    cdef int unknown(self, int64_t number) noexcept nogil:
        """A right reply to a request that is not out any more."""
        self.note(LATE if self.lost.erase(number) else DUPLICATES, number)
        return NO_PLACE

    cdef int expire(self, int64_t now) noexcept nogil:
        cdef int slot = self.timeouts.expired(now)
        if slot == NIL:
            return NO_MORE
        self.note(LOST, self.slots[slot].number)
        if self.lost.size() < KEPT_LOST:
            self.lost.insert(self.slots[slot].number)
        return self.release(slot)

    cdef int release(self, int slot) noexcept nogil:
        """Free a slot; its client."""
        cdef int client = slot // self.window
        self.timeouts.remove(slot)
        self.slots[slot].number = 0
        self.free[client * self.window + self.free_count[client]] = slot
        self.free_count[client] += 1
        self.out -= 1
        return client

    cdef void note(self, int counter, int64_t number) noexcept nogil:
        """Count what became of a request, if it is one that counts."""
        if number >= self.first:
            self.count[counter] += 1

    def counts(self):
        """Every counter by its name in CLIENT_COUNTS."""
        return {name: self.count[index] for index, name in enumerate(CLIENT_COUNTS)}
