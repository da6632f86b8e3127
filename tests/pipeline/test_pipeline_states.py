"""The two state machines against models of what they are to know: no socket, no clock."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from brigantine import PipelineConfig
from brigantine.config.pipeline import RECONNECT_GRACE
from brigantine.pipeline.allotment import Allotment, Sent, Task
from brigantine.pipeline.counters import SINK_COUNTERS, VENTILATOR_COUNTERS
from brigantine.pipeline.ledger import Ledger
from brigantine.pipeline.numbers import Numbers
from brigantine.pipeline.received import Received
from brigantine.wire.pipeline import key_of, parted
from brigantine.wire.req import ERROR_MARK

OWNER = b"owner-id"
BATCHES = [bytes([at]) * 8 for at in range(3)]
WORKERS = [b"w%d" % at for at in range(3)]
NUMBERS = st.integers(0, 11)


class LedgerModel(RuleBasedStateMachine):
    """What a sink knows of its batches, against sets."""

    def __init__(self) -> None:
        super().__init__()
        self.count = dict.fromkeys(SINK_COUNTERS, 0)
        self.config = PipelineConfig(high_water_mark=4, max_batch_tasks=10)
        self.ledger = Ledger(self.config, self.count)
        self.records: dict[bytes, Received] = {}
        self.tasks: dict[bytes, int] = {}
        #: Batch -> numbers whose results are in, and those of them that are errors.
        self.seen: dict[bytes, set[int]] = {}
        self.failed: dict[bytes, set[int]] = {}
        #: Results before their batch was known.
        self.early: dict[bytes, bool] = {}
        self.closed: set[bytes] = set()
        #: Keys that workers have sent and no acknowledgement has come for.
        self.owed: Counter[tuple[bytes, bytes]] = Counter()
        self.read: Counter[bytes] = Counter()
        self.now = 0.0

    @rule(batch=st.sampled_from(BATCHES))
    def begin(self, batch: bytes) -> None:
        record, refused = self.ledger.begin(batch, OWNER, "v", self.now)
        assert (record is None) == (batch in self.records)
        assert bool(refused) == (batch in self.closed)
        if record is not None:
            self.records[batch] = record
            self.seen[batch], self.failed[batch] = set(), set()
            for key in [each for each in self.early if parted(each)[0] == batch]:
                self._come(key, error=self.early.pop(key))

    @rule(batch=st.sampled_from(BATCHES), tasks=st.integers(0, 10))
    def end(self, batch: bytes, tasks: int) -> None:
        record = self.ledger.owned(batch, OWNER)
        if record is not None and batch not in self.tasks:
            self.ledger.end(record, tasks, 0, Numbers(), self.now, handed=True)
            self.tasks[batch] = tasks
            self.seen[batch] = {each for each in self.seen[batch] if each < tasks}
            self.failed[batch] &= self.seen[batch]

    @rule(
        batch=st.sampled_from(BATCHES),
        number=NUMBERS,
        peer=st.sampled_from(WORKERS),
        error=st.booleans(),
    )
    def result(self, batch: bytes, number: int, peer: bytes, error: bool) -> None:
        key = key_of(batch, number)
        self.owed[peer, key] += 1
        frames = [ERROR_MARK, b"\x80"] if error else [b"r"]
        self.ledger.result(key, frames, peer, "name", self.now)
        if batch in self.closed:
            return
        if batch not in self.records:
            self.early[key] = error
            return
        self._come(key, error=error)

    def _come(self, key: bytes, *, error: bool) -> None:
        batch, number = parted(key)
        if number >= self.tasks.get(batch, self.config.max_batch_tasks):
            return
        if number not in self.seen[batch]:
            self.seen[batch].add(number)
            if error:
                self.failed[batch].add(number)
        elif number in self.failed[batch] and not error:
            self.failed[batch].discard(number)

    @rule(batch=st.sampled_from(BATCHES))
    def read_one(self, batch: bytes) -> None:
        record = self.records.get(batch)
        if record is not None and record.results:
            self.ledger.taken.append(record.results.popleft())
            self.read[batch] += 1

    @rule(batch=st.sampled_from(BATCHES))
    def close(self, batch: bytes) -> None:
        if batch in self.records and batch not in self.closed:
            self.ledger.close(self.records[batch])
            self.closed.add(batch)

    @rule(seconds=st.floats(0.0, 3.0))
    def tick(self, seconds: float) -> None:
        self.now += seconds
        dropped = self.count["drop_unknown_batch"]
        self.ledger.tick(self.now)
        if self.count["drop_unknown_batch"] > dropped:
            waiting = set(self.ledger._unknown)
            self.early = {key: error for key, error in self.early.items() if key in waiting}

    @invariant()
    def reports_are_right(self) -> None:
        for batch, record in self.records.items():
            report = record.report()
            tasks = self.tasks.get(batch)
            assert report.tasks == tasks
            assert report.returned == len(self.seen[batch])
            assert set(report.failed) == self.failed[batch]
            if tasks is not None:
                assert set(report.missing) == set(range(tasks)) - self.seen[batch]
                assert record.complete == report.complete == (len(self.seen[batch]) == tasks)

    @invariant()
    def nobody_waits_for_ever(self) -> None:
        """What is not acknowledged waits: to be read, or for its batch."""
        for peer, keys in self.ledger.acks.items():
            for key in keys:
                self.owed.pop((peer, key), None)
        self.ledger.acks.clear()
        waiting = Counter(
            stored.key for record in self.records.values() for stored in record.results
        )
        waiting.update(stored.key for stored in self.ledger.taken)
        waiting.update(list(self.ledger._unknown))
        # Of two that have done the same, one was told; an error and the result after it wait both.
        assert not Counter(key for _, key in self.owed) - waiting

    @invariant()
    def what_waits_is_counted(self) -> None:
        held = [stored for record in self.records.values() for stored in record.results]
        held += self.ledger.taken
        assert self.ledger.waiting == len(held)
        assert self.ledger.waiting_bytes == sum(stored.size for stored in held)


class AllotmentModel(RuleBasedStateMachine):
    """Who holds which task, against dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.count = dict.fromkeys(VENTILATOR_COUNTERS, 0)
        self.allotment = Allotment(self.count)
        self.sent = self.allotment.batches[BATCHES[0]] = Sent(BATCHES[0])
        #: Connection -> its worker's prefetch, and what it holds.
        self.prefetch: dict[bytes, int] = {}
        self.holds: dict[bytes, set[int]] = {}
        self.worker: dict[bytes, int] = {}
        self.done: set[int] = set()
        self.lost: set[int] = set()
        self.routes = 0
        self.now = 0.0

    @rule(worker=st.integers(0, 2), prefetch=st.integers(1, 3), keep=st.booleans())
    def hello(self, worker: int, prefetch: int, keep: bool) -> None:
        """A worker connects, again perhaps, with what it held or with nothing."""
        route, self.routes = b"r%d" % self.routes, self.routes + 1
        held: set[int] = set()
        for other in [each for each, who in self.worker.items() if who == worker]:
            held |= self._drop(other)
        kept = set(sorted(held)[:prefetch]) if keep else set()
        holds = [key_of(self.sent.batch, number) for number in sorted(kept)]
        self.allotment.hello(route, b"%8d" % worker, f"w{worker}", prefetch, holds, self.now)
        self.prefetch[route], self.holds[route], self.worker[route] = prefetch, kept, worker
        self.lost -= kept

    def _drop(self, route: bytes) -> set[int]:
        held = self.holds.pop(route)
        del self.prefetch[route], self.worker[route]
        self.lost |= held
        return held

    @rule(pick=st.integers(0, 5))
    def lose(self, pick: int) -> None:
        if self.holds:
            route = sorted(self.holds)[pick % len(self.holds)]
            self.allotment.lose(route, self.now)
            self._drop(route)

    @rule()
    def give(self) -> None:
        hand = self.allotment.free
        room = {each for each, held in self.holds.items() if len(held) < self.prefetch[each]}
        assert (hand is None) == (not room)
        if hand is None:
            return
        assert hand.peer in room
        number, self.sent.tasks = self.sent.tasks, self.sent.tasks + 1
        self.sent.put += 1
        self.allotment.queue.append(Task(self.sent, number, [b"x"], 1))
        self.allotment.give(self.allotment.take(), hand)
        self.holds[hand.peer].add(number)

    @rule(pick=st.integers(0, 5), twice=st.booleans())
    def finish(self, pick: int, twice: bool) -> None:
        busy = sorted(each for each, held in self.holds.items() if held)
        if busy:
            route = busy[pick % len(busy)]
            number = min(self.holds[route])
            keys = [key_of(self.sent.batch, number)] * (1 + twice)
            self.allotment.done(route, keys)
            self.holds[route].discard(number)
            self.done.add(number)

    @rule(seconds=st.floats(0.0, 1.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def every_task_is_somewhere(self) -> None:
        held = {number for numbers in self.holds.values() for number in numbers}
        assert set(self.sent.outstanding) == held
        assert set(self.sent.done) == self.done
        report = self.sent.own_report("v")
        assert set(report.missing) == set(range(self.sent.tasks)) - self.done
        named = {number for numbers in report.lost.values() for number in numbers}
        assert named == self.lost - self.done
        assert self.count["done"] == len(self.done)
        assert self.count["lost_tasks"] == len(self.lost)

    @invariant()
    def nobody_has_more_than_it_asked_for(self) -> None:
        for route, hand in self.allotment.hands.items():
            assert len(hand.holding) == len(self.holds[route]) <= self.prefetch[route]

    @invariant()
    def what_was_lost_may_come_back_for_a_while(self) -> None:
        calm_at = self.sent.calm_at(0.0)
        assert calm_at == (
            math.inf if self.sent.outstanding else self.sent.lost_at + RECONNECT_GRACE
        )


TestLedger = LedgerModel.TestCase
TestAllotment = AllotmentModel.TestCase
TestLedger.settings = TestAllotment.settings = settings(
    deadline=None, max_examples=60, stateful_step_count=30
)


def test_what_a_ventilator_says_of_lost_workers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile one's words fill no memory, and new names get the place of those whose tasks are back."""
    monkeypatch.setattr("brigantine.pipeline.ledger.MOST_WORKERS", 3)
    ledger = Ledger(PipelineConfig(max_batch_tasks=10), dict.fromkeys(SINK_COUNTERS, 0))
    hostile, _ = ledger.begin(BATCHES[0], OWNER, "v", 0.0)
    assert hostile is not None
    for each in range(10):
        ledger.lose(hostile, {f"w{each}": range(1000), "w0": range(1 << 40, (1 << 40) + 100)})
    assert len(hostile.lost) <= 3
    assert sum(map(len, hostile.lost.values())) <= 10
    honest, _ = ledger.begin(BATCHES[1], OWNER, "v", 0.0)
    assert honest is not None
    ledger.lose(honest, {"w0": [0], "w1": [1], "w2": [2]})
    ledger.result(key_of(BATCHES[1], 1), [b"back"], WORKERS[0], "other", 0.0)
    ledger.lose(honest, {"w3": [3]})
    assert honest.lost == {"w0": {0}, "w2": {2}, "w3": {3}}
