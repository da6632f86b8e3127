"""The same switchboard twice, of two implementations, that must do the same."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

from dialects import LED, MDP01, MDP02, PPP, REQ, Dialect, Frames
from models import BOTH, FRONTEND, OK, Call, Rig

from brigantine._impl import implementation

#: What is told of services and workers is compared once in so many steps.
REPORTED = 8


def nanoseconds(due: float | None) -> int | None:
    """Whole ones, which one of the two counts by: a sum of seconds may be off by its last bit."""
    return None if due is None else round(due * 1e9)


class Monitor:
    """Connection events that the loop has not read yet."""

    def __init__(self) -> None:
        self.rig: Rig | None = None
        self.unread: list[tuple[str, int]] = []

    def read(self) -> None:
        while self.unread:
            what, connection = self.unread.pop(0)
            assert self.rig is not None
            when = (self.rig.now,) if what in ("connection_closed", "client_left") else ()
            getattr(self.rig.board, what)(connection, *when)


class Twins:
    """The same switchboard twice.  Every step is done to both, and what can be seen is compared."""

    def __init__(self, rooms: ModuleType, sides: tuple[int, ...], **options: Any) -> None:
        self.sides = sides
        self.options = options
        #: Names whose free workers are compared; READY brings more.
        self.services = [b"", b"echo"]
        self.monitors = [Monitor(), Monitor()]
        self.rigs = []
        for monitor, each in zip(self.monitors, (rooms, implementation("pure")), strict=True):
            monitor.rig = Rig(each, sync=monitor.read, services=(), **options)
            monitor.rig.watch()
            monitor.rig.notice()
            self.rigs.append(monitor.rig)
        #: Of jobs: ticket, worker, how it speaks.  Where each worker spoke last.
        self.jobs: list[tuple[bytes, bytes, Dialect]] = []
        self.unanswered: dict[bytes, tuple[bytes, bytes, Dialect]] = {}
        self.spoke_on: dict[bytes, int] = {}
        self.spoke_to: dict[bytes, int] = {}
        self.dialects: dict[bytes, Dialect] = {}
        self.log: list[tuple[Any, ...]] = []
        #: Messages that are to be received at once.
        self.held: list[tuple[int, Frames, int]] | None = None
        #: Kinds and reasons of all events.
        self.told: set[tuple[str, str]] = set()

    def do(self, name: str, *arguments: Any) -> list[Call]:
        self.log.append((name, *arguments))
        calls: list[list[Call]] = []
        for rig in self.rigs:
            rig._services = tuple(self.services)
            calls.append(getattr(rig, name)(*arguments))
        events = [rig.told() for rig in self.rigs]
        notices = [rig.noticed() for rig in self.rigs]
        if name == "abort":  # who is told goodbye first is left open
            calls = [sorted(each) for each in calls]
            events = [sorted(each, key=repr) for each in events]
        assert calls[0] == calls[1], (self.options, self.log)
        assert events[0] == events[1], (self.options, self.log)
        assert as_told(notices[0]) == as_told(notices[1]), (self.options, self.log)
        self.told |= {event[:2] for event in events[0]}
        left, right = (rig.board for rig in self.rigs)
        assert left.counters() == right.counters(), (self.options, self.log)
        for service in self.services:
            assert left.idle_workers(service) == right.idle_workers(service)
        dues = [nanoseconds(board.next_deadline()) for board in (left, right)]
        assert dues[0] == dues[1], (self.options, self.log)
        assert left.drained() == right.drained()
        if len(self.log) % REPORTED == 0:
            assert left.packed_services() == right.packed_services(), (self.options, self.log)
            assert left.packed_workers() == right.packed_workers(), (self.options, self.log)
        jobs = [job for call in calls[0] if (job := as_job(call))]
        self.jobs += jobs
        self.unanswered.update({job[0]: job for job in jobs})
        return calls[0]

    def receive(self, side: int, frames: Frames, connection: int) -> None:
        for at in (1, 2):
            if frames[at : at + 1] in ([b"MDPW01"], [b"MDPW02"]) and len(frames) > at + 2:
                name = frames[at + 2]
                self.services += [] if name in self.services else [name]
        if frames and (side != FRONTEND or frames[1:2] == [b"MDPW02"] or b"MDPW01" in frames[2:3]):
            self.spoke_on[frames[0]], self.spoke_to[frames[0]] = connection, side
        if self.held is None:
            self.do("receive", side, frames, connection)
        else:
            self.held.append((side, frames, connection))

    def burst(self, draw: Callable[[], None], count: int) -> None:
        """Receive what ``draw`` sends, and all of it before what it made room for is sent."""
        self.held = []
        for _ in range(count):
            draw()
        held, self.held = self.held, None
        self.do("burst", held)

    def event(self, what: str, connection: int) -> None:
        self.log.append((what, connection))
        for monitor in self.monitors:
            monitor.unread.append((what, connection))

    def read_events(self) -> None:
        for monitor in self.monitors:
            monitor.read()
        self.do("wait", 0)

    def answers(self, side: int, peer: bytes, result: int) -> None:
        self.log.append(("answers", side, peer, result))
        for rig in self.rigs:
            for each in {side, BOTH}:
                rig.results[each, peer] = result

    def drain(self) -> None:
        self.log.append(("drain",))
        for rig in self.rigs:
            rig.board.drain()
        self.do("settled")


def as_told(notices: list[Any]) -> list[Any]:
    """Without the difference between lists and tuples."""
    return [
        each
        if isinstance(each, int)
        else each._replace(numbers=tuple(each.numbers), frames=tuple(map(tuple, each.frames)))
        for each in notices
    ]


def as_job(call: Call) -> tuple[bytes, bytes, Dialect] | None:
    """Ticket, worker and dialect of a call that is a job, by its frames."""
    for dialect in (MDP02, MDP01, LED, REQ, PPP):
        size = len(dialect.job(b"", b""))
        here = dialect.mdp or call.side != FRONTEND
        if len(call.frames) > size and here and call.result == OK:
            ticket = call.frames[size - 2]
            if len(ticket) == 16 and call.frames[:size] == dialect.job(call.to, ticket):
                return ticket, call.to, dialect
    return None
