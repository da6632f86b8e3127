"""What comes to a server from its clients: framing, sessions, requests."""

from libc.stdint cimport int64_t, intptr_t, uint64_t
from libc.string cimport memcmp, strcmp
from libcpp.string cimport string
from zmq.backend.cython.libzmq cimport (
    zmq_msg_get,
    zmq_msg_gets,
    zmq_msg_init,
    zmq_msg_move,
    zmq_msg_size,
    zmq_msg_t,
)

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..structures.expiry cimport ExpiryOrder
from ..switchboard.counters cimport (
    DROP_MALFORMED_REQUEST,
    DROP_TOO_DEEP,
    DROP_TOO_LARGE,
    DROP_TOO_MANY_FRAMES,
)
from ..wire.envelope cimport (
    TOO_DEEP,
    data_of,
    find_delimiter,
    frames_compact,
    frames_size,
    frames_swap,
)
from ..switchboard.events cimport NO_CAUSE
from ..switchboard.notices cimport (
    NOTICE_TAKEN_OVER,
    NOTICE_UNSERVED,
    Notice,
    NoticeGate,
    level_of,
    new_notice,
    pack_notice,
)
from ..sessions.counters cimport (
    S_DROP_MALFORMED_REQUEST,
    S_DROP_TOO_DEEP,
    S_DROP_TOO_LARGE,
    S_DROP_TOO_MANY_FRAMES,
    S_HEARTBEATS,
    S_LOST_SESSION,
    S_QUEUED,
    S_SHED_DRAINING,
    S_SHED_SESSIONS,
)
from .heads cimport (
    ASK,
    BEAT,
    BYE,
    EPOCH_AT,
    GONE,
    HEARD,
    HELLO,
    KIND_AT,
    NUMBER_AT,
    REFUSED,
    SERIAL_AT,
    WELCOME,
    head_of,
    read_big,
)
from .handoff cimport Work
from .sending cimport Client
from ..sessions.keeping cimport LEFT
from ..libzmq.zmqapi cimport ZMQ_SRCFD, brigantine_zmq

from ...config.limits import COMPACT_AFTER as _COMPACT_AFTER
from ...wire.req import ANNOUNCEMENT as _ANNOUNCEMENT

zmqapi.bind(&brigantine_zmq)

cdef int64_t COMPACT_AFTER = _COMPACT_AFTER
cdef string ANNOUNCEMENT = _ANNOUNCEMENT
cdef enum:
    MOST_OF_NAME = 255  # bytes of an address frame


