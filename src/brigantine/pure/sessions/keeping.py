"""The sessions of a server as such: opened, found, closed, expired."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from ...config.servers import ServerConfig
from ...counters import SERVER_COUNTERS
from ..structures.expiry import ExpiryQueue

__all__ = ["Keeping", "Session"]

#: Why a session has ended: see brigantine.servers.session.REASONS.
TIMED_OUT, LEFT, REPLACED, STOPPED = 1, 2, 3, 4
_CLOSED_BY = ("", "closed_timeout", "closed_left", "closed_replaced", "closed_stopped")
#: Who wants to be told: see :class:`Sessions`.
TELLS_KNOWN, TELLS_ALL, TELLS_NONE = 0, 1, 2
#: Phases of a session.
NEW, OPENING, OPEN, ENDING = range(4)

#: Counters that are kept here, in their order.
NAMES = tuple(SERVER_COUNTERS)[: tuple(SERVER_COUNTERS).index("unsent_bytes") + 1]


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
        self.phase = OPEN
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
        return self.phase == OPEN and not self.at_work and not self.waiting


class Keeping:
    """Base of :class:`~brigantine.pure.Sessions`."""

    def __init__(self, config: ServerConfig, tells: int) -> None:
        self._config = config
        self._concurrency = config.session_concurrency or 1
        self._tells = tells
        self._all: dict[int, Session] = {}
        #: What the loop knows of the client of each, beside this.
        self._clients: dict[int, Any] = {}
        self._by_key: dict[bytes, Session] = {}
        self._by_descriptor: dict[int, dict[int, Session]] = {}
        #: Sessions of which something can be handed out: an ordered set.
        self._ready: OrderedDict[int, None] = OrderedDict()
        self._silence: ExpiryQueue[int] = ExpiryQueue(config.session_timeout)
        self._serial = 0
        self.count = dict.fromkeys(NAMES, 0)
        #: Nothing more is accepted.
        self.draining = False
        #: Whether the last :meth:`hear` opened a session.
        self.opened = False

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
            session.phase = NEW
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
            session.phase == NEW
            or (idle and session.closing)
            or (session.phase == OPEN and session.waiting and session.at_work < self._concurrency)
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
