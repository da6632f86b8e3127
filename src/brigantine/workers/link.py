"""The I/O thread of a worker: holds the connection, whatever the handler is doing."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import zmq

from ..config import LEAVE_WAIT
from ..net.backoff import Backoff
from .conversation import Conversation, Request
from .io_thread import WorkerIO
from .readiness import Readiness
from .socket import FLUSH_MS

__all__ = ["STATS", "WorkerLink"]

#: Bounds of the pause before a new conversation, in seconds: the first, and to what they grow
#: when one conversation after the other ends as soon as it began.
PAUSE = 0.1
PAUSE_MAX = 3.0
#: Messages read in one turn, before events and replies are looked at again.
BATCH = 256
#: Requests beyond the one at work that are kept for a broker that sends more than one at a time.
EXCESS = 1000

#: name -> meaning.  At rest requests == replies + discarded_replies.
STATS: dict[str, str] = {
    "requests": "requests handed to the handler",
    "replies": "replies handed to libzmq",
    "errors": "requests on which the handler raised, or returned what can't be sent",
    "discarded_replies": "replies to a connection that had ended: the broker's ticket was void",
    "discarded_requests": "requests not begun when their connection ended, or this worker",
    "drop_malformed": "messages from the broker that were no requests",
    "drop_excess": "requests from a broker that sent far more than one at a time",
    "connects": "connections made, handshake included",
    "disconnects": "connections lost, and handshakes that failed",
    "readies": "READY said, or to be said as soon as the connection stands",
}

_log = logging.getLogger("brigantine.worker")


class WorkerLink(WorkerIO[Request, "list[bytes]"]):
    """Connects to the broker, hands out requests one by one, takes their replies.

    The handler's side gets a request, calls :meth:`answer`, gets the next, and so on; the I/O thread
    owns all sockets.  While a request is out, no other is handed out, and READY is not said.
    What the broker sends is read all the time (see ``Conversation``).
    """

    def __init__(
        self,
        endpoint: str,
        context: zmq.Context[Any] | None,
        heartbeat_interval: float,
        liveness: int,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        super().__init__(context, stats, readiness)
        self._endpoint = endpoint
        self._interval_ms = max(1, round(heartbeat_interval * 1000))
        # Silence starts up to one interval before the PING that finds it.
        self._timeout_ms = self._interval_ms * (liveness - 1)
        # What follows belongs to the I/O thread.
        self._conversation: Conversation | None = None
        #: The request that is out.
        self._pending: Request | None = None
        self._backoff = Backoff(PAUSE, PAUSE_MAX)
        #: When the next conversation may begin, and when the last one did.
        self._open_at = self._opened_at = time.monotonic()

    def answer(self, request: Request, body: list[bytes]) -> None:
        """Give the reply to the request that is out."""
        assert request is self._pending
        self._hand_in(body)

    # -- the I/O thread -----------------------------------------------------------------------

    def _finished(self) -> bool:
        talk = self._conversation
        return self._pending is None and (talk is None or talk.may_end(time.monotonic()))

    def _close(self, *, flush: bool) -> None:
        if flush and not self._outbox.empty():
            self._send(self._outbox.get())
        talk = self._conversation
        if talk is not None:
            self._stats["discarded_requests"] += len(talk.waiting)
            talk.close(linger_ms=FLUSH_MS * (flush and talk.connected))

    def _turn(self, context: zmq.Context[Any]) -> None:
        """Wait for something to happen, and deal with it."""
        if self._conversation is None and not self._stopping:
            self._open(context)
        ready = self._poll()
        self._wakeup.clear()
        if self._conversation is not None:
            self._read_events(self._conversation)
        if not self._outbox.empty():
            self._send(self._outbox.get())
        talk = self._conversation
        if talk is not None and talk.socket in ready:
            self._receive(talk)
        if talk is None:
            return
        if self._stopping:
            talk.leave(time.monotonic())
        leaving = self._stopping and not talk.is_ours  # one of ours is asked to send no more
        if talk.waiting and self._pending is None and not leaving:
            self._pending = talk.waiting.popleft()
            talk.requests += 1
            self._stats["requests"] += 1
            self._give(self._pending)

    def _poll(self) -> list[Any]:
        """Sockets that can be read; sleeps until there are some, or something is due."""
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        sleep: float | None = None
        talk = self._conversation
        if talk is not None:
            for socket in (talk.monitor, talk.socket):
                if socket is not None:
                    poller.register(socket, zmq.POLLIN)
            now = time.monotonic()
            due = [] if talk.due is None else [talk.due]
            if talk.silent:
                due.append(now + self._interval_ms / 1000)
            if talk.leaving_at is not None:
                due.append(talk.leaving_at + LEAVE_WAIT)
            if due:
                sleep = max(0.0, min(due) - now)
        elif not self._stopping:
            sleep = max(0.0, self._open_at - time.monotonic())
        ready = poller.poll(None if sleep is None else math.ceil(sleep * 1000))
        return [socket for socket, _ in ready]

    def _open(self, context: zmq.Context[Any]) -> None:
        """Begin a conversation when it is time to, with READY unless a request is still out."""
        if time.monotonic() < self._open_at:
            return
        talk = Conversation(
            context, self._endpoint, self._interval_ms, self._timeout_ms, self._wakeup.set
        )
        self._opened_at = time.monotonic()
        self._conversation = talk
        if talk.silent:
            self._readiness.confirm(self._endpoint)
        if self._pending is None:
            self._say_ready(talk)

    def _say_ready(self, talk: Conversation) -> None:
        self._stats["readies"] += 1
        talk.say_ready()

    def _read_events(self, talk: Conversation) -> None:
        has_connected, is_over = talk.read_events()
        if talk.trouble:
            self._readiness.lose(self._endpoint, talk.trouble)
        talk.tell_trouble(_log)
        if has_connected:
            self._readiness.confirm(self._endpoint)
            self._stats["connects"] += 1
            _log.info("connected to %s", self._endpoint)
        if is_over:
            self._end(talk)

    def _end(self, talk: Conversation) -> None:
        """The connection is gone: forget all that belongs to it, and plan the next."""
        while self._receive(talk):
            pass  # what the broker had sent before is void with the connection, and counted
        self._stats["disconnects"] += 1
        self._readiness.lose(self._endpoint)
        if talk.connected:
            _log.warning("lost the connection to %s; connecting again", self._endpoint)
        else:
            _log.warning("no broker speaks ZMTP at %s; trying again", self._endpoint)
        self._stats["discarded_requests"] += len(talk.waiting)
        talk.close()
        self._conversation = None
        now = time.monotonic()
        if talk.requests or now - self._opened_at > PAUSE_MAX:
            self._backoff.reset()
        self._open_at = now + self._backoff.next()

    def _send(self, body: list[bytes]) -> None:
        """Reply to the request that is out, if its conversation still goes on."""
        request, self._pending = self._pending, None
        talk = self._conversation
        assert request is not None
        if talk is not None and talk.number == request.conversation:
            # Counted first: whoever has got the reply finds it in the stats.
            self._stats["replies"] += 1
            if talk.send(request, body):
                return
            self._stats["replies"] -= 1
        self._stats["discarded_replies"] += 1
        _log.warning("a reply was discarded: the connection it was for is gone")
        if talk is not None and not talk.ready and not (self._stopping or self._cut):
            self._say_ready(talk)

    def _receive(self, talk: Conversation) -> bool:
        """Read what the broker has sent, up to BATCH messages; whether there may be more."""
        for _ in range(BATCH):
            frames = talk.receive()
            if frames is None:
                return False
            if len(talk.waiting) >= EXCESS:
                self._stats["drop_excess"] += 1
                self._warn(talk, f"{EXCESS} requests more than the one at work")
            elif not talk.add(frames):
                self._stats["drop_malformed"] += 1
                self._warn(talk, "a message that is no request")
        return True

    def _warn(self, talk: Conversation, what: str) -> None:
        """Say once a connection what the broker has sent that it should not."""
        if not talk.warned:
            talk.warned = True
            _log.warning("%s sent %s; is it the workers' side of a broker?", self._endpoint, what)