cdef class Serving(Handing):
    """Base of the server's loop: see :class:`~brigantine.core.ServerLoop`."""

    def __cinit__(self, *_, **__):
        self.gate = NoticeGate()
        self.quiet_fds = ExpiryOrder(1.0)

    cdef int configure(
        self, object config, bytes epoch, object handoff, int tells, int workers
    ) except -1:
        self.speak(config, epoch, tells)
        self.employ(handoff, workers)
        self.timeout_ms = <uint64_t>round(config.session_timeout * 1000)
        self.max_frames = config.max_frames
        self.max_bytes = config.max_message_bytes
        self.plain = config.hops + 1
        self.quiet_fds = ExpiryOrder(config.unheard_timeout)
        return 0

    cdef int take_message(self, int64_t now) except -1 nogil:
        cdef Parts parts
        cdef const unsigned char *head
        cdef int session
        if self.inbox.count > self.max_frames:
            return self.drop(S_DROP_TOO_MANY_FRAMES, DROP_TOO_MANY_FRAMES)
        if not self.split(&parts):
            return 0
        if frames_size(&self.inbox, parts.body, self.inbox.count) > self.max_bytes:
            return self.drop(S_DROP_TOO_LARGE, DROP_TOO_LARGE)
        if parts.delimiter:
            head = head_of(&self.inbox.at[parts.body])
            if head != NULL:
                return self.take_head(&parts, head, now)
        session = self.hear(&parts, now)
        return self.take_request(&parts, session, 0, False, now)

    cdef int split(self, Parts *parts) except -1 nogil:
        """Where address and body are; 0 where the message was dropped.

        Clients that send no empty frame have `plain` address frames.  An empty frame after more than
        these ends the address stack of a client behind devices, unless that client is known to send none.
        """
        cdef int at = find_delimiter(&self.inbox, self.max_depth)
        cdef int session
        parts.delimiter = at > 0
        if at > self.plain and self.make_key(self.plain):
            session = self.sessions.c_find(self.key.data(), self.key.size())
            if session != NIL and self.clients[session].bare:
                parts.delimiter = False
        elif at == TOO_DEEP and find_delimiter(&self.inbox, self.max_frames) > 0:
            self.drop(S_DROP_TOO_DEEP, DROP_TOO_DEEP)
            return 0
        parts.depth = at if parts.delimiter else self.plain
        parts.body = parts.depth + parts.delimiter
        if parts.body >= self.inbox.count or not self.make_key(parts.depth):
            self.drop(S_DROP_MALFORMED_REQUEST, DROP_MALFORMED_REQUEST)
            return 0
        return 1

    cdef int make_key(self, int depth) except -1 nogil:
        """The address as one string; 0 where it can't be one."""
        cdef int index
        cdef size_t size
        self.key.clear()
        if depth >= self.inbox.count:
            return 0
        for index in range(depth):
            size = zmq_msg_size(&self.inbox.at[index])
            if size == 0 or size > MOST_OF_NAME:
                return 0
            self.key.push_back(<char>size)
            self.key.append(data_of(&self.inbox.at[index]), size)
        return 1

    cdef int hear(self, const Parts *parts, int64_t now) except? -2 nogil:
        """The session of the message in the inbox, opened if need be; NIL when it is refused."""
        cdef zmq_msg_t *name = &self.inbox.at[0]
        # While a frame of a connection is kept, what libzmq knows of that connection stands where it is: so
        # this tells it from every other.  NULL over inproc, where nobody reconnects.
        cdef const char *connection = zmq_msg_gets(name, b"Peer-Address")
        cdef const char *kind
        cdef int session = self.sessions.c_find(self.key.data(), self.key.size())
        cdef Client *client
        cdef bint other = False
        if session != NIL:
            other = self.sessions.sessions[session].connection != <int64_t><intptr_t>connection
        if session == NIL or other:
            self.look_at_connections()
            self.heard_by(zmq_msg_get(name, ZMQ_SRCFD))
        session = self.sessions.c_hear(
            self.key.data(), self.key.size(), <int64_t><intptr_t>connection,
            zmq_msg_get(name, ZMQ_SRCFD), now,
        )
        if other:
            self.notice(NOTICE_TAKEN_OVER, NO_CAUSE)
        if session == NIL:
            return NIL
        if self.sessions.opened:
            while self.clients.size() <= <size_t>session:
                self.clients.resize(self.clients.size() + 1)
                zmq_msg_init(&self.clients.back().name)
            client = &self.clients[session]
            zmq_msg_move(&client.name, name)
            kind = zmq_msg_gets(&client.name, b"Socket-Type")
            client.single = kind != NULL and parts.depth == 1 and strcmp(kind, b"REQ") == 0
            client.ours = client.bare = False
        client = &self.clients[session]
        client.delimiter = parts.delimiter
        client.bare = client.bare or not parts.delimiter
        return session

    cdef int take_request(
        self, const Parts *parts, int session, uint64_t number, bint ours, int64_t now
    ) except -1 nogil:
        cdef Work *work
        cdef int job, reason
        if session == NIL:
            reason = S_SHED_DRAINING if self.sessions.draining else S_SHED_SESSIONS
            self.sessions.c_refuse(reason)
            return self.tell_new(parts, reason, number, ours)
        work = self.take_spare()
        work.bytes = frames_size(&self.inbox, parts.body, self.inbox.count)
        job = self.sessions.c_ask(session, work.bytes, now)
        if job < 0:
            self.spare.push_back(work)
            return self.tell_new(parts, -job, number, ours)
        if self.sessions.count[S_QUEUED] > COMPACT_AFTER:
            frames_compact(&self.inbox, parts.body, self.inbox.count)
        frames_swap(&self.inbox, &work.body)
        work.turn.serial = self.sessions.sessions[session].serial
        work.turn.session = session
        work.first = parts.body
        work.key.assign(self.key)
        work.number = number
        work.ours = ours
        work.told = self.announced()
        work.delimiter = parts.delimiter
        work.single = self.clients[session].single
        work.over = False
        work.outcome = 0
        while self.works.size() <= <size_t>job:
            self.works.push_back(NULL)
        self.works[job] = work
        return 0

    cdef bint announced(self) noexcept nogil:
        """Whether the client of the message says in its routing id that it reads error answers."""
        return (
            self.key.size() > ANNOUNCEMENT.size()
            and memcmp(self.key.data() + 1, ANNOUNCEMENT.data(), ANNOUNCEMENT.size()) == 0
        )

    cdef int tell_new(
        self, const Parts *parts, int reason, uint64_t number, bint ours
    ) except -1 nogil:
        cdef int session = self.sessions.c_find(self.key.data(), self.key.size())
        cdef int64_t serial = 0 if session == NIL else self.sessions.sessions[session].serial
        return self.tell_to(
            &self.key, parts.delimiter, ours, self.announced(), serial, number, reason
        )

    cdef int take_head(self, const Parts *parts, const unsigned char *head, int64_t now) except -1 nogil:
        """A message of one of our clients."""
        cdef int kind = head[KIND_AT]
        cdef uint64_t number = read_big(&head[NUMBER_AT])
        cdef int64_t serial = <int64_t>read_big(&head[SERIAL_AT])
        cdef bint known
        cdef int session
        if kind == HELLO:
            session = self.hear(parts, now)
            if session == NIL:
                self.send_to(&self.key, True, REFUSED, 0, 0, NULL, 0)
                return 0
            self.clients[session].ours = True
            serial = self.sessions.sessions[session].serial
            self.send_to(&self.key, True, WELCOME, serial, self.timeout_ms, NULL, 0)
            return 0
        if kind != BEAT and kind != ASK and kind != BYE:
            return self.drop(S_DROP_MALFORMED_REQUEST, DROP_MALFORMED_REQUEST)
        session = self.sessions.c_find(self.key.data(), self.key.size())
        known = (
            session != NIL and self.sessions.sessions[session].serial == serial
            and memcmp(&head[EPOCH_AT], self.epoch, sizeof(self.epoch)) == 0
            and self.sessions.sessions[session].connection
            == <int64_t><intptr_t>zmq_msg_gets(&self.inbox.at[0], b"Peer-Address")
        )
        if not known:
            if kind != BYE:
                self.sessions.note(S_LOST_SESSION, 1)
                self.send_to(&self.key, True, GONE, 0, number, NULL, 0)
            return 0
        if kind == BYE:
            return self.sessions.c_close(session, LEFT, now)
        session = self.hear(parts, now)
        if kind == BEAT:
            self.sessions.note(S_HEARTBEATS, 1)
            self.send_to(&self.key, True, HEARD, serial, number, NULL, 0)
            return 0
        if parts.body + 1 >= self.inbox.count:
            return self.drop(S_DROP_MALFORMED_REQUEST, DROP_MALFORMED_REQUEST)
        return self.take_request(parts, session, number, True, now)

    cdef int look_at_connections(self) except -1 nogil:
        return 0

    cdef int heard_by(self, int fd) except -1 nogil:
        if fd >= 0 and <size_t>fd < self.quiet_fds.links.size():
            self.quiet_fds.remove(fd)
        return 0

    cdef int drop(self, int counter, int reason) except -1 nogil:
        if self.inbox.count:  # it has spoken, whatever it said
            self.look_at_connections()
            self.heard_by(zmq_msg_get(&self.inbox.at[0], ZMQ_SRCFD))
        self.sessions.note(counter, 1)
        return self.notice(NOTICE_UNSERVED, reason)

    cdef int notice(self, int kind, int reason) except -1 nogil:
        cdef Notice told = new_notice(kind, reason)
        cdef string address
        if self.notices is None or self.inbox.count == 0:
            return 0
        told.frames = &self.inbox
        self.address_of(&self.inbox.at[0], &address)
        told.address = address.c_str() if address.size() else NULL
        told.peer = data_of(&self.inbox.at[0])
        told.peer_size = zmq_msg_size(&self.inbox.at[0])
        return self.put_notice(&told)

    cdef int put_notice(self, const Notice *told) except -1 nogil:
        cdef string packed
        cdef bint due
        if self.notices is None:
            return 0
        if not self.gate.admits(told, self.present, &due):
            if due:
                self.notices.box.leave_out(level_of(told.kind))
            return 0
        pack_notice(&packed, told)
        return self.notices.c_put(&packed, level_of(told.kind))
