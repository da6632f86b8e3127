"""What the tests of the rooms share: settings, and a switchboard on a rig."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from brigantine import COUNTERS, BrokerConfig, ledger_holds
from brigantine.config.limits import FRAME_OVERHEAD, REQUEST_OVERHEAD
from brigantine.config.protocols import Protocol

#: The same examples in every run, and no clock in the judgement: a slow machine changes nothing.
#: ``rooms`` is a function-scoped fixture, but only a module.
QUICK = settings(
    max_examples=100,
    stateful_step_count=35,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

#: For what looks at a process's memory: the sanitizers keep what is freed, and find leaks better.
SANITIZED = bool(os.environ.get("BRIGANTINE_SANITIZED"))
needs_plain_memory = pytest.mark.skipif(SANITIZED, reason="a sanitizer keeps back what is freed")
needs_plain_fork = pytest.mark.skipif(
    SANITIZED, reason="a leak sanitizer hangs at the end of a child forked beside threads"
)

FRONTEND, BACKEND, BOTH = 0, 1, 2
OK, FULL, GONE, BEHIND = 0, 1, 2, 3
NO_CONNECTION = -1
UNKNOWN, LATE, ANSWERED = -1, -2, -3
#: The unit of time in the tests: exact in binary and in whole nanoseconds.
EIGHTH = 0.125
MEGABYTE = 1 << 20

#: Routing ids as a ROUTER hands them out: 1 to 255 bytes, NUL bytes included.
identities = st.one_of(
    st.sampled_from([b"\0", b"\0\0", b"a", b"a\0", b"a\0b", b"\xff" * 255, b"\0" * 255]),
    st.binary(min_size=1, max_size=255),
)


def memory() -> int:
    """Bytes of this process in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run_machine(
    machine: Callable[[ModuleType], RuleBasedStateMachine],
    rooms: ModuleType,
    how: settings = QUICK,
) -> None:
    """Run a state machine on one implementation."""
    made: Any = partial(machine, rooms)
    run_state_machine_as_test(made, settings=how)


class Call(NamedTuple):
    """One message that a switchboard handed to its outbox, and what it was told."""

    side: int
    frames: list[bytes]
    result: int

    @property
    def to(self) -> bytes:
        return self.frames[0]

    @property
    def ticket(self) -> bytes:
        """The ticket of a job, whatever the protocol of the worker."""
        assert self.side != FRONTEND
        if self.frames[1:3] == [b"", b"MDPW01"]:
            return self.frames[4]
        if self.frames[1] == b"MDPW02":
            return self.frames[3]
        return self.frames[1] or self.frames[2]


