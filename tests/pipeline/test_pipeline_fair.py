"""Fair queueing at the sink: it reads workers in turn, whatever one of them sends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import zmq
from harness import PATIENCE, wait_until
from line import Line, bodies

#: As docs/pipeline.md has them.
HELLO, RESULT = b"BPL1\x01", b"BPL1\x20"
WORDS = b"\x83\xa4role\xa6worker\xa2id\xc4\x08stranger\xa4name\xa1s"


def flood(endpoint: str, batch: str, stop: threading.Event) -> None:
    """Results of a batch that is over, as fast as the sink lets them in, until told to stop."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        socket.connect(endpoint)
        socket.send_multipart([HELLO, WORDS])
        result = [RESULT, bytes.fromhex(batch) + bytes(8), b"x"]
        while not stop.is_set():
            if socket.poll(10, zmq.POLLOUT):
                socket.send_multipart(result, zmq.DONTWAIT)


def test_a_worker_that_floods_the_sink_keeps_no_other_from_it(line: Callable[..., Line]) -> None:
    made = line(ventilator={"min_workers": 1})
    made.worker()
    over = made.ventilator.send(bodies(1))
    assert over.wait(PATIENCE).complete
    assert made.reader().report().complete
    stop = threading.Event()
    flooding = threading.Thread(target=flood, args=(made.sink.endpoint, over.id, stop))
    flooding.start()
    try:
        wait_until(lambda: made.sink.stats()["late"] > 10_000, "the flood runs")
        reader, before = made.reader(), made.sink.stats()["late"]
        assert made.ventilator.send(bodies(100)).wait(PATIENCE).complete
        assert reader.report().complete
        wait_until(lambda: made.sink.stats()["late"] > before, "it floods to the end")
    finally:
        stop.set()
        flooding.join()
