"""Sessions: opened, kept, bounded, expired; one opening, its requests in order, one end."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from models import EIGHTH, run_machine

from brigantine import ledger_holds
from brigantine.config.limits import REQUEST_OVERHEAD
from brigantine.config.servers import ServerConfig

OPENED, REQUEST, CLOSED = 0, 1, 2
TIMED_OUT, LEFT, REPLACED, STOPPED = 1, 2, 3, 4
KNOWN, ALL, NONE = 0, 1, 2
KEYS = (b"a", b"b", b"a\0", b"c" * 300)


class Model:
    """One session, as it is told about: nothing but lists, looked through from end to end."""

    def __init__(self, serial: int, key: bytes, connection: int, now: float, told: bool) -> None:
        self.serial, self.key, self.connection = serial, key, connection
        self.heard = now
        self.waiting: list[tuple[int, int]] = []  # request, size
        self.at_work: set[int] = set()
        self.opening = "due" if told else ""
        self.closing = 0
        self.ending = False
        self.known = False

    @property
    def idle(self) -> bool:
        return not (self.waiting or self.at_work or self.opening or self.ending)


class SessionsMachine(RuleBasedStateMachine):
    """Sessions beside a list of models; the clock only moves forward."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @initialize(tells=st.sampled_from([KNOWN, ALL, NONE]), at_once=st.integers(1, 2))
    def make(self, tells: int, at_once: int) -> None:
        self.config = ServerConfig(
            session_timeout=2.0, request_ttl=3.0, max_sessions=3, session_requests=3,
            session_bytes=2 * REQUEST_OVERHEAD, queue_limit=5, session_concurrency=at_once,
            queue_bytes=4 * REQUEST_OVERHEAD,
        )  # fmt: skip
        self.board = self.rooms.Sessions(self.config, tells)
        self.tells = tells
        self.now = 0.0
        self.models: list[Model] = []
        self.hands: list[tuple[Any, ...]] = []
        self.due: dict[int, float] = {}  # request -> when its time is over
        self.over: set[int] = set()
        self.opened = self.closed = self.serials = 0
        self.calls: dict[int, list[int]] = {}  # serial -> what was handed out of it

    def current(self, key: bytes) -> Model | None:
        return next((each for each in self.models if each.key == key and not each.closing), None)

    def end_of(self, model: Model) -> None:
        """A session that nobody wants to hear of again is gone at once."""
        if model.closing and model.idle and not (self.tells == ALL or model.known):
            self.models.remove(model)
            self.closed += 1

    def close_model(self, model: Model, reason: int) -> None:
        model.closing = reason
        self.end_of(model)

    @rule(key=st.sampled_from(KEYS), connection=st.integers(1, 2))
    def hear(self, key: bytes, connection: int) -> None:
        serial = self.board.hear(key, self.now, connection)
        model = self.current(key)
        if model is not None and model.connection != connection:
            self.close_model(model, REPLACED)
            model = None
        if model is None and len(self.models) < self.config.max_sessions:
            self.serials += 1
            model = Model(self.serials, key, connection, self.now, self.tells == ALL)
            self.models.append(model)
            self.opened += 1
        assert serial == (0 if model is None else model.serial)
        if model is not None:
            model.heard = self.now

    @rule(key=st.sampled_from(KEYS), size=st.sampled_from([0, 1, REQUEST_OVERHEAD]))
    def ask(self, key: bytes, size: int) -> None:
        model = self.current(key)
        found = self.board.ask(key, size, self.now)
        cost = size + REQUEST_OVERHEAD
        waiting = [each for model in self.models for _, each in model.waiting]
        if model is None:
            assert found == "shed_sessions"
        elif len(model.waiting) >= self.config.session_requests:
            assert found == "shed_session_full"
        elif (
            model.waiting
            and sum(each for _, each in model.waiting) + cost > self.config.session_bytes
        ):
            assert found == "shed_session_bytes"
        elif len(waiting) >= self.config.queue_limit:
            assert found == "shed_queue_full"
        elif waiting and sum(waiting) + cost > self.config.queue_bytes:
            assert found == "shed_queue_bytes"
        else:
            assert isinstance(found, int)
            assert found not in self.due
            model.waiting.append((found, cost))
            self.due[found] = self.now + self.config.request_ttl

    @rule()
    def hand_out(self) -> None:
        turn = self.board.next()
        if turn is None:
            for model in self.models:
                assert model.opening != "due"
                assert not (model.closing and model.idle)
                assert not model.waiting or model.opening or (
                    len(model.at_work) >= self.config.session_concurrency
                )  # fmt: skip
            return
        event, serial, request, reason = turn
        model = next(each for each in self.models if each.serial == serial)
        calls = self.calls.setdefault(serial, [])
        assert CLOSED not in calls, "nothing comes after the end"
        assert (OPENED in calls) == (self.tells == ALL and event != OPENED)
        calls.append(event)
        model.known = self.tells != NONE
        if event == OPENED:
            assert model.opening == "due"
            model.opening = "in hand"
        elif event == REQUEST:
            assert not model.opening
            assert (request, reason) == (model.waiting.pop(0)[0], 0), "in the order they came"
            model.at_work.add(request)
            assert len(model.at_work) <= self.config.session_concurrency
        else:
            assert model.idle
            assert reason == model.closing
            model.ending = True
        self.hands.append(turn)

    @rule(which=st.integers(0, 20))
    def done(self, which: int) -> None:
        if not self.hands:
            return
        turn = self.hands.pop(which % len(self.hands))
        event, serial, request, _ = turn
        model = next(each for each in self.models if each.serial == serial)
        self.board.done(turn, self.now)
        if event == OPENED:
            model.opening = ""
        elif event == REQUEST:
            model.at_work.remove(request)
            self.over.discard(request)
            self.due.pop(request, None)
        else:
            self.models.remove(model)
            self.closed += 1
            return
        if model.idle:
            model.heard = self.now
        self.end_of(model)

    @rule(key=st.sampled_from(KEYS), reason=st.sampled_from([LEFT, STOPPED]))
    def close(self, key: bytes, reason: int) -> None:
        model = self.current(key)
        assert self.board.close(key, reason, self.now) is (model is not None)
        if model is not None:
            self.close_model(model, reason)

    @rule(eighths=st.integers(0, 12))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths * EIGHTH
        for number in self.board.overdue(self.now):
            assert self.due.pop(number) <= self.now
            for model in list(self.models):
                if number in model.at_work:
                    self.over.add(number)
                elif any(number == each for each, _ in model.waiting):
                    model.waiting = [each for each in model.waiting if each[0] != number]
                    if model.idle:
                        model.heard = self.now
                    self.end_of(model)
        assert all(due > self.now for due in self.due.values())
        silent = [
            each for each in self.models
            if each.idle and not each.closing and each.heard + 2.0 <= self.now
        ]  # fmt: skip
        assert self.board.sweep(self.now) == len(silent)
        for model in silent:
            self.close_model(model, TIMED_OUT)

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "board"):
            return
        stats = self.board.stats()
        assert ledger_holds(stats)
        assert len(self.board) == len(self.models) == stats["sessions"]
        assert stats["sessions_opened"] == self.opened
        closed = sum(count for name, count in stats.items() if name.startswith("closed_"))
        assert stats["sessions_closed"] == closed == self.closed
        assert stats["queued"] == sum(len(each.waiting) for each in self.models)
        at_work = {job for each in self.models for job in each.at_work}
        assert stats["in_flight"] == len(at_work - self.over)
        for key in KEYS:
            model = self.current(key)
            assert self.board.find(key) == (0 if model is None else model.serial)
        idle = [each.heard + 2.0 for each in self.models if each.idle and not each.closing]
        assert self.board.next_deadline() == min([*idle, *self.due.values()], default=None)


