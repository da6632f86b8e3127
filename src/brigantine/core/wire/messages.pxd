"""What a message means: the codecs' answer, and the switchboard's question."""

cdef enum:
    # How a peer speaks; also a set of those that a broker allows (flags).
    REQ = 1    # a client with no header, or a REQ worker
    PPP = 2
    MDP01 = 4
    MDP02 = 8
    MDP = 12   # both
    # Beside the protocols that a broker allows: dialects of them, too.
    DIALECTS = 16
    # Command.dialect, and how a peer is answered.
    STRICT = 0
    WORDS = 1   # PPP with READY and HEARTBEAT as words
    LED = 2     # MDP 0.2 with an empty frame in front
    SHIFTED = 3  # of clients: LED, commands numbered as those of workers, and replies without the service
    # Command.says
    SAYS_REQUEST = 0
    SAYS_READY = 1
    SAYS_PARTIAL = 2
    SAYS_FINAL = 3       # also REPLY of MDP 0.1, and any reply of REQ and PPP
    SAYS_HEARTBEAT = 4
    SAYS_DISCONNECT = 5
    SAYS_MALFORMED = 6
    SAYS_TOO_DEEP = 7
    SAYS_LEAVING = 8     # ours, see brigantine.wire.req
    SAYS_WORKER = 9      # on a socket for clients: what a worker of MDP says
    # no such frame
    NONE = -1

cdef struct Command:
    int says
    int protocol
    int dialect
    int address    # frames of a client's address stack (from the first)
    int service    # index of the frame, or NONE
    int ticket     # index of the frame, or NONE
    int body       # first frame of the body; it goes to the end
    int capacity   # what a READY announces
    int interval   # its heartbeat interval in milliseconds; 0 when it leaves that to the broker


cdef inline Command command(int says, int protocol) noexcept nogil:
    """A command without frames."""
    cdef Command made
    made.says = says
    made.protocol = protocol
    made.dialect = STRICT
    made.address = made.service = made.ticket = made.body = NONE
    made.capacity = 1
    made.interval = 0
    return made


cdef inline Command malformed_answer(int protocol, int ticket) noexcept nogil:
    """No message of the protocol, but it has a frame where an answer has its ticket."""
    cdef Command made = command(SAYS_MALFORMED, protocol)
    made.ticket = ticket
    return made


cdef inline Command answer(int says, int protocol, int ticket, int body) noexcept nogil:
    """A worker's answer to a request."""
    cdef Command made = command(says, protocol)
    made.ticket = ticket
    made.body = body
    return made
