"""A worker and its sink: results that are kept until the sink has acknowledged them."""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any

import zmq

from ..config.pipeline import PipelineConfig
from ..wire.pipeline import (
    ACK,
    HELLO,
    KILL,
    RESULT,
    UNKNOWN,
    WELCOME,
    frame_bytes,
    keys_in,
    pack,
    says,
    text_in,
    unpack,
    whole_in,
)
from ..wire.req import error_reply
from ..workers.io_thread import WorkerIO
from ..workers.readiness import Readiness
from .caller import Caller

__all__ = ["Job", "Places", "ResultLine", "Source"]

#: Of a sink that tells none.
UNKNOWN_LIMIT = 1 << 62
_log = logging.getLogger("brigantine.pipeline")


@dataclass(frozen=True)
class Places:
    """Where a worker connects, and how."""

    ventilators: tuple[str, ...]
    sink: str
    kill: str | None
    plain_ventilator: bool
    plain_sink: bool


@dataclass(slots=True, eq=False)
class Job:
    """A task that the worker holds."""

    body: list[bytes]
    #: Empty where it is from a plain ventilator.
    key: bytes
    source: Source


class Source:
    """A ventilator."""

    def __init__(self) -> None:
        self.caller: Caller
        #: Keys of the tasks that were taken from it and whose results the sink has not acknowledged.
        self.holds: dict[bytes, None] = {}
        #: Keys of results that the sink has, and it does not know so.
        self.done: list[bytes] = []
        #: It knows this worker; it has said that this is to end; it has let it go.
        self.known = False
        self.killed = False
        self.left = False
        self.leaving = False
        #: When it was last connected, or this worker began.
        self.seen_at = time.monotonic()
        self.ever_known = False


