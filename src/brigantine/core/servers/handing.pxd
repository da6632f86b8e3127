"""What of a server's requests is at its handlers: handed out, answered, ended."""

from libc.stdint cimport int64_t
from libcpp.string cimport string
from libcpp.vector cimport vector

from .handoff cimport Answer, Handoff, Work
from .sending cimport Sending
from ..structures.seqlock cimport SeqLock


cdef class Handing(Sending):
    cdef Handoff handoff
    cdef SeqLock lock                 # odd while `sessions` changes: see stats()
    cdef vector[Work *] works         # of requests that have not ended, by job
    cdef vector[Work *] spare
    cdef vector[void *] handed        # what next goes to the handlers
    cdef vector[void *] answers       # what has come from them; owned
    cdef int at_work                  # works at the handlers
    cdef int most                     # requests that may be there at once, of those that have not ended

    cdef int employ(self, object handoff, int workers) except -1
    # Hand out as much as handlers can soon be at: what is beyond waits, within the bounds of Sessions.
    cdef int hand_out(self) except -1 nogil
    cdef string key_of(self, int session) noexcept nogil
    # What handlers have answered.
    cdef int take_answers(self, int64_t now) except -1 nogil
    cdef int take_answer(self, Answer *answer, int64_t now) except -1 nogil
    cdef int send_reply(self, Answer *answer) except -1 nogil
    cdef int send_push(self, Answer *answer) except -1 nogil
    cdef int end_work(self, Work *work, int outcome, int64_t now) except -1 nogil
    # End requests whose time is over.
    cdef int end_overdue(self, int64_t now) except -1 nogil
    cdef Work *take_spare(self) except NULL nogil
    cdef int give_back(self, Work *work) except -1 nogil