def test_it_is_a_list_of_sessions(rooms: ModuleType) -> None:
    run_machine(SessionsMachine, rooms)


def made(rooms: ModuleType, tells: int = ALL, **options: Any) -> Any:
    return rooms.Sessions(ServerConfig(**options), tells)


def test_a_message_at_the_moment_of_expiry_keeps_the_session_or_opens_a_new_one(
    rooms: ModuleType,
) -> None:
    board = made(rooms, KNOWN)
    assert board.hear(b"a", 0.0) == 1
    assert board.hear(b"a", 2.0) == 1
    assert board.sweep(2.0) == 0
    assert board.sweep(4.0) == 1
    assert board.hear(b"a", 4.0) == 2


def test_a_session_with_a_handler_at_work_is_not_closed_under_it(rooms: ModuleType) -> None:
    board = made(rooms, KNOWN)
    board.hear(b"a", 0.0)
    board.ask(b"a", 1, 0.0)
    turn = board.next()
    assert board.sweep(50.0) == 0
    assert board.find(b"a") == 1
    board.done(turn, 50.0)
    assert board.sweep(52.0 - EIGHTH) == 0
    assert board.sweep(52.0) == 1
    assert next(iter(board.next())) == CLOSED


def test_an_end_comes_after_the_handlers_and_is_told_once(rooms: ModuleType) -> None:
    board = made(rooms, session_concurrency=2)
    board.hear(b"a", 0.0)
    board.ask(b"a", 1, 0.0)
    opening = board.next()
    assert [*opening] == [OPENED, 1, None, 0]
    assert board.next() is None, "no request before its session has opened"
    board.done(opening, 0.0)
    request = board.next()
    board.close(b"a", LEFT, 0.0)
    assert board.next() is None, "no end while a handler is at work"
    board.done(request, 0.0)
    end = board.next()
    assert [*end] == [CLOSED, 1, None, LEFT]
    board.done(end, 0.0)
    assert board.next() is None
    assert len(board) == 0


