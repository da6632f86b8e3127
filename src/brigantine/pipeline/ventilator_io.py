"""The ventilator's thread: gives tasks to workers, tells the sink what to wait for."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Sequence
from typing import Any

import zmq

from ..config.pipeline import BATCH, MOST_PREFETCH, RECONNECT_GRACE, PipelineConfig
from ..wire.pipeline import (
    ASK,
    BATCH_BYTES,
    DONE,
    FORGET,
    KEY_BYTES,
    KILL,
    LEAVING,
    TASK,
    keys_in,
    whole_in,
)
from .allotment import Sent, Task
from .peers import Peer, PlainWatch
from .report import Report
from .sink_line import SinkLine

__all__ = ["VentilatorIO"]

#: More than any number of tasks.
MOST = 1 << 62

_log = logging.getLogger("brigantine.pipeline")


class VentilatorIO(SinkLine):
    """Bound for workers; connected to one sink."""

    roles = ("worker",)

    def __init__(
        self,
        endpoints: Sequence[str],
        sink: str,
        config: PipelineConfig,
        context: zmq.Context[Any] | None,
        *,
        plain_endpoints: Sequence[str],
        plain_sink: bool,
        name: str,
    ) -> None:
        super().__init__(endpoints, sink, config, context, plain_sink=plain_sink, name=name)
        self._plain_wanted = plain_endpoints
        self.plain_endpoints: tuple[str, ...] = ()
        self._push: Any = None
        self._push_watch: PlainWatch | None = None
        self._push_full = False
        #: How many plain workers those who wait know of.
        self._plain_told = 0
        #: Enough workers were ready once.
        self._begun = False
        #: Workers are to end when nothing waits.
        self.killing = False
        self._stop_at: float | None = None
        #: Workers passed over, as libzmq took nothing for them.
        self._full = False

    @property
    def has_plain(self) -> bool:
        """Whether plain workers may be given tasks."""
        return bool(self._plain_wanted)

    # -- any thread ---------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether another task may wait."""
        return (
            len(self.allotment.queue) < self.config.high_water_mark
            and self.allotment.queued_bytes <= self.config.queue_bytes
        )

    @property
    def _plain_peers(self) -> int:
        return 0 if self._push_watch is None else self._push_watch.peers

    @property
    def ready(self) -> int:
        """Workers that are ready."""
        return len(self.allotment.hands) + self._plain_peers

    def begin(self) -> Sent:
        """A new batch."""
        sent = Sent(os.urandom(BATCH_BYTES))
        self.allotment.batches[sent.batch] = sent
        self.count["batches"] += 1
        self.killing = False
        self.tell(sent)
        return sent

    def tell(self, sent: Sent) -> None:
        """The sink is to be told of it."""
        self.news[sent] = None
        self.wake()

    def put(self, sent: Sent, number: int, frames: list[bytes]) -> None:
        """A task waits for a worker; by the one thread that sends this batch."""
        size = sum(map(len, frames))
        sent.put += 1
        sent.put_bytes += size
        sent.expect_news()
        idle = not self.allotment.queue
        self.allotment.queue.append(Task(sent, number, frames, size))
        if idle:
            self.wake()

    def settled(self, sent: Sent) -> bool:
        """Whether nothing more is to be waited for: all is there, or nothing more can come."""
        if sent.over or self.ended:
            return True
        return sent.answered > sent.stale and self._calm_at(sent) <= time.monotonic()

    def report(self, sent: Sent) -> Report:
        """How a batch is: what the sink has said last, or what is known here."""
        told = sent.report
        if told is not None and (told.complete or sent.refused or sent.answered > sent.stale):
            return told
        return sent.own_report(self.name)

    def stats(self) -> dict[str, int]:
        """As of any hub."""
        return {
            **super().stats(),
            "workers": len(self.allotment.hands),
            "plain_workers": self._plain_peers,
            "queued": len(self.allotment.queue),
        }

    # -- the thread ---------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        if not self._plain_wanted:
            return
        push = self._push = self._socket(zmq.PUSH)
        push.sndhwm = 1
        self._push_watch = self._watched(
            PlainWatch(push, self.reserve, lambda: self.plain_endpoints)
        )
        self.plain_endpoints = tuple(self._bind(push, each) for each in self._plain_wanted)

    def _close(self) -> None:
        self.count["dropped"] += len(self.allotment.queue)
        super()._close()

    def _register(self, poller: zmq.Poller, due: list[float]) -> None:
        if self._push_full and self.allotment.queue:
            poller.register(self._push, zmq.POLLOUT)
        if self._full:
            due.append(self._now + 0.01)
        due.extend(map(self._due, self._ended_batches()))
        if self._stop_at is not None:
            due.append(self._stop_at)

    def _finished(self, now: float) -> bool:
        if not self.stopping:
            return False
        if self._stop_at is None:
            self._stop_at = now + self.config.linger
            self._say((LEAVING,), now)
        if now >= self._stop_at:
            return True
        told = self._sink_left or self._sink.plain or not self._sink.connected
        return told and not self.news

    def _work(self, now: float) -> bool:
        if self._plain_peers != self._plain_told:
            self._plain_told = self._plain_peers
            self.changes.ring()
        if self._full:
            self._full = False
            self.allotment.look_again()
        self._tell_sink(now)
        more = self._give_tasks()
        if self.killing and not self.allotment.queue:
            self._kill()
        for sent in self._ended_batches():
            if self.sink_ready and now >= self._due(sent):
                sent.asked_at = now
                if self._say((ASK, sent.batch), now):
                    sent.was_asked()
        self._notice_ends(now)
        return more

    def _ended_batches(self) -> list[Sent]:
        """Batches of which all was sent, and somebody waits for the results."""
        batches = list(self.allotment.batches.values())
        return [sent for sent in batches if sent.ended and not sent.over]

    def _calm_at(self, sent: Sent) -> float:
        """When no result can come any more; of plain workers a plain sink tells nothing."""
        nobody = self._sink.plain or not self._plain_peers
        return sent.calm_at(RECONNECT_GRACE if nobody else self.config.batch_timeout)

    def _due(self, sent: Sent) -> float:
        """When to see how it is: the sink is asked, or a plain one is held to have all that can come."""
        calm_at = self._calm_at(sent)
        if self._sink.plain:
            return math.inf if sent.answered > sent.stale else calm_at
        return max(calm_at, sent.ask_at) if self.sink_ready else math.inf

    def _notice_ends(self, now: float) -> None:
        """What is over is forgotten; who waits for a batch looks again."""
        for sent in list(self.allotment.batches.values()):
            if sent.over and not sent.queued:
                del self.allotment.batches[sent.batch]
                self.news.pop(sent, None)
                if not (sent.report and sent.report.complete):
                    self._say((FORGET, sent.batch), now)
            elif sent.ended and self._sink.plain and now >= self._due(sent):
                sent.answered = sent.asked = sent.stale + 1
                self.changes.ring()

    # -- tasks --------------------------------------------------------------------------------

    def _may_begin(self) -> bool:
        if not self._begun:
            enough = self.ready >= self.config.min_workers
            self._begun = enough and (self._sink.plain or self.sink_ready)
        return self._begun

    def _give_tasks(self) -> bool:
        """Give what waits to who has room, a batch of them at most; whether there may be more."""
        allotment = self.allotment
        if not allotment.queue or not self._may_begin():
            return False
        was_full, given = not self.has_room, 0
        self._push_full = False
        while allotment.queue and given < BATCH:
            task = allotment.queue[0]
            if not task.batch.over and not (task.batch.begun and self._give(task)):
                break
            allotment.take()
            given += 1
            if task.batch.half_told and not task.batch.queued:
                self.news[task.batch] = None
        if given and not allotment.queue:
            self.changes.ring()  # who has sent all may go on
        elif was_full and self.has_room:
            self.changes.ring()
        return given >= BATCH

    def _give(self, task: Task) -> bool:
        """Give a task to the worker whose turn it is; false when there is none."""
        hand = self.allotment.free
        while hand is not None:
            key = self.allotment.give(task, hand)
            peer = self.peers[hand.peer]
            if self.send(peer, (TASK, key, *task.frames)):
                return True
            self.allotment.take_back(task, hand.peer)
            self._full = True
            hand = self.allotment.free
        if self._push is None or not self.allotment.plain_room(self._plain_peers):
            return False
        try:
            self._push.send_multipart(task.frames, zmq.DONTWAIT)
        except zmq.Again:
            self._push_full = True
            return False
        self.allotment.give_plain(task, self._now)
        self.news[task.batch] = None
        return True

    # -- workers ------------------------------------------------------------------------------

    def _joined(self, peer: Peer, hello: dict[str, Any]) -> None:
        prefetch = max(1, whole_in(hello, "prefetch", MOST_PREFETCH, 1))
        holds = hello.get("holds")
        keys = holds if isinstance(holds, bytes) else b""
        self.count["workers_joined"] += 1
        news = self.allotment.hello(
            peer.route, peer.id, peer.name, prefetch, keys_in(keys), self._now
        )
        # What it has on an earlier connection is over.
        for other in [each for each in self.peers.values() if each.id == peer.id]:
            if other is not peer:
                del self.peers[other.route]
        self.news.update(dict.fromkeys(news))
        if self.killing and not self.allotment.queue:
            self._kill()

    def _leaving(self, peer: Peer) -> None:
        self.allotment.leave(peer.route)

    def _lost(self, peer: Peer, why: str) -> None:
        hand = self.allotment.hands.get(peer.route)
        if hand is None:
            return
        held = len(hand.holding)
        news = self.allotment.lose(peer.route, self._now)
        self.news.update(dict.fromkeys(news))
        if why and (held or not hand.leaving):
            self.count["workers_lost"] += 1
            _log.warning("worker %s %s; it held %d tasks", peer.name, why, held)

    def _said(self, peer: Peer, word: bytes, frames: list[bytes]) -> bool:
        if word != DONE or len(frames) != 1 or len(frames[0]) % KEY_BYTES:
            return False
        self.allotment.done(peer.route, keys_in(frames[0]))
        return True

    def _kill(self) -> None:
        """Have the workers end that were not told to yet, and the sink know."""
        for hand in list(self.allotment.hands.values()):
            if not hand.killed and self.send(self.peers[hand.peer], (KILL,)):
                hand.killed = True
                self.count["kills"] += 1
        if not self._killed_sink:
            self._killed_sink = self._say((KILL,), self._now)
