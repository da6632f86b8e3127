"""A worker of PPP or MDP and one of its brokers: the dialog, and the socket it is held on."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import zmq

from .codec import Says
from .connection import FLUSH_MS, GOODBYE_MS, Connection
from .dialog import Dialog, Due, Job
from .readiness import Readiness

__all__ = ["Answer", "RequestSink", "Session"]

#: Messages read from one broker before the others have their turn.
BATCH = 256

_log = logging.getLogger("brigantine.worker")


class Answer(NamedTuple):
    """What a handler hands in: a reply, or one part of it."""

    job: Job
    body: list[bytes]
    final: bool


class RequestSink(ABC):
    """What takes the requests of all sessions."""

    @abstractmethod
    def take(self, job: Job) -> None:
        """A request has come."""

    @abstractmethod
    def forget(self, jobs: Iterable[Job]) -> None:
        """These requests are void."""

    @abstractmethod
    def part_sent(self, job: Job) -> None:
        """One part of the reply has left."""


class Session:
    """One broker: where it is, what was said, and the socket, if there is one.

    Used by one thread.  ``now`` is in seconds, monotonic.
    """

    def __init__(
        self,
        endpoint: str,
        dialog: Dialog,
        sink: RequestSink,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        self.endpoint = endpoint
        self.dialog = dialog
        self.connection: Connection | None = None
        #: Answers that libzmq did not take, because the broker does not read.
        self.backlog: deque[Answer] = deque()
        self._sink = sink
        self._stats = stats
        self._readiness = readiness
        #: Whether the log was told of a malformed message.
        self._warned = False

    def open(
        self,
        context: zmq.Context[Any],
        patience_ms: int,
        now: float,
        wake: Callable[[], object],
    ) -> None:
        """Begin to connect when it is time to."""
        dialog = self.dialog
        if self.connection is not None or dialog.due(now) is not Due.OPEN:
            return
        self.connection = connection = Connection(context, self.endpoint, patience_ms, wake)
        self._warned = False
        self._stats["readies"] += 1
        connection.greet(dialog.opened())
        if connection.silent:
            connection.connected = True
            dialog.established(now)
            self._readiness.connect(self.endpoint)

    def listen(self, ready: set[Any], now: float) -> None:
        """Read what the socket's monitor and the broker have to say."""
        connection = self.connection
        if connection is None:
            return
        has_connected, is_over = connection.read_events()
        if connection.trouble:
            self._readiness.lose(self.endpoint, connection.trouble)
        connection.tell_trouble(_log)
        if has_connected:
            self._readiness.connect(self.endpoint)
            self._stats["connects"] += 1
            self.dialog.established(now)
            _log.info("connected to %s", self.endpoint)
        if is_over:
            while self.connection is connection and self._read(connection, now):
                pass  # what the broker had said before counts: a DISCONNECT tells more than the end
            if self.connection is not connection:
                return
            words = "lost the connection to" if connection.connected else "no broker speaks ZMTP at"
            if not connection.mismatched:
                _log.warning("%s %s; connecting again", words, self.endpoint)
            self._end(connection, now)
            self._readiness.lose(self.endpoint, connection.trouble)
        elif connection.socket in ready:
            self._read(connection, now)

    def _read(self, connection: Connection, now: float) -> bool:
        """Read up to BATCH messages; whether there may be more."""
        for _ in range(BATCH):
            frames = connection.receive()
            if frames is None or not self._hear(connection, frames, now):
                return False
        return True

    def _hear(self, connection: Connection, frames: list[bytes], now: float) -> bool:
        """Deal with a message; whether the dialog goes on."""
        connection.connected = True
        before = self.dialog.heard_of
        says, job = self.dialog.heard(frames, now)
        if says in (Says.REQUEST, Says.HEARTBEAT):
            self._readiness.confirm(self.endpoint)
        if job is not None:
            self._sink.take(job)
        elif says is Says.DISCONNECT:
            self._stats["dismissed"] += 1
            _log.warning("%s %s", self.endpoint, self._dismissal(before))
            self._end(connection, now)
            return False
        elif says is Says.MALFORMED:
            self._stats["drop_malformed"] += 1
            if not self._warned:
                self._warned = True
                _log.warning(
                    "%s sent a message that is not of %s; "
                    "is it the workers' endpoint of a broker that speaks it?",
                    self.endpoint,
                    self.dialog.speaks,
                )
        return True

    def answer(self, answer: Answer, now: float) -> None:
        """Send a reply to a request that is not void, or a part of it."""
        self.backlog.append(answer)
        if len(self.backlog) == 1:
            self._send_backlog(now)

    def _send_backlog(self, now: float) -> None:
        """Send answers as far as libzmq takes them."""
        connection = self.connection
        assert connection is not None
        while self.backlog:
            job, body, final = self.backlog[0]
            counter = "replies" if final else "partials"
            # Counted first: whoever has got the reply finds it in the stats.
            self._stats[counter] += 1
            if not connection.send_frames(self.dialog.reply(job, body, final=final)):
                self._stats[counter] -= 1
                return
            self.backlog.popleft()
            self.dialog.said(now)
            if final:
                self.dialog.done(job)
            else:
                self._sink.part_sent(job)

    def keep_up(self, now: float, *, stopping: bool) -> None:
        """Send what is due, or end what is over."""
        connection = self.connection
        if connection is None:
            return
        if self.backlog:
            self._send_backlog(now)
        if stopping and (words := self.dialog.leave(now)) is not None:
            connection.send_frames(words)
        due = self.dialog.due(now)
        if due is Due.CLOSE:
            self._stats["expired"] += 1
            _log.warning("%s %s", self.endpoint, self._silence())
            self._stats["disconnects"] += 1
            self._part(connection, now, GOODBYE_MS)
        elif stopping and self.dialog.may_end(now):
            self.leave(now, flush=True)
        elif due is Due.HEARTBEAT:
            # One that is not taken is not sent later either: the queue to the broker is full.
            if connection.send_frames(self.dialog.heartbeat()):
                self._stats["heartbeats"] += 1
            self.dialog.said(now)

    def leave(self, now: float, *, flush: bool) -> None:
        """Say goodbye if what is sent may still leave, and close."""
        connection = self.connection
        if connection is None:
            return
        self._part(connection, now, FLUSH_MS if flush else 0)

    def discard(self) -> None:
        """Count a reply that nobody waits for any more."""
        self._stats["discarded_replies"] += 1
        _log.warning(
            "a reply was discarded: the connection to %s it was for is gone", self.endpoint
        )

    def _part(self, connection: Connection, now: float, linger_ms: int) -> None:
        """Close, after a goodbye if what is sent may still leave.

        Without it some brokers would go on sending requests to a worker that comes back as another.
        """
        words = self.dialog.goodbye()
        if linger_ms and words is not None:
            connection.send_frames(words)
        connection.close(linger_ms=linger_ms if connection.connected else 0)
        self._forget(now)

    def _dismissal(self, heard_before: bool) -> str:
        """What a broker has done that has said DISCONNECT."""
        if heard_before:
            return "has sent this worker away; connecting again"
        return (
            "has answered READY by DISCONNECT; connecting again. Is it the workers' endpoint of a "
            f"broker that speaks {self.dialog.speaks}, and does it take this service?"
        )

    def _silence(self) -> str:
        """What a broker has done that is given up."""
        if self.dialog.heard_of:
            return f"was silent for {self.dialog.patience:g} s; connecting again"
        return (
            f"has not answered READY for {self.dialog.patience:g} s; connecting again. "
            f"Is it the workers' endpoint of a broker that speaks {self.dialog.speaks}?"
        )

    def _end(self, connection: Connection, now: float) -> None:
        self._stats["disconnects"] += 1
        connection.close()
        self._forget(now)

    def _forget(self, now: float) -> None:
        """The connection was closed: forget all that belongs to it."""
        self.connection = None
        self._readiness.lose(self.endpoint)
        void = self.dialog.closed(now)
        for answer in self.backlog:
            if answer.final:
                self.discard()
        self.backlog.clear()
        self._sink.forget(void)
