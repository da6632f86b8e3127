"""The switchboard beside a simple model of it, and beside a witness that knows no model."""

from __future__ import annotations

from collections import Counter
from types import ModuleType
from typing import Any

import pytest
from board_model import BoardModel
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from models import (
    BACKEND,
    BEHIND,
    EIGHTH,
    FRONTEND,
    FULL,
    GONE,
    NO_CONNECTION,
    OK,
    QUICK,
    Call,
    Rig,
    run_machine,
)

CLIENTS = (b"client a", b"client b")
WORKERS = (b"V", b"W", b"X", b"W\0")
CONNECTIONS = (3, 4, 5, 6)
ANY_CONNECTION = st.sampled_from((NO_CONNECTION, *CONNECTIONS))
NOT_TICKETS = (b"garbage", b"g" * 16, b"0" * 15, b"F" * 16, b"\0" * 16)


class Witness:
    """Sees what is sent and heard, and holds against it what must never happen.

    The last frame of every request body is its number, and of every reply that of its request.
    """

    def __init__(self) -> None:
        self.address: dict[bytes, list[bytes]] = {}
        self.body: dict[bytes, list[bytes]] = {}
        self.deadline: dict[bytes, float] = {}
        #: Every ticket that was sent to a worker, and the request that it stood for.
        self.number: dict[bytes, bytes] = {}
        self.answered: set[bytes] = set()
        self.ticked = -1.0
        #: What each worker was sent last and is at work on, and where it was heard last.
        self.at_work: dict[bytes, bytes] = {}
        self.heard_on: dict[bytes, int] = {}
        self.open: set[int] = set()

    def over(self, number: bytes) -> bool:
        return number in self.answered or self.deadline[number] <= self.ticked

    def lost(self, worker: bytes) -> None:
        self.at_work.pop(worker, None)
        self.heard_on.pop(worker, None)

    def closed(self, connection: int) -> None:
        self.open.discard(connection)
        self.lost_on(connection)

    def lost_on(self, connection: int) -> None:
        for worker in [each for each, on in self.heard_on.items() if on == connection]:
            self.lost(worker)

    def heard(self, worker: bytes, connection: int) -> None:
        before = self.heard_on.get(worker, NO_CONNECTION)
        if connection not in (NO_CONNECTION, before):
            self.lost(worker)
            if connection in self.open:
                self.lost_on(connection)
                self.heard_on[worker] = connection
        if worker in self.at_work and self.over(self.at_work[worker]):
            del self.at_work[worker]

    def sees_reply(self, call: Call) -> None:
        number = call.frames[-1]
        assert call.frames == [*self.address[number], b"", b"re", number]
        assert number not in self.answered, "answered twice"
        self.answered.add(number)

    def sees_job(self, call: Call) -> None:
        number = call.frames[-1]
        assert call.frames == [call.to, b"", call.ticket, b"", *self.body[number]]
        assert self.number.get(call.ticket, number) == number, "one ticket for two requests"
        assert not self.over(number)
        if call.result == OK:
            assert call.to not in self.at_work, "two requests at once"
            self.number[call.ticket] = number
            self.at_work[call.to] = number
        elif call.result == GONE:
            self.lost(call.to)


