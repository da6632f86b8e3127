"""The sessions of a server: opened, kept, bounded and expired; which request goes to a handler next."""

from __future__ import annotations

from typing import NamedTuple

from ...config.limits import REQUEST_OVERHEAD
from ...config.servers import ServerConfig
from ..structures.expiry import ExpiryQueue
from .keeping import ENDING, NEW, OPEN, OPENING, TELLS_KNOWN, TELLS_NONE, Keeping, Session

__all__ = ["Sessions"]

#: What is handed out.
OPENED, REQUEST, CLOSED = 0, 1, 2
#: States of a request.
_WAITING, _AT_WORK, _OVER = range(3)


class Turn(NamedTuple):
    """What is handed out."""

    event: int
    serial: int
    request: int | None
    reason: int


class _Job:
    __slots__ = ("session", "size", "state")

    def __init__(self, session: Session, size: int) -> None:
        self.session, self.size, self.state = session, size, _WAITING


class Sessions(Keeping):
    """What a server knows of its clients, with the bounds of a ``brigantine.ServerConfig``.

    ``tells``: who wants to be told: of ends only where something of the session was handed out (0), of
    every opening and end (1), of none (2).  ``now`` is monotonic seconds and never goes back.

    A session expires only while nothing of it waits or is at work, so no handler ever holds a closed one.
    """

    def __init__(self, config: ServerConfig, tells: int = TELLS_KNOWN) -> None:
        super().__init__(config, tells)
        self._jobs: dict[int, _Job] = {}
        self._free_jobs: list[int] = []
        self._ttl: ExpiryQueue[int] = ExpiryQueue(config.request_ttl)
        self._waiting_bytes = 0

    def next_deadline(self) -> float | None:
        """When :meth:`sweep` or :meth:`overdue` has something to do; ``None``: never."""
        due = [each.next_deadline() for each in (self._silence, self._ttl)]
        return min((each for each in due if each is not None), default=None)

    def refuse(self, reason: str) -> None:
        """A request of nobody who could have a session."""
        self.count["accepted"] += 1
        self.count["shed"] += 1
        self.count[reason] += 1

    def ask(self, key: bytes, size: int, now: float) -> int | str:
        """A request of ``size`` bytes, after :meth:`hear`: its number, or the counter it is shed to."""
        session, config, size = self._by_key.get(key), self._config, size + REQUEST_OVERHEAD
        reason = ""
        if session is None:
            reason = "shed_draining" if self.draining else "shed_sessions"
        elif self.draining:
            reason = "shed_draining"
        elif len(session.waiting) >= config.session_requests:
            reason = "shed_session_full"
        elif session.waiting and session.bytes + size > config.session_bytes:
            reason = "shed_session_bytes"
        elif self.count["queued"] >= config.queue_limit:
            reason = "shed_queue_full"
        elif self.count["queued"] and self._waiting_bytes + size > config.queue_bytes:
            reason = "shed_queue_bytes"
        if reason or session is None:
            self.refuse(reason)
            return reason
        job = self._free_jobs.pop() if self._free_jobs else len(self._jobs)
        self._jobs[job] = _Job(session, size)
        session.waiting[job] = None
        session.bytes += size
        self._waiting_bytes += size
        self.count["accepted"] += 1
        self.count["queued"] += 1
        self._ttl.refresh(job, now)
        self._settle(session, now)
        return job

    def next(self) -> Turn | None:
        """What is to be handed out next: ``(event, serial, request, reason)``; ``None`` when nothing is.

        The event is 0 (the session opens), 1 (a request) or 2 (it has closed).  ``request`` is ``None``
        for what is none, ``reason`` 0 for what is no end.
        """
        if not self._ready:
            return None
        serial, _ = self._ready.popitem(last=False)
        session = self._all[serial]
        session.known = self._tells != TELLS_NONE
        if session.phase == NEW:
            session.phase = OPENING
            return Turn(OPENED, serial, None, 0)
        if not session.waiting:
            session.phase = ENDING
            return Turn(CLOSED, serial, None, session.closing)
        job, _ = session.waiting.popitem(last=False)
        self._jobs[job].state = _AT_WORK
        self._waits_no_more(session, self._jobs[job])
        session.at_work += 1
        self.count["in_flight"] += 1
        if session.waiting and session.at_work < self._concurrency:
            self._ready[serial] = None
        return Turn(REQUEST, serial, job, 0)

    def _waits_no_more(self, session: Session, job: _Job) -> None:
        session.bytes -= job.size
        self._waiting_bytes -= job.size
        self.count["queued"] -= 1

    def done(self, turn: Turn, now: float, outcome: str = "replied") -> None:
        """What :meth:`next` has handed out is done with, and that is the counter of the request."""
        event, serial, number, _ = turn
        session = self._all.get(serial)
        if session is None:
            raise ValueError(f"no session {serial}")
        if event == CLOSED:
            self._release(session)
            return
        if event == OPENED:
            session.phase = OPEN
        else:
            assert number is not None
            if self._jobs[number].state == _AT_WORK:
                self.count["in_flight"] -= 1
                self._finished(outcome)
                self._ttl.remove(number)
            self._forget(number)
            session.at_work -= 1
        self._settle(session, now)

    def end(self, number: int, outcome: str, now: float) -> None:
        """A request has ended for its client, and is counted so; its handler may still be at work."""
        job = self._jobs[number]
        self._ttl.remove(number)
        self._finished(outcome)
        if job.state == _AT_WORK:
            self.count["in_flight"] -= 1
            job.state = _OVER
            return
        del job.session.waiting[number]
        self._waits_no_more(job.session, job)
        self._forget(number)
        self._settle(job.session, now)

    def is_over(self, number: int) -> bool:
        """Whether a request at a handler has ended for its client."""
        return self._jobs[number].state == _OVER

    def waits(self, number: int) -> bool:
        """Whether a request waits for a handler."""
        return self._jobs[number].state == _WAITING

    def overdue(self, now: float) -> list[int]:
        """End the requests whose time is over: their numbers."""
        found = self._ttl.sweep(now)
        for number in found:
            waits = self._jobs[number].state == _WAITING
            self.end(number, f"failed_expired_{'queued' if waits else 'in_flight'}", now)
        return found

    def _forget(self, number: int) -> None:
        # Numbers stay below the most that there ever were, as those of the core do.
        self._jobs[number].state = _OVER
        self._free_jobs.append(number)

    def _finished(self, outcome: str) -> None:
        self.count[outcome] += 1
        for kind in ("shed", "failed"):
            if outcome.startswith(kind + "_"):
                self.count[kind] += 1
