"""Which protocol a message is of, and the codec that reads it.  Frames -> command, command -> frames."""

from .mdp cimport (
    CLIENT_01,
    CLIENT_02,
    HEADER_SIZE,
    WORKER_01,
    WORKER_02,
    client_identity_at_mdp,
    head_mdp,
    is_header,
    parse_led_client,
    parse_mdp01_client,
    parse_mdp02_client,
    parse_mdp_worker,
)
from .ppp cimport head_ppp, parse_ppp_word, parse_ppp_worker
from .req cimport head_req, parse_req_client, parse_req_worker
from .messages cimport *
from .envelope cimport Frames, frame_size


cdef inline Command parse_client(const Frames *frames, int max_depth, int allowed) noexcept nogil:
    """What a message from a client means; what is not allowed is a body like any other."""
    cdef Command made
    if allowed & MDP02 and frames.count > 1 and is_header(frames, 1, CLIENT_02):
        return parse_mdp02_client(frames)
    made = parse_req_client(frames, max_depth)
    if made.says != SAYS_REQUEST:
        if frames.count > 2 and is_header(frames, 1, WORKER_02):
            made = command(SAYS_WORKER, MDP02)
        return made
    if (made.address > 1 or frames.count > made.body + 1) and says_worker(frames, &made):
        return made
    if allowed & MDP01 and is_header(frames, made.body, CLIENT_01):
        return parse_mdp01_client(frames, made.address)
    if allowed & DIALECTS and allowed & MDP02 and is_header(frames, made.body, CLIENT_02):
        if parse_led_client(frames, &made):
            return made
    return made if allowed & REQ else command(SAYS_MALFORMED, 0)


cdef inline bint says_worker(const Frames *frames, Command *made) noexcept nogil:
    """Whether that is no request, but what a worker of MDP says; its dialect, too."""
    if made.address > 1 and is_header(frames, 1, WORKER_02):
        made[0] = command(SAYS_WORKER, MDP02)
    elif frames.count == made.body + 1:
        return False
    elif is_header(frames, made.body, WORKER_01):
        made[0] = command(SAYS_WORKER, MDP01)
    elif is_header(frames, made.body, WORKER_02):
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
    if allowed & MDP02 and is_header(frames, 1, WORKER_02):
        return parse_mdp_worker(frames, 1, MDP02)
    if frame_size(frames, 1) != 0:
        if not allowed & PPP:
            return command(SAYS_MALFORMED, 0)
        made = parse_ppp_worker(frames)
        if made.says == SAYS_MALFORMED and allowed & DIALECTS and frames.count == 2:
            return parse_ppp_word(frames, made)
        return made
    if allowed & MDP01 and frames.count > 2 and is_header(frames, 2, WORKER_01):
        return parse_mdp_worker(frames, 2, MDP01)
    made = parse_req_worker(frames) if allowed & REQ else command(SAYS_MALFORMED, 0)
    if made.says == SAYS_MALFORMED and allowed & DIALECTS and allowed & MDP02:
        if frames.count > 2 and is_header(frames, 2, WORKER_02):
            made = parse_mdp_worker(frames, 2, MDP02)
            made.dialect = LED
    return made


cdef inline bint is_worker(const Frames *frames) noexcept nogil:
    """Whether a message on a socket for both sides is a worker's: only Majordomo tells them apart."""
    if frames.count > 1 and is_header(frames, 1, WORKER_02):
        return True
    return (
        frames.count > 2
        and frame_size(frames, 1) == 0
        and (
            is_header(frames, 2, WORKER_01)
            or is_header(frames, 2, WORKER_02)
        )
    )


cdef inline bint may_be_command(const Frames *frames, int at) noexcept nogil:
    """Whether a frame is short enough for READY of REQ or a header of MDP; of a body it is rarely."""
    return frame_size(frames, at) <= HEADER_SIZE


cdef inline int client_identity_at(int head, int protocol) noexcept nogil:
    """The frame with the routing id of the asking client; `head` frames come before a request's body."""
    return head - 2 if protocol == REQ else client_identity_at_mdp(head, protocol)


cdef inline int request_head(
    Frames *head, const void *identity, size_t identity_size, int protocol,
    const void *ticket, size_t ticket_size,
) except -1 nogil:
    """The frames before the body of a request on its way to a worker."""
    if protocol == REQ:
        return head_req(head, identity, identity_size, ticket, ticket_size)
    if protocol == PPP:
        return head_ppp(head, identity, identity_size, ticket, ticket_size)
    return head_mdp(head, identity, identity_size, protocol, ticket, ticket_size)


# Put an empty frame after the routing id.
cdef int lead(Frames *head) except -1 nogil
# HEARTBEAT for a worker of PPP or MDP.
cdef int heartbeat_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil
# The answer to a worker that is leaving.
cdef int leaving_head(
    Frames *head, const void *identity, size_t identity_size, int protocol
) except -1 nogil
# DISCONNECT for a worker of MDP.
cdef int disconnect_head(
    Frames *head, const void *identity, size_t identity_size, int protocol, int dialect
) except -1 nogil