def test_an_end_that_nobody_wants_to_hear_of_is_not_handed_out(rooms: ModuleType) -> None:
    board = made(rooms, NONE)
    board.hear(b"a", 0.0)
    board.ask(b"a", 1, 0.0)
    board.done(board.next(), 0.0)
    assert board.sweep(2.0) == 1
    assert board.next() is None
    assert len(board) == 0


def test_another_connection_with_the_address_gets_another_session(rooms: ModuleType) -> None:
    board = made(rooms, KNOWN)
    assert board.hear(b"a", 0.0, 1) == 1
    board.ask(b"a", 1, 0.0)
    turn = board.next()
    assert board.hear(b"a", 0.0, 2) == 2
    board.done(turn, 0.0)
    assert [*board.next()] == [CLOSED, 1, None, REPLACED]
    assert board.find(b"a") == 2


def test_sessions_of_a_connection_that_has_closed_can_be_sent_nothing(rooms: ModuleType) -> None:
    board = made(rooms, NONE)
    for key in (b"a", b"b"):
        board.hear(key, 0.0, 1, 7)
    board.hear(b"c", 0.0, 1, 8)
    board.disconnected(7)
    assert [board.reachable(key) for key in (b"a", b"b", b"c")] == [False, False, True]
    assert board.sweep(2.0) == 3
    board.disconnected(8)
    board.disconnected(12345)


def test_one_session_more_than_max_sessions_is_refused_and_counted(rooms: ModuleType) -> None:
    board = made(rooms, NONE, max_sessions=2)
    assert [board.hear(key, 0.0) for key in (b"a", b"b", b"c")] == [1, 2, 0]
    assert board.ask(b"c", 1, 0.0) == "shed_sessions"
    stats = board.stats()
    assert (stats["sessions_refused"], stats["shed_sessions"]) == (1, 1)
    assert board.sweep(2.0) == 2
    assert board.hear(b"c", 2.0) == 3


@pytest.mark.parametrize("tells", [KNOWN, ALL, NONE])
def test_nothing_of_an_expired_session_is_left(rooms: ModuleType, tells: int) -> None:
    board = made(rooms, tells)
    for number in range(1000):
        board.hear(b"%d" % number, 0.0)
    while (turn := board.next()) is not None:
        board.done(turn, 0.0)
    assert board.sweep(2.0) == 1000
    while (turn := board.next()) is not None:
        board.done(turn, 2.0)
    assert len(board) == 0
    assert board.next_deadline() is None
    assert board.stats()["sessions_closed"] == 1000
