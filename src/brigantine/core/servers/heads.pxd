"""What an AsyncServer and its clients say to each other: the same is in brigantine.wire.server."""

from libc.stdint cimport uint64_t
from libc.string cimport memcmp, memcpy
from zmq.backend.cython.libzmq cimport zmq_msg_data, zmq_msg_size, zmq_msg_t

from ..wire.envelope cimport frame_set

cdef enum:
    HELLO = 0x01
    BEAT = 0x02
    ASK = 0x03
    BYE = 0x04
    WELCOME = 0x11
    HEARD = 0x12
    PART = 0x13
    FINAL = 0x14
    FAILED = 0x15
    PUSH = 0x16
    GONE = 0x17
    REFUSED = 0x18
    # The head: mark, kind, token (epoch and serial number of the session), number.
    MARK_BYTES = 5
    KIND_AT = 5
    EPOCH_AT = 6
    SERIAL_AT = 14
    NUMBER_AT = 22
    HEAD_BYTES = 30


cdef inline uint64_t read_big(const unsigned char *at) noexcept nogil:
    cdef uint64_t value = 0
    cdef int index
    for index in range(8):
        value = value << 8 | at[index]
    return value


cdef inline void write_big(unsigned char *at, uint64_t value) noexcept nogil:
    cdef int index
    for index in range(8):
        at[7 - index] = <unsigned char>(value >> 8 * index)


cdef inline const unsigned char *head_of(zmq_msg_t *frame) noexcept nogil:
    """The bytes of a frame that is a head; NULL for any other."""
    if zmq_msg_size(frame) != HEAD_BYTES or memcmp(zmq_msg_data(frame), b"\0bgn1", MARK_BYTES):
        return NULL
    return <const unsigned char *>zmq_msg_data(frame)


cdef inline int head_set(
    zmq_msg_t *frame, int kind, const unsigned char *epoch, uint64_t serial, uint64_t number
) except -1 nogil:
    cdef unsigned char head[HEAD_BYTES]
    memcpy(head, b"\0bgn1", MARK_BYTES)
    head[KIND_AT] = <unsigned char>kind
    memcpy(&head[EPOCH_AT], epoch, 8)
    write_big(&head[SERIAL_AT], serial)
    write_big(&head[NUMBER_AT], number)
    return frame_set(frame, head, HEAD_BYTES)
