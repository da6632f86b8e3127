"""What the threads of a ventilator and of a sink say when, turn by turn: no socket, no clock."""

from __future__ import annotations

import asyncio
import errno
import gc
import itertools
import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

import pytest
import zmq
from line import ANY

from brigantine import NotReady, PipelineConfig, Sink, aio
from brigantine.config.pipeline import ASK_EVERY, ASK_SELDOM, RECONNECT_GRACE
from brigantine.pipeline import sink, sink_aio
from brigantine.pipeline.caller import Caller
from brigantine.pipeline.peers import Peer
from brigantine.pipeline.sink_io import SinkIO
from brigantine.pipeline.ventilator_io import VentilatorIO
from brigantine.wire.pipeline import ASK, BEGIN, BEGUN, END, REPORT, TASK, key_of, pack, unpack

BATCH = b"batch-id"


def peer(role: str) -> Peer:
    return Peer(role.encode(), role, b"8 bytes.", role, 0.0, 0.0)


class SomeVentilator(VentilatorIO):
    """Keeps what it says, to the sink and to workers."""

    def __init__(self, *, plain_sink: bool = False) -> None:
        super().__init__(
            (ANY,), "tcp://127.0.0.1:5", PipelineConfig(), None,
            plain_endpoints=(), plain_sink=plain_sink, name="v",
        )  # fmt: skip
        self._wakeup.close()
        self.said: list[Sequence[bytes]] = []
        self.sink_ready = True

    def _say(self, frames: Sequence[bytes], _now: float) -> bool:
        self.said.append(frames)
        return True

    def send(self, _peer: Peer, frames: Sequence[bytes]) -> bool:
        self.said.append(frames)
        return True

    def words(self, word: bytes) -> list[Sequence[bytes]]:
        return [frames for frames in self.said if frames[0] == word]

    def join(self, who: str, prefetch: int) -> None:
        worker = self.peers[who.encode()] = peer(who)
        self.allotment.hello(worker.route, who.encode(), who, prefetch, (), 0.0)

    def due(self) -> float:
        found: list[float] = []
        nothing: Any = None
        self._register(nothing, found)
        return min(found)


class SomeSink(SinkIO):
    """Keeps what it says."""

    def __init__(self) -> None:
        super().__init__((ANY,), PipelineConfig(), None, plain_endpoints=(), kill_endpoints=())
        self._wakeup.close()
        self.said: list[Sequence[bytes]] = []
        self.ventilator = self.peers[b"v"] = peer("ventilator")

    def send(self, _peer: Peer, frames: Sequence[bytes]) -> bool:
        self.said.append(frames)
        return True

    def hear(self, word: bytes, *frames: bytes) -> list[Sequence[bytes]]:
        """A word of the ventilator; what is answered, and said in the turn after it."""
        self.said.clear()
        assert self._said(self.ventilator, word, list(frames))
        self._work(0.0)
        return self.said


# -- a ventilator and its sink ------------------------------------------------------------------


def test_the_sink_is_told_of_the_end_once_and_again_when_no_task_waits() -> None:
    io = SomeVentilator()
    sent = io.begin()
    sent.begun, sent.tasks = True, 3
    for number in range(3):
        io.put(sent, number, [b"x"])
    sent.ended = True
    io.tell(sent)
    for now in range(5):
        io._work(float(now))
    assert [unpack(frames[2])["handed"] for frames in io.words(END)] == [False]
    io.join("worker", 2)
    for now in range(5):
        io._work(float(now))
    assert len(io.words(TASK)) == 2
    assert len(io.words(END)) == 1
    io.allotment.done(b"worker", [key_of(sent.batch, 0)])
    for now in range(5):
        io._work(float(now))
    assert [unpack(frames[2])["handed"] for frames in io.words(END)] == [False, True]


def test_the_sink_is_asked_less_and_less_until_there_may_be_news() -> None:
    io = SomeVentilator()
    sent = io.begin()
    sent.begun, sent.tasks = True, 1
    io.put(sent, 0, [b"x"])
    sent.ended = True
    io.join("worker", 1)
    io._work(0.0)
    assert io.words(ASK) == []
    io._lost(io.peers[b"worker"], "")
    at = []
    while len(at) < 12:
        now = io._now = io.due()
        asked = len(io.words(ASK))
        io._work(now)
        assert len(io.words(ASK)) == asked + 1  # it wakes for nothing else
        at.append(now)
    # Of a clock that may have run for months: differences are exact to a part of a microsecond.
    pauses = [round(later - now, 6) for now, later in itertools.pairwise(at)]
    assert at[0] == pytest.approx(sent.lost_at + RECONNECT_GRACE)
    assert pauses[0] == pytest.approx(2 * ASK_EVERY)
    assert pauses == sorted(pauses)
    assert pauses[-1] == ASK_SELDOM
    io._welcomed({"id": b"another"})
    assert io.due() == pytest.approx(at[-1] + ASK_EVERY)


