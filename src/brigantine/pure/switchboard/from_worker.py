"""What comes from workers."""

from __future__ import annotations

from ..structures.tickets import Verdict
from ..wire import codec
from ..wire.messages import DIALECTS, MDP, MDP02, NONE, REQ, STRICT, Command, Says
from .board import Board
from .endings import finish
from .noticing import notice_message
from .outbox import Side
from .records import NO_CONNECTION, Worker
from .requests import give_reply
from .services import give_places, service_name
from .workers import (
    cut_off,
    heard,
    known,
    let_go,
    lose,
    register,
    send_disconnect,
    set_free,
)

__all__ = ["from_worker"]

#: The ticket of a malformed answer is looked for in so many frames: in front of it, at most, an answer has
#: id [] header command; this leaves room for what does not belong there.
_TICKET_WITHIN = 8


def from_worker(
    board: Board,
    frames: list[bytes],
    now: float,
    connection: int,
    *,
    dropped: bool,
    synced: bool,
) -> bool:
    """Handle one message that came on ``connection``.

    With ``dropped`` it was beyond the bounds: a reply still says that its sender lives and is done,
    anything else nothing.  ``False``: see :meth:`Switchboard.take`.
    """
    if board.silent and board.side == Side.BACKEND:
        board.silent.remove(connection)  # whatever it is that has come
    allowed = board.protocols
    if board.side == Side.FRONTEND:  # where only those of Majordomo can be told from clients
        allowed &= MDP | DIALECTS
    command = codec.parse_worker(frames, allowed)
    says = command.says
    if dropped and says not in (Says.FINAL, Says.PARTIAL, Says.MALFORMED):
        return True
    if says is Says.MALFORMED:
        _malformed(board, frames, command, now, dropped=dropped)
        return True
    identity = frames[0]
    unsure = connection != NO_CONNECTION and not synced
    if says is Says.READY:
        if unsure:
            return False
        _on_ready(board, frames, command, now, connection)
        return True
    worker = known(board, identity, connection)
    registers = command.protocol == REQ and says is Says.FINAL
    if unsure and registers and (worker is None or (board.side, identity) in board.leaving):
        return False
    if worker is not None and worker.protocol != command.protocol:
        board.count["drop_malformed_worker"] += 1
        notice_message(board, "not_a_command", "drop_malformed_worker", frames)
        slot = _answered(board, frames, command, worker) if command.ticket != NONE else NONE
        if slot >= 0:
            finish(
                board, board.requests[slot], "failed", "failed_reply_malformed", Verdict.ANSWERED
            )
            set_free(board, worker)
        if worker.protocol != REQ:
            heard(board, worker, now)
        return True
    if says is Says.FINAL or says is Says.PARTIAL:
        _on_reply(board, frames, command, worker, now, connection, dropped=dropped)
    elif worker is None:
        _unexpected(board, frames, command)
    elif says is Says.DISCONNECT:
        board.count["workers_disconnected"] += 1
        lose(board, worker, "workers_disconnected")
    elif says is Says.LEAVING:
        let_go(board, worker, now)
    else:
        heard(board, worker, now)
    return True


def _malformed(
    board: Board, frames: list[bytes], command: Command, now: float, *, dropped: bool
) -> None:
    """RFC 7: a peer that sends what is no command is treated as invalid.

    Where the protocol has no such rule, it lives at least: any frame is a heartbeat.  One with the
    ticket of a request is what it has to say to that: there will be no other reply, by any worker.
    """
    if not dropped:  # else it is counted as that
        board.count["drop_malformed_worker"] += 1
        notice_message(board, "not_a_command", "drop_malformed_worker", frames)
    worker = board.workers.get((board.side, frames[0])) if frames else None
    if worker is None:
        return
    slot = _answered(board, frames, command, worker)
    if dropped and slot < 0 and command.ticket == NONE:  # whatever it was, it was no answer
        return
    if slot >= 0:
        finish(board, board.requests[slot], "failed", "failed_reply_malformed", Verdict.ANSWERED)
    if worker.lost:
        return
    if command.protocol & MDP and worker.protocol == command.protocol and not dropped:
        send_disconnect(board, frames[0], command.protocol, command.dialect)
        lose(board, worker, "drop_malformed_worker")
        return
    if slot < 0:
        _give_expired_place(worker, slot)
    if worker.protocol != REQ:
        heard(board, worker, now)
    set_free(board, worker)


