"""Which protocol a message is of, and the codec that reads it.  Frames -> command, command -> frames."""

from zmq.backend.cython.libzmq cimport zmq_msg_t

from .mdp cimport (
    HEADER_SIZE,
    head_mdp,
    head_mdp_command,
    parse_led_client,
    parse_mdp01_client,
    parse_mdp02_client,
    parse_mdp_worker,
)
from .ppp cimport head_ppp, heartbeat_ppp, leaving_ppp, parse_ppp_worker
from .req cimport head_req, leaving_req, parse_req_client, parse_req_worker
from .messages cimport *
from .envelope cimport Frames, frame_empty, frame_is, frame_set, frame_size, frames_reserve


cdef inline Command parse_client(const Frames *frames, int max_depth, int allowed) noexcept nogil:
    """What a message from a client means; what is not allowed is a body like any other."""
    cdef Command made
    if allowed & MDP02 and frames.count > 1 and frame_is(frames, 1, b"MDPC02", HEADER_SIZE):
        return parse_mdp02_client(frames)
    made = parse_req_client(frames, max_depth)
    if made.says != SAYS_REQUEST:
        if frames.count > 2 and frame_is(frames, 1, b"MDPW02", HEADER_SIZE):
            made = command(SAYS_WORKER, MDP02)
        return made
    if (made.address > 1 or frames.count > made.body + 1) and says_worker(frames, &made):
        return made
    if allowed & MDP01 and frame_is(frames, made.body, b"MDPC01", HEADER_SIZE):
        return parse_mdp01_client(frames, made.address)
    if allowed & DIALECTS and allowed & MDP02 and frame_is(frames, made.body, b"MDPC02", HEADER_SIZE):
        if parse_led_client(frames, &made):
            return made
    return made if allowed & REQ else command(SAYS_MALFORMED, 0)


cdef inline bint says_worker(const Frames *frames, Command *made) noexcept nogil:
    """Whether that is no request, but what a worker of MDP says; its dialect, too."""
    if made.address > 1 and frame_is(frames, 1, b"MDPW02", HEADER_SIZE):
        made[0] = command(SAYS_WORKER, MDP02)
    elif frames.count == made.body + 1:
        return False
    elif frame_is(frames, made.body, b"MDPW01", HEADER_SIZE):
        made[0] = command(SAYS_WORKER, MDP01)
    elif frame_is(frames, made.body, b"MDPW02", HEADER_SIZE):
        made[0] = command(SAYS_WORKER, MDP02)
        made.dialect = LED
    else:
        return False
    return True


cdef inline Command parse_worker(const Frames *frames, int allowed) noexcept nogil:
    """What a message from a worker means, in one of the protocols that are allowed."""
    cdef Command made
    if frames.count < 2:
        return command(SAYS_MALFORMED, 0)
    if allowed & MDP02 and frame_is(frames, 1, b"MDPW02", HEADER_SIZE):
        return parse_mdp_worker(frames, 1, MDP02)
    if frame_size(frames, 1) != 0:
        if not allowed & PPP:
            return command(SAYS_MALFORMED, 0)
        made = parse_ppp_worker(frames)
        return made if made.says != SAYS_MALFORMED else in_words(frames, allowed, made)
    if allowed & MDP01 and frames.count > 2 and frame_is(frames, 2, b"MDPW01", HEADER_SIZE):
        return parse_mdp_worker(frames, 2, MDP01)
    made = parse_req_worker(frames) if allowed & REQ else command(SAYS_MALFORMED, 0)
    if made.says == SAYS_MALFORMED and allowed & DIALECTS and allowed & MDP02:
        if frames.count > 2 and frame_is(frames, 2, b"MDPW02", HEADER_SIZE):
            made = parse_mdp_worker(frames, 2, MDP02)
            made.dialect = LED
    return made


cdef inline Command in_words(const Frames *frames, int allowed, Command made) noexcept nogil:
    """What is no command of PPP as the RFC has it, but one of published workers: a word."""
    if not allowed & DIALECTS or frames.count != 2:
        return made
    if frame_is(frames, 1, b"READY", 5):
        made = command(SAYS_READY, PPP)
    elif frame_is(frames, 1, b"HEARTBEAT", 9):
        made = command(SAYS_HEARTBEAT, PPP)
    made.dialect = WORDS
    return made


cdef inline bint is_worker(const Frames *frames) noexcept nogil:
    """Whether a message on a socket for both sides is a worker's: only Majordomo tells them apart."""
    if frames.count > 1 and frame_is(frames, 1, b"MDPW02", HEADER_SIZE):
        return True
    return (
        frames.count > 2
        and frame_size(frames, 1) == 0
        and (
            frame_is(frames, 2, b"MDPW01", HEADER_SIZE)
            or frame_is(frames, 2, b"MDPW02", HEADER_SIZE)
        )
    )


cdef inline int lead(Frames *head) except -1 nogil:
    """Put an empty frame behind the routing id."""
    cdef zmq_msg_t empty
    cdef int index
    frames_reserve(head, head.count + 1)
    frame_empty(&head.at[head.count])
    empty = head.at[head.count]
    for index in range(head.count, 1, -1):
        head.at[index] = head.at[index - 1]
    head.at[1] = empty
    head.count += 1
    return 0


cdef inline int request_head(
    Frames *head, const void *identity, size_t identity_size, int protocol,
    const void *ticket, size_t ticket_size,
) except -1 nogil:
    """What stands in front of a request's body on its way to a worker."""
    if protocol == REQ:
        return head_req(head, identity, identity_size, ticket, ticket_size)
    if protocol == PPP:
        return head_ppp(head, identity, identity_size, ticket, ticket_size)
    return head_mdp(head, identity, identity_size, protocol, ticket, ticket_size)


cdef inline int heartbeat_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil:
    """HEARTBEAT for a worker of PPP or MDP."""
    if protocol == PPP:
        heartbeat_ppp(head, identity, identity_size)
        if dialect == WORDS:
            frame_set(&head.at[1], b"HEARTBEAT", 9)
        return 0
    head_mdp_command(
        head, identity, identity_size, protocol, b"\x04" if protocol == MDP01 else b"\x05"
    )
    return lead(head) if dialect == LED else 0


cdef inline int leaving_head(
    Frames *head, const void *identity, size_t identity_size, int protocol
) except -1 nogil:
    """The answer to a worker that is leaving."""
    if protocol == REQ:
        return leaving_req(head, identity, identity_size)
    if protocol == PPP:
        return leaving_ppp(head, identity, identity_size)
    heartbeat_head(head, identity, identity_size, protocol, STRICT)
    frame_set(&head.at[head.count], b"brigantine/1:leaving", LEAVING_SIZE)
    head.count += 1
    return 0


cdef inline int disconnect_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil:
    """DISCONNECT for a worker of MDP."""
    head_mdp_command(
        head, identity, identity_size, protocol, b"\x05" if protocol == MDP01 else b"\x06"
    )
    return lead(head) if dialect == LED else 0