class ResultLine(WorkerIO[Job, tuple[Job, "list[bytes]"]]):
    """The part of a worker's I/O thread that is connected to the sink.

    A result is kept until the sink has acknowledged it, and sent again on a new connection.
    """

    def __init__(
        self,
        places: Places,
        config: PipelineConfig,
        prefetch: int,
        name: str,
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        readiness: Readiness,
    ) -> None:
        super().__init__(context, stats, readiness)
        self._places, self._config = places, config
        self._prefetch = prefetch
        self._name = name
        self._id = os.urandom(8)
        self._now = time.monotonic()
        kind = zmq.PUSH if places.plain_sink else zmq.DEALER
        self._sink = self._caller(
            places.sink, kind, self._sink_up, self._sink_down, self._sink_said
        )
        #: The sink knows this worker.
        self._sink_known = False
        self._sink_id = b""
        #: Bytes of a frame, and frames of a result, that it takes.
        self._most_bytes, self._most_frames = UNKNOWN_LIMIT, UNKNOWN_LIMIT
        #: Results without an acknowledgement, in the order they came; and those to send yet.
        self._unacked: OrderedDict[bytes, tuple[Job, list[bytes]]] = OrderedDict()
        self._to_send: deque[tuple[Job, list[bytes]]] = deque()

    def _caller(self, endpoint: str, kind: int, up: Any, down: Any, heard: Any) -> Caller:
        config = self._config
        return Caller(
            endpoint, kind, interval=config.heartbeat_interval, liveness=config.liveness,
            max_message_bytes=(
                frame_bytes(config) if kind == zmq.DEALER else config.max_message_bytes
            ),
            high_water_mark=self._prefetch if kind == zmq.PULL else config.high_water_mark,
            wake=self._wakeup.set, up=up, down=down, heard=heard,
        )  # fmt: skip

    # -- results ------------------------------------------------------------------------------

    def _send_results(self) -> None:
        while self._to_send and (self._sink_known or (self._sink.plain and self._sink.connected)):
            job, body = self._to_send[0]
            if self._sink.plain:
                if not self._sink.send(body, self._now):
                    return
                self._stats["results"] += 1
                self._acknowledged(job)
            else:
                taken = self._as_sink_takes(body)
                if taken is not body:
                    self._stats["errors"] += 1
                    body = taken
                    self._to_send[0] = (job, body)
                if not self._sink.send((RESULT, job.key, *body), self._now):
                    return
                self._unacked[job.key] = (job, body)
            self._to_send.popleft()

    def _as_sink_takes(self, body: list[bytes]) -> list[bytes]:
        """The result, or what is wrong with it where the sink would not take it, however often it came."""
        size = max(map(len, body), default=0)
        if size <= self._most_bytes and len(body) <= self._most_frames:
            return body
        where = f"the sink at {self._sink.endpoint}"
        if size > self._most_bytes:
            words = (
                f"the result has a frame of {size} bytes, and {where} takes {self._most_bytes}. "
                "Return less, or raise the sink's max_message_bytes"
            )
        else:
            words = (
                f"the result has {len(body)} frames, and {where} takes {self._most_frames}. "
                "Return fewer, or raise the sink's max_frames"
            )
        return error_reply(ValueError(words))

    def _acknowledged(self, job: Job) -> None:
        """The sink has it: the ventilator may give another."""
        if job.key:
            job.source.holds.pop(job.key, None)
            job.source.done.append(job.key)

    # -- the sink -----------------------------------------------------------------------------

    def _sink_up(self) -> None:
        if self._sink.plain:
            self._sink_known, self._sink_id = True, b"plain"
            return
        self._say_hello(self._sink, {})

    def _say_hello(self, caller: Caller, more: dict[str, Any]) -> None:
        milliseconds = round(self._config.heartbeat_interval * 1000)
        words = {"role": "worker", "id": self._id, "name": self._name,
                 "interval": milliseconds, **more}  # fmt: skip
        caller.send((HELLO, pack(words)), time.monotonic())

    def _sink_down(self) -> None:
        self._stats["disconnects"] += 1
        self._sink_known = False
        if not self._cut:
            _log.warning("lost the connection to the sink at %s; connecting again",
                         self._sink.endpoint)  # fmt: skip

    def _sink_said(self, frames: list[bytes]) -> None:
        word = says(frames)
        if word == WELCOME and len(frames) == 2:
            words = unpack(frames[1])
            if not self._is(self._sink, words, "sink"):
                return
            ident = words.get("id")
            self._sink_known = True
            self._sink_id = ident if isinstance(ident, bytes) and ident else b"?"
            self._most_bytes, self._most_frames = (
                whole_in(words, name, UNKNOWN_LIMIT, UNKNOWN_LIMIT)
                for name in ("max_bytes", "max_frames")
            )
            self._stats["resent"] += len(self._unacked)
            self._to_send.extendleft(reversed(self._unacked.values()))
            self._unacked.clear()
        elif word == UNKNOWN:
            self._sink_known = False
            self._say_hello(self._sink, {})
        elif word == ACK and len(frames) == 2:
            for key in keys_in(frames[1]):
                if (pair := self._unacked.pop(key, None)) is not None:
                    self._stats["results"] += 1
                    self._acknowledged(pair[0])
        elif word == KILL:
            self._kill_heard(frames)
        elif not word:
            self._malformed(self._sink)

    def _is(self, caller: Caller, words: dict[str, Any], what: str) -> bool:
        """Whether that is who was meant to be there; then how often it wants to hear from here."""
        told = text_in(words, "role")
        if told != what:
            self._stats["drop_malformed"] += 1
            _log.error("%s is the endpoint of a %s, not of a %s; check the worker's endpoints",
                       caller.endpoint, told or "stranger", what)  # fmt: skip
            return False
        own = self._config.heartbeat_interval
        theirs = whole_in(words, "interval", 3_600_000, round(own * 1000)) / 1000
        caller.interval = min(own, max(0.01, theirs))
        return True

    def _malformed(self, caller: Caller) -> None:
        self._stats["drop_malformed"] += 1
        if self._stats["drop_malformed"] == 1:
            _log.warning("%s sent a message that is not of the pipeline's protocol; "
                         "is it one of a ventilator or sink of brigantine?", caller.endpoint)  # fmt: skip

    def _kill_heard(self, _frames: list[bytes]) -> None:
        if not self._stopping:
            self._stats["kills"] += 1
            self.stop()
