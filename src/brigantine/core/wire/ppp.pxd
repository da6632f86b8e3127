"""The Paranoid Pirate Protocol (see brigantine.wire.ppp).

    worker -> broker   id 0x01[capacity[interval]]  READY
    both ways          id 0x02                   HEARTBEAT
    both ways          id ticket [] body...      REQUEST, REPLY
"""

from libc.string cimport strlen
from zmq.backend.cython.libzmq cimport zmq_msg_data

from .ready cimport decode_both
from .messages cimport *
from .envelope cimport (
    Frames,
    frame_empty,
    frame_is_byte,
    frame_is_word,
    frame_set,
    frame_set_byte,
    frame_size,
    frames_reserve,
)
from .req cimport LEAVING

# Values: as in brigantine.wire.ppp, checked by codec.pyx.
cdef enum:
    READY = 1
    HEARTBEAT = 2

cdef extern from *:
    """
    #define BRIGANTINE_PPP_READY_WORD "READY"
    #define BRIGANTINE_PPP_HEARTBEAT_WORD "HEARTBEAT"
    """
    const char *READY_WORD "BRIGANTINE_PPP_READY_WORD"
    const char *HEARTBEAT_WORD "BRIGANTINE_PPP_HEARTBEAT_WORD"


cdef inline Command parse_ppp_worker(const Frames *frames) noexcept nogil:
    """The second frame is not empty."""
    cdef Command made
    cdef const unsigned char *data
    if frames.count == 2:
        if frame_is_byte(frames, 1, HEARTBEAT):
            return command(SAYS_HEARTBEAT, PPP)
        if frame_is_word(frames, 1, LEAVING):
            return command(SAYS_LEAVING, PPP)
        data = <const unsigned char *>zmq_msg_data(&frames.at[1])
        if data[0] != READY:
            return malformed_answer(PPP, 1)
        made = command(SAYS_READY, PPP)
        if frame_size(frames, 1) > 1 and not decode_both(
            data + 1, frame_size(frames, 1) - 1, &made.capacity, &made.interval
        ):
            return command(SAYS_MALFORMED, PPP)
        return made
    if frames.count > 3 and frame_size(frames, 2) == 0:
        return answer(SAYS_FINAL, PPP, 1, 3)
    return malformed_answer(PPP, 1)


cdef inline Command parse_ppp_word(const Frames *frames, Command made) noexcept nogil:
    """What is no command as the RFC has it, but a word of published workers."""
    if frame_is_word(frames, 1, READY_WORD):
        made = command(SAYS_READY, PPP)
    elif frame_is_word(frames, 1, HEARTBEAT_WORD):
        made = command(SAYS_HEARTBEAT, PPP)
    made.dialect = WORDS
    return made


cdef inline int head_ppp(
    Frames *head, const void *identity, size_t identity_size, const void *ticket, size_t ticket_size
) except -1 nogil:
    """The frames before the body of a request."""
    frames_reserve(head, 3)
    frame_set(&head.at[0], identity, identity_size)
    frame_set(&head.at[1], ticket, ticket_size)
    frame_empty(&head.at[2])
    head.count = 3
    return 0


cdef inline int heartbeat_ppp(
    Frames *head, const void *identity, size_t identity_size, int dialect
) except -1 nogil:
    """HEARTBEAT for a worker."""
    frames_reserve(head, 2)
    frame_set(&head.at[0], identity, identity_size)
    if dialect == WORDS:
        frame_set(&head.at[1], HEARTBEAT_WORD, strlen(HEARTBEAT_WORD))
    else:
        frame_set_byte(&head.at[1], HEARTBEAT)
    head.count = 2
    return 0


cdef inline int leaving_ppp(
    Frames *head, const void *identity, size_t identity_size
) except -1 nogil:
    """The answer to LEAVING."""
    frames_reserve(head, 2)
    frame_set(&head.at[0], identity, identity_size)
    frame_set(&head.at[1], LEAVING, strlen(LEAVING))
    head.count = 2
    return 0
