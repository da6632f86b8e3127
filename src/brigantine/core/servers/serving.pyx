"""Messages of a server: what comes in from clients, and what its handlers answer."""

from libc.stdint cimport int64_t, intptr_t, uint64_t
from libc.string cimport memcmp, memcpy, strcmp
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport (
    zmq_msg_close,
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
    frame_empty,
    frame_set,
    frames_append,
    frames_clear,
    frames_compact,
    frames_free,
    frames_init,
    frames_reserve,
    frames_size,
    frames_swap,
)
from ..switchboard.events cimport NO_CAUSE
from .desk cimport (
    A_FAILURE,
    A_NOTHING,
    A_PART,
    A_PUSH,
    free_answer,
    free_work,
    new_work,
)
from ..switchboard.notices cimport (
    NOTICE_TAKEN_OVER,
    NOTICE_UNSERVED,
    Notice,
    NoticeGate,
    level_of,
    new_notice,
    pack_notice,
)
from ..switchboard.outbox cimport BEHIND, FRONTEND, FULL, OK
from ..sessions.counters cimport (
    S_DROP_MALFORMED_REQUEST,
    S_DROP_REPLY_LATE,
    S_DROP_TOO_DEEP,
    S_DROP_TOO_LARGE,
    S_DROP_TOO_MANY_FRAMES,
    S_FAILED_CLIENT_GONE,
    S_FAILED_EXPIRED_IN_FLIGHT,
    S_FAILED_EXPIRED_QUEUED,
    S_FAILED_HANDLER,
    S_HEARTBEATS,
    S_IN_FLIGHT,
    S_LOST_SESSION,
    S_QUEUED,
    S_REPLIED,
    S_REPLIES,
    S_SHED_CLIENT_BYTES,
    S_SHED_CLIENT_FULL,
    S_SHED_DRAINING,
    S_SHED_SESSIONS,
    SERVER_COUNT,
)
from .heads cimport (
    ASK,
    BEAT,
    BYE,
    EPOCH_AT,
    FAILED,
    FINAL,
    GONE,
    HEARD,
    HELLO,
    KIND_AT,
    NUMBER_AT,
    PART,
    PUSH,
    REFUSED,
    SERIAL_AT,
    WELCOME,
    head_of,
    head_set,
    read_big,
)
from ..sessions.sessions cimport (
    FREE,
    LEFT,
    REQUEST,
    WAITING,
    Session,
    Sessions,
    Turn,
)
from ..libzmq.zmqapi cimport ZMQ_SRCFD, brigantine_zmq

from ...config.limits import COMPACT_AFTER as _COMPACT_AFTER
from ...config.servers import HANDED_AHEAD as _HANDED_AHEAD
from ...config.servers import HUNG_THREADS as _HUNG_THREADS
from ...counters import SERVER_COUNTERS
from ...wire import server as server_wire
from ...wire.server_errors import answers_of
from ...wire.req import ANNOUNCEMENT as _ANNOUNCEMENT

zmqapi.bind(&brigantine_zmq)

cdef int64_t COMPACT_AFTER = _COMPACT_AFTER
cdef int HANDED_AHEAD = _HANDED_AHEAD
cdef int HUNG_THREADS = _HUNG_THREADS
cdef string ANNOUNCEMENT = _ANNOUNCEMENT
cdef enum:
    MOST_OF_NAME = 255  # bytes of an address frame


# Kinds of heads by name, as heads.pxd has them.
HEADS = {
    "HELLO": HELLO, "BEAT": BEAT, "ASK": ASK, "BYE": BYE, "WELCOME": WELCOME, "HEARD": HEARD, "PART": PART,
    "FINAL": FINAL, "FAILED": FAILED, "PUSH": PUSH, "GONE": GONE, "REFUSED": REFUSED,
}


cdef check_heads():
    """Raise ``ImportError`` unless a head is, byte for byte, what ``brigantine.wire.server`` writes."""
    cdef zmq_msg_t frame
    token = bytes(range(1, 17))
    zmq_msg_init(&frame)
    for name, kind in HEADS.items():
        head_set(&frame, kind, <const unsigned char *><const char *>token, read_big(
            <const unsigned char *><const char *>token + SERIAL_AT - EPOCH_AT
        ), 1 << 60 | 5)
        found = data_of(&frame)[:zmq_msg_size(&frame)]
        if found != server_wire.pack_head(getattr(server_wire, name), token, 1 << 60 | 5):
            raise ImportError(f"{name} of core/servers/heads.pxd is {found!r}")
    zmq_msg_close(&frame)


check_heads()


