"""The records of requests: opened, taken back from a lost worker, replied to."""

from __future__ import annotations

from ...config.limits import FRAME_OVERHEAD, NAME_COPIES, REQUEST_OVERHEAD
from ..structures.tickets import Verdict
from ..wire.mdp import client_reply_head
from ..wire.messages import MDP02, Command
from .board import Board
from .endings import finish
from .outbox import Sent
from .queues import joined_queue
from .records import Request, Service, State
from .watching import watch_request

__all__ = ["give_reply", "open_request", "take_back"]


def open_request(
    board: Board, frames: list[bytes], command: Command, service: Service, now: float
) -> Request:
    """Take the frames into a new waiting request."""
    # All that came, the service's name included, and what holding it costs.
    charge = REQUEST_OVERHEAD + FRAME_OVERHEAD * (len(frames) - 1) + sum(map(len, frames))
    if command.service >= 0:
        charge += (NAME_COPIES - 1) * len(service.name)
    request = Request(
        board.tickets.open(),
        frames[: command.address],
        service,
        command.protocol,
        command.dialect,
        frames[command.body :],
        board.config.retries or 0,
        charge,
    )
    board.requests[request.slot] = request
    service.users += 1
    board.count["queued"] += 1
    board.count["queued_bytes"] += request.charge
    board.request_deadlines.refresh(request.slot, now)
    return request


def take_back(board: Board, request: Request) -> None:
    """Put a request whose worker was lost at the head of the queue, under a new ticket."""
    board.tickets.renew(request.slot)
    board.no_service_deadlines.remove(request.slot)  # there was a worker: it has until its deadline
    request.retries -= 1
    request.taken_back = True
    watch_request(board, "redispatched", "redispatched", request)
    request.worker = None
    request.partial = []
    board.kept_bytes -= request.kept
    request.kept = 0
    request.begun = False
    request.state = State.QUEUED
    request.service.queue[request.slot] = None
    request.service.queue.move_to_end(request.slot, last=False)
    joined_queue(board, request)
    board.count["redispatched"] += 1
    board.count["in_flight"] -= 1
    board.count["queued"] += 1
    board.count["queued_bytes"] += request.charge


def give_reply(board: Board, request: Request, body: list[bytes], *, partial: bool) -> None:
    """Give the client its reply, or a part of it.

    A reply is the request's end, taken or not, and so is a part that was not taken.
    """
    if partial and request.protocol != MDP02:
        _join(board, request, body)
        return
    if request.partial and _too_large(board, [*request.partial, *body]):
        finish(board, request, "failed", "failed_partials_too_large", Verdict.ANSWERED)
        return
    head = client_reply_head(
        request.address, request.service.name, request.protocol, request.dialect, partial=partial
    )
    sent = board.outbox(board.client_side, [*head, *request.partial, *body])
    if partial and sent == Sent.OK:
        board.count["partials"] += 1
        request.begun = True
        _keep_no_longer(board, request)
        return
    # Without a part the reply would have a hole: nothing more of it leaves.  The worker is at work on
    # the rest all the same.
    verdict = Verdict.LATE if partial else Verdict.ANSWERED
    board.count["drop_partial_shed"] += partial
    if sent == Sent.OK:
        finish(board, request, "replied", None, verdict)
    elif sent == Sent.FULL:
        finish(board, request, "shed", "shed_client_full", verdict)
    elif sent == Sent.BEHIND:
        finish(board, request, "shed", "shed_client_bytes", verdict)
    else:
        finish(board, request, "failed", "failed_client_gone", verdict)


def _keep_no_longer(board: Board, request: Request) -> None:
    """It is not sent again: its client must not get parts of two workers."""
    request.retries = 0
    request.body = []
    board.kept_bytes -= request.kept
    request.kept = 0


def _join(board: Board, request: Request, body: list[bytes]) -> None:
    """Keep a PARTIAL for a client that can take one reply only."""
    board.count["partials"] += 1
    request.begun = True
    request.partial += body
    cost = FRAME_OVERHEAD * len(body) + sum(map(len, body))
    request.kept += cost
    board.kept_bytes += cost
    if _too_large(board, request.partial) or _too_much(board, request):
        finish(board, request, "failed", "failed_partials_too_large", Verdict.LATE)


def _too_large(board: Board, body: list[bytes]) -> bool:
    """Whether a joined reply is beyond the bounds of a message."""
    config = board.config
    return len(body) > config.max_frames or sum(map(len, body)) > config.max_message_bytes


def _too_much(board: Board, request: Request) -> bool:
    """Whether all that is kept for requests at workers is beyond queue_bytes; one alone may be."""
    return board.kept_bytes > max(board.config.queue_bytes, request.kept)