class Rig:
    """A switchboard with a recorded outbox and a clock that is moved by hand.

    ``results`` scripts the outbox: (side, identity) -> what it answers, OK where nothing stands.
    Every step returns the calls that it caused, and checks what must hold after any step.
    """

    def __init__(
        self,
        rooms: ModuleType,
        *,
        seed: int = 0,
        sync: Callable[[], object] = lambda: None,
        protocols: int = Protocol.REQ,
        default_service: bytes | None = b"",
        services: tuple[bytes, ...] = (b"",),
        **options: Any,
    ) -> None:
        """``services`` are the names of all that are spoken of: their workers are looked at.

        ``sync`` tells the board of connections that were opened and closed, when it asks for that.
        """
        self.config = BrokerConfig(**options)
        self.now = 0.0
        self.results: dict[tuple[int, bytes], int] = {}
        #: The most that each counter ever was.
        self.peak: Counter[str] = Counter()
        self._services = services
        self._calls: list[Call] = []
        #: Events since watch(): kind, reason, worker, service.
        self.events: list[tuple[Any, ...]] = []
        #: Notices since notice().
        self.notices: list[Any] = []
        self.board = rooms.Switchboard(
            self.config, self._outbox, seed=seed, protocols=int(protocols),
            default_service=default_service,
        )  # fmt: skip
        self._sync = sync

    def _outbox(self, side: int, frames: list[bytes]) -> int:
        result = self.results.get((int(side), frames[0]), OK)
        self._calls.append(Call(int(side), list(frames), result))
        return result

    def watch(self) -> None:
        """Keep events from now on."""
        self.board.watch_with(lambda *event: self.events.append(event))

    def notice(self) -> None:
        """Keep what a person is told from now on."""
        self.board.notice_with(
            lambda told: self.notices.append(told),
            lambda level: self.notices.append(level),
            lambda: "10.0.0.7",
        )

    def noticed(self) -> list[Any]:
        """The notices since this was last asked, the level of one that was left out."""
        notices, self.notices = self.notices, []
        return notices

    def told(self) -> list[tuple[Any, ...]]:
        """The events since this was last asked."""
        events, self.events = self.events, []
        return events

    def __getitem__(self, counter: str) -> int:
        return int(self.board.counters()[counter])

    def nonzero(self) -> dict[str, int]:
        return {name: value for name, value in self.board.counters().items() if value}

    def settled(self) -> list[Call]:
        """The calls since the last step, after a look at what must always hold."""
        counters = self.board.counters()
        assert list(counters) == list(COUNTERS)
        assert ledger_holds(counters), counters
        assert min(counters.values()) >= 0, counters
        idle = [each for name in self._services for each in self.board.idle_workers(name)]
        assert counters["workers_idle"] == len(idle)
        if not self.config.workers_at_frontend:  # else one identity may be on both sides
            assert len(idle) == len(set(idle))
        if len(self._services) == 1:
            assert not (counters["queued"] and idle), "a request waits while a worker is free"
        self.peak |= Counter(counters)
        calls, self._calls = self._calls, []
        return calls

    # -- steps --------------------------------------------------------------------------------

    def receive(
        self, side: int, frames: list[bytes], connection: int = NO_CONNECTION
    ) -> list[Call]:
        self.take(side, frames, connection)
        self.board.hand_out(self.now)
        while self.board.has_leaving():
            self.board.caught_up(self.now)
            self.board.hand_out(self.now)
        return self.settled()

    def take(self, side: int, frames: list[bytes], connection: int = NO_CONNECTION) -> None:
        """One message, after which more may be unread."""
        if not self.board.take(side, frames, self.now, connection):
            self._sync()
            assert self.board.take(side, frames, self.now, connection, synced=True)

    def burst(self, messages: list[tuple[int, list[bytes], int]]) -> list[Call]:
        """Several messages before the loop sends what they made room for."""
        for side, frames, connection in messages:
            self.take(side, frames, connection)
        return self.wait(0)

    def ask(self, client: bytes, *body: bytes) -> list[Call]:
        return self.receive(FRONTEND, [client, b"", *body])

    def ready(self, worker: bytes, connection: int = NO_CONNECTION) -> list[Call]:
        return self.receive(BACKEND, [worker, b"", b"READY"], connection)

    def reply(
        self, worker: bytes, ticket: bytes, *body: bytes, connection: int = NO_CONNECTION
    ) -> list[Call]:
        return self.receive(BACKEND, [worker, b"", ticket, b"", *body], connection)

    def wait(self, seconds: float) -> list[Call]:
        """Nothing is left unread before and after."""
        if self.board.has_leaving():
            self.board.caught_up(self.now)
        self.now += seconds
        self.board.tick(self.now)
        while self.board.has_leaving():
            self.board.caught_up(self.now)
            self.board.hand_out(self.now)
        return self.settled()

    def opened(self, connection: int) -> list[Call]:
        self.board.connection_opened(connection)
        return self.settled()

    def closed(self, connection: int) -> list[Call]:
        """Its requests go to others when the board is used next: the loop ticks in every turn."""
        self.board.connection_closed(connection, self.now)
        return self.wait(0)

    def client_leaves(self, connection: int) -> list[Call]:
        """The loop hears of a client's close, reads all that is there, and hears no more."""
        self.board.client_left(connection, self.now)
        self.board.clients_read()
        self.board.clients_caught_up()
        return self.wait(0)

    def client_closes(self, connection: int) -> list[Call]:
        """Of which the loop hears, and has yet to read what is there."""
        self.board.client_left(connection, self.now)
        return self.settled()

    def client_connects(self, connection: int) -> list[Call]:
        self.board.client_connected(connection)
        self.board.clients_read()
        self.board.clients_caught_up()
        return self.settled()

    def abort(self) -> list[Call]:
        self.board.abort()
        return self.settled()

    def job(self, client: bytes, worker: bytes, *body: bytes) -> bytes:
        """Have a free worker take a request; returns its ticket."""
        [call] = self.ask(client, *body)
        assert call[:2] == (BACKEND, [worker, b"", call.ticket, b"", *body])
        return call.ticket


def charge(address: list[bytes], body: list[bytes]) -> int:
    """What a waiting request counts for, by the formula in ``config``."""
    return REQUEST_OVERHEAD + sum(FRAME_OVERHEAD + len(frame) for frame in [*address, *body])
