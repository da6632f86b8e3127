"""What comes from clients."""

from __future__ import annotations

from ...config.limits import SENT_AWAY_EVERY
from ...wire.mdp import CLIENT_01, CLIENT_02
from ...wire.req import READY_WORDS, WORKER_ANNOUNCEMENT
from ..wire import codec
from ..wire.mdp import client_reply_head
from ..wire.messages import DIALECTS, MDP, REQ, STRICT, Command, Says
from .asked import file_request
from .board import Board
from .dispatch import enqueue
from .endings import refuse
from .from_worker import from_worker
from .mmi import answer_mmi, is_mmi
from .noticing import notice_message
from .outbox import Sent
from .records import AT_FRONTEND, NO_CONNECTION
from .requests import open_request
from .services import find_service, is_vacant, service_name
from .telling import announced, is_ours, tell_refused
from .watching import watch_refusal

__all__ = ["at_frontend", "dropped_from_client", "from_client", "is_served_there"]


def is_served_there(board: Board, frames: list[bytes]) -> bool:
    """Whether a message where clients are is from a worker that may be served there."""
    return board.workers_at_frontend and codec.is_worker(frames)


def at_frontend(connection: int) -> int:
    """The connection of a worker that speaks where clients are."""
    return connection if connection == NO_CONNECTION else connection + AT_FRONTEND


def from_client(
    board: Board, frames: list[bytes], now: float, connection: int, *, synced: bool
) -> bool:
    """Handle one message.  ``False``: see :meth:`Switchboard.take`."""
    command = codec.parse_client(frames, board.config.max_depth, board.client_protocols)
    if command.says is Says.TOO_DEEP:
        board.count["drop_too_deep"] += 1
        notice_message(board, "not_a_request", "drop_too_deep", frames)
        return True
    if command.says is Says.WORKER:
        if is_served_there(board, frames):
            at = at_frontend(connection)
            return from_worker(board, frames, now, at, dropped=False, synced=synced)
        _worker_at_frontend(board, frames, command, now)
        return True
    if command.says is not Says.REQUEST:
        board.count["drop_malformed_request"] += 1
        notice_message(board, "not_a_request", "drop_malformed_request", frames)
        _tell_misdirected(board, frames)
        return True
    if command.service < 0:
        if _is_ready(frames, command):
            board.count["drop_wrong_side"] += 1
            notice_message(board, "wrong_side", "drop_wrong_side", frames)
            return True
        if _is_foreign(frames, command):
            notice_message(board, "foreign_request", None, frames)
    elif command.dialect != STRICT:
        notice_message(board, "dialect", None, frames)
    board.count["accepted"] += 1
    name = service_name(board, frames, command)
    if board.protocols & MDP and is_mmi(name):
        _reply_mmi(board, frames, command, name)
        return True
    if board.draining:
        refuse(board, frames, command, "shed", "shed_draining")
        return True
    vacant = (
        command.service >= 0 and is_vacant(board, name) and announced(frames[: command.address])
    )
    if vacant and now - board.vacated >= board.no_service_deadlines.timeout:
        refuse(board, frames, command, "failed", "failed_no_service")
        return True
    service = find_service(board, name, by_worker=False)
    if service is None:
        refuse(board, frames, command, "shed", "shed_services")
        return True
    request = open_request(board, frames, command, service, now)
    file_request(board, request, connection)
    if vacant:
        board.no_service_deadlines.refresh(request.slot, now)
    enqueue(board, request, now)
    return True


def _tell_misdirected(board: Board, frames: list[bytes]) -> None:
    """Tell a client that its protocol is not spoken here, in that protocol, if it asks to be told."""
    command = codec.parse_client(frames, board.config.max_depth, REQ | MDP | DIALECTS)
    if command.says is Says.REQUEST:
        tell_refused(board, frames, command, "drop_malformed_request")


def _is_ready(frames: list[bytes], command: Command) -> bool:
    """Whether that is the READY of a REQ worker.  Our clients may ask with any body."""
    if len(frames) != command.body + 1 or frames[command.body] not in READY_WORDS:
        return False
    peer = frames[command.address - 1]
    return not is_ours(peer) or peer.startswith(WORKER_ANNOUNCEMENT)


def _is_foreign(frames: list[bytes], command: Command) -> bool:
    """Whether a plain request is most likely one of MDP.  It may be none, and is passed on."""
    return len(frames) > command.body + 1 and frames[command.body] in (CLIENT_01, CLIENT_02)


def _worker_at_frontend(board: Board, frames: list[bytes], command: Command, now: float) -> None:
    """A worker at the clients' socket that is not served there: what it says is never a request.

    It is told DISCONNECT, so that it tries again when it has been given the right endpoint; not often, for
    it comes back at once.
    """
    board.count["drop_wrong_side"] += 1
    notice_message(board, "wrong_side", "drop_wrong_side", frames)
    if command.protocol & board.protocols and now - board.sent_away_at >= SENT_AWAY_EVERY:
        board.sent_away_at = now
        board.count["disconnects"] += 1
        goodbye = codec.disconnect_head(frames[0], command.protocol, command.dialect)
        board.outbox(board.client_side, goodbye)


def dropped_from_client(board: Board, frames: list[bytes], reason: str) -> None:
    """Tell the client of a message that was dropped, if that was a request and it asks to be told."""
    command = codec.parse_client(frames, board.config.max_depth, board.client_protocols)
    if command.says is Says.REQUEST:
        tell_refused(board, frames, command, reason)


def _reply_mmi(board: Board, frames: list[bytes], command: Command, name: bytes) -> None:
    """Answer in the broker's own name."""
    board.count["mmi"] += 1
    board.count["replied"] += 1  # beforehand, so that the ledger in the answer balances
    body = answer_mmi(name, frames[command.body :], board.services, board.counters())
    spoken = (command.protocol, command.dialect)
    head = client_reply_head(frames[: command.address], name, *spoken, partial=False)
    sent = board.outbox(board.client_side, [*head, body])
    if sent == Sent.OK:
        return
    board.count["replied"] -= 1
    end, reason = {
        Sent.FULL: ("shed", "shed_client_full"),
        Sent.BEHIND: ("shed", "shed_client_bytes"),
    }.get(Sent(sent), ("failed", "failed_client_gone"))
    board.count[end] += 1
    board.count[reason] += 1
    watch_refusal(board, end, reason, frames, command)
    tell_refused(board, frames, command, reason)
