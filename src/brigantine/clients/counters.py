"""What a client counts, and which counter a request ends in."""

from __future__ import annotations

from ..errors import Busy, Expired, NoReply, NoService, WorkerFailed

__all__ = ["MDP_STATS", "STATS", "ending"]

#: What a request can raise -> the counter of it, subclasses first.
_ENDINGS: dict[type[BaseException], str] = {
    WorkerFailed: "worker_failed",
    NoService: "no_service",
    Busy: "busy",
    Expired: "expired",
    NoReply: "no_reply",
}

#: name -> meaning.  At rest requests == replies + worker_failed + no_reply + no_service + busy +
#: expired + interrupted.
STATS: dict[str, str] = {
    "requests": "requests and streams that passed the checks of their arguments and began",
    "replies": "those whose (last) reply was returned",
    "worker_failed": "those that raised WorkerFailed",
    "no_reply": "those that raised NoReply itself",
    "no_service": "those that raised NoService",
    "busy": "those that raised Busy",
    "expired": "those that raised Expired",
    "interrupted": "those ended by anything else: close(), Ctrl-C, a stream that was left",
    "tries": "messages sent or about to be sent, over all requests",
    "error_answers": "answers in which a broker said why there is no reply, over all tries",
    "sockets_opened": "sockets made for requests",
}
#: Counters of clients of Majordomo.
MDP_STATS: dict[str, str] = {
    **STATS,
    "parts": "PARTIALs received",
    "drop_malformed": "messages from a broker that are no replies of the protocol",
    "drop_unexpected": "replies that name another service than the one that was asked",
}


def ending(error: BaseException) -> str:
    """The counter of a request that ended with ``error``."""
    names = (name for kind, name in _ENDINGS.items() if isinstance(error, kind))
    return next(names, "interrupted")
