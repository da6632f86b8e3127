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
from .dispatch cimport settle
from .endings cimport finish
from .noticing cimport notice_silence
from .telling cimport next_telling, tell_again
from ..structures.tickets cimport LATE
from .workers cimport heartbeat, lose, set_free


cdef int do_due(Board board, int64_t now) except -1 nogil:
    cdef int index = board.deadlines.expired(now)
    board.present = now
    board.turn += 1
    if board.vacated < 0:
        board.vacated = now
    while index != NIL:
        # A worker at work on it stays busy until it says something: it may still be at work.
        if board.requests[index].worker == NIL:
            finish(board, index, FAILED, FAILED_EXPIRED_QUEUED, LATE)
        else:
            finish(board, index, FAILED, FAILED_EXPIRED_IN_FLIGHT, LATE)
        index = board.deadlines.expired(now)
    index = board.vacancies.expired(now)
    while index != NIL:
        if (
            board.requests[index].worker == NIL
            and board.services[board.requests[index].service].workers == 0
        ):
            finish(board, index, FAILED, FAILED_NO_SERVICE, LATE)
        index = board.vacancies.expired(now)
    index = board.idle.expired(now)
    while index != NIL:
        board.count[WORKERS_EXPIRED] += 1
        lose(board, index, WORKERS_EXPIRED)
        index = board.idle.expired(now)
    if board.split:
        index = board.busy.expired(now)
        while index != NIL:
            board.count[WORKERS_EXPIRED] += 1
            lose(board, index, WORKERS_EXPIRED)
            index = board.busy.expired(now)
    index = board.leaving.expired(now)
    while index != NIL:
        lose(board, index, WORKERS_LOST)
        index = board.leaving.expired(now)
    index = board.silent.expired(now)
    while index != NIL:
        notice_silence(board, index)
        index = board.silent.expired(now)
    index = board.beats.expired(now)
    while index != NIL:
        heartbeat(board, index, now)
        index = board.beats.expired(now)
    index = board.parked.next()
    while index != NIL:
        set_free(board, index)
        index = board.parked.next()
    tell_again(board, now)
    return settle(board, now)


cdef int64_t next_due(Board board) noexcept nogil:
    cdef int64_t due = board.deadlines.next_deadline()
    cdef int64_t each
    each = board.vacancies.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = board.idle.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = board.busy.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = board.beats.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = board.leaving.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = board.silent.next_deadline()
    if 0 <= each < due or due < 0:
        due = each
    each = next_telling(board)
    if 0 <= each < due or due < 0:
        due = each
    return due
