"""Workers as the broker knows them: registered, heard of, free, lost."""

from __future__ import annotations

from ..structures.tickets import Verdict
from ..wire import codec
from ..wire.messages import MDP, MDP02, REQ, Command
from .board import Board
from .endings import finish, forget_if_empty
from .mmi import is_mmi
from .noticing import notice_loss, notice_ready
from .outbox import Sent, Side
from .records import NO_CONNECTION, Request, Worker
from .requests import take_back
from .services import find_service, give_places, leave_service, mark_dirty
from .telling import is_ours
from .watching import watch_ready, watch_worker

__all__ = [
    "ANY_SIDE",
    "cut_off",
    "heard",
    "heartbeat",
    "known",
    "leave",
    "let_go",
    "lose",
    "lose_leaving",
    "register",
    "send_disconnect",
    "set_free",
]

#: All sides, for :func:`lose_leaving`.
ANY_SIDE = -1
#: Why a worker is gone -> the kind of event that tells of it; "lost" where nothing stands here.
_LOSSES = {"workers_expired": "expired", "workers_disconnected": "disconnected"}


def known(board: Board, identity: bytes, connection: int) -> Worker | None:
    """The registered worker of that identity, if it still speaks on the same connection."""
    worker = board.workers.get((board.side, identity))
    if worker is None or worker.lost:
        return None
    if connection not in (worker.connection, NO_CONNECTION):
        # It is back on another connection.  The ROUTER gives an identity away again only when all that
        # came on the old one was read.
        lose(board, worker)
        return None
    if worker.key in board.leaving:
        board.leaving.refresh(worker.key, board.now)
    return worker


def register(
    board: Board, identity: bytes, name: bytes, command: Command, now: float, connection: int
) -> None:
    """Make a worker known, on a connection that is open, and free."""
    if connection != NO_CONNECTION and not _take_connection(board, connection):
        board.count["drop_ready_gone"] += 1
        notice_ready(board, "drop_ready_gone", identity, name)
        watch_ready(board, "drop_ready_gone", identity, name)
        return
    # Before its service is looked for: that may go with the last request.
    serial = board.serials.get(connection, 0)
    worker = board.workers.get((board.side, identity))
    if worker is not None and worker.serial != serial:
        end_replies(board, worker, all_of_them=True)
    mmi = command.protocol & MDP and is_mmi(name)
    service = None if mmi else find_service(board, name, by_worker=True)
    if service is None:
        board.count["drop_ready_refused"] += 1
        watch_ready(board, "drop_ready_refused", identity, name)
        notice_ready(board, "drop_ready_refused", identity, name)
        if command.protocol & MDP:
            send_disconnect(board, identity, command.protocol, command.dialect)
        return
    if connection != NO_CONNECTION:
        board.connections[connection] = board.side, identity
    worker = board.workers.get((board.side, identity))
    if worker is None:
        worker = Worker((board.side, identity))
        board.workers[worker.key] = worker
    board.fronted += worker.side == Side.FRONTEND
    worker.register(service, command.protocol, command.capacity, connection, serial)
    worker.joined(now, command.dialect, board.address())
    service.workers += 1
    service.unoccupied += 1
    service.users += 1
    board.count["workers"] += 1
    board.count["workers_joined"] += 1
    watch_worker(board, "joined", "workers_joined", worker)
    if worker.protocol != REQ:
        _set_intervals(board, worker, command)
        heard(board, worker, now)
        board.heartbeat_deadlines.refresh(worker.key, now)
    set_free(board, worker)
    if worker.protocol != REQ and is_ours(identity):
        heartbeat(board, worker, now)  # one of our workers waits to be told that it is registered


def _take_connection(board: Board, connection: int) -> bool:
    """Whether a connection is open; then no other worker speaks on it any more."""
    if connection not in board.connections:
        return False
    before = board.connections[connection]
    if before is not None:  # the descriptor was used again: its former worker is gone
        lose(board, board.workers[before])
    return True


def _set_intervals(board: Board, worker: Worker, ready: Command) -> None:
    """Hold a worker to the heartbeat interval that it announces, or to that of its protocol."""
    interval = ready.interval / 1000  # 0: the usual one
    if not interval and ready.protocol & MDP:
        interval = board.mdp_interval
    board.idle_deadlines.assign(worker.key, interval * board.config.liveness)
    if board.separate_busy:
        board.busy_deadlines.assign(worker.key, interval * board.config.busy_liveness)
    board.heartbeat_deadlines.assign(worker.key, interval)


def set_free(board: Board, worker: Worker) -> None:
    """Let a worker that has a place take part again."""
    barred = worker.key in board.blocked or worker.key in board.leaving
    if worker.occupied < worker.capacity and not (barred or worker.stopping):
        worker.service.free.ready(worker.key)
        mark_dirty(board, worker.service)


