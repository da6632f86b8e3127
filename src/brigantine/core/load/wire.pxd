"""The frames of a load generator's clients and workers, by protocol (brigantine.wire.req*).

Frame 0 is always the name of the connection, which our own ROUTER takes and gives; what stands here
as a peer's message begins with frame 1.
"""

from libc.string cimport memcpy
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_init_size,
)

from ..wire.messages cimport MDP01, MDP02, PPP, REQ
from ..wire.envelope cimport (
    Frames,
    frame_is,
    frame_set,
    frame_size,
    frames_append,
    frames_reserve,
)
from ..libzmq.zmqapi cimport raise_zmq_error

cdef enum:
    # Beside REQ, PPP, MDP01 and MDP02: peers of a blind proxy.  Workers announce nothing.
    PROXY = 0
    # What reply_body answers when there is no body of a last reply.
    IS_PARTIAL = -2
    IS_MALFORMED = -3
    # What a broker says to a worker.
    ASKS = 0
    BEATS = 1
    DISCONNECTS = 2
    TALKS_NONSENSE = 3
    HEADER_SIZE = 6  # "MDPC01" and the like


cdef inline char *append_blank(Frames *to, size_t size) except NULL nogil:
    """Append a frame of `size` bytes that are still to be written, and return where."""
    frames_reserve(to, to.count + 1)
    zmq_msg_close(&to.at[to.count])
    if zmq_msg_init_size(&to.at[to.count], size) != 0:
        zmq_msg_init(&to.at[to.count])
        raise_zmq_error()
    to.count += 1
    return <char *>zmq_msg_data(&to.at[to.count - 1])


cdef inline bint is_byte(const Frames *frames, int index, unsigned char byte) noexcept nogil:
    """Whether a frame holds this byte and no other."""
    return (
        frame_size(frames, index) == 1
        and (<const unsigned char *>zmq_msg_data(&frames.at[index]))[0] == byte
    )


cdef inline int append_request_head(
    Frames *to, int protocol, const char *service, size_t size
) except -1 nogil:
    """What a client sends in front of a body."""
    if protocol == MDP02:
        frames_append(to, b"MDPC02", HEADER_SIZE)
        frames_append(to, b"\x01", 1)
        frames_append(to, service, size)
        return 0
    frames_append(to, NULL, 0)
    if protocol == MDP01:
        frames_append(to, b"MDPC01", HEADER_SIZE)
        frames_append(to, service, size)
    return 0


cdef inline int reply_body(
    const Frames *frames, int protocol, const char *service, size_t size
) noexcept nogil:
    """The first frame of the body of a client's reply, or IS_PARTIAL or IS_MALFORMED."""
    if protocol == MDP02:
        if (
            frames.count < 5
            or not frame_is(frames, 1, b"MDPC02", HEADER_SIZE)
            or not frame_is(frames, 3, service, size)
        ):
            return IS_MALFORMED
        if is_byte(frames, 2, 2):
            return IS_PARTIAL
        return 4 if is_byte(frames, 2, 3) else IS_MALFORMED
    if frames.count < 3 or frame_size(frames, 1) != 0:
        return IS_MALFORMED
    if protocol != MDP01:
        return 2
    if (
        frames.count < 5
        or not frame_is(frames, 2, b"MDPC01", HEADER_SIZE)
        or not frame_is(frames, 3, service, size)
    ):
        return IS_MALFORMED
    return 4


cdef inline int append_mdp_worker(Frames *to, int protocol, const char *command) except -1 nogil:
    """How a worker of Majordomo begins: header and command, one byte."""
    if protocol == MDP01:
        frames_append(to, NULL, 0)
    frames_append(to, b"MDPW01" if protocol == MDP01 else b"MDPW02", HEADER_SIZE)
    frames_append(to, command, 1)
    return 0


cdef inline int append_ready(
    Frames *to, int protocol, const char *service, size_t service_size,
    const char *capacity, size_t capacity_size,
) except -1 nogil:
    """READY; `capacity` is a msgpack integer, empty for 1.  Not for PROXY."""
    cdef char *frame
    if protocol == REQ:
        frames_append(to, NULL, 0)
        frames_append(to, b"READY", 5)
    elif protocol == PPP:
        # 0x01 and the capacity share a frame.
        frame = append_blank(to, capacity_size + 1)
        frame[0] = 1
        if capacity_size:
            memcpy(frame + 1, capacity, capacity_size)
    else:
        append_mdp_worker(to, protocol, b"\x01")
        frames_append(to, service, service_size)
        if capacity_size:
            frames_append(to, capacity, capacity_size)
    return 0


cdef inline int append_heartbeat(Frames *to, int protocol) except -1 nogil:
    """HEARTBEAT, of PPP or MDP."""
    if protocol == PPP:
        return frames_append(to, b"\x02", 1)
    return append_mdp_worker(to, protocol, b"\x04" if protocol == MDP01 else b"\x05")


cdef inline int append_disconnect(Frames *to, int protocol) except -1 nogil:
    """DISCONNECT, of MDP."""
    return append_mdp_worker(to, protocol, b"\x05" if protocol == MDP01 else b"\x06")


cdef inline int asks(const Frames *frames, int at) noexcept nogil:
    """ASKS if what begins at a frame is an address of one frame or more, [] and a body."""
    cdef int index
    for index in range(at + 1, frames.count - 1):
        if frame_size(frames, index) == 0:
            return ASKS
    return TALKS_NONSENSE


cdef inline int broker_says(const Frames *frames, int protocol) noexcept nogil:
    """What a worker was told."""
    cdef int at
    if protocol == REQ:     # [] ticket [] body...
        return asks(frames, 2) if frames.count > 1 and frame_size(frames, 1) == 0 else TALKS_NONSENSE
    if protocol == PROXY:   # client [] body...
        return asks(frames, 1)
    if protocol == PPP:     # ticket [] body... or 0x02
        return BEATS if frames.count == 2 and is_byte(frames, 1, 2) else asks(frames, 1)
    # [] "MDPW01" command... or "MDPW02" command...
    at = 2 if protocol == MDP01 else 1
    if frames.count < at + 2 or not frame_is(
        frames, at, b"MDPW01" if protocol == MDP01 else b"MDPW02", HEADER_SIZE
    ):
        return TALKS_NONSENSE
    if is_byte(frames, at + 1, 2):
        return asks(frames, at + 2)
    if is_byte(frames, at + 1, 4 if protocol == MDP01 else 5):
        return BEATS
    if is_byte(frames, at + 1, 5 if protocol == MDP01 else 6):
        return DISCONNECTS
    return TALKS_NONSENSE


cdef inline int make_reply(Frames *request, int protocol) except -1 nogil:
    """Turn a request that a worker was sent into its reply: the same body to the same address."""
    if protocol == MDP01:
        return frame_set(&request.at[3], b"\x03", 1)
    if protocol == MDP02:
        return frame_set(&request.at[2], b"\x04", 1)
    return 0
