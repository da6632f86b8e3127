"""Plain clients and REQ workers: frames as a ROUTER received them -> command (see brigantine.wire.req).

    client -> broker   id... [] body...
    worker -> broker   id [] "READY"   or   id [] 0x01
    worker -> broker   id [] ticket [] body...
    broker -> worker   id [] ticket [] body...
"""

from .messages cimport *
from .envelope cimport (
    TOO_DEEP,
    Frames,
    find_delimiter,
    frame_empty,
    frame_is,
    frame_set,
    frame_size,
    frames_reserve,
)


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
        if frame_is(frames, 2, b"READY", 5) or frame_is(frames, 2, b"\x01", 1):
            return command(SAYS_READY, REQ)
        if frame_is(frames, 2, b"brigantine/1:leaving", LEAVING_SIZE):
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
    """What stands in front of a request's body on its way to a REQ worker."""
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
    frame_set(&head.at[2], b"brigantine/1:leaving", LEAVING_SIZE)
    head.count = 3
    return 0
