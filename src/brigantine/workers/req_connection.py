"""One connection of a REQ worker to its broker, from READY to its end."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from ..config.limits import LEAVE_WAIT
from ..wire.req import EMPTY, LEAVING, READY
from .codec import is_ours
from .connection import Connection

__all__ = ["REQConnection", "Request", "parse_request"]

_LEAVING = [EMPTY, LEAVING]


class Request:
    """A request as the broker sent it.  ``envelope`` goes back unchanged in front of the reply."""

    __slots__ = ("body", "connection", "envelope")

    def __init__(self, connection: int, envelope: list[bytes], body: list[bytes]) -> None:
        #: The number of the connection in which its ticket is good.
        self.connection = connection
        self.envelope = envelope
        self.body = body


def parse_request(frames: list[bytes]) -> tuple[list[bytes], list[bytes]] | None:
    """``[] ticket [] body...`` as envelope and body, or ``None`` for anything else.

    The ticket is one frame from our brokers; a broker that passes on a whole address stack in its
    place is understood as well.
    """
    try:
        end = frames.index(EMPTY, 1) + 1
    except ValueError:
        return None
    # The shortest: empty, ticket, empty, one frame of body.
    if frames[0] != EMPTY or end < 3 or end == len(frames):
        return None
    return frames[:end], frames[end:]


class REQConnection(Connection):
    """A DEALER socket that is used for one connection and says READY once.

    On the wire it is the REQ worker of the guide: the empty frame that a REQ socket puts in front
    of each message and takes away is written and read here.  A REQ socket can't be used, because it
    can't send while it waits for a request: when the broker was restarted it would wait for ever,
    connected again by libzmq but unknown to the new broker.

    With a new socket for each connection nothing of the old one can reach the new one: neither
    a request that was read but not handed out, nor a reply, nor a second READY.

    The protocol has no heartbeat, so ZMTP's tell that the broker is there.  libzmq fails an assertion
    of its own when they find a connection silent that it has stopped to read because the queue is
    full.  So this one has no bound, and whoever owns it reads it all the time.

    Used by one thread.  ``interval_ms`` and ``timeout_ms`` are those of the ZMTP heartbeats.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        interval_ms: int,
        timeout_ms: int,
        wake: Callable[[], object],
    ) -> None:
        self._interval_ms = interval_ms
        self._timeout_ms = timeout_ms
        #: Whether READY was said, or will be when the connection stands.
        self.ready = False
        #: The broker is one of brigantine, as its tickets tell.
        self.is_ours = False
        #: When it was told that this worker is leaving, and whether it has answered that.
        self.leaving_at: float | None = None
        self.let_go = False
        #: Requests handed out.
        self.requests = 0
        #: Requests that came while another was at work; void with the connection.
        self.waiting: deque[Request] = deque()
        #: Whether the log was told of messages that no broker should send.
        self.warned = False
        super().__init__(context, endpoint, interval_ms + timeout_ms, wake)

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        socket.rcvhwm = 0
        socket.heartbeat_ivl = self._interval_ms
        socket.heartbeat_timeout = self._timeout_ms
        # A TTL would make the broker hang up on a worker that was only stopped for a while.
        socket.heartbeat_ttl = 0

    def say_ready(self) -> None:
        """Ask for the first request.  To be called once."""
        self.ready = True
        self.greet([EMPTY, READY])

    def leave(self, now: float) -> None:
        """Ask a broker of brigantine for no more requests; it says when all have come."""
        if self.is_ours and self.leaving_at is None:
            self.leaving_at = now
            self.send_frames(_LEAVING)

    def may_end(self, now: float) -> bool:
        """Whether no request is to be waited for, or nobody knows."""
        if not self.is_ours:
            return True
        if self.leaving_at is None or self.waiting:
            return False
        return self.let_go or now >= self.leaving_at + LEAVE_WAIT

    def add(self, frames: list[bytes]) -> bool:
        """Take in a message of the broker's; whether it was one that it may send."""
        if frames == _LEAVING:
            self.let_go = True
            return True
        parts = parse_request(frames)
        if parts is None:
            return False
        self.connected = True
        self.is_ours = self.is_ours or is_ours(parts[0][1:])
        self.waiting.append(Request(self.number, *parts))
        return True

    def send(self, request: Request, body: list[bytes]) -> bool:
        """Send the reply, which asks for the next request; whether libzmq took it."""
        return self.send_frames([*request.envelope, *body])
