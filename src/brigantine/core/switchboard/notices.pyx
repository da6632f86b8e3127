"""What a broker tells a person: which notices, and their message."""

from libc.string cimport strlen
from zmq.backend.cython.libzmq cimport zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..wire.envelope cimport data_of
from .events cimport NO_CAUSE
from ..structures.expiry cimport nanoseconds
from ..wire.msgpack_writer cimport pack_array, pack_bytes, pack_nil, pack_uint
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.limits import KIND_BURST as _KIND_BURST
from ...config.limits import KIND_EVERY as _KIND_EVERY
from ...config.limits import NOTICE_BURST as _NOTICE_BURST
from ...config.limits import NOTICE_BYTES as _NOTICE_BYTES
from ...config.limits import NOTICE_EVERY as _NOTICE_EVERY
from ...config.limits import NOTICE_FRAMES as _NOTICE_FRAMES
from ...config.limits import NOTICES_KNOWN as _NOTICES_KNOWN
from ...notices.kinds import KINDS

zmqapi.bind(&brigantine_zmq)

cdef enum:
    FIELDS = 8

cdef int64_t KIND_EVERY = nanoseconds(_KIND_EVERY)
cdef int64_t KIND_AHEAD = (_KIND_BURST - 1) * KIND_EVERY
cdef int64_t NOTICE_EVERY = nanoseconds(_NOTICE_EVERY)
cdef int64_t NOTICE_AHEAD = (_NOTICE_BURST - 1) * NOTICE_EVERY
cdef int NOTICE_FRAMES = _NOTICE_FRAMES
cdef size_t NOTICE_BYTES = _NOTICE_BYTES
cdef int NOTICES_KNOWN = _NOTICES_KNOWN
# Kinds of which one of a peer is told.
cdef vector[bint] ONCE
cdef vector[int] LEVELS
for _kind in KINDS.values():
    ONCE.push_back(_kind.once)
    LEVELS.push_back(_kind.level)


cdef int level_of(int kind) noexcept nogil:
    return LEVELS[kind]


cdef class NoticeGate:
    """Lets through what is new, at a bounded rate: of each kind, and of all."""

    def __cinit__(self):
        self.known = NameTable()
        self.kind_paid.resize(NOTICE_COUNT, 0)

    cdef bint admits(self, const Notice *notice, int64_t now, bint *due) except -1 nogil:
        cdef int64_t *kind = &self.kind_paid[notice.kind]
        due[0] = True
        if ONCE[notice.kind]:
            self.key.clear()
            self.key.push_back(<char>notice.kind)
            self.key.push_back(<char>notice.reason)
            if notice.peer != NULL:
                self.key.append(notice.peer, notice.peer_size)
            if self.known.find(self.key.data(), self.key.size()) != NIL:
                due[0] = False
                return False
        if kind[0] - now > KIND_AHEAD or self.paid - now > NOTICE_AHEAD:
            return False
        kind[0] = max(kind[0], now) + KIND_EVERY
        self.paid = max(self.paid, now) + NOTICE_EVERY
        if ONCE[notice.kind]:
            # Indexes are given out in turn, and the one that was forgotten is given out next.
            if self.known.bound() == NOTICES_KNOWN:
                self.known.forget(self.oldest)
                self.oldest = (self.oldest + 1) % NOTICES_KNOWN
            self.known.add(self.key.data(), self.key.size())
        return True


cdef int pack_notice(string *out, const Notice *notice) except -1 nogil:
    cdef int index, kept = 0, count = 0
    cdef size_t size
    pack_array(out, FIELDS)
    pack_uint(out, notice.kind)
    if notice.reason == NO_CAUSE:
        pack_nil(out)
    else:
        pack_uint(out, notice.reason)
    pack_name(out, notice.peer, notice.peer_size)
    pack_name(out, notice.service, notice.service_size)
    pack_name(out, notice.address, 0 if notice.address == NULL else strlen(notice.address))
    pack_array(out, notice.number_count)
    for index in range(notice.number_count):
        pack_uint(out, notice.numbers[index])
    if notice.frames != NULL and notice.frames.count > 1:
        count = notice.frames.count - 1
        kept = min(count, NOTICE_FRAMES)
    pack_uint(out, count)
    pack_array(out, kept)
    for index in range(1, kept + 1):
        size = zmq_msg_size(&notice.frames.at[index])
        pack_array(out, 2)
        pack_uint(out, size)
        pack_bytes(out, data_of(&notice.frames.at[index]), min(size, NOTICE_BYTES))
    return 0


cdef void pack_name(string *out, const char *name, size_t size) noexcept nogil:
    if name == NULL:
        pack_nil(out)
    else:
        pack_bytes(out, name, size)
