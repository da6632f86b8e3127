"""What comes from clients."""

from __future__ import annotations

from ..wire_mdp import MMI_PREFIX
from . import codec
from .board import Board
from .commands import MDP, REQ, Command, Says
from .dispatch import enqueue
from .endings import refuse, tell_refused
from .mmi import answer_mmi
from .noticing import notice_message
from .outbox import Sent
from .requests import open_request
from .services import find_service, is_vacant, service_name
from .telling import announced, tell
from .watching import watch

__all__ = ["dropped_from_client", "from_client"]


def from_client(board: Board, frames: list[bytes], now: float) -> None:
    """Handle one message."""
    command = codec.parse_client(frames, board.config.max_depth, board.client_protocols)
    if command.says is Says.TOO_DEEP:
        board.count["drop_too_deep"] += 1
        notice_message(board, "not_a_request", "drop_too_deep", frames)
        return
    if command.says is not Says.REQUEST:
        board.count["drop_malformed_request"] += 1
        notice_message(board, "not_a_request", "drop_malformed_request", frames)
        _tell_misdirected(board, frames)
        return
    board.count["accepted"] += 1
    name = service_name(board, frames, command)
    if board.protocols & MDP and name.startswith(MMI_PREFIX):
        _reply_mmi(board, frames, command, name)
        return
    if board.draining:
        refuse(board, frames, command, "shed", "shed_draining")
        return
    vacant = (
        command.service >= 0 and is_vacant(board, name) and announced(frames[command.address - 1])
    )
    if vacant and now - board.vacated >= board.vacancies.timeout:
        refuse(board, frames, command, "failed", "failed_no_service")
        return
    service = find_service(board, name, by_worker=False)
    if service is None:
        refuse(board, frames, command, "shed", "shed_services")
        return
    request = open_request(board, frames, command, service, now)
    if vacant:
        board.vacancies.refresh(request.slot, now)
    enqueue(board, request, now)


def _tell_misdirected(board: Board, frames: list[bytes]) -> None:
    """Tell a client that its protocol is not spoken here, in that protocol, if it asks to be told."""
    command = codec.parse_client(frames, board.config.max_depth, REQ | MDP)
    if command.says is Says.REQUEST:
        tell_refused(board, frames, command, "drop_malformed_request")


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
    head = codec.reply_head(frames[: command.address], name, command.protocol, partial=False)
    sent = board.outbox(board.client_port, [*head, body])
    if sent == Sent.OK:
        return
    board.count["replied"] -= 1
    end, reason = {
        Sent.FULL: ("shed", "shed_client_full"),
        Sent.BEHIND: ("shed", "shed_client_bytes"),
    }.get(Sent(sent), ("failed", "failed_client_gone"))
    board.count[end] += 1
    board.count[reason] += 1
    watch(board, end, reason, None, name)
    tell(board, frames[: command.address], name, command.protocol, reason)
