"""The Majordomo Protocol 0.1 and 0.2 (frames: brigantine.wire.mdp)."""

from zmq.backend.cython.libzmq cimport zmq_msg_data

from .ready cimport decode_capacity, decode_interval
from .messages cimport *
from .envelope cimport Frames, frame_empty, frame_is, frame_set, frame_size, frames_reserve

cdef enum:
    HEADER_SIZE = 6  # "MDPC01" and the like
    # a client's command frame, 0.2
    CLIENT_COMMAND_AT = 2


cdef inline Command parse_mdp01_client(const Frames *frames, int delimiter) noexcept nogil:
    """id... [] "MDPC01" service body..."""
    cdef Command made
    if frames.count < delimiter + 4:
        return command(SAYS_MALFORMED, MDP01)
    made = command(SAYS_REQUEST, MDP01)
    made.address = delimiter
    made.service = delimiter + 2
    made.body = delimiter + 3
    return made


cdef inline Command parse_mdp02_client(const Frames *frames) noexcept nogil:
    """id "MDPC02" 0x01 service body..."""
    cdef Command made
    if frames.count < 5 or not frame_is(frames, CLIENT_COMMAND_AT, b"\x01", 1):
        return command(SAYS_MALFORMED, MDP02)
    made = command(SAYS_REQUEST, MDP02)
    made.address = 1
    made.service = 3
    made.body = 4
    return made


cdef inline bint parse_led_client(const Frames *frames, Command *made) noexcept nogil:
    """id... [] "MDPC02" command service body..., of published clients, where `made` is a plain request."""
    cdef int at = made.address
    cdef int dialect
    if frames.count < at + 3:
        return False
    if frame_is(frames, at + 2, b"\x01", 1):
        dialect = LED
    elif frame_is(frames, at + 2, b"\x02", 1):
        dialect = SHIFTED
    else:
        return False
    if frames.count < at + 5:
        made[0] = command(SAYS_MALFORMED, MDP02)
        return True
    made[0] = command(SAYS_REQUEST, MDP02)
    made.dialect = dialect
    made.address = at
    made.service = at + 3
    made.body = at + 4
    return True


cdef inline int client_head(
    Frames *frames, int head, int protocol, int dialect, bint partial
) except -1 nogil:
    """Make of a request's frames the head of its reply, and return how many they are.

    `head` is how many stand before its body: the last two are the command of 0.2 and the service.
    """
    if protocol != MDP02:
        return head
    if dialect == SHIFTED:
        frame_set(&frames.at[head - 2], b"\x03" if partial else b"\x04", 1)
        return head - 1
    frame_set(&frames.at[head - 2], b"\x02" if partial else b"\x03", 1)
    return head


cdef inline int mdp_worker_says(int byte, int protocol) noexcept nogil:
    """What a worker's command byte means."""
    if byte == 1:
        return SAYS_READY
    if protocol == MDP01:
        if byte == 3:
            return SAYS_FINAL
        if byte == 4:
            return SAYS_HEARTBEAT
        if byte == 5:
            return SAYS_DISCONNECT
        return SAYS_MALFORMED
    if byte == 3:
        return SAYS_PARTIAL
    if byte == 4:
        return SAYS_FINAL
    if byte == 5:
        return SAYS_HEARTBEAT
    if byte == 6:
        return SAYS_DISCONNECT
    return SAYS_MALFORMED


cdef inline bint ready_announces(const Frames *frames, int at, Command *made) noexcept nogil:
    """What stands behind the service in READY: nothing, a capacity, or a capacity and an interval."""
    if frames.count > at:
        made.capacity = decode_capacity(
            <const unsigned char *>zmq_msg_data(&frames.at[at]), frame_size(frames, at)
        )
        if made.capacity == 0:
            return False
    if frames.count > at + 1:
        made.interval = decode_interval(
            <const unsigned char *>zmq_msg_data(&frames.at[at + 1]), frame_size(frames, at + 1)
        )
        return made.interval > 0
    return True


cdef inline Command parse_mdp_worker(const Frames *frames, int at, int protocol) noexcept nogil:
    """A message whose header "MDPW01" or "MDPW02" is frame `at`."""
    cdef Command made = command(SAYS_MALFORMED, protocol)
    cdef int says
    if frames.count < at + 2 or frame_size(frames, at + 1) != 1:
        return made
    says = mdp_worker_says((<const unsigned char *>zmq_msg_data(&frames.at[at + 1]))[0], protocol)
    if says == SAYS_READY:
        if at + 3 <= frames.count <= at + 5 and ready_announces(frames, at + 3, &made):
            made.says = says
            made.service = at + 2
    elif says == SAYS_FINAL or says == SAYS_PARTIAL:
        if (
            frames.count > at + 4
            and frame_size(frames, at + 2) != 0
            and frame_size(frames, at + 3) == 0
        ):
            return answer(says, protocol, at + 2, at + 4)
        if frames.count > at + 2 and frame_size(frames, at + 2) != 0:
            return malformed_answer(protocol, at + 2)
    elif says != SAYS_MALFORMED and frames.count == at + 2:
        made.says = says
    elif (
        says == SAYS_HEARTBEAT
        and frames.count == at + 3
        and frame_is(frames, at + 2, b"brigantine/1:leaving", LEAVING_SIZE)
    ):
        made.says = SAYS_LEAVING
    return made


cdef inline int head_mdp_command(
    Frames *head, const void *identity, size_t identity_size, int protocol, const char *byte
) except -1 nogil:
    """id [] "MDPW01" byte, or id "MDPW02" byte."""
    cdef int at = 1
    frames_reserve(head, 6)
    frame_set(&head.at[0], identity, identity_size)
    if protocol == MDP01:
        frame_empty(&head.at[1])
        at = 2
    frame_set(&head.at[at], b"MDPW01" if protocol == MDP01 else b"MDPW02", HEADER_SIZE)
    frame_set(&head.at[at + 1], byte, 1)
    head.count = at + 2
    return 0


cdef inline int head_mdp(
    Frames *head, const void *identity, size_t identity_size, int protocol,
    const void *ticket, size_t ticket_size,
) except -1 nogil:
    """What stands in front of a request's body."""
    head_mdp_command(head, identity, identity_size, protocol, b"\x02")
    frame_set(&head.at[head.count], ticket, ticket_size)
    frame_empty(&head.at[head.count + 1])
    head.count += 2
    return 0