class SwitchboardMachine(RuleBasedStateMachine):
    """Anything may come in, in any order; after each step board, model and witness must agree."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @initialize(
        seed=st.sampled_from([0, 0xFFFFFFFE]),
        retries=st.integers(0, 2),
        queue_limit=st.sampled_from([0, 2, 6]),
        queue_bytes=st.sampled_from([1 << 20, 1100]),
        request_ttl=st.sampled_from([1.0, 8.0]),
        full=st.sets(st.sampled_from(WORKERS)),
        joined=st.lists(st.sampled_from(WORKERS), unique=True),
        waiting=st.integers(0, 3),
    )
    def make(self, full: set[bytes], joined: list[bytes], waiting: int, **options: Any) -> None:
        self.rig = Rig(self.rooms, **options)
        self.rig.results.update({(BACKEND, worker): FULL for worker in full})
        self.model = BoardModel(self.rig.config, self.rig.results)
        self.witness = Witness()
        for worker in joined:
            self.join(worker)
        for _ in range(waiting):
            self.ask(CLIENTS[0], [], [])

    def compare(self, calls: list[Call], heard: tuple[bytes, int] | None = None) -> None:
        """What the board did with a step is what the model says, and what the witness allows.

        ``heard`` is the worker that spoke: its reply goes out first, then it may be sent a job.
        """
        for call in calls:
            if call.side == FRONTEND:
                self.witness.sees_reply(call)
        if heard is not None:
            self.witness.heard(*heard)
        for call in calls:
            if call.side == BACKEND:
                self.witness.sees_job(call)
        self.compare_sends(calls)
        counters = Counter(self.rig.board.counters())
        # Which of the two depends on what else became of the slot: see test_tickets.
        stale = counters.pop("drop_reply_late") + counters.pop("drop_reply_duplicate")
        counters["drop_reply_stale"] = stale
        assert +counters == +self.model.counters()
        assert self.rig.board.idle_workers() == [life.identity for life in self.model.idle]
        assert self.rig.board.next_deadline() == self.model.next_deadline()
        assert self.rig.board.drained() == self.model.drained()

    def compare_sends(self, calls: list[Call]) -> None:
        expected, self.model.sends = self.model.sends, []
        assert [(call.side, call.to) for call in calls] == [each[:2] for each in expected]
        for call, (_, _, asked) in zip(calls, expected, strict=True):
            if call.side == BACKEND:
                assert call.frames[4:] == asked.body
                assert asked.ticket in (None, call.ticket), "kept until the worker is lost"
                asked.ticket = call.ticket

    # -- clients ------------------------------------------------------------------------------

    @rule(
        client=st.sampled_from(CLIENTS),
        hops=st.lists(st.sampled_from([b"hop", b"\0"]), max_size=2),
        body=st.lists(st.sampled_from([b"", b"READY", b"x" * 40]), max_size=3),
    )
    def ask(self, client: bytes, hops: list[bytes], body: list[bytes]) -> None:
        witness, address = self.witness, [client, *hops]
        number = b"#%d" % len(witness.address)
        witness.address[number], witness.body[number] = address, [*body, number]
        witness.deadline[number] = self.rig.now + self.rig.config.request_ttl
        self.model.ask(address, [*body, number], self.rig.now)
        self.compare(self.rig.receive(FRONTEND, [*address, b"", *body, number]))

    # -- workers ------------------------------------------------------------------------------

    @rule(connection=st.sampled_from(CONNECTIONS))
    def open_or_close(self, connection: int) -> None:
        if connection in self.model.open:
            self.witness.closed(connection)
            self.witness.ticked = self.rig.now
            self.model.closed(connection, self.rig.now)
            self.compare(self.rig.closed(connection))
        else:
            self.witness.open.add(connection)
            self.model.open.add(connection)
            self.compare(self.rig.opened(connection))

    @rule(worker=st.sampled_from(WORKERS))
    def join(self, worker: bytes) -> None:
        """A worker connects, on a descriptor that nobody has, and says that it is ready."""
        connection = min(set(CONNECTIONS) - self.model.open, default=NO_CONNECTION)
        if connection != NO_CONNECTION:
            self.open_or_close(connection)
        self.ready(worker, connection)

    @rule(worker=st.sampled_from(WORKERS), connection=ANY_CONNECTION)
    def ready(self, worker: bytes, connection: int) -> None:
        self.model.ready(worker, connection)
        self.compare(self.rig.ready(worker, connection), (worker, connection))

    def reply(self, worker: bytes, connection: int, ticket: bytes) -> None:
        number = self.witness.number.get(ticket, b"none")
        self.model.reply(worker, connection, ticket, set(self.witness.number))
        calls = self.rig.reply(worker, ticket, b"re", number, connection=connection)
        self.compare(calls, (worker, connection))

    @precondition(lambda self: self.model.flying)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from(self.model.flying))
        assert asked.life is not None
        assert asked.sent_to is not None
        assert asked.ticket is not None
        known = asked.life in self.model.living.values()
        connection = asked.life.connection if known else data.draw(ANY_CONNECTION)
        self.reply(asked.sent_to, connection, asked.ticket)

    @precondition(lambda self: self.working_on_a_connection())
    @rule(data=st.data())
    def answer_and_leave(self, data: st.DataObject) -> None:
        """What a worker said before it left is taken before it is lost, though its end is known first."""
        asked = data.draw(st.sampled_from(self.working_on_a_connection()))
        life, connection = asked.life, asked.life.connection
        replied = self.model.count["replied"]
        refused = self.rig.results.get((FRONTEND, asked.address[0]), OK) != OK
        self.model.leaves(life)
        self.rig.board.connection_closed(connection, self.rig.now)
        self.witness.open.discard(connection)
        frames = [life.identity, b"", asked.ticket, b"", b"re", asked.body[-1]]
        assert self.rig.board.take(BACKEND, frames, self.rig.now, connection) or (
            self.rig.board.take(BACKEND, frames, self.rig.now, connection, synced=True)
        )
        self.model.reply(life.identity, connection, asked.ticket, set(self.witness.number))
        self.model.lose(life)
        assert self.model.count["replied"] == replied + (not refused)
        self.model.tick(self.rig.now)
        self.witness.ticked = self.rig.now
        calls = self.rig.wait(0)
        self.witness.lost(life.identity)
        self.compare(calls)

    def working_on_a_connection(self) -> list[Any]:
        return [
            each
            for each in self.model.flying
            if each.life in self.model.living.values() and each.life.connection in self.model.open
        ]

    @rule(data=st.data(), worker=st.sampled_from(WORKERS), connection=ANY_CONNECTION)
    def answer_with_any_ticket(self, data: st.DataObject, worker: bytes, connection: int) -> None:
        ticket = data.draw(st.sampled_from([*sorted(self.witness.number), *NOT_TICKETS]))
        self.reply(worker, connection, ticket)

    @rule(frames=st.sampled_from([[b"W"], [b"W", b"READY"], [b"W", b"x", b"READY"]]))
    def talk_nonsense(self, frames: list[bytes]) -> None:
        self.model.count.update(["drop_malformed_request", "drop_malformed_worker"])
        assert self.rig.receive(FRONTEND, frames) == []
        self.compare(self.rig.receive(BACKEND, frames))

    # -- the world ----------------------------------------------------------------------------

    @rule(
        peer=st.sampled_from(
            [(FRONTEND, client) for client in CLIENTS] + [(BACKEND, each) for each in WORKERS]
        ),
        result=st.sampled_from([OK, OK, FULL, GONE, BEHIND]),
    )
    def answers_from_now_on(self, peer: tuple[int, bytes], result: int) -> None:
        self.rig.results[peer] = result

    @rule()
    def everybody_reads_again(self) -> None:
        self.rig.results.clear()

    @rule(eighths=st.integers(0, 3), unseen=st.integers(0, 3))
    def tick(self, eighths: int, unseen: int) -> None:
        self.witness.ticked = self.rig.now + eighths * EIGHTH
        self.model.tick(self.witness.ticked)
        self.compare(self.rig.wait(eighths * EIGHTH))
        self.rig.now += unseen * EIGHTH

    @rule(at_last=st.sampled_from([False] * 9 + [True]))
    def drain(self, at_last: bool) -> None:
        if at_last:
            self.model.draining = True
            self.rig.board.drain()

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            left = len(self.model.waiting) + len(self.model.flying)
            assert self.rig.abort() == []
            assert self.rig["failed_stopped"] == left
            assert self.rig["queued"] == self.rig["in_flight"] == self.rig["queued_bytes"] == 0


@pytest.mark.timeout(300)  # only to make a failure small takes that long
@pytest.mark.parametrize(
    "examples", [80, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
def test_the_switchboard_is_its_model(rooms: ModuleType, examples: int) -> None:
    deeper = settings(QUICK, max_examples=examples, stateful_step_count=40)
    run_machine(SwitchboardMachine, rooms, deeper)
