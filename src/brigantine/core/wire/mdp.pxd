"""The Majordomo Protocol 0.1 and 0.2 (frames: brigantine.wire.mdp)."""

from libc.string cimport strlen
from zmq.backend.cython.libzmq cimport zmq_msg_data

from .ready cimport decode_capacity, decode_interval
from .messages cimport *
from .envelope cimport (
    Frames,
    frame_empty,
    frame_is,
    frame_is_byte,
    frame_is_word,
    frame_set,
    frame_set_byte,
    frame_size,
    frames_reserve,
)
from .req cimport LEAVING

# Values: as in brigantine.wire.mdp, checked by codec.pyx.
cdef extern from *:
    """
    #define BRIGANTINE_MDP_CLIENT_01 "MDPC01"
    #define BRIGANTINE_MDP_CLIENT_02 "MDPC02"
    #define BRIGANTINE_MDP_WORKER_01 "MDPW01"
    #define BRIGANTINE_MDP_WORKER_02 "MDPW02"
    #define BRIGANTINE_MDP_MMI_PREFIX "mmi."
    #define BRIGANTINE_MDP_MMI_SERVICE "mmi.service"
    #define BRIGANTINE_MDP_MMI_SERVICES "mmi.services"
    #define BRIGANTINE_MDP_MMI_WORKERS "mmi.workers"
    #define BRIGANTINE_MDP_MMI_STATS "mmi.stats"
    #define BRIGANTINE_MDP_MMI_FOUND "200"
    #define BRIGANTINE_MDP_MMI_NOT_FOUND "404"
    #define BRIGANTINE_MDP_MMI_NOT_IMPLEMENTED "501"
    """
    const char *CLIENT_01 "BRIGANTINE_MDP_CLIENT_01"
    const char *CLIENT_02 "BRIGANTINE_MDP_CLIENT_02"
    const char *WORKER_01 "BRIGANTINE_MDP_WORKER_01"
    const char *WORKER_02 "BRIGANTINE_MDP_WORKER_02"
    const char *MMI_PREFIX "BRIGANTINE_MDP_MMI_PREFIX"
    const char *MMI_SERVICE "BRIGANTINE_MDP_MMI_SERVICE"
    const char *MMI_SERVICES "BRIGANTINE_MDP_MMI_SERVICES"
    const char *MMI_WORKERS "BRIGANTINE_MDP_MMI_WORKERS"
    const char *MMI_STATS "BRIGANTINE_MDP_MMI_STATS"
    const char *MMI_FOUND "BRIGANTINE_MDP_MMI_FOUND"
    const char *MMI_NOT_FOUND "BRIGANTINE_MDP_MMI_NOT_FOUND"
    const char *MMI_NOT_IMPLEMENTED "BRIGANTINE_MDP_MMI_NOT_IMPLEMENTED"

cdef enum:
    HEADER_SIZE = 6  # of the first four
    # 0.2, client's side
    CLIENT_REQUEST = 1
    CLIENT_PARTIAL = 2
    CLIENT_FINAL = 3
    # worker's side, both versions
    READY = 1
    REQUEST = 2
    # 0.1
    REPLY_01 = 3
    HEARTBEAT_01 = 4
    DISCONNECT_01 = 5
    # 0.2
    PARTIAL_02 = 3
    FINAL_02 = 4
    HEARTBEAT_02 = 5
    DISCONNECT_02 = 6


cdef inline bint is_header(const Frames *frames, int at, const char *header) noexcept nogil:
    """Whether a frame is this header, such as CLIENT_01."""
    return frame_is(frames, at, header, HEADER_SIZE)


cdef inline bint is_client_header(const Frames *frames, int at) noexcept nogil:
    """Whether a frame is the header of a client, in either version."""
    return is_header(frames, at, CLIENT_01) or is_header(frames, at, CLIENT_02)


cdef inline const char *worker_header(int protocol) noexcept nogil:
    return WORKER_01 if protocol == MDP01 else WORKER_02


