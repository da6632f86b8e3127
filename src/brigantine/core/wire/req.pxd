"""Plain clients and REQ workers: frames as a ROUTER received them -> command (see brigantine.wire.req).

    client -> broker   id... [] body...
    worker -> broker   id [] "READY"   or   id [] 0x01
    worker -> broker   id [] ticket [] body...
    broker -> worker   id [] ticket [] body...
"""

from libc.string cimport strlen

from .messages cimport *
from .envelope cimport (
    TOO_DEEP,
    Frames,
    find_delimiter,
    frame_empty,
    frame_is_byte,
    frame_is_word,
    frame_set,
    frame_size,
    frames_reserve,
)

# Values: as in brigantine.wire.req, checked by codec.pyx.
cdef extern from *:
    """
    #define BRIGANTINE_REQ_READY "READY"
    #define BRIGANTINE_REQ_LEAVING "brigantine/1:leaving"
    """
    const char *READY "BRIGANTINE_REQ_READY"
    const char *LEAVING "BRIGANTINE_REQ_LEAVING"

cdef enum:
    READY_BYTE = 1


cdef inline bint is_ready_word(const Frames *frames, int at) noexcept nogil:
    """Whether a frame is READY, in either spelling."""
    return frame_is_word(frames, at, READY) or frame_is_byte(frames, at, READY_BYTE)


cdef inline Command parse_req_client(const Frames *frames, int max_depth) noexcept nogil:
    """A request for the default service."""
    cdef Command made
    cdef int at = find_delimiter(frames, max_depth)
    if at == TOO_DEEP:
        return command(SAYS_TOO_DEEP, 0)
    if at < 0 or at + 1 == frames.count:
        return command(SAYS_MALFORMED, 0)
    made = command(SAYS_REQUEST, REQ)
    made.address = at
    made.body = at + 1
    return made


cdef inline Command parse_req_worker(const Frames *frames) noexcept nogil:
    """READY or a reply."""
    if frames.count == 3 and frame_size(frames, 1) == 0:
        if is_ready_word(frames, 2):
            return command(SAYS_READY, REQ)
        if frame_is_word(frames, 2, LEAVING):
            return command(SAYS_LEAVING, REQ)
        return malformed_answer(0, 2)
    if (
        frames.count > 4
        and frame_size(frames, 1) == 0
        and frame_size(frames, 2) != 0
        and frame_size(frames, 3) == 0
    ):
        return answer(SAYS_FINAL, REQ, 2, 4)
    return malformed_answer(0, 2 if frames.count > 2 else NONE)


cdef inline int head_req(
    Frames *head, const void *identity, size_t identity_size, const void *ticket, size_t ticket_size
) except -1 nogil:
    """The frames before the body of a request on its way to a REQ worker."""
    frames_reserve(head, 4)
    frame_set(&head.at[0], identity, identity_size)
    frame_empty(&head.at[1])
    frame_set(&head.at[2], ticket, ticket_size)
    frame_empty(&head.at[3])
    head.count = 4
    return 0


cdef inline int leaving_req(
    Frames *head, const void *identity, size_t identity_size
) except -1 nogil:
    """The answer to LEAVING."""
    frames_reserve(head, 3)
    frame_set(&head.at[0], identity, identity_size)
    frame_empty(&head.at[1])
    frame_set(&head.at[2], LEAVING, strlen(LEAVING))
    head.count = 3
    return 0
