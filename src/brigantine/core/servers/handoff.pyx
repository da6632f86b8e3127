"""What a server's loop hands to its handlers, and what they hand back."""

import os

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free
from libcpp.string cimport string
from libcpp.vector cimport vector
from zmq.backend.cython.libzmq cimport zmq_msg_data, zmq_msg_size

from ..libzmq cimport zmqapi
from ..structures.chain cimport NIL
from ..wire.envelope cimport Frames, frames_extend, frames_free, frames_init, frames_list
from ..sessions.sessions cimport REQUEST
from ..libzmq.zmqapi cimport brigantine_zmq

from ...config.servers import REPLIES_WAITING_BYTES as _REPLIES_WAITING_BYTES

__all__ = ["Handoff", "Task"]

zmqapi.bind(&brigantine_zmq)

cdef int64_t REPLIES_WAITING_BYTES = _REPLIES_WAITING_BYTES


cdef void free_work(Work *work) noexcept nogil:
    frames_free(&work.body)
    del work.key
    free(work)


cdef void free_answer(Answer *answer) noexcept nogil:
    frames_free(&answer.body)
    free(answer)


cdef class Task:
    """What a handler is to do: an opening (``event`` 0), a request (1) or an end (2) of a session.

    ``serial`` is the session's number, ``body`` the request: ``bytes`` for one frame, a list of them for
    several.  ``single``: the client takes one reply.  ``reason`` says why a session has ended.
    """

    @property
    def address(self):
        """The address frames of the session."""
        cdef size_t at = 0, size
        cdef string *key = self.of_loop().key
        found = []
        while at < key.size():
            size = <unsigned char>key.at(at)
            found.append(key.substr(at + 1, size))
            at += size + 1
        return tuple(found)

    @property
    def place(self):
        """The place of the session, for ``push()``."""
        return self.of_loop().turn.session

    @property
    def wanted(self):
        """Whether replies still find their client, as far as is known."""
        return self.work != NULL and not self.work.over and not self.work.outcome

    cdef Work *of_loop(self) except NULL:
        if self.work == NULL:
            raise RuntimeError("this task has ended")
        return self.work


cdef class Handoff:
    """Handoff()\n--\n
    Where handlers' threads take their tasks and put their replies; any thread may.

    A task has ``event``, ``serial``, ``body``, ``reason``, ``single``,
    ``address``, ``place`` and ``wanted``.
    """

    def __cinit__(self, *_, **__):
        self.process = os.getpid()
        self.box = new Box()
        if not self.box.loop.open():
            raise OSError("no file descriptors for the bell of a server's loop")

    def __dealloc__(self):
        cdef vector[void *] left
        cdef size_t index
        if self.box != NULL and os.getpid() == self.process:
            self.box.take_answers(left)
            for index in range(left.size()):
                free_answer(<Answer *>left[index])
            self.box.close()
            del self.box
            for index in range(self.works.size()):
                free_work(self.works[index])

    def take(self):
        """The next task; waits for it.  ``None`` when there will be no more."""
        cdef bint more, woken = False
        cdef Task task
        while True:
            task = self.take_work(woken)
            if task is not None:
                return task
            with nogil:
                more = self.box.sleep()
            if not more:
                return None
            woken = True

    def take_now(self):
        """The next task, if there is one now."""
        return self.take_work(False)

    @property
    def over(self):
        """Whether there will be no more tasks."""
        return self.box.over()

    def signal(self):
        """A descriptor that becomes readable at the next task after :meth:`arm`."""
        if not self.box.taker.open():
            raise OSError("no file descriptors for the bell of a server's handlers")
        return self.box.taker.ends[0]

    def arm(self):
        """Have the next task ring; ``False`` when there is something now: take it first."""
        return self.box.arm()

    def hush(self):
        """What :meth:`signal` gave is not readable any more, until the next task after :meth:`arm`."""
        self.box.taker.hush()

    cdef Work *new_work(self) except NULL nogil:
        cdef Work *work
        self.works.push_back(NULL)
        work = <Work *>calloc(1, sizeof(Work))
        if work == NULL:
            self.works.pop_back()
            with gil:
                raise MemoryError()
        work.key = new string()
        frames_init(&work.body)
        self.works[self.works.size() - 1] = work
        return work

    cdef Task take_work(self, bint woken):
        cdef Work *work = <Work *>self.box.take_work(woken)
        cdef Task task
        cdef Frames *body
        if work == NULL:
            return None
        task = Task.__new__(Task)
        task.work = work
        task.handoff = self
        task.event = work.turn.event
        task.serial = work.turn.serial
        task.reason = work.turn.reason
        task.single = work.single
        if work.turn.event == REQUEST:
            body = &work.body
            if body.count - work.first == 1:
                task.body = (<const char *>zmq_msg_data(&body.at[work.first]))[
                    :zmq_msg_size(&body.at[work.first])
                ]
            else:
                task.body = frames_list(body, work.first, body.count)
        return task

    @property
    def full(self):
        """Whether so much has yet to be sent that who streams should wait."""
        return self.box.full(REPLIES_WAITING_BYTES)

    def part(self, task, frames, bint wait=True):
        """A reply that is not the last one; waits while too much has yet to be sent, if told to."""
        self.put(task, A_PART, frames)
        if wait:
            self.c_wait()

    def reply(self, task, frames):
        """The last reply, and the handler's end."""
        self.put(task, A_REPLY, frames)

    def end(self, task):
        """The handler's end, without another reply."""
        self.put(task, A_NOTHING, ())

    def fail(self, task, frames):
        """The handler's end by an error, which these frames tell of."""
        self.put(task, A_FAILURE, frames)

    def push(self, int place, int64_t serial, frames):
        """A message to the client of a session, beside all requests; waits as :meth:`part` does."""
        cdef Answer *answer = self.new_answer(A_PUSH, frames)
        answer.session = place
        answer.serial = serial
        self.c_put(answer)
        self.c_wait()

    def finish(self):
        """There will be no more tasks."""
        self.box.end()

    cdef int c_wait(self) except -1:
        if self.box.full(REPLIES_WAITING_BYTES):
            with nogil:
                self.box.wait_for_room(REPLIES_WAITING_BYTES)
        return 0

    cdef int put(self, Task task, int kind, object frames) except -1:
        cdef Answer *answer
        if task is None:
            raise TypeError("a task is needed, not None")
        task.of_loop()
        answer = self.new_answer(kind, frames)
        answer.work = task.work
        if kind != A_PART:
            task.work = NULL  # the loop's again
        return self.c_put(answer)

    cdef Answer *new_answer(self, int kind, object frames) except NULL:
        cdef Answer *answer = <Answer *>calloc(1, sizeof(Answer))
        cdef int index
        if answer == NULL:
            raise MemoryError()
        frames_init(&answer.body)
        answer.kind = kind
        answer.session = NIL
        try:
            frames_extend(&answer.body, frames)
        except BaseException:
            free_answer(answer)
            raise
        for index in range(answer.body.count):
            answer.bytes += <int64_t>zmq_msg_size(&answer.body.at[index])
        return answer

    cdef int c_put(self, Answer *answer) except -1:
        self.box.put_answer(answer, answer.bytes)
        return 0
