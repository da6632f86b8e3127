"""The frames of a load generator's clients and workers, by protocol (brigantine.wire.req*).

Frame 0 is always the name of the connection, which our own ROUTER takes and gives; what is listed here
as a peer's message begins with frame 1.
"""

from libc.string cimport memcpy, strlen
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
    zmq_msg_data,
    zmq_msg_init,
    zmq_msg_init_size,
)

from ..wire cimport mdp, ppp, req
from ..wire.messages cimport MDP01, MDP02, PPP, REQ
from ..wire.envelope cimport (
    Frames,
    frame_is,
    frame_is_byte,
    frame_set_byte,
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


cdef inline char *append_blank(Frames *to, size_t size) except NULL nogil:
    """Append a frame of `size` bytes that are still to be written, and return where."""
    frames_reserve(to, to.count + 1)
    zmq_msg_close(&to.at[to.count])
    if zmq_msg_init_size(&to.at[to.count], size) != 0:
        zmq_msg_init(&to.at[to.count])
        raise_zmq_error()
    to.count += 1
    return <char *>zmq_msg_data(&to.at[to.count - 1])


cdef inline int append_byte(Frames *to, unsigned char byte) except -1 nogil:
    """Append a frame with one byte."""
    return frames_append(to, &byte, 1)


cdef inline int append_request_head(
    Frames *to, int protocol, const char *service, size_t size
) except -1 nogil:
    """What a client sends in front of a body."""
    if protocol == MDP02:
        frames_append(to, mdp.CLIENT_02, mdp.HEADER_SIZE)
        append_byte(to, mdp.CLIENT_REQUEST)
        frames_append(to, service, size)
        return 0
    frames_append(to, NULL, 0)
    if protocol == MDP01:
        frames_append(to, mdp.CLIENT_01, mdp.HEADER_SIZE)
        frames_append(to, service, size)
    return 0


cdef inline int reply_body(
    const Frames *frames, int protocol, const char *service, size_t size
) noexcept nogil:
    """The first frame of the body of a client's reply, or IS_PARTIAL or IS_MALFORMED."""
    if protocol == MDP02:
        if (
            frames.count < 5
            or not mdp.is_header(frames, 1, mdp.CLIENT_02)
            or not frame_is(frames, 3, service, size)
        ):
            return IS_MALFORMED
        if frame_is_byte(frames, 2, mdp.CLIENT_PARTIAL):
            return IS_PARTIAL
        return 4 if frame_is_byte(frames, 2, mdp.CLIENT_FINAL) else IS_MALFORMED
    if frames.count < 3 or frame_size(frames, 1) != 0:
        return IS_MALFORMED
    if protocol != MDP01:
        return 2
    if (
        frames.count < 5
        or not mdp.is_header(frames, 2, mdp.CLIENT_01)
        or not frame_is(frames, 3, service, size)
    ):
        return IS_MALFORMED
    return 4


cdef inline int append_mdp_worker(Frames *to, int protocol, int command) except -1 nogil:
    """How a worker of Majordomo begins: header and command, one byte."""
    if protocol == MDP01:
        frames_append(to, NULL, 0)
    frames_append(to, mdp.worker_header(protocol), mdp.HEADER_SIZE)
    return append_byte(to, command)


cdef inline int append_ready(
    Frames *to, int protocol, const char *service, size_t service_size,
    const char *capacity, size_t capacity_size,
) except -1 nogil:
    """READY; `capacity` is a msgpack integer, empty for 1.  Not for PROXY."""
    cdef char *frame
    if protocol == REQ:
        frames_append(to, NULL, 0)
        frames_append(to, req.READY, strlen(req.READY))
    elif protocol == PPP:
        # 0x01 and the capacity share a frame.
        frame = append_blank(to, capacity_size + 1)
        frame[0] = ppp.READY
        if capacity_size:
            memcpy(frame + 1, capacity, capacity_size)
    else:
        append_mdp_worker(to, protocol, mdp.READY)
        frames_append(to, service, service_size)
        if capacity_size:
            frames_append(to, capacity, capacity_size)
    return 0


cdef inline int append_heartbeat(Frames *to, int protocol) except -1 nogil:
    """HEARTBEAT, of PPP or MDP."""
    if protocol == PPP:
        return append_byte(to, ppp.HEARTBEAT)
    return append_mdp_worker(to, protocol, mdp.heartbeat_byte(protocol))


cdef inline int append_disconnect(Frames *to, int protocol) except -1 nogil:
    """DISCONNECT, of MDP."""
    return append_mdp_worker(to, protocol, mdp.disconnect_byte(protocol))


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
        return BEATS if frames.count == 2 and frame_is_byte(frames, 1, ppp.HEARTBEAT) else asks(frames, 1)
    # [] "MDPW01" command... or "MDPW02" command...
    at = 2 if protocol == MDP01 else 1
    if frames.count < at + 2 or not mdp.is_header(frames, at, mdp.worker_header(protocol)):
        return TALKS_NONSENSE
    if frame_is_byte(frames, at + 1, mdp.REQUEST):
        return asks(frames, at + 2)
    if frame_is_byte(frames, at + 1, mdp.heartbeat_byte(protocol)):
        return BEATS
    if frame_is_byte(frames, at + 1, mdp.disconnect_byte(protocol)):
        return DISCONNECTS
    return TALKS_NONSENSE


cdef inline int make_reply(Frames *request, int protocol) except -1 nogil:
    """Turn a request that a worker was sent into its reply: the same body to the same address."""
    if protocol == MDP01:
        return frame_set_byte(&request.at[3], mdp.REPLY_01)
    if protocol == MDP02:
        return frame_set_byte(&request.at[2], mdp.FINAL_02)
    return 0
