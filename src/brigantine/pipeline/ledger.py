"""The sink's state machine: batches, what has come of each, what is acknowledged.  No socket, no clock.

All but what is marked so is used by one thread, the sink's own.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..config.pipeline import OVER_KEPT, UNKNOWN_FOR, UNKNOWN_KEPT, PipelineConfig
from ..wire.pipeline import key_of, parted
from ..wire.req import ERROR_MARK
from .numbers import Numbers
from .received import Received, Stored
from .report import MOST_WORKERS, Result

__all__ = ["OVER", "Ledger"]

#: What a ventilator is told of a batch for which nobody waits any more.
OVER = "the batch is over"


@dataclass(slots=True)
class _Unknown:
    """A result of a batch that is not known yet."""

    frames: list[bytes]
    peer: bytes
    worker: str
    until: float


class Ledger:
    """All batches of a sink."""

    def __init__(self, config: PipelineConfig, count: dict[str, int]) -> None:
        self._config = config
        self._count = count
        self.open: OrderedDict[bytes, Received] = OrderedDict()
        #: Batches that are over, the newest last.
        self._over: OrderedDict[bytes, None] = OrderedDict()
        #: Results of which no batch is known, by key, the oldest first.
        self._unknown: OrderedDict[bytes, _Unknown] = OrderedDict()
        self._unknown_bytes = 0
        #: Results that wait and are not acknowledged, by key.
        self._kept: dict[bytes, Stored] = {}
        #: What waits to be read, and its bytes.
        self.waiting = self.waiting_bytes = 0
        #: Keys to acknowledge, by peer.
        self.acks: dict[bytes, list[bytes]] = {}
        #: What was read, by any thread, and is to be settled here.
        self.taken: deque[Stored] = deque()

    # -- what ventilators say -----------------------------------------------------------------

    def begin(
        self, batch: bytes, owner: bytes, ventilator: str, now: float, *, plain: bool = False
    ) -> tuple[Received | None, str]:
        """A batch begins, or is told of again; returns it, if it is new, and why it is refused."""
        known = self.open.get(batch)
        if known is not None:
            return None, "" if known.owner == owner else "the batch is another ventilator's"
        if batch in self._over:
            return None, OVER
        if len(self.open) >= self._config.max_batches:
            self._count["refused_batches"] += 1
            return None, f"the sink has max_batches={self._config.max_batches} batches open"
        self._count["batches"] += 1
        made = self.open[batch] = Received(batch, owner, ventilator, plain, now)
        for key in [each for each in self._unknown if parted(each)[0] == batch]:
            one = self._forget_unknown(key)
            assert one is not None
            self.result(key, one.frames, one.peer, one.worker, now)
        return made, ""

    def begin_plain(self, batch: bytes, tasks: int, starts: int, now: float) -> Received:
        """A batch of a plain ventilator: so many tasks, of which nothing but the number is known."""
        made = self.open[batch] = Received(batch, b"", "", plain=True, heard_at=now)
        made.tasks = made.plain_tasks = made.plain_only = tasks
        made.plain_numbers = Numbers(range(tasks))
        made.starts, made.handed = starts, True
        self._count["batches"] += 1
        return made

    def owned(self, batch: bytes, owner: bytes) -> Received | None:
        """The batch, if it is this ventilator's."""
        record = self.open.get(batch)
        return record if record is not None and record.owner == owner else None

    def end(
        self, record: Received, tasks: int | None, plain_tasks: int, plain: Numbers, now: float, *,
        handed: bool,
    ) -> None:  # fmt: skip
        """How many tasks there are, if that is known, and which of them went to plain workers so far."""
        record.heard_at = now
        tasks = None if tasks is None else min(tasks, self._config.max_batch_tasks)
        record.told = record.told and handed  # some are run again
        record.done = False
        if record.tasks is None and tasks is not None:
            for number in [each for each in record.seen if each >= tasks]:  # nobody has sent these
                record.seen.discard(number)
                record.failed.discard(number)
        record.tasks = tasks
        record.plain_tasks, record.plain_numbers = plain_tasks, plain
        record.plain_only = sum(each not in record.seen for each in plain)
        record.handed = handed

    def lose(self, record: Received, lost: Mapping[str, Iterable[int]]) -> None:
        """Workers were lost, with these tasks of the batch: as many as a report and a batch may have."""
        most = self._config.max_batch_tasks
        if len(record.lost.keys() | lost.keys()) > MOST_WORKERS:
            record.forget_lost()
        room = most - sum(map(len, record.lost.values()))
        for worker, numbers in lost.items():
            held = record.lost.get(worker)
            if held is None:
                if len(record.lost) >= MOST_WORKERS:
                    continue
                held = record.lost[worker] = set()
            for number in numbers:
                if number < most and number not in held and room > 0:
                    held.add(number)
                    room -= 1

    def close(self, record: Received) -> bool:
        """Nobody waits for the rest of it; whether its ventilator is to be told so."""
        if self.open.pop(record.batch, None) is None:
            return False
        news = not (record.over or record.told)
        record.over = True
        while record.results:  # no other thread reads what is over
            self.taken.append(record.results.popleft())
        self._over[record.batch] = None
        while len(self._over) > OVER_KEPT:
            self._over.popitem(last=False)
        return news

    # -- what workers say ---------------------------------------------------------------------

    def result(self, key: bytes, frames: list[bytes], peer: bytes, worker: str, now: float) -> None:
        """A result of one of our workers."""
        batch, number = parted(key)
        record = self.open.get(batch)
        if record is None:
            self._without_batch(key, frames, peer, worker, now)
            return
        record.heard_at = now
        most = self._config.max_batch_tasks if record.tasks is None else record.tasks
        if number >= most:
            self._count["drop_malformed"] += 1
            self._ack(peer, key)
            return
        failed = _is_error(frames)
        again = number in record.seen
        if again and (failed or number not in record.failed):
            self._again(record, key, peer)
            return
        if again:  # it had failed, and was run again
            record.failed.discard(number)
        elif number in record.plain_numbers:
            record.plain_only -= 1
        record.seen.add(number)
        record.highest = max(record.highest, number)
        self._count["results"] += 1
        if failed:
            record.failed.add(number)
            self._count["errors"] += 1
        self._store(record, key, Result(batch.hex(), number, frames, worker), peer)

    def plain_result(self, frames: list[bytes], now: float) -> Received | None:
        """A message of a plain worker or ventilator: of the oldest batch that may have it."""
        record = next((each for each in self.open.values() if each.takes_plain), None)
        if record is None:
            self._count["drop_unexpected"] += 1
            return None
        record.heard_at = now
        if record.starts:
            record.starts -= 1
            return record
        record.plain_returned += 1
        self._count["results"] += 1
        key = key_of(record.batch, (1 << 64) - 1)
        self._store(record, key, Result(record.batch.hex(), -1, frames, ""), b"")
        return record

    def _store(self, record: Received, key: bytes, result: Result, peer: bytes) -> None:
        size = sum(map(len, result.frames))
        stored = Stored(key, result, size, peer)
        if not self.full and peer:
            self._ack(peer, key)
            stored.peer = b""
        elif peer:
            self._kept[key] = stored
            self._count["withheld"] += 1
        self.waiting += 1
        self.waiting_bytes += size
        record.results.append(stored)

    @property
    def full(self) -> bool:
        """Whether so much waits to be read that workers are to wait, too."""
        config = self._config
        return (
            self.waiting >= config.high_water_mark
            or self.waiting_bytes > config.queue_bytes
        )  # fmt: skip

    def _again(self, record: Received, key: bytes, peer: bytes) -> None:
        """A result that is here already."""
        record.duplicates += 1
        self._count["duplicates"] += 1
        kept = self._kept.get(key)
        if kept is not None:
            # The worker's connection is a new one, or a second worker has done the same.
            if kept.peer != peer:
                self._ack(kept.peer, key)
                kept.peer = peer
            return
        self._ack(peer, key)

    def _without_batch(
        self, key: bytes, frames: list[bytes], peer: bytes, worker: str, now: float
    ) -> None:
        if parted(key)[0] in self._over:
            self._count["late"] += 1
            self._ack(peer, key)
            return
        before = self._forget_unknown(key)
        if before is not None and before.peer != peer:
            self._ack(before.peer, key)
        self._unknown[key] = _Unknown(frames, peer, worker, now + UNKNOWN_FOR)
        self._unknown_bytes += sum(map(len, frames))
        while len(self._unknown) > UNKNOWN_KEPT or self._unknown_bytes > self._config.queue_bytes:
            self._drop_unknown()

    def _forget_unknown(self, key: bytes) -> _Unknown | None:
        one = self._unknown.pop(key, None)
        if one is not None:
            self._unknown_bytes -= sum(map(len, one.frames))
        return one

    def _drop_unknown(self) -> None:
        key, one = next(iter(self._unknown.items()))
        self._forget_unknown(key)
        self._count["drop_unknown_batch"] += 1
        self._ack(one.peer, key)  # or its worker would wait for ever

    def _ack(self, peer: bytes, key: bytes) -> None:
        if peer:
            self.acks.setdefault(peer, []).append(key)

    # -- what time and readers set off --------------------------------------------------------

    def tick(self, now: float) -> None:
        """Settle what was read, and drop what has waited in vain."""
        while self.taken:
            stored = self.taken.popleft()
            self.waiting -= 1
            self.waiting_bytes -= stored.size
            if stored.peer:
                if self._kept.get(stored.key) is stored:  # not one of the same task, run again
                    del self._kept[stored.key]
                self._ack(stored.peer, stored.key)
        while self._unknown and next(iter(self._unknown.values())).until <= now:
            self._drop_unknown()

    def due(self) -> float | None:
        """When :meth:`tick` is due."""
        return next((one.until for one in self._unknown.values()), None)


def _is_error(frames: list[bytes]) -> bool:
    return len(frames) == 2 and frames[0] == ERROR_MARK
