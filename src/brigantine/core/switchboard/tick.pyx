"""What time brings: frozen workers and late requests expire; heartbeats; full pipes to try again."""

from ..structures.chain cimport NIL
from .counters cimport (
    FAILED,
    FAILED_EXPIRED_IN_FLIGHT,
    FAILED_EXPIRED_QUEUED,
    FAILED_NO_SERVICE,
    WORKERS_EXPIRED,
    WORKERS_LOST,
)
from .dispatch cimport dispatch_all
from .endings cimport finish
from .noticing cimport notice_silence
from .telling cimport next_telling, tell_again
from ..structures.expiry cimport earlier
from ..structures.tickets cimport LATE
from .workers cimport heartbeat, lose, set_free


cdef int run_timers(Board board, int64_t now) except -1 nogil:
    cdef int index = board.request_deadlines.expired(now)
    board.now = now
    board.turn += 1
    if board.vacated < 0:
        board.vacated = now
    while index != NIL:
        # A worker at work on it stays busy until it says something: it may still be at work.
        if board.requests[index].worker == NIL:
            finish(board, index, FAILED, FAILED_EXPIRED_QUEUED, LATE)
        else:
            finish(board, index, FAILED, FAILED_EXPIRED_IN_FLIGHT, LATE)
        index = board.request_deadlines.expired(now)
    index = board.no_service_deadlines.expired(now)
    while index != NIL:
        if (
            board.requests[index].worker == NIL
            and board.services[board.requests[index].service].workers == 0
        ):
            finish(board, index, FAILED, FAILED_NO_SERVICE, LATE)
        index = board.no_service_deadlines.expired(now)
    index = board.idle_deadlines.expired(now)
    while index != NIL:
        board.count[WORKERS_EXPIRED] += 1
        lose(board, index, WORKERS_EXPIRED)
        index = board.idle_deadlines.expired(now)
    if board.separate_busy:
        index = board.busy_deadlines.expired(now)
        while index != NIL:
            board.count[WORKERS_EXPIRED] += 1
            lose(board, index, WORKERS_EXPIRED)
            index = board.busy_deadlines.expired(now)
    index = board.leaving.expired(now)
    while index != NIL:
        lose(board, index, WORKERS_LOST)
        index = board.leaving.expired(now)
    index = board.silent.expired(now)
    while index != NIL:
        notice_silence(board, index)
        index = board.silent.expired(now)
    index = board.heartbeat_deadlines.expired(now)
    while index != NIL:
        heartbeat(board, index, now)
        index = board.heartbeat_deadlines.expired(now)
    index = board.blocked.next()
    while index != NIL:
        set_free(board, index)
        index = board.blocked.next()
    tell_again(board, now)
    return dispatch_all(board, now)


cdef int64_t next_due(Board board) noexcept nogil:
    cdef int64_t due = board.request_deadlines.next_deadline()
    due = earlier(due, board.no_service_deadlines.next_deadline())
    due = earlier(due, board.idle_deadlines.next_deadline())
    due = earlier(due, board.busy_deadlines.next_deadline())
    due = earlier(due, board.heartbeat_deadlines.next_deadline())
    due = earlier(due, board.leaving.next_deadline())
    due = earlier(due, board.silent.next_deadline())
    return earlier(due, next_telling(board))
