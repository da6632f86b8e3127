"""A ventilator and its sink: what is said of batches, and what comes back."""

from __future__ import annotations

import logging
import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import zmq

from ..config.pipeline import PipelineConfig
from ..wire.pipeline import (
    BEGIN,
    BEGUN,
    END,
    HELLO,
    LEFT,
    LOST,
    PLAIN,
    PLAIN_START,
    REPORT,
    UNKNOWN,
    WELCOME,
    frame_bytes,
    pack,
    says,
    unpack,
    whole_in,
)
from .allotment import Allotment, Sent
from .caller import Caller
from .counters import VENTILATOR_COUNTERS
from .hub import Hub
from .report import packed_lost, unpacked

__all__ = ["SinkLine"]

#: More than any number of tasks.
MOST = 1 << 62

_log = logging.getLogger("brigantine.pipeline")


class SinkLine(Hub):
    """The part of a ventilator's thread that is connected to the sink."""

    what = "ventilator"

    def __init__(
        self,
        endpoints: Sequence[str],
        sink: str,
        config: PipelineConfig,
        context: zmq.Context[Any] | None,
        *,
        plain_sink: bool,
        name: str,
    ) -> None:
        super().__init__(endpoints, config, context, VENTILATOR_COUNTERS)
        self.name = name
        self.allotment = Allotment(self.count)
        self._sink = Caller(
            sink, zmq.PUSH if plain_sink else zmq.DEALER,
            interval=config.heartbeat_interval, liveness=config.liveness,
            max_message_bytes=frame_bytes(config), high_water_mark=0, wake=self.wake,
            up=self._sink_is_up, down=self._sink_is_down, heard=self._sink_has_said,
        )  # fmt: skip
        self._callers = [self._sink]
        #: The sink knows this ventilator; has let it go; was told that workers are to end.
        self.sink_ready = False
        self._sink_left = False
        self._killed_sink = False
        self._sink_id = b""
        #: Batches that are new, or whose end or loss the sink is to be told of; by any thread.
        self.news: dict[Sent, None] = {}

    @property
    @abstractmethod
    def has_plain(self) -> bool:
        """Whether plain workers may be given tasks."""

    def _say(self, frames: Sequence[bytes], now: float) -> bool:
        """Say something to one of our sinks; whether libzmq took it.  A plain one would see a result."""
        return not self._sink.plain and self._sink.send(frames, now)

    def _sink_is_up(self) -> None:
        self.count["sinks"] += 1
        if self._sink.plain:
            self.sink_ready = True
            self.changes.ring()
            return
        hello = {"role": "ventilator", "id": self.id, "name": self.name,
                 "interval": self._interval_ms}  # fmt: skip
        self._say((HELLO, pack(hello)), time.monotonic())

    def _sink_is_down(self) -> None:
        _log.warning("lost the connection to the sink at %s; connecting again", self._sink.endpoint)
        self.sink_ready = False
        self._killed_sink = False

    def _tell_sink(self, now: float) -> None:
        """Tell it what is new of the batches."""
        if not self.sink_ready:
            return
        for sent in list(self.news):
            self.news.pop(sent, None)
            if self._sink.plain:
                if not sent.begun:  # the start of a batch, as the guide's ventilator says it
                    sent.begun = self._sink.send((PLAIN_START,), now)
                    self.news.update({} if sent.begun else {sent: None})
                continue
            if not sent.begun:
                words = {"plain": self.has_plain, "name": self.name}
                self._say((BEGIN, sent.batch, pack(words)), now)
            if sent.lost:
                lost = {who: tuple(sorted(numbers)) for who, numbers in list(sent.lost.items())}
                self._say((LOST, sent.batch, pack({"lost": packed_lost(lost)})), now)
            if sent.ended or sent.plain_tasks:
                self._tell_end(sent, now)

    def _tell_end(self, sent: Sent, now: float) -> None:
        words: dict[str, Any] = {"plain": sent.plain_tasks, "handed": not sent.queued}
        if sent.ended:
            words["tasks"] = sent.tasks
        frames = (END, sent.batch, pack(words), sent.plain_numbers.packed())
        sent.half_told = sent.ended and not words["handed"]
        self._say(frames, now)

    def _sink_has_said(self, frames: list[bytes]) -> None:
        word, rest = says(frames), frames[1:]
        if word == WELCOME and rest:
            self._welcomed(unpack(rest[0]))
        elif word == UNKNOWN:
            self._sink_is_up()
        elif word == LEFT:
            self._sink_left = True
        elif len(rest) >= 2 and (sent := self.allotment.batches.get(rest[0])) is not None:
            if word == BEGUN:
                sent.begun, sent.refused = not rest[1], rest[1].decode(errors="replace")
                sent.over = sent.over or bool(sent.refused)
                self.changes.ring()
            elif word == PLAIN:
                sent.plain_returned = whole_in(unpack(rest[1]), "plain_returned", MOST)
                sent.plain_at = self._now
            elif word == REPORT and len(rest) >= 5:
                sent.report = unpacked(rest[0], rest[1:], self.name)
                sent.plain_returned = sent.report.plain_returned
                sent.answered = sent.asked
                sent.over = sent.over or sent.report.complete
                self.changes.ring()

    def _welcomed(self, words: dict[str, Any]) -> None:
        """The sink knows this ventilator; perhaps it is another sink than before."""
        self._sink.interval = min(
            self.config.heartbeat_interval,
            max(0.01, whole_in(words, "interval", 3_600_000, self._interval_ms) / 1000),
        )
        ident = words.get("id")
        if isinstance(ident, bytes) and ident != self._sink_id:
            if self._sink_id:
                _log.warning("the sink at %s was restarted; results that it had are missing again",
                             self._sink.endpoint)  # fmt: skip
            self._sink_id = ident
        self.sink_ready = True
        for sent in list(self.allotment.batches.values()):
            sent.begun, sent.report = False, None
            sent.expect_news()
            self.news[sent] = None
        self.changes.ring()
