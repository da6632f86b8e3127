"""The I/O thread of a REQ worker: holds the connection, whatever the handler is doing."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import zmq

from ..config import WorkerConfig
from ..config.limits import LEAVE_WAIT
from ..net.backoff import Backoff
from .connection import FLUSH_MS
from .io_thread import WorkerIO
from .readiness import Readiness
from .req_connection import REQConnection, Request

__all__ = ["REQWorkerIO"]

#: Bounds of the pause before a new connection, in seconds: the first, and to what they grow
#: when one connection after the other ends as soon as it began.
PAUSE = 0.1
PAUSE_MAX = 3.0
#: Messages read in one turn, before events and replies are looked at again.
BATCH = 256
#: Requests beyond the one at work that are kept for a broker that sends more than one at a time.
EXCESS = 1000

_log = logging.getLogger("brigantine.worker")


class REQWorkerIO(WorkerIO[Request, "list[bytes]"]):
    """Connects to the broker, hands out requests one by one, takes their replies.

    The handler's side gets a request, calls :meth:`answer`, gets the next, and so on; the I/O thread
    owns all sockets.  While a request is out, no other is handed out, and READY is not said.
    What the broker sends is read all the time (see ``REQConnection``).
    """

    def __init__(
        self,
        endpoint: str,
        config: WorkerConfig,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        super().__init__(context, stats, readiness)
        self._endpoint = endpoint
        self._interval_ms = max(1, round(config.interval * 1000))
        # Silence starts up to one interval before the PING that finds it.
        self._timeout_ms = self._interval_ms * (config.liveness - 1)
        # What follows belongs to the I/O thread.
        self._connection: REQConnection | None = None
        #: The request that is out.
        self._pending: Request | None = None
        self._backoff = Backoff(PAUSE, PAUSE_MAX)
        #: When the next connection may begin, and when the last one did.
        self._open_at = self._opened_at = time.monotonic()

    def answer(self, request: Request, body: list[bytes]) -> None:
        """Give the reply to the request that is out."""
        assert request is self._pending
        self._hand_in(body)

    # -- the I/O thread -----------------------------------------------------------------------

    def _finished(self) -> bool:
        connection = self._connection
        return self._pending is None and (
            connection is None or connection.may_end(time.monotonic())
        )

    def _close(self, *, flush: bool) -> None:
        if flush and not self._outbox.empty():
            self._send(self._outbox.get())
        connection = self._connection
        if connection is not None:
            self._stats["discarded_requests"] += len(connection.waiting)
            connection.close(linger_ms=FLUSH_MS * (flush and connection.connected))

    def _turn(self, context: zmq.Context[Any]) -> None:
        """Wait for something to happen, and deal with it."""
        if self._connection is None and not self._stopping:
            self._open(context)
        ready = self._poll()
        self._wakeup.clear()
        if self._connection is not None:
            self._read_events(self._connection)
        if not self._outbox.empty():
            self._send(self._outbox.get())
        connection = self._connection
        if connection is not None and connection.socket in ready:
            self._receive(connection)
        if connection is None:
            return
        if self._stopping:
            connection.leave(time.monotonic())
        leaving = self._stopping and not connection.is_ours  # one of ours is asked to send no more
        if connection.waiting and self._pending is None and not leaving:
            self._pending = connection.waiting.popleft()
            connection.requests += 1
            self._stats["requests"] += 1
            self._give(self._pending)

    def _poll(self) -> list[Any]:
        """Sockets that can be read; sleeps until there are some, or something is due."""
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        sleep: float | None = None
        connection = self._connection
        if connection is not None:
            for socket in (connection.monitor, connection.socket):
                if socket is not None:
                    poller.register(socket, zmq.POLLIN)
            now = time.monotonic()
            due = [] if connection.due is None else [connection.due]
            if connection.silent:
                due.append(now + self._interval_ms / 1000)
            if connection.leaving_at is not None:
                due.append(connection.leaving_at + LEAVE_WAIT)
            if due:
                sleep = max(0.0, min(due) - now)
        elif not self._stopping:
            sleep = max(0.0, self._open_at - time.monotonic())
        ready = poller.poll(None if sleep is None else math.ceil(sleep * 1000))
        return [socket for socket, _ in ready]

    def _open(self, context: zmq.Context[Any]) -> None:
        """Begin a connection when it is time to, with READY unless a request is still out."""
        if time.monotonic() < self._open_at:
            return
        connection = REQConnection(
            context, self._endpoint, self._interval_ms, self._timeout_ms, self._wakeup.set
        )
        self._opened_at = time.monotonic()
        self._connection = connection
        if connection.silent:
            self._readiness.confirm(self._endpoint)
        if self._pending is None:
            self._say_ready(connection)

    def _say_ready(self, connection: REQConnection) -> None:
        self._stats["readies"] += 1
        connection.say_ready()

    def _read_events(self, connection: REQConnection) -> None:
        has_connected, is_over = connection.read_events()
        if connection.trouble:
            self._readiness.lose(self._endpoint, connection.trouble)
        connection.tell_trouble(_log)
        if has_connected:
            self._readiness.confirm(self._endpoint)
            self._stats["connects"] += 1
            _log.info("connected to %s", self._endpoint)
        if is_over:
            self._end(connection)

    def _end(self, connection: REQConnection) -> None:
        """The connection is gone: forget all that belongs to it, and plan the next."""
        while self._receive(connection):
            pass  # what the broker had sent before is void with the connection, and counted
        self._stats["disconnects"] += 1
        self._readiness.lose(self._endpoint, connection.trouble)
        if connection.connected:
            _log.warning("lost the connection to %s; connecting again", self._endpoint)
        elif not connection.mismatched:
            _log.warning("no broker speaks ZMTP at %s; trying again", self._endpoint)
        self._stats["discarded_requests"] += len(connection.waiting)
        connection.close()
        self._connection = None
        now = time.monotonic()
        if connection.requests or now - self._opened_at > PAUSE_MAX:
            self._backoff.reset()
        self._open_at = now + self._backoff.next()

    def _send(self, body: list[bytes]) -> None:
        """Reply to the request that is out, if its connection still goes on."""
        request, self._pending = self._pending, None
        connection = self._connection
        assert request is not None
        if connection is not None and connection.number == request.connection:
            # Counted first: whoever has got the reply finds it in the stats.
            self._stats["replies"] += 1
            if connection.send(request, body):
                return
            self._stats["replies"] -= 1
        self._stats["discarded_replies"] += 1
        _log.warning("a reply was discarded: the connection it was for is gone")
        if connection is not None and not connection.ready and not (self._stopping or self._cut):
            self._say_ready(connection)

    def _receive(self, connection: REQConnection) -> bool:
        """Read what the broker has sent, up to BATCH messages; whether there may be more."""
        for _ in range(BATCH):
            frames = connection.receive()
            if frames is None:
                return False
            if len(connection.waiting) >= EXCESS:
                self._stats["drop_excess"] += 1
                self._warn(connection, f"{EXCESS} requests more than the one at work")
            elif not connection.add(frames):
                self._stats["drop_malformed"] += 1
                self._warn(connection, "a message that is no request")
        return True

    def _warn(self, connection: REQConnection, what: str) -> None:
        """Say once a connection what the broker has sent that it should not."""
        if not connection.warned:
            connection.warned = True
            _log.warning("%s sent %s; is it the workers' side of a broker?", self._endpoint, what)
