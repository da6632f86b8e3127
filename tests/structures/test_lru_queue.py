"""The worker queue: the least recently used worker is next, and each stands in it once."""

from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from models import identities, run_machine

#: Few enough that the same worker comes again and again.
some = st.one_of(st.sampled_from([b"a", b"b", b"a\0", b"\0", b"\0a", b"x" * 255]), identities)


class LRUMachine(RuleBasedStateMachine):
    """An LRUQueue beside a list."""

    def __init__(self, rooms: ModuleType) -> None:
        super().__init__()
        self.queue = rooms.LRUQueue()
        self.model: list[bytes] = []

    @rule(worker=some)
    def ready(self, worker: bytes) -> None:
        fresh = worker not in self.model
        assert self.queue.ready(worker) is fresh
        if fresh:
            self.model.append(worker)

    @rule(worker=some)
    def push_front(self, worker: bytes) -> None:
        fresh = worker not in self.model
        assert self.queue.push_front(worker) is fresh
        if fresh:
            self.model.insert(0, worker)

    @rule()
    def next(self) -> None:
        assert self.queue.next() == (self.model.pop(0) if self.model else None)

    @rule(worker=some)
    def remove(self, worker: bytes) -> None:
        known = worker in self.model
        assert self.queue.remove(worker) is known
        if known:
            self.model.remove(worker)

    @rule(data=st.data())
    def remove_one_that_is_there(self, data: st.DataObject) -> None:
        if self.model:
            self.remove(data.draw(st.sampled_from(self.model)))

    @rule(data=st.data())
    def ready_again(self, data: st.DataObject) -> None:
        if self.model:
            self.ready(data.draw(st.sampled_from(self.model)))

    @rule(worker=some)
    def contains(self, worker: bytes) -> None:
        assert (worker in self.queue) is (worker in self.model)

    @invariant()
    def same(self) -> None:
        assert len(self.queue) == len(self.model)
        assert list(self.queue) == self.model


def test_it_is_a_list_without_repetition(rooms: ModuleType) -> None:
    run_machine(LRUMachine, rooms)


def test_the_order_is_that_of_ready(rooms: ModuleType) -> None:
    queue = rooms.LRUQueue()
    workers = [b"%d" % number for number in range(1000)]
    for worker in workers:
        queue.ready(worker)
    assert [queue.next() for _ in workers] == workers
    assert queue.next() is None


def test_ready_twice_is_one_place_and_the_first_one(rooms: ModuleType) -> None:
    queue = rooms.LRUQueue()
    assert queue.ready(b"a")
    assert queue.ready(b"b")
    assert not queue.ready(b"a")
    assert list(queue) == [b"a", b"b"]


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_removed_worker_is_gone_wherever_it_stood(rooms: ModuleType, gone: int) -> None:
    queue = rooms.LRUQueue()
    workers = [b"a", b"b", b"c"]
    for worker in workers:
        queue.ready(worker)
    left = workers.pop(gone)
    assert queue.remove(left)
    assert left not in queue
    assert list(queue) == workers
    assert queue.ready(left), "it may come back, at the tail"
    assert list(queue) == [*workers, left]


def test_identities_that_differ_behind_a_nul_byte_are_different_workers(rooms: ModuleType) -> None:
    queue = rooms.LRUQueue()
    workers = [b"a", b"a\0", b"a\0b", b"a\0c", b"\0", b"\0\0", b"\0" * 254, b"\0" * 255]
    assert all(queue.ready(worker) for worker in workers)
    assert list(queue) == workers


def test_a_worker_may_be_removed_while_the_queue_is_walked(rooms: ModuleType) -> None:
    queue = rooms.LRUQueue()
    for number in range(10):
        queue.ready(b"%d" % number)
    walked = []
    for worker in queue:
        queue.remove(worker)
        walked.append(worker)
    assert walked == [b"%d" % number for number in range(10)]
    assert len(queue) == 0


def test_what_is_not_bytes_is_in_no_queue(rooms: ModuleType) -> None:
    queue = rooms.LRUQueue()
    queue.ready(b"a")
    assert "a" not in queue
    assert None not in queue