def heard(board: Board, worker: Worker, now: float) -> None:
    """Any frame from a worker counts as its heartbeat."""
    worker.says(now)
    if worker.key in board.leaving:
        return
    # At work, too, on what has expired meanwhile.
    if board.separate_busy:
        (board.idle_deadlines if worker.occupied else board.busy_deadlines).remove(worker.key)
    (board.busy_deadlines if worker.occupied else board.idle_deadlines).refresh(worker.key, now)


def heartbeat(board: Board, worker: Worker, now: float) -> None:
    """Nothing was sent to the worker for an interval."""
    beat = codec.heartbeat_head(worker.identity, worker.protocol, worker.dialect)
    sent = board.outbox(worker.side, beat)
    if sent == Sent.GONE:
        leave(board, worker)
        return
    board.count["heartbeats" if sent == Sent.OK else "worker_full"] += 1
    board.heartbeat_deadlines.refresh(worker.key, now)


def send_disconnect(board: Board, identity: bytes, protocol: int, dialect: int) -> None:
    """DISCONNECT for a peer that speaks MDP, known or not."""
    board.count["disconnects"] += 1
    board.outbox(board.side, codec.disconnect_head(identity, protocol, dialect))


def let_go(board: Board, worker: Worker, now: float) -> None:
    """One of our workers stops: it gets nothing more, and is told when all has come."""
    worker.stopping = True
    worker.service.free.remove(worker.key)
    board.blocked.remove(worker.key)
    if worker.protocol != REQ:
        heard(board, worker, now)
    if board.outbox(worker.side, codec.leaving_head(worker.identity, worker.protocol)) == Sent.GONE:
        leave(board, worker)


def leave(board: Board, worker: Worker) -> None:
    """A worker's connection is gone: it gets nothing more, and is lost when all that it said was read."""
    key = worker.key
    if key in board.leaving:
        return
    worker.service.free.remove(key)
    board.blocked.remove(key)
    if worker.protocol != REQ:
        board.idle_deadlines.remove(key)
        board.busy_deadlines.remove(key)
        board.heartbeat_deadlines.remove(key)
    board.leaving.refresh(key, board.now)


def lose_leaving(board: Board, side: int = ANY_SIDE) -> None:
    """All that workers on a side had sent was read: those whose connection is gone are lost."""
    for key in board.leaving:
        if side in (ANY_SIDE, key[0]):
            lose(board, board.workers[key])


def lose(board: Board, worker: Worker, reason: str = "workers_lost") -> None:
    """A worker is gone: out of every order; its requests go to others, or wait for their end."""
    key, service = worker.key, worker.service
    service.free.remove(key)
    board.blocked.remove(key)
    board.leaving.remove(key)
    if worker.protocol != REQ:
        board.idle_deadlines.release(key)
        if board.separate_busy:
            board.busy_deadlines.release(key)
        board.heartbeat_deadlines.release(key)
    worker.lost = True
    board.fronted -= worker.side == Side.FRONTEND
    give_places(worker, worker.occupied)
    worker.live = 0
    if board.connections.get(worker.connection) == key:
        board.connections[worker.connection] = None
    worker.connection = NO_CONNECTION
    service.workers -= 1
    service.unoccupied -= 1
    if not service.workers:
        board.vacated = board.now
    board.count["workers"] -= 1
    board.count["workers_lost"] += 1
    kind = _LOSSES.get(reason, "lost")
    watch_worker(board, kind, reason, worker)
    notice_loss(board, kind, reason, worker)
    for slot in reversed(list(worker.requests)):
        request = board.requests[slot]
        if request.orphan:
            continue
        if request.retries > 0:
            del worker.requests[slot]
            take_back(board, request)
        else:
            request.orphan = True
            board.orphans += 1
    forget_if_empty(board, worker)
    end_replies(board, worker, all_of_them=reason == "workers_lost")
    mark_dirty(board, service)
    leave_service(board, service)


def cut_off(board: Board, request: Request, connection: int) -> bool:
    """Whether an answer of MDP 0.2 that came on ``connection`` may lack what went before it.

    That is so on another connection than the request's worker was lost on, and where its connection has
    closed, the descriptor has been given away again, and nobody has said READY there yet.
    """
    worker = request.worker
    assert worker is not None
    if worker.lost:
        return board.serials.get(connection, 0) != worker.serial
    leaving = request.begun and worker.key in board.leaving
    return leaving and board.connections.get(connection, worker.key) is None


def end_replies(board: Board, worker: Worker, *, all_of_them: bool) -> None:
    """A worker was lost: end its requests whose reply could have a hole.

    Those are the ones of which a part has come.  With ``all_of_them`` its connection has ended: what
    comes on another may be the rest of a reply whose first parts are gone, if it can send parts at all.
    """
    for slot in list(worker.requests):
        request = board.requests[slot]
        if request.begun or (all_of_them and worker.protocol == MDP02):
            finish(board, request, "failed", "failed_worker_lost", Verdict.LATE)