cdef inline int heartbeat_byte(int protocol) noexcept nogil:
    return HEARTBEAT_01 if protocol == MDP01 else HEARTBEAT_02


cdef inline int disconnect_byte(int protocol) noexcept nogil:
    return DISCONNECT_01 if protocol == MDP01 else DISCONNECT_02


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
    if frames.count < 5 or not frame_is_byte(frames, 2, CLIENT_REQUEST):
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
    if frame_is_byte(frames, at + 2, CLIENT_REQUEST):
        dialect = LED
    elif frame_is_byte(frames, at + 2, REQUEST):
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


cdef inline int client_reply_head(
    Frames *frames, int head, int protocol, int dialect, bint partial
) except -1 nogil:
    """Make of a request's frames the head of its reply, and return how many they are.

    `head` is how many come before its body: the last two are the command of 0.2 and the service.
    """
    if protocol != MDP02:
        return head
    if dialect == SHIFTED:
        frame_set_byte(&frames.at[head - 2], PARTIAL_02 if partial else FINAL_02)
        return head - 1
    frame_set_byte(&frames.at[head - 2], CLIENT_PARTIAL if partial else CLIENT_FINAL)
    return head


cdef inline int client_identity_at_mdp(int head, int protocol) noexcept nogil:
    """The frame with the routing id of the asking client; `head` frames come before a request's body."""
    if protocol == MDP01:
        return head - 4  # id... [] "MDPC01" service
    return 0 if head == 4 else head - 5  # id "MDPC02" command service; in a dialect id... [] "MDPC02" ...


cdef inline int mdp_worker_says(int byte, int protocol) noexcept nogil:
    """What a worker's command byte means."""
    if byte == READY:
        return SAYS_READY
    if protocol == MDP01:
        if byte == REPLY_01:
            return SAYS_FINAL
        if byte == HEARTBEAT_01:
            return SAYS_HEARTBEAT
        if byte == DISCONNECT_01:
            return SAYS_DISCONNECT
        return SAYS_MALFORMED
    if byte == PARTIAL_02:
        return SAYS_PARTIAL
    if byte == FINAL_02:
        return SAYS_FINAL
    if byte == HEARTBEAT_02:
        return SAYS_HEARTBEAT
    if byte == DISCONNECT_02:
        return SAYS_DISCONNECT
    return SAYS_MALFORMED


cdef inline bint ready_announces(const Frames *frames, int at, Command *made) noexcept nogil:
    """What follows the service in READY: nothing, a capacity, or a capacity and an interval."""
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
        and frame_is_word(frames, at + 2, LEAVING)
    ):
        made.says = SAYS_LEAVING
    return made


cdef inline int head_mdp_command(
    Frames *head, const void *identity, size_t identity_size, int protocol, int byte
) except -1 nogil:
    """id [] "MDPW01" byte, or id "MDPW02" byte."""
    cdef int at = 1
    frames_reserve(head, 6)
    frame_set(&head.at[0], identity, identity_size)
    if protocol == MDP01:
        frame_empty(&head.at[1])
        at = 2
    frame_set(&head.at[at], worker_header(protocol), HEADER_SIZE)
    frame_set_byte(&head.at[at + 1], byte)
    head.count = at + 2
    return 0


cdef inline int head_mdp(
    Frames *head, const void *identity, size_t identity_size, int protocol,
    const void *ticket, size_t ticket_size,
) except -1 nogil:
    """The frames before the body of a request."""
    head_mdp_command(head, identity, identity_size, protocol, REQUEST)
    frame_set(&head.at[head.count], ticket, ticket_size)
    frame_empty(&head.at[head.count + 1])
    head.count += 2
    return 0


cdef inline int leaving_mdp(
    Frames *head, const void *identity, size_t identity_size, int protocol
) except -1 nogil:
    """The answer to LEAVING: after a HEARTBEAT."""
    head_mdp_command(head, identity, identity_size, protocol, heartbeat_byte(protocol))
    frame_set(&head.at[head.count], LEAVING, strlen(LEAVING))
    head.count += 1
    return 0
