"""What of a server's requests is at its handlers: handed out, answered, ended."""

from libc.stdint cimport int64_t
from libcpp.string cimport string

from ..structures.chain cimport NIL
from ..wire.envelope cimport frames_clear
from .handoff cimport A_FAILURE, A_NOTHING, A_PART, A_PUSH, free_answer
from ..switchboard.outbox cimport BEHIND, FULL, OK
from ..sessions.counters cimport (
    S_DROP_REPLY_LATE,
    S_FAILED_CLIENT_GONE,
    S_FAILED_EXPIRED_IN_FLIGHT,
    S_FAILED_EXPIRED_QUEUED,
    S_FAILED_HANDLER,
    S_IN_FLIGHT,
    S_REPLIED,
    S_REPLIES,
    S_SHED_CLIENT_BYTES,
    S_SHED_CLIENT_FULL,
)
from .heads cimport FAILED, FINAL, PART, PUSH
from .sending cimport Client
from ..sessions.keeping cimport FREE, Session
from ..sessions.sessions cimport REQUEST, WAITING, Turn

from ...config.servers import HANDED_AHEAD as _HANDED_AHEAD
from ...config.servers import HUNG_THREADS as _HUNG_THREADS

cdef int HANDED_AHEAD = _HANDED_AHEAD
cdef int HUNG_THREADS = _HUNG_THREADS


cdef class Handing(Sending):
    """Base of the server's loop: see :class:`~brigantine.core.ServerLoop`."""

    def __dealloc__(self):
        cdef size_t index
        for index in range(self.answers.size()):
            if self.answers[index] != NULL:
                free_answer(<Answer *>self.answers[index])

    cdef int employ(self, object handoff, int workers) except -1:
        self.handoff = handoff
        self.most = workers + HANDED_AHEAD
        return 0

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
            self.handed.push_back(work)
        if self.handed.size():
            self.at_work += <int>self.handed.size()
            self.handoff.box.put_works(self.handed.data(), self.handed.size())
        return 0

    cdef string key_of(self, int session) noexcept nogil:
        """The address of a session; empty once it takes nothing more."""
        cdef int place = self.sessions.sessions[session].key
        cdef string nothing
        return nothing if place == NIL else self.sessions.keys.names[place]

    cdef int take_answers(self, int64_t now) except -1 nogil:
        cdef size_t index
        cdef Answer *answer
        self.handoff.box.take_answers(self.answers)
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

    cdef Work *take_spare(self) except NULL nogil:
        cdef Work *work
        if self.spare.empty():
            return self.handoff.new_work()
        work = self.spare.back()
        self.spare.pop_back()
        return work

    cdef int give_back(self, Work *work) except -1 nogil:
        frames_clear(&work.body)
        self.spare.push_back(work)
        return 0
