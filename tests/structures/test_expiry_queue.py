"""Deadlines: what is due comes out, earliest first, and nothing else does."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from models import EIGHTH, run_machine

from brigantine import ConfigError

DAY = 86400.0
#: Seconds; the greatest is a year, far beyond what a broker can be told (30 days).
TIMEOUTS = (EIGHTH, 1.0, 3.0, 60.0, 30 * DAY, 365 * DAY)

keys = st.one_of(st.sampled_from([b"a", b"b", b"c", b"a\0", b"\0"]), st.binary(max_size=8))
#: Eighths of a second by which the clock moves; none at all is the most likely.
moves = st.one_of(st.just(0), st.integers(0, 16), st.integers(0, 8 * 10**6))


class ExpiryMachine(RuleBasedStateMachine):
    """An ExpiryQueue beside a dict of deadlines; the clock only moves forward."""

    @initialize(timeout=st.sampled_from(TIMEOUTS), start=st.integers(0, 8 * 10**6))
    def make(self, timeout: float, start: int) -> None:
        self.queue = self.rooms.ExpiryQueue(timeout)
        self.timeout = timeout
        self.now = start * EIGHTH
        self.model: dict[bytes, float] = {}

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.rooms = rooms

    @rule(key=keys, move=moves)
    def refresh(self, key: bytes, move: int) -> None:
        self.now += move * EIGHTH
        self.queue.refresh(key, self.now)
        self.model.pop(key, None)  # the order of a dict is that of the refreshes
        self.model[key] = self.now + self.timeout

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        assert self.queue.remove(key) is (self.model.pop(key, None) is not None)

    @rule(move=moves)
    def sweep(self, move: int) -> None:
        self.now += move * EIGHTH
        self.check_sweep()

    @rule()
    def sweep_when_the_next_is_due(self) -> None:
        self.now = max(self.now, min(self.model.values(), default=self.now))
        self.check_sweep()

    @rule()
    def sweep_just_before_the_next_is_due(self) -> None:
        self.now = max(self.now, min(self.model.values(), default=self.now) - EIGHTH)
        self.check_sweep()

    def check_sweep(self) -> None:
        due = [key for key, deadline in self.model.items() if deadline <= self.now]
        due.sort(key=lambda key: self.model[key])  # stable: of equal ones, the first refreshed
        assert self.queue.sweep(self.now) == due
        for key in due:
            del self.model[key]

    @rule(key=keys)
    def contains(self, key: bytes) -> None:
        assert (key in self.queue) is (key in self.model)

    @invariant()
    def same(self) -> None:
        assert len(self.queue) == len(self.model)
        assert self.queue.next_deadline() == min(self.model.values(), default=None)


def test_it_is_a_dict_of_deadlines(rooms: ModuleType) -> None:
    run_machine(ExpiryMachine, rooms)


def test_a_key_expires_at_its_deadline_and_not_before(rooms: ModuleType) -> None:
    queue = rooms.ExpiryQueue(2.0)
    queue.refresh(b"a", 10.0)
    assert queue.sweep(12.0 - EIGHTH) == []
    assert queue.sweep(12.0) == [b"a"]
    assert queue.sweep(12.0) == []
    assert b"a" not in queue


def test_a_refreshed_key_outlives_the_others(rooms: ModuleType) -> None:
    queue = rooms.ExpiryQueue(2.0)
    for key in (b"a", b"b", b"c"):
        queue.refresh(key, 0.0)
    queue.refresh(b"a", 1.0)
    assert queue.sweep(2.0) == [b"b", b"c"]
    assert queue.next_deadline() == 3.0
    assert queue.sweep(3.0) == [b"a"]
    assert queue.next_deadline() is None


def test_keys_of_the_same_moment_expire_in_the_order_of_their_refresh(rooms: ModuleType) -> None:
    queue = rooms.ExpiryQueue(1.0)
    names = [b"%d" % number for number in range(100)]
    for key in names:
        queue.refresh(key, 5.0)
    queue.refresh(names[0], 5.0)
    assert queue.sweep(6.0) == [*names[1:], names[0]]


def test_a_removed_key_never_expires(rooms: ModuleType) -> None:
    queue = rooms.ExpiryQueue(1.0)
    queue.refresh(b"a", 0.0)
    queue.refresh(b"b", 0.0)
    assert queue.remove(b"a")
    assert not queue.remove(b"a")
    assert queue.sweep(100.0) == [b"b"]


@pytest.mark.parametrize("timeout", [0, 0.0, -1.0, float("nan")])
def test_a_timeout_that_is_not_positive_is_refused(rooms: ModuleType, timeout: float) -> None:
    with pytest.raises(ConfigError, match="timeout"):
        rooms.ExpiryQueue(timeout)


@pytest.mark.parametrize("timeout", TIMEOUTS)
def test_it_says_what_its_timeout_is(rooms: ModuleType, timeout: float) -> None:
    assert rooms.ExpiryQueue(timeout).timeout == timeout