def _answered(board: Board, frames: list[bytes], command: Command, worker: Worker) -> int:
    """What a malformed message answers: the slot of a request of its sender, whose ticket is in it.

    Where there is none (below 0): what the frame resolves to that should be a ticket.
    """
    for frame in frames[1:_TICKET_WITHIN]:
        slot = board.tickets.resolve(frame)
        if slot >= 0 and board.requests[slot].worker is worker:
            return slot
    if command.ticket == NONE:
        return Verdict.UNKNOWN
    return min(board.tickets.resolve(frames[command.ticket]), Verdict.UNKNOWN)


def _give_expired_place(worker: Worker, slot: int) -> None:
    """A worker is done with what has that ticket, which it does not hold.

    It is the place of a request that expired meanwhile.  A REQ worker has but one request, so
    whatever it says tells that it is done with it.
    """
    if worker.occupied > worker.live and (slot == Verdict.LATE or worker.protocol == REQ):
        give_places(worker, 1)


def _unexpected(board: Board, frames: list[bytes], command: Command) -> None:
    """RFC 7: a valid command from a peer that never said READY is answered with DISCONNECT."""
    board.count["drop_unexpected"] += 1
    notice_message(board, "unexpected", "drop_unexpected", frames)
    if command.protocol & MDP and command.says is not Says.DISCONNECT:
        send_disconnect(board, frames[0], command.protocol, command.dialect)


def _on_ready(
    board: Board, frames: list[bytes], command: Command, now: float, connection: int
) -> None:
    identity = frames[0]
    worker = known(board, identity, connection)
    name = service_name(board, frames, command)
    if worker is not None and (board.side, identity) in board.leaving:
        # It is back, on the same descriptor or none: all that it said before was read.
        lose(board, worker)
    elif worker is not None:
        board.count["ready_again"] += 1
        if worker.protocol != command.protocol:
            return
        if worker.protocol & MDP:  # RFC 7: READY is sent once a connection
            send_disconnect(board, identity, worker.protocol, worker.dialect)
            lose(board, worker, "ready_again")
            return
        if worker.protocol == REQ:
            # Busy with a live request: one job at a time, whatever it says.  Otherwise what it was
            # busy with has expired, and it is free.
            if worker.occupied and not worker.live:
                give_places(worker, worker.occupied)
                set_free(board, worker)
            return
        lose(board, worker, "ready_again")  # RFC 6: a new conversation
    if command.dialect != STRICT:
        notice_message(board, "dialect", None, frames)
    register(board, identity, name, command, now, connection)


def _on_reply(
    board: Board, frames: list[bytes], command: Command, worker: Worker | None, now: float,
    connection: int, *, dropped: bool,
) -> None:  # fmt: skip
    identity, body = frames[0], frames[command.body :]
    partial = command.says is Says.PARTIAL
    slot = board.tickets.resolve(frames[command.ticket])
    holder = board.workers.get((board.side, identity))
    matched = slot >= 0 and holder is not None and board.requests[slot].worker is holder
    if matched and command.protocol == MDP02 and cut_off(board, board.requests[slot], connection):
        finish(board, board.requests[slot], "failed", "failed_worker_lost", Verdict.LATE)
        matched, slot = False, Verdict.LATE
    if dropped:
        if matched:  # after a part the worker is still at work on the rest
            verdict = Verdict.LATE if partial else Verdict.ANSWERED
            finish(board, board.requests[slot], "failed", "failed_reply_too_large", verdict)
    elif matched:
        give_reply(board, board.requests[slot], body, partial=partial)
    elif slot >= 0:
        board.count["drop_reply_foreign"] += 1
    elif slot == Verdict.ANSWERED:
        board.count["drop_reply_duplicate"] += 1
    elif slot == Verdict.LATE:
        board.count["drop_reply_late"] += 1
    else:
        board.count["drop_reply_unknown"] += 1
    if worker is None:
        if command.protocol != REQ and not matched and not dropped:
            notice_message(board, "unexpected", "drop_unexpected", frames)
        if command.protocol == REQ:
            # Its reply says that it is free, though it answers the broker that ran here before, or
            # comes on a new connection.
            register(board, identity, board.default_service, command, now, connection)
        elif command.protocol & MDP and not dropped:
            send_disconnect(board, identity, command.protocol, command.dialect)
        return
    if not partial and not matched:
        _give_expired_place(worker, slot)
    unclaimed = board.connections.get(connection, (board.side, identity)) is None
    if command.protocol == REQ and (board.side, identity) in board.leaving and unclaimed:
        # It may be back on the same descriptor without a READY.  If not, the next send will tell.
        lose(board, worker)
        register(board, identity, board.default_service, command, now, connection)
        return
    if worker.protocol != REQ:
        heard(board, worker, now)  # it may be idle now, which has another deadline
    if not partial:
        set_free(board, worker)
