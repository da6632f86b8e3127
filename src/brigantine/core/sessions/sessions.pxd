"""The sessions of a server: opened, kept, bounded and expired; which request goes to a handler next.

A state machine without socket, clock or frames: it is told the time, and knows requests as small integers.
One thread uses it.

What is to be handed out (that a session opens, a request, that it has closed) comes from next(), of each
session in this order; whoever took it says done().
"""

from libc.stdint cimport int64_t
from libcpp.vector cimport vector

from ..structures.chain cimport Link
from ..structures.expiry cimport ExpiryOrder
from .keeping cimport Keeping

cdef enum:
    # What is handed out.
    OPENED = 0
    REQUEST = 1
    CLOSED = 2

cdef enum:
    NO_JOB = 0
    WAITING = 1
    AT_WORK = 2
    OVER = 3      # it has ended for its client; the handler is still at work

cdef struct Job:
    int session
    int state
    int64_t size

cdef struct Turn:
    int event
    int session
    int job             # NIL for what is no request
    int reason          # of CLOSED
    int64_t serial


cdef class Sessions(Keeping):
    cdef vector[Job] jobs             # by index
    cdef vector[Link] job_links       # by index
    cdef vector[int] free_jobs
    cdef ExpiryOrder ttl              # of requests
    cdef int64_t waiting_bytes
    cdef int64_t session_bytes, queue_bytes
    cdef int session_requests, queue_limit

    # Count and take a request; its job, or minus the counter that it went to.
    cdef int c_ask(self, int session, int64_t size, int64_t now) except? -1000 nogil
    # A request of nobody who could have a session.
    cdef void c_refuse(self, int reason) noexcept nogil
    # What is to be handed out next; whether there is something.
    cdef bint c_next(self, Turn *turn) except -1 nogil
    # What was handed out is done with.  `outcome`: the counter of a request that has just ended.
    cdef int c_done(self, const Turn *turn, int outcome, int64_t now) except -1 nogil
    # A request has ended for its client, and is counted so; its handler may still be at work.
    cdef int c_end(self, int job, int outcome, int64_t now) except -1 nogil
    # A request whose time is over: its job, or NIL.  To be followed by c_end().
    cdef int c_overdue(self, int64_t now) noexcept nogil
    # When c_sweep or c_overdue has something to do; -1: never.
    cdef int64_t c_next_deadline(self) noexcept nogil

    cdef int take_job(self, int session, int64_t size) except -1 nogil
    cdef int finished(self, int outcome) except -1 nogil
