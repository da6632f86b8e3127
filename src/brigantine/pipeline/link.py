"""The I/O thread of a pipeline's worker: connections to ventilators, tasks in hand, and the end."""

from __future__ import annotations

import logging
import math
import time
from collections import deque
from typing import Any

import zmq

from ..config.pipeline import BATCH, LEAVE_WAIT, PipelineConfig
from ..wire.pipeline import (
    DONE,
    KEY_BYTES,
    KILL,
    LEAVING,
    LEFT,
    TASK,
    UNKNOWN,
    WELCOME,
    joined,
    says,
    unpack,
)
from ..workers.readiness import Readiness
from .caller import Caller
from .results import Job, Places, ResultLine, Source

__all__ = ["Job", "PipelineLink", "Places"]

_log = logging.getLogger("brigantine.pipeline")


class PipelineLink(ResultLine):
    """Hands out at most ``capacity`` tasks at once, holds ``prefetch`` of each ventilator at most."""

    def __init__(
        self,
        places: Places,
        config: PipelineConfig,
        capacity: int,
        prefetch: int,
        orphan_timeout: float | None,
        linger: float,
        name: str,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        super().__init__(places, config, prefetch, name, context, stats, readiness)
        self._capacity = capacity
        self._orphan_timeout, self._linger = orphan_timeout, linger
        self._sources = [self._source(each) for each in places.ventilators]
        self._callers = [self._sink, *(each.caller for each in self._sources)]
        if places.kill is not None:
            self._callers.append(
                self._caller(places.kill, zmq.SUB, _nothing, _nothing, self._kill_heard)
            )
        self._waiting: deque[Job] = deque()
        self._at_work: set[Job] = set()
        #: When leaving began, and when nothing but results was left.
        self._left_at: float | None = None
        self._empty_at: float | None = None

    def _source(self, endpoint: str) -> Source:
        source = Source()
        kind = zmq.PULL if self._places.plain_ventilator else zmq.DEALER
        source.caller = self._caller(
            endpoint, kind, lambda: self._source_up(source), lambda: self._source_down(source),
            lambda frames: self._source_said(source, frames),
        )  # fmt: skip
        return source

    # -- the handlers' side -------------------------------------------------------------------

    def answer(self, request: Job, body: list[bytes]) -> None:
        """Give the result of a task."""
        self._hand_in((request, body))

    # -- the I/O thread: its turns ------------------------------------------------------------

    def _turn(self, context: zmq.Context[Any]) -> None:
        for caller in self._callers:
            if not self._waits(caller):
                caller.open(context, time.monotonic())
        self._poll()
        self._wakeup.clear()
        more = self._collect()
        for caller in self._callers:
            caller.advance(self._now)
            if caller.kind != zmq.PULL or self._may_take():
                more = caller.read(BATCH if caller.kind != zmq.PULL else 1) or more
        self._count_callers()
        self._send_results()
        for source in self._sources:
            self._tell_done(source)
        while self._waiting and len(self._at_work) < self._capacity:
            job = self._waiting.popleft()
            self._at_work.add(job)
            self._stats["tasks"] += 1
            self._give(job)
        self._look_for_the_end()
        if more:
            self._wakeup.set()

    def _waits(self, caller: Caller) -> bool:
        """A ventilator is reached after the sink: who is ready there is ready at both.

        A worker that is about to end needs nobody but the sink.
        """
        if caller is self._sink:
            return False
        return self._stopping or (caller.kind != zmq.SUB and not self._sink_id)

    def _may_take(self) -> bool:
        """Whether a plain ventilator's next task may be read: what is not read goes to others."""
        held = len(self._waiting) + len(self._at_work) + len(self._to_send)
        return held < self._prefetch and not self._stopping

    def _poll(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        due = []
        for caller in self._callers:
            if caller.kind != zmq.PULL or self._may_take():
                caller.register(poller, waits_for_room=caller is self._sink and bool(self._to_send))
            if (
                not (self._waits(caller) and not caller.connected)
                and (at := caller.due()) is not None
            ):
                due.append(at)
        if self._stopping or self._orphan_timeout is not None:
            due.append(self._now + 0.05)
        before = time.monotonic()
        sleep = max(0.0, min(due) - before) if due else None
        poller.poll(None if sleep is None else math.ceil(sleep * 1000))
        self._now = time.monotonic()
        gap = self._now - before - (math.inf if sleep is None else sleep)
        if gap > self._config.heartbeat_interval:  # this process was stopped, not its peers
            for caller in self._callers:
                caller.excuse(gap)

    def _count_callers(self) -> None:
        self._stats["connects"] = sum(each.connects for each in self._callers)
        self._stats["expired"] = sum(each.expired for each in self._callers)

    def _collect(self) -> bool:
        """Take what the handlers have handed in; whether there is more."""
        for _ in range(BATCH):
            if self._outbox.empty():
                return False
            job, body = self._outbox.get()
            self._at_work.discard(job)
            self._to_send.append((job, body))
        return not self._outbox.empty()

    # -- ventilators --------------------------------------------------------------------------

    def _source_up(self, source: Source) -> None:
        source.seen_at = self._now
        if source.caller.plain:
            source.known = source.ever_known = True
            self._readiness.confirm(source.caller.endpoint)
            return
        self._readiness.connect(source.caller.endpoint)
        self._say_hello(source.caller, {"prefetch": self._prefetch, "holds": joined(source.holds)})

    def _source_down(self, source: Source) -> None:
        self._stats["disconnects"] += 1
        source.known = source.leaving = False
        source.seen_at = self._now
        self._readiness.lose(source.caller.endpoint)
        if not (self._cut or source.left):
            _log.warning("lost the connection to the ventilator at %s; connecting again",
                         source.caller.endpoint)  # fmt: skip

    def _source_said(self, source: Source, frames: list[bytes]) -> None:
        if source.caller.plain:
            self._waiting.append(Job(frames, b"", source))
            return
        word = says(frames)
        if word == TASK and len(frames) >= 3 and len(frames[1]) == KEY_BYTES:
            self._take(source, frames)
        elif word == WELCOME and len(frames) == 2:
            if not self._is(source.caller, unpack(frames[1]), "ventilator"):
                return
            source.known = source.ever_known = True
            source.killed = False
            self._readiness.confirm(source.caller.endpoint)
        elif word == UNKNOWN:
            source.known = False
            self._source_up(source)
        elif word == KILL:
            self._stats["kills"] += 1
            source.killed = True
        elif word == LEFT:
            source.left = True
        elif not word:
            self._malformed(source.caller)

    def _take(self, source: Source, frames: list[bytes]) -> None:
        key = frames[1]
        if key in source.holds:
            return  # sent again although the worker holds it
        if len(source.holds) >= self._prefetch:
            self._stats["drop_excess"] += 1
            return
        source.holds[key] = None
        self._waiting.append(Job(frames[2:], key, source))

    def _tell_done(self, source: Source) -> None:
        if source.done and source.known:
            keys, source.done = source.done, []
            source.caller.send((DONE, joined(keys)), self._now)

    # -- the end ------------------------------------------------------------------------------

    def _look_for_the_end(self) -> None:
        """Begin to leave where all ventilators have said so, or none was there for too long."""
        for source in self._sources:
            if source.known:
                source.seen_at = self._now
        if not self._stopping and all(source.killed for source in self._sources):
            self.stop()
        if not self._stopping and self._orphan_timeout is not None:
            lonely = [
                source.ever_known and self._now - source.seen_at >= self._orphan_timeout
                for source in self._sources if not source.killed
            ]  # fmt: skip
            if lonely and all(lonely):
                _log.warning("no ventilator was there for %g s (orphan_timeout): ending",
                             self._orphan_timeout)  # fmt: skip
                self.stop()
        if not self._stopping:
            return
        if self._left_at is None:
            self._left_at = self._now
        for source in self._sources:
            if source.known and not source.leaving and not source.caller.plain:
                source.leaving = source.caller.send((LEAVING,), self._now)

    def _finished(self) -> bool:
        if self._left_at is None or self._waiting or self._at_work or not self._outbox.empty():
            return False
        waited = self._now - self._left_at
        let_go = all(
            source.left or not source.known or source.caller.plain for source in self._sources
        )
        if not let_go and waited < LEAVE_WAIT:
            return False
        if self._empty_at is None:
            self._empty_at = self._now
        if not (self._to_send or self._unacked):
            return not any(source.done and source.known for source in self._sources)
        return self._now - self._empty_at >= self._linger

    def _close(self, *, flush: bool) -> None:
        self._stats["discarded_tasks"] += len(self._waiting)
        while not self._outbox.empty():
            self._to_send.append(self._outbox.get())
        if flush:
            self._send_results()
        kept = len(self._to_send) + len(self._unacked)
        self._stats["discarded_results"] += kept
        if flush and kept:
            _log.warning("ending with %d results that the sink has not acknowledged", kept)
        if self._sink.connected and not self._sink.plain:
            self._sink.send((LEAVING,), self._now)
        for caller in self._callers:
            caller.close(self._linger if flush else 0.0)


def _nothing() -> None:
    pass
