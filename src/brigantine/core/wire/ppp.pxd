"""The Paranoid Pirate Protocol (see brigantine.wire.ppp).

    worker -> broker   id 0x01[capacity[interval]]  READY
    both ways          id 0x02                   HEARTBEAT
    both ways          id ticket [] body...      REQUEST, REPLY
"""

from zmq.backend.cython.libzmq cimport zmq_msg_data

from .ready cimport decode_both
from .messages cimport *
from .envelope cimport Frames, frame_empty, frame_is, frame_set, frame_size, frames_reserve


cdef inline Command parse_ppp_worker(const Frames *frames) noexcept nogil:
    """The second frame is not empty."""
    cdef Command made
    cdef const unsigned char *data
    if frames.count == 2:
        if frame_is(frames, 1, b"\x02", 1):
            return command(SAYS_HEARTBEAT, PPP)
        if frame_is(frames, 1, b"brigantine/1:leaving", LEAVING_SIZE):
            return command(SAYS_LEAVING, PPP)
        data = <const unsigned char *>zmq_msg_data(&frames.at[1])
        if data[0] != 1:
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


cdef inline int head_ppp(
    Frames *head, const void *identity, size_t identity_size, const void *ticket, size_t ticket_size
) except -1 nogil:
    """What stands in front of a request's body."""
    frames_reserve(head, 3)
    frame_set(&head.at[0], identity, identity_size)
    frame_set(&head.at[1], ticket, ticket_size)
    frame_empty(&head.at[2])
    head.count = 3
    return 0


cdef inline int heartbeat_ppp(
    Frames *head, const void *identity, size_t identity_size
) except -1 nogil:
    """HEARTBEAT for a worker."""
    frames_reserve(head, 2)
    frame_set(&head.at[0], identity, identity_size)
    frame_set(&head.at[1], b"\x02", 1)
    head.count = 2
    return 0


cdef inline int leaving_ppp(
    Frames *head, const void *identity, size_t identity_size
) except -1 nogil:
    """The answer to LEAVING."""
    frames_reserve(head, 2)
    frame_set(&head.at[0], identity, identity_size)
    frame_set(&head.at[1], b"brigantine/1:leaving", LEAVING_SIZE)
    head.count = 2
    return 0
