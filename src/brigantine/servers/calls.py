"""A request of an AsyncClient: what waits for its replies, and how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from ..errors import Busy, Expired, NoReply, SessionLost, Try
from ..wire.req import ErrorAnswer

__all__ = ["STATS", "Call", "Outcome", "lost", "no_reply", "refused"]

#: What ``stats()`` of an AsyncClient counts.
STATS: dict[str, str] = {
    "requests": "requests made",
    "replies": "requests whose last reply came",
    "failures": "requests that ended with an error",
    "timeouts": "... for want of a reply in time",
    "lost": "... because their session had ended",
    "late": "replies to requests that had ended, and others that belong to none: dropped",
    "pushed": "messages that answer no request",
    "dropped": "... that nobody took: more than 10,000 waited",
    "sessions": "sessions that the server has opened for this client",
    "sessions_lost": "sessions that have ended before this client did",
    "connects": "connections made",
    "disconnects": "connections that have ended",
    "heartbeats": "heartbeats sent",
}

_RAISES: dict[str, type[NoReply]] = {"busy": Busy, "expired": Expired}


class Outcome(NamedTuple):
    """A part of a reply, or the end of a request."""

    #: ``None``: it has ended without another reply.
    body: list[bytes] | None
    #: No more will come.
    last: bool
    error: BaseException | None = None


class Call:
    """One request.  ``tell`` gets its outcomes, in the thread of the connection."""

    __slots__ = ("deadline", "ended", "frames", "number", "session", "started", "tell")

    def __init__(
        self,
        frames: list[bytes],
        started: float,
        deadline: float,
        tell: Callable[[Outcome], object],
    ) -> None:
        self.frames = frames
        self.started, self.deadline = started, deadline
        self.tell = tell
        #: Given when it is taken up.
        self.number = 0
        #: The session in which it was asked; ``None`` where there was none.
        self.session: bytes | None = None
        self.ended = False

    def end(self, outcome: Outcome) -> bool:
        """Tell its end, unless it has ended; whether it was told."""
        if self.ended:
            return False
        self.ended = True
        self.tell(outcome)
        return True


def no_reply(endpoint: str, waited: float, seen: str) -> NoReply:
    """Nothing came in time."""
    said = f": {seen}" if seen else ""
    return NoReply(
        f"no reply from {endpoint} within {waited:.3g} s{said}", [Try(endpoint, waited, seen)]
    )


def lost(endpoint: str, waited: float, why: str) -> SessionLost:
    """The session has ended."""
    return SessionLost(
        f"the session at {endpoint} has ended ({why}): whether the request was carried out is not known",
        [Try(endpoint, waited, why)],
    )


def refused(endpoint: str, waited: float, said: ErrorAnswer) -> NoReply:
    """The server has answered with an error of its own."""
    kind = _RAISES.get(said.error, NoReply)
    return kind(
        f"the server at {endpoint} gave no reply: {said.reason}",
        [Try(endpoint, waited, "", (said.error, said.reason))],
        said.reason,
    )