cdef class Serving(Routers):
    """Base of the server's loop: see :class:`~brigantine.core.ServerLoop`."""

    def __cinit__(self, *_, **__):
        frames_init(&self.head)
        frames_init(&self.empty)
        self.gate = NoticeGate()
        self.quiet_fds = ExpiryOrder(1.0)

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.works.size()):
            # One that a handler still has goes with its thread, which may look at it.
            if self.works[index] != NULL and not self.works[index].handed:
                free_work(self.works[index])
        for index in range(self.spare.size()):
            free_work(self.spare[index])
        for index in range(self.clients.size()):
            zmq_msg_close(&self.clients[index].name)
        frames_free(&self.head)
        frames_free(&self.empty)

    cdef int configure(
        self, object config, bytes epoch, object desk, int tells, int workers
    ) except -1:
        self.sessions = Sessions(config, tells)
        self.desk = desk
        self.most = workers + HANDED_AHEAD
        memcpy(self.epoch, <const char *>epoch, sizeof(self.epoch))
        self.timeout_ms = <uint64_t>round(config.session_timeout * 1000)
        self.max_frames = config.max_frames
        self.max_depth = config.max_depth
        self.max_bytes = config.max_message_bytes
        self.plain = config.hops + 1
        self.quiet_fds = ExpiryOrder(config.unheard_timeout)
        for name in list(SERVER_COUNTERS)[:SERVER_COUNT]:
            frames, foreign = answers_of(name, SERVER_COUNTERS[name])
            self.told.push_back(frames)
            self.untold.push_back(foreign)
        return 0

    # -- what comes in ------------------------------------------------------------------------

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

    # -- to the handlers and back -------------------------------------------------------------

    cdef int hand_out(self) except -1 nogil:
        cdef Turn turn
        cdef Work *work
        self.handed.clear()
        while (
            self.sessions.count[S_IN_FLIGHT] < self.most
            # A request that has ended for its client is at a handler still, for as long as that hangs.
            and self.at_work + <int>self.handed.size() < self.most + HUNG_THREADS
            and self.sessions.c_next(&turn)
        ):
            if turn.event == REQUEST:
                work = self.works[turn.job]
                if work.ours:
                    work.first += 1
            else:
                work = self.take_spare()
                work.key.assign(self.key_of(turn.session))
                work.over = False
                work.outcome = 0
            work.turn = turn
            work.handed = True
            self.handed.push_back(work)
        if self.handed.size():
            self.at_work += <int>self.handed.size()
            self.desk.box.put_works(self.handed.data(), self.handed.size())
        return 0

    cdef string key_of(self, int session) noexcept nogil:
        """The address of a session; empty once it takes nothing more."""
        cdef int place = self.sessions.sessions[session].key
        cdef string nothing
        return nothing if place == NIL else self.sessions.keys.names[place]

    cdef int take_answers(self, int64_t now) except -1 nogil:
        cdef size_t index
        cdef Answer *answer
        self.desk.box.take_answers(self.answers)
        for index in range(self.answers.size()):
            answer = <Answer *>self.answers[index]
            try:
                self.lock.begin()
                try:
                    self.take_answer(answer, now)
                finally:
                    self.lock.end()
            finally:
                free_answer(answer)
                self.answers[index] = NULL
        self.answers.clear()
        return 0

    cdef int take_answer(self, Answer *answer, int64_t now) except -1 nogil:
        cdef Work *work = answer.work
        cdef int outcome
        if answer.kind == A_PUSH:
            return self.send_push(answer)
        if work.turn.event != REQUEST:
            return self.end_work(work, 0, now)
        if answer.kind != A_NOTHING or work.ours:
            self.send_reply(answer)
        if answer.kind == A_PART:
            return 0
        outcome = work.outcome
        if outcome == S_SHED_CLIENT_FULL or outcome == S_SHED_CLIENT_BYTES:
            self.tell(work, outcome)  # a reply in parts has no hole: it ends, if only by an error
        elif not outcome:
            outcome = S_FAILED_HANDLER if answer.kind == A_FAILURE else S_REPLIED
        return self.end_work(work, outcome, now)

    cdef int send_reply(self, Answer *answer) except -1 nogil:
        """One reply, or the end of all, to the client of a request; where it is refused the work knows."""
        cdef Work *work = answer.work
        cdef int kind = 0, sent
        if work.over or work.outcome:
            self.sessions.note(S_DROP_REPLY_LATE, answer.body.count > 0)
            return 0
        if not self.sessions.c_reachable(work.turn.session, work.turn.serial):
            work.outcome = S_FAILED_CLIENT_GONE
            return 0
        if work.ours:
            kind = PART if answer.kind == A_PART else FAILED if answer.kind == A_FAILURE else FINAL
        sent = self.send_to(
            work.key, work.delimiter, kind, work.turn.serial, work.number,
            answer.body.at, answer.body.count,
        )
        if sent == OK:
            self.sessions.note(S_REPLIES, 1)
        else:
            work.outcome = (
                S_SHED_CLIENT_FULL if sent == FULL else S_SHED_CLIENT_BYTES if sent == BEHIND
                else S_FAILED_CLIENT_GONE
            )
        return 0

    cdef int send_push(self, Answer *answer) except -1 nogil:
        cdef Session *session
        cdef string key
        cdef Client *client
        if not self.sessions.c_reachable(answer.session, answer.serial):
            self.sessions.note(S_DROP_REPLY_LATE, 1)
            return 0
        session = &self.sessions.sessions[answer.session]
        key = self.sessions.keys.names[session.key]
        client = &self.clients[answer.session]
        if self.send_to(
            &key, client.delimiter, PUSH if client.ours else 0, session.serial, 0,
            answer.body.at, answer.body.count,
        ) == OK:
            self.sessions.note(S_REPLIES, 1)
        else:
            self.sessions.note(S_DROP_REPLY_LATE, 1)
        return 0

    cdef int end_work(self, Work *work, int outcome, int64_t now) except -1 nogil:
        cdef int session = work.turn.session
        self.at_work -= 1
        self.sessions.c_done(&work.turn, outcome, now)
        if work.turn.event == REQUEST:
            self.works[work.turn.job] = NULL
        if self.sessions.sessions[session].phase == FREE:
            self.forget_client(session)
        return self.give_back(work)

    cdef int end_overdue(self, int64_t now) except -1 nogil:
        cdef int job = self.sessions.c_overdue(now)
        cdef Work *work
        while job != NIL:
            work = self.works[job]
            if self.sessions.jobs[job].state == WAITING:
                self.tell(work, S_FAILED_EXPIRED_QUEUED)
                self.sessions.c_end(job, S_FAILED_EXPIRED_QUEUED, now)
                self.works[job] = NULL
                self.give_back(work)
            else:
                self.tell(work, S_FAILED_EXPIRED_IN_FLIGHT)
                self.sessions.c_end(job, S_FAILED_EXPIRED_IN_FLIGHT, now)
                work.over = True
            job = self.sessions.c_overdue(now)
        return 0

    cdef int forget_client(self, int session) except -1 nogil:
        if <size_t>session < self.clients.size():
            zmq_msg_close(&self.clients[session].name)
            zmq_msg_init(&self.clients[session].name)
        return 0

    cdef Work *take_spare(self) except NULL nogil:
        cdef Work *work
        if self.spare.empty():
            return new_work()
        work = self.spare.back()
        self.spare.pop_back()
        return work

    cdef int give_back(self, Work *work) except -1 nogil:
        work.handed = False
        frames_clear(&work.body)
        self.spare.push_back(work)
        return 0

    # -- what goes out ------------------------------------------------------------------------

    cdef int tell(self, Work *work, int reason) except -1 nogil:
        if not self.sessions.c_reachable(work.turn.session, work.turn.serial):
            return 0
        return self.tell_to(
            work.key, work.delimiter, work.ours, work.told, work.turn.serial, work.number, reason
        )

    cdef int tell_new(
        self, const Parts *parts, int reason, uint64_t number, bint ours
    ) except -1 nogil:
        cdef int session = self.sessions.c_find(self.key.data(), self.key.size())
        cdef int64_t serial = 0 if session == NIL else self.sessions.sessions[session].serial
        return self.tell_to(
            &self.key, parts.delimiter, ours, self.announced(), serial, number, reason
        )

    cdef int tell_to(
        self, const string *key, bint delimiter, bint ours, bint told, int64_t serial,
        uint64_t number, int reason,
    ) except -1 nogil:
        cdef vector[string] *frames = &self.told[reason] if ours or told else &self.untold[reason]
        cdef size_t index
        frames_clear(&self.empty)
        for index in range(frames.size()):
            frames_append(&self.empty, frames.at(index).data(), frames.at(index).size())
        self.send_to(
            key, delimiter, FAILED if ours else 0, serial, number, self.empty.at, self.empty.count
        )
        return 0

    cdef int send_to(
        self, const string *key, bint delimiter, int kind, int64_t serial, uint64_t number,
        zmq_msg_t *body, int bodies,
    ) except -1 nogil:
        cdef Frames *head = &self.head
        cdef size_t at = 0, size
        cdef int count = 0, sent
        frames_reserve(head, self.max_depth + 3)
        while at < key.size():
            size = <unsigned char>key.at(at)
            frame_set(&head.at[count], key.data() + at + 1, size)
            at += size + 1
            count += 1
        if delimiter or kind:
            frame_empty(&head.at[count])
            count += 1
        if kind:
            head_set(&head.at[count], kind, self.epoch, <uint64_t>serial, number)
            count += 1
        head.count = count
        sent = self.send(FRONTEND, head.at, count, body, bodies)
        return sent