def test_a_plain_sink_is_held_to_have_all_once_and_nobody_wakes_for_it_again() -> None:
    io = SomeVentilator(plain_sink=True)
    sent = io.begin()
    sent.begun = sent.ended = True
    io._work(0.0)
    assert io.settled(sent)
    assert io.due() == float("inf")
    answered = sent.answered
    io._work(100.0)
    assert sent.answered == answered


# -- batches that nobody waits for --------------------------------------------------------------


def test_a_ventilator_is_told_when_nobody_waits_for_its_batch_any_more() -> None:
    io = SomeSink()
    assert io.hear(BEGIN, BATCH, pack({})) == [(BEGUN, BATCH, b"")]
    record = io.next_begun()
    assert record is not None
    io.hear(END, BATCH, pack({"tasks": 2, "handed": True}), b"")
    io.said.clear()
    sink.ReceivedBatch(io, record).close()
    io._work(0.0)
    assert [frames[:2] for frames in io.said] == [(REPORT, BATCH), (BEGUN, BATCH)]
    assert io.said[1][2] == b"the batch is over"
    assert io.hear(ASK, BATCH) == [(BEGUN, BATCH, b"the batch is over")]


@pytest.mark.parametrize("kind", [sink.ReceivedBatch, sink_aio.ReceivedBatch])
def test_a_batch_that_its_reader_has_forgotten_makes_room_for_another(kind: Any) -> None:
    io = SomeSink()
    io.hear(BEGIN, BATCH, pack({}))
    batch = kind(io, io.next_begun())
    io._work(0.0)
    assert BATCH in io.ledger.open
    del batch
    gc.collect()
    io._work(0.0)
    assert not io.ledger.open


def test_a_batch_that_is_closed_ends_the_wait_for_it() -> None:
    io = SomeVentilator()
    sent = io.begin()
    sent.begun, sent.tasks = True, 1
    io.put(sent, 0, [b"x"])
    io.join("worker", 1)
    io._work(0.0)
    assert not io.settled(sent)
    io._sink_has_said([BEGUN, sent.batch, b"the batch is over"])
    assert io.settled(sent)
    io._work(0.0)
    assert not io.allotment.batches


class Taken(deque[Any]):
    """Somebody else is faster, once."""

    looks = 0

    def __bool__(self) -> bool:
        self.looks += 1
        return self.looks == 1


def test_of_two_who_wait_for_one_batch_the_second_waits_on() -> None:
    with Sink(ANY) as made:
        made._io.begun = Taken()
        with pytest.raises(NotReady, match=r"no batch has begun within 0\.01 s"):
            made.next_batch(0.01)

    async def main() -> None:
        async with aio.Sink(ANY) as awaited:
            awaited._io.begun = Taken()
            with pytest.raises(NotReady, match=r"no batch has begun within 0\.01 s"):
                await awaited.next_batch(0.01)

    asyncio.run(main())


# -- connections --------------------------------------------------------------------------------


class NoFiles:
    """A context of a process that has no more descriptors."""

    asked = 0

    def socket(self, _kind: int) -> Any:
        self.asked += 1
        raise zmq.ZMQError(errno.EMFILE)


def test_connecting_goes_on_when_files_are_used_up_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    context: Any = NoFiles()
    ignored: Any = lambda *_: None  # noqa: E731
    made = Caller(
        "tcp://127.0.0.1:5", zmq.DEALER, interval=1.0, liveness=3, max_message_bytes=1024,
        high_water_mark=1, wake=ignored, up=ignored, down=ignored, heard=ignored,
    )  # fmt: skip
    now = 0.0
    with caplog.at_level(logging.WARNING, "brigantine.pipeline"):
        for _ in range(3):
            made.open(context, now)
            due = made.due()
            assert due is not None
            now = max(now, due)
            made.advance(now)
    assert context.asked >= 3
    assert "can't open a socket to tcp://127.0.0.1:5" in made.trouble
    assert len(caplog.messages) == 1
    made.close(0.0)
