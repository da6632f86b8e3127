"""The sessions of a server: opened, kept, bounded and expired; which request goes to a handler next."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, NamedTuple

from ...config.limits import REQUEST_OVERHEAD
from ...config.servers import ServerConfig
from ...counters import SERVER_COUNTERS
from ..structures.expiry import ExpiryQueue

__all__ = ["Sessions"]

#: What is handed out.
OPENED, REQUEST, CLOSED = 0, 1, 2
#: Why a session has ended: see brigantine.servers.session.REASONS.
TIMED_OUT, LEFT, REPLACED, STOPPED = 1, 2, 3, 4
_CLOSED_BY = ("", "closed_timeout", "closed_left", "closed_replaced", "closed_stopped")
#: Who wants to be told: see :class:`Sessions`.
TELLS_KNOWN, TELLS_ALL, TELLS_NONE = 0, 1, 2
#: Phases of a session.
_NEW, _OPENING, _OPEN, _ENDING = range(4)
#: States of a request.
_WAITING, _AT_WORK, _OVER = range(3)

#: Counters that are kept here, in their order.
NAMES = tuple(SERVER_COUNTERS)[: tuple(SERVER_COUNTERS).index("unsent_bytes") + 1]


class Turn(NamedTuple):
    """What is handed out."""

    event: int
    serial: int
    request: int | None
    reason: int


class Session:
    """What is known of a session."""

    __slots__ = (
        "at_work", "bytes", "closing", "connection", "cut", "descriptor", "key", "known", "phase",
        "serial", "waiting",
    )  # fmt: skip

    def __init__(self, serial: int, key: bytes, connection: object, descriptor: int) -> None:
        self.serial = serial
        #: ``None`` once it takes nothing more.
        self.key: bytes | None = key
        self.connection = connection
        self.descriptor = descriptor
        self.phase = _OPEN
        #: Why it is to end.
        self.closing = 0
        self.at_work = 0
        #: Requests that wait: an ordered set.
        self.waiting: OrderedDict[int, None] = OrderedDict()
        self.bytes = 0
        #: Something of it was handed out, and its end is to be.
        self.known = False
        #: Its connection has closed.
        self.cut = False

    @property
    def idle(self) -> bool:
        """Whether nothing of it waits or is at work."""
        return self.phase == _OPEN and not self.at_work and not self.waiting


class _Job:
    __slots__ = ("session", "size", "state")

    def __init__(self, session: Session, size: int) -> None:
        self.session, self.size, self.state = session, size, _WAITING


class Sessions:
    """What a server knows of its clients, with the bounds of a ``brigantine.ServerConfig``.

    ``tells``: who wants to be told: of ends only where something of the session was handed out (0), of
    every opening and end (1), of none (2).  ``now`` is monotonic seconds and never goes back.

    A session expires only while nothing of it waits or is at work, so no handler ever holds a closed one.
    """

    def __init__(self, config: ServerConfig, tells: int = TELLS_KNOWN) -> None:
        self._config = config
        self._concurrency = config.session_concurrency or 1
        self._tells = tells
        self._all: dict[int, Session] = {}
        #: What the loop knows of the client of each, beside this.
        self._clients: dict[int, Any] = {}
        self._by_key: dict[bytes, Session] = {}
        self._by_descriptor: dict[int, dict[int, Session]] = {}
        self._jobs: dict[int, _Job] = {}
        self._free_jobs: list[int] = []
        #: Sessions of which something can be handed out: an ordered set.
        self._ready: OrderedDict[int, None] = OrderedDict()
        self._silence: ExpiryQueue[int] = ExpiryQueue(config.session_timeout)
        self._ttl: ExpiryQueue[int] = ExpiryQueue(config.request_ttl)
        self._serial = 0
        self._waiting_bytes = 0
        self.count = dict.fromkeys(NAMES, 0)
        #: Nothing more is accepted.
        self.draining = False
        #: Whether the last :meth:`hear` opened a session.
        self.opened = False

    # -- sessions -----------------------------------------------------------------------------

    def hear(self, key: bytes, now: float, connection: object = 0, descriptor: int = -1) -> int:
        """A message has come from this address: the serial number of its session, 0 when it is refused.

        It opens a session where there is none, and where the one that there is came by another connection.
        """
        self.opened = False
        session = self._by_key.get(key)
        if session is not None:
            if session.connection == connection:
                if session.serial in self._silence:
                    self._silence.refresh(session.serial, now)
                return session.serial
            self._close(session, REPLACED, now)
        if self.draining:
            return 0
        if self.count["sessions"] >= self._config.max_sessions:
            self.count["sessions_refused"] += 1
            return 0
        self._serial += 1
        session = Session(self._serial, key, connection, descriptor)
        if self._tells == TELLS_ALL:
            session.phase = _NEW
        self._all[session.serial] = self._by_key[key] = session
        if descriptor >= 0:
            self._by_descriptor.setdefault(descriptor, {})[session.serial] = session
        self.count["sessions"] += 1
        self.count["sessions_opened"] += 1
        self.opened = True
        self._settle(session, now)
        return session.serial

    def find(self, key: bytes) -> int:
        """The serial number of the session of an address; 0 when there is none."""
        session = self._by_key.get(key)
        return 0 if session is None else session.serial

    def close(self, key: bytes, reason: int, now: float) -> bool:
        """End the session of an address, as soon as nothing of it is at work; whether there is one."""
        session = self._by_key.get(key)
        if session is None:
            return False
        self._close(session, reason, now)
        return True

    def close_all(self, reason: int, now: float) -> None:
        """End all sessions."""
        for session in list(self._all.values()):
            self._close(session, reason, now)

    def sweep(self, now: float) -> int:
        """Close the sessions that were silent for too long; how many."""
        silent = self._silence.sweep(now)
        for serial in silent:
            self._close(self._all[serial], TIMED_OUT, now)
        return len(silent)

    def disconnected(self, descriptor: int) -> None:
        """The connection with this descriptor has closed: nothing can be sent to its sessions."""
        for session in self._by_descriptor.pop(descriptor, {}).values():
            session.cut = True
            session.descriptor = -1

    def reachable(self, key: bytes) -> bool:
        """Whether there is a session of this address, and its connection is open."""
        session = self._by_key.get(key)
        return session is not None and not session.cut

    def address(self, serial: int) -> bytes | None:
        """The address of a session that can be sent something, else ``None``."""
        session = self._all.get(serial)
        return None if session is None or session.cut else session.key

    def next_deadline(self) -> float | None:
        """When :meth:`sweep` or :meth:`overdue` has something to do; ``None``: never."""
        due = [each.next_deadline() for each in (self._silence, self._ttl)]
        return min((each for each in due if each is not None), default=None)

    def stats(self) -> dict[str, int]:
        """The counters, see ``brigantine.SERVER_COUNTERS``."""
        return dict(self.count)

    def __len__(self) -> int:
        return self.count["sessions"]

    def _close(self, session: Session, reason: int, now: float) -> None:
        if session.closing:
            return
        session.closing = reason
        if session.key is not None:
            del self._by_key[session.key]
            session.key = None
        self._settle(session, now)

    def _settle(self, session: Session, now: float) -> None:
        """Into which orders a session belongs, after anything of it has changed."""
        idle = session.idle
        if idle and session.closing and not (self._tells == TELLS_ALL or session.known):
            self._release(session)
            return
        if (
            session.phase == _NEW
            or (idle and session.closing)
            or (session.phase == _OPEN and session.waiting and session.at_work < self._concurrency)
        ):
            self._ready.setdefault(session.serial)
        else:
            self._ready.pop(session.serial, None)
        if idle and not session.closing:
            self._silence.refresh(session.serial, now)
        else:
            self._silence.remove(session.serial)

    def _release(self, session: Session) -> None:
        self._ready.pop(session.serial, None)
        self._silence.remove(session.serial)
        if session.descriptor >= 0:
            mates = self._by_descriptor[session.descriptor]
            del mates[session.serial]
            if not mates:
                del self._by_descriptor[session.descriptor]
        del self._all[session.serial]
        self._clients.pop(session.serial, None)
        self.count["sessions"] -= 1
        self.count["sessions_closed"] += 1
        self.count[_CLOSED_BY[session.closing]] += 1

    # -- requests -----------------------------------------------------------------------------

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
        if session.phase == _NEW:
            session.phase = _OPENING
            return Turn(OPENED, serial, None, 0)
        if not session.waiting:
            session.phase = _ENDING
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
            session.phase = _OPEN
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
