"""The ventilator's state machine: who may have how many tasks, who holds which.  No socket, no clock.

A worker says how many tasks it takes ahead, and has no more of them than that: not a high-water mark,
which bounds what libzmq queues and not what its and the system's buffers hold.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from ..config.pipeline import ASK_EVERY, ASK_SELDOM, RECONNECT_GRACE
from ..wire.pipeline import key_of, parted
from .numbers import Numbers
from .report import Report

__all__ = ["Allotment", "Hand", "Sent", "Task"]

#: Tasks that plain workers may have ahead, each, while our workers can take them instead.
PLAIN_AHEAD = 10


class Task(NamedTuple):
    """One that waits for a worker."""

    batch: Sent
    number: int
    frames: list[bytes]
    size: int


@dataclass(slots=True, eq=False)
class Hand:
    """One of our workers, on one connection."""

    peer: bytes
    #: The same on all its connections.
    worker: bytes
    name: str
    #: Tasks that it may have at once.
    prefetch: int
    #: The keys of those that it has.
    holding: set[bytes] = field(default_factory=set)
    #: It wants no more; it was told to end.
    leaving: bool = False
    killed: bool = False

    @property
    def has_room(self) -> bool:
        """Whether it may have another one."""
        return not self.leaving and len(self.holding) < self.prefetch


@dataclass(slots=True, eq=False)
class Sent:
    """A batch, as far as its ventilator knows."""

    batch: bytes
    #: Tasks numbered so far; whether that is all.
    tasks: int = 0
    ended: bool = False
    #: Tasks, and their bytes, that were put into the queue, by who sends; and taken out of it, by the
    #: ventilator's thread: neither writes what is the other's.
    put: int = 0
    put_bytes: int = 0
    taken: int = 0
    taken_bytes: int = 0
    #: Who has which of those that our workers hold.
    outstanding: dict[int, bytes] = field(default_factory=dict)
    #: Results that the sink has, as their workers say.
    done: Numbers = field(default_factory=Numbers)
    lost: dict[str, set[int]] = field(default_factory=dict)
    #: When a worker was lost last.
    lost_at: float = -RECONNECT_GRACE
    #: Numbers that went to plain workers; how many were sent there, and how many results came of that.
    plain_numbers: Numbers = field(default_factory=Numbers)
    plain_tasks: int = 0
    plain_returned: int = 0
    #: When one of either was last heard of.
    plain_at: float = 0.0
    #: What the sink has said: that it knows the batch, why it refuses it, how it is.
    begun: bool = False
    refused: str = ""
    report: Report | None = None
    #: How often it was asked, and how often it has answered.
    asked: int = 0
    answered: int = 0
    #: Answers to these questions, and before, are of the time before more was sent.
    stale: int = 0
    asked_at: float = 0.0
    #: Seconds to the next question: more and more while nothing is sent.
    pause: float = ASK_EVERY
    #: The sink was told of the end while tasks waited: it is to be told again when none does.
    half_told: bool = False
    #: Nobody waits for it any more.
    over: bool = False

    @property
    def queued(self) -> int:
        """Tasks that wait for a worker."""
        return self.put - self.taken

    def calm_at(self, plain_patience: float) -> float:
        """When no result can come any more of what was given out; infinity while our workers hold some.

        Of what plain workers have nothing is known: it is waited for until nothing has come for so long.
        """
        if self.outstanding or self.queued:
            return math.inf
        lost = self.lost_at + RECONNECT_GRACE
        return max(lost, self.plain_at + plain_patience) if self._waits_for_plain else lost

    @property
    def _waits_for_plain(self) -> bool:
        return self.plain_returned < self.plain_tasks

    @property
    def ask_at(self) -> float:
        """When the sink may be asked again how it is."""
        return self.asked_at + self.pause

    def was_asked(self) -> None:
        """One more question is on its way."""
        self.asked += 1
        self.pause = min(ASK_SELDOM, 2 * self.pause)

    def expect_news(self) -> None:
        """There will be news: the answers of until now are old, and the next question is not far."""
        self.stale = self.asked
        self.pause = ASK_EVERY

    def own_report(self, name: str) -> Report:
        """How it is, as far as is known here: where the sink is plain, or does not answer."""
        missing = [n for n in self.done.missing(self.tasks) if n not in self.plain_numbers]
        unsure = self._waits_for_plain
        lost = {who: tuple(n for n in sorted(held) if n not in self.done)
                for who, held in self.lost.items()}  # fmt: skip
        return Report(
            batch=self.batch.hex(),
            ventilator=name,
            tasks=self.tasks if self.ended else None,
            returned=self.done.count + self.plain_returned,
            missing=tuple(missing),
            lost={who: numbers for who, numbers in lost.items() if numbers},
            plain_tasks=self.plain_tasks,
            plain_returned=self.plain_returned,
            unsure=tuple(self.plain_numbers) if unsure else (),
        )


class Allotment:
    """Tasks that wait, and workers that have some.  One thread's, but for what is marked."""

    def __init__(self, count: dict[str, int]) -> None:
        self._count = count
        self.hands: dict[bytes, Hand] = {}
        #: Those with room, the one that waits longest first.
        self._free: OrderedDict[bytes, Hand] = OrderedDict()
        #: Tasks of all batches, in order; put by any thread.
        self.queue: deque[Task] = deque()
        self.batches: dict[bytes, Sent] = {}

    @property
    def queued_bytes(self) -> int:
        """Bytes of the tasks that wait.  From any thread."""
        return sum(each.put_bytes - each.taken_bytes for each in list(self.batches.values()))

    def take(self) -> Task:
        """Take the first task out of the queue."""
        task = self.queue.popleft()
        task.batch.taken += 1
        task.batch.taken_bytes += task.size
        return task

    # -- workers ------------------------------------------------------------------------------

    def hello(
        self, peer: bytes, worker: bytes, name: str, prefetch: int, holds: Iterable[bytes], now: float
    ) -> list[Sent]:  # fmt: skip
        """A worker is ready, and holds these tasks; returns the batches of which it lost some.

        What it held on an earlier connection, and does not hold now, was lost on the way.
        """
        news: list[Sent] = []
        for other in [each for each in self.hands.values() if each.worker == worker]:
            news += self.lose(other.peer, now)
        hand = self.hands[peer] = Hand(peer, worker, name, prefetch)
        for key in list(holds)[:prefetch]:
            hand.holding.add(key)
            batch, number = parted(key)
            sent = self.batches.get(batch)
            if sent is not None and number < sent.tasks and number not in sent.done:
                sent.outstanding[number] = peer
                sent.expect_news()
                held = sent.lost.get(name)
                if held is not None and number in held:
                    held.discard(number)
                    self._count["lost_tasks"] -= 1
        self._place(hand)
        return news

    def done(self, peer: bytes, keys: Iterable[bytes]) -> None:
        """The sink has results of this worker."""
        hand = self.hands[peer]
        for key in keys:
            if key in hand.holding:
                hand.holding.discard(key)
                self._count["done"] += 1
            batch, number = parted(key)
            sent = self.batches.get(batch)
            if sent is None or number >= sent.tasks:
                continue  # of an earlier ventilator here, or forgotten
            if sent.outstanding.get(number) == peer:
                del sent.outstanding[number]
            sent.done.add(number)
        self._place(hand)

    def leave(self, peer: bytes) -> None:
        """A worker wants nothing more."""
        hand = self.hands[peer]
        hand.leaving = True
        self._place(hand)

    def lose(self, peer: bytes, now: float) -> list[Sent]:
        """A worker has gone; returns the batches of which it held something."""
        hand = self.hands.pop(peer, None)
        if hand is None:
            return []
        self._free.pop(peer, None)
        news: dict[bytes, Sent] = {}
        for key in hand.holding:
            batch, number = parted(key)
            sent = self.batches.get(batch)
            if sent is None or sent.outstanding.get(number) != peer:
                continue
            del sent.outstanding[number]
            sent.lost.setdefault(hand.name, set()).add(number)
            sent.lost_at = now
            sent.expect_news()
            news[batch] = sent
            self._count["lost_tasks"] += 1
        return list(news.values())

    def _place(self, hand: Hand) -> None:
        if not hand.has_room:
            self._free.pop(hand.peer, None)
        elif hand.peer not in self._free:
            self._free[hand.peer] = hand

    # -- tasks --------------------------------------------------------------------------------

    @property
    def free(self) -> Hand | None:
        """The worker whose turn it is; ``None`` when none has room."""
        return next(iter(self._free.values()), None)

    def give(self, task: Task, hand: Hand) -> bytes:
        """A task goes to this worker; returns its key."""
        key = key_of(task.batch.batch, task.number)
        task.batch.outstanding[task.number] = hand.peer
        hand.holding.add(key)
        del self._free[hand.peer]
        self._place(hand)  # after all others
        self._count["tasks"] += 1
        return key

    def look_again(self) -> None:
        """Those for which libzmq took nothing are tried again."""
        for hand in self.hands.values():
            self._place(hand)

    def take_back(self, task: Task, peer: bytes) -> None:
        """A task has not left: libzmq takes nothing for its worker now, or that has gone."""
        sent, hand = task.batch, self.hands.get(peer)
        self._count["tasks"] -= 1
        if hand is not None:
            hand.holding.discard(key_of(sent.batch, task.number))
            sent.outstanding.pop(task.number, None)
            self._free.pop(peer, None)
            return
        for held in sent.lost.values():
            if task.number in held:
                held.discard(task.number)
                self._count["lost_tasks"] -= 1

    def give_plain(self, task: Task, now: float) -> None:
        """A task has gone to a plain worker."""
        sent = task.batch
        sent.plain_tasks += 1
        sent.plain_at = now
        sent.plain_numbers.add(task.number)
        self._count["tasks"] += 1
        self._count["plain_tasks"] += 1

    def plain_room(self, plain_workers: int) -> bool:
        """Whether plain workers may have another one."""
        if not self.hands:
            return True
        ahead = sum(each.plain_tasks - each.plain_returned for each in self.batches.values())
        return ahead < PLAIN_AHEAD * max(1, plain_workers)
