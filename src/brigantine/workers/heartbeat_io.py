"""The I/O thread of a worker of PPP or MDP: a session with each broker, and the requests they bring."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import zmq

from ..config import WorkerConfig
from ..system.signals import longest_wait
from .dialog import Dialog, Job
from .io_thread import WorkerIO
from .part_credit import PartCredit
from .readiness import Readiness
from .session import Answer, RequestSink, Session

__all__ = ["HeartbeatWorkerIO"]

#: Requests beyond the capacity that are kept for a broker that does not keep to it.
EXCESS = 1000
#: Parts of one reply that may wait to be sent; then its generator waits.
PARTS_AHEAD = 16
#: Answers that are sent in one turn.  Generators make new ones as fast as theirs are sent, and
#: heartbeats and other brokers want a turn meanwhile.
ANSWERS_A_TURN = 100


class HeartbeatWorkerIO(WorkerIO[Job, Answer], RequestSink):
    """Holds one connection per broker, hands out at most ``capacity`` requests at once.

    Between getting a request and calling :meth:`answer`, a handler may send any number of parts.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        make_dialog: Callable[[float], Dialog],
        config: WorkerConfig,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        super().__init__(context, stats, readiness)
        self._capacity = config.capacity
        self._interval = config.interval
        # What follows belongs to the I/O thread.
        self._now = time.monotonic()
        self._sessions: dict[Dialog, Session] = {}
        for endpoint in endpoints:
            dialog = make_dialog(self._now)
            self._sessions[dialog] = Session(endpoint, dialog, self, stats, readiness)
        #: Requests that wait for a handler, oldest first.
        self._waiting: deque[Job] = deque()
        #: Requests at the handlers, each with the credit for its parts.
        self._credits: dict[Job, PartCredit] = {}
        self._ended = False

    # -- the handlers' side -------------------------------------------------------------------

    def part(self, job: Job, body: list[bytes]) -> bool:
        """Send a part of a reply; False when there is nobody to send it to any more.

        From a thread, which waits while too many parts have not left yet.
        """
        credit, longest = self._credits[job], longest_wait()
        while self._wanted(job):
            if credit.take(longest):
                self._hand_in(Answer(job, body, False))
                return True
        return False

    async def part_from_task(self, job: Job, body: list[bytes]) -> bool:
        """:meth:`part`, from a task."""
        credit = self._credits[job]
        if self._wanted(job):
            await credit.take_in_task()
        if not self._wanted(job):
            return False
        self._hand_in(Answer(job, body, False))
        return True

    def answer(self, request: Job, body: list[bytes]) -> None:
        """Send a reply, or the last part of it."""
        self._hand_in(Answer(request, body, True))

    def _wanted(self, job: Job) -> bool:
        return not (job.void or self._ended)

    # -- the I/O thread: what the sessions bring -------------------------------------------------

    def take(self, job: Job) -> None:
        """Let a request wait for a handler."""
        leaving = self._stopping and not job.dialog.is_ours  # one of ours is asked to send no more
        if not leaving and len(job.dialog.jobs) <= self._capacity + EXCESS:
            self._waiting.append(job)
            return
        self._stats["discarded_requests" if leaving else "drop_excess"] += 1
        job.dialog.done(job)

    def forget(self, jobs: Iterable[Job]) -> None:
        """Let go of requests whose connection is over; their handlers are not waited for."""
        for job in jobs:
            if job in self._credits:
                self._credits[job].release()
        kept = [job for job in self._waiting if not job.void]
        self._stats["discarded_requests"] += len(self._waiting) - len(kept)
        self._waiting = deque(kept)

    def part_sent(self, job: Job) -> None:
        """Give credit for another part, unless the last one waits already."""
        if job in self._credits:
            self._credits[job].release()

    # -- the I/O thread: its turns ------------------------------------------------------------

    def _finished(self) -> bool:
        return not self._credits and all(
            session.connection is None for session in self._sessions.values()
        )

    def _close(self, *, flush: bool) -> None:
        while flush and self._collect():
            pass
        for session in self._sessions.values():
            # Also when cut short: without a word some brokers would go on sending requests.
            session.leave(self._now, flush=flush)
        self._ended = True
        for credit in self._credits.values():
            credit.release()

    def _turn(self, context: zmq.Context[Any]) -> None:
        """Wait for something to happen, and deal with it."""
        if not self._stopping:
            for session in self._sessions.values():
                session.open(
                    context, round(self._interval * 1000), time.monotonic(), self._wakeup.set
                )
        ready = self._poll()
        self._wakeup.clear()
        for session in self._sessions.values():
            session.listen(ready, self._now)
        if self._collect():
            self._wakeup.set()
        for session in self._sessions.values():
            session.keep_up(self._now, stopping=self._stopping)
        while self._waiting and len(self._credits) < self._capacity:
            job = self._waiting.popleft()
            self._credits[job] = PartCredit(PARTS_AHEAD)
            self._stats["requests"] += 1
            self._give(job)

    def _poll(self) -> set[Any]:
        """Sockets that can be read or written; sleeps until there are some, or something is due."""
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        due_at: list[float] = []
        for session in self._sessions.values():
            connection, due = session.connection, session.dialog.next_due()
            if connection is not None:
                if connection.monitor is not None:
                    poller.register(connection.monitor, zmq.POLLIN)
                if connection.socket is not None:
                    poller.register(
                        connection.socket, zmq.POLLIN | (zmq.POLLOUT if session.backlog else 0)
                    )
                if connection.silent:
                    due_at.append(self._now + self._interval)
                elif connection.due is not None:
                    due_at.append(connection.due)
            elif self._stopping:
                continue
            if due is not None:
                due_at.append(due)
        sleep = max(0.0, min(due_at) - time.monotonic()) if due_at else None
        ready = poller.poll(None if sleep is None else math.ceil(sleep * 1000))
        self._tell_time(sleep)
        return {socket for socket, _ in ready}

    def _tell_time(self, slept: float | None) -> None:
        """Look at the clock, and notice when this thread did not run when it should have.

        The process was stopped, or the handler is in code that holds the GIL.
        """
        before, self._now = self._now, time.monotonic()
        gap = self._now - before - (math.inf if slept is None else slept)
        if gap > self._interval:
            for session in self._sessions.values():
                session.dialog.excuse(gap)

    def _collect(self) -> bool:
        """Deal with what the handlers have handed in; whether something is left for another turn."""
        for _ in range(ANSWERS_A_TURN):
            if self._outbox.empty():
                return False
            self._pass_on(self._outbox.get())
        return not self._outbox.empty()

    def _pass_on(self, answer: Answer) -> None:
        job = answer.job
        credit = self._credits.pop(job) if answer.final else self._credits[job]
        session = self._sessions[job.dialog]
        if not job.void:
            session.answer(answer, self._now)
        elif answer.final:
            session.discard()
        else:
            credit.release()
