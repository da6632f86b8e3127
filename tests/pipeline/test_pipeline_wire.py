"""The wire of the pipeline, byte by byte: every message as docs/pipeline.md has it, by raw sockets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq
from harness import PATIENCE, Peers, wait_until
from line import ANY

from brigantine import PipelineWorker, Sink, Ventilator
from brigantine.wire import pipeline as wire

ID = b"\x01\x02\x03\x04\x05\x06\x07\x08"
BATCH = b"\xaa\xbb\xcc\xdd\xee\xff\x00\x11"


def key(number: int, batch: bytes = BATCH) -> bytes:
    return batch + number.to_bytes(8, "big")


def word(code: int) -> bytes:
    return b"BPL1" + bytes([code])


HELLO, WELCOME, PING, PONG, LEAVING, LEFT, KILL, UNKNOWN = map(word, range(1, 9))
TASK, DONE, RESULT, ACK = map(word, (0x10, 0x11, 0x20, 0x21))
BEGIN, BEGUN, END, LOST, ASK, REPORT, PLAIN, FORGET = map(
    word, (0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x37, 0x38)
)


def packed(**value: Any) -> bytes:
    made: bytes = msgpack.packb(value)
    return made


def hello(role: str, **more: Any) -> list[bytes]:
    ident = role.encode()[:8].ljust(8)
    return [HELLO, packed(role=role, id=ident, name="raw", interval=1000, **more)]


def welcome(role: str) -> list[bytes]:
    return [WELCOME, packed(role=role, id=ID, interval=1000)]


def heard(socket: zmq.Socket[bytes], *, beside: tuple[bytes, ...] = (PING, PONG)) -> list[bytes]:
    """The next message that is no heartbeat."""
    while (frames := socket.recv_multipart())[-1] in beside:
        pass
    return frames


def router(peers: Peers) -> tuple[zmq.Socket[bytes], str]:
    made = peers.socket(zmq.ROUTER)
    port = made.bind_to_random_port("tcp://127.0.0.1")
    return made, f"tcp://127.0.0.1:{port}"


def test_what_a_worker_says(peers: Peers) -> None:
    (sink, sink_at), (ventilator, ventilator_at) = router(peers), router(peers)
    worker = PipelineWorker(
        ventilator_at, sink_at, bytes.upper, name="w", prefetch=3, ready_timeout=0.0
    ).start()
    at_sink, first, words = heard(sink)
    assert at_sink.isascii()  # its routing id can be printed
    assert at_sink.isalnum()
    assert first == b"BPL1\x01"
    said = msgpack.unpackb(words)
    assert said == {"role": "worker", "id": said["id"], "name": "w", "interval": 1000}
    assert len(said["id"]) == 8
    sink.send_multipart([at_sink, *welcome("sink")])
    at_ventilator, first, words = heard(ventilator)
    assert first == b"BPL1\x01"
    assert msgpack.unpackb(words) == {**said, "prefetch": 3, "holds": b""}
    ventilator.send_multipart([at_ventilator, *welcome("ventilator")])
    worker.wait_ready(PATIENCE)
    ventilator.send_multipart([at_ventilator, TASK, key(7), b"hello", b"world"[:0]])
    ventilator.send_multipart([at_ventilator, TASK, key(8), b"more"])
    # A function gets a list for two frames, which bytes.upper can't take: an error report.
    frames = heard(sink)
    assert frames[1:4] == [b"BPL1\x20", key(7), b"brigantine-error/1"]
    assert heard(sink)[1:] == [b"BPL1\x20", BATCH + b"\0\0\0\0\0\0\0\x08", b"MORE"]
    sink.send_multipart([at_sink, ACK, key(7) + key(8)])
    assert heard(ventilator)[1:] == [b"BPL1\x11", key(7) + key(8)]
    ventilator.send_multipart([at_ventilator, KILL])
    assert heard(ventilator)[1:] == [b"BPL1\x05"]
    ventilator.send_multipart([at_ventilator, LEFT])
    wait_until(lambda: not worker._thread.running)
    assert heard(sink)[1:] == [b"BPL1\x05"]
    assert worker.stats()["results"] == 2


def test_what_a_ventilator_says(peers: Peers) -> None:
    sink, sink_at = router(peers)
    with Ventilator(ANY, sink_at, name="v") as ventilator:
        at_sink, first, words = heard(sink)
        assert first == b"BPL1\x01"
        said = msgpack.unpackb(words)
        assert said == {"role": "ventilator", "id": said["id"], "name": "v", "interval": 1000}
        sink.send_multipart([at_sink, *welcome("sink")])
        batch = ventilator.batch()
        route = bytes.fromhex(batch.id)
        assert heard(sink)[1:] == [b"BPL1\x30", route, packed(plain=False, name="v")]
        sink.send_multipart([at_sink, BEGUN, route, b""])
        worker = peers.dealer(ventilator.endpoint)
        worker.send_multipart(hello("worker", prefetch=2, holds=b""))
        first, words = heard(worker)
        assert first == b"BPL1\x02"
        assert msgpack.unpackb(words) == {"role": "ventilator", "id": said["id"], "interval": 1000}
        batch.send(b"one")
        batch.send([b"two", b"", b"frames"])
        assert heard(worker) == [b"BPL1\x10", key(0, route), b"one"]
        assert heard(worker) == [b"BPL1\x10", key(1, route), b"two", b"", b"frames"]
        batch.end()
        assert heard(sink)[1:] == [b"BPL1\x32", route, packed(plain=0, handed=True, tasks=2), b""]
        worker.send_multipart([PING])
        assert worker.recv_multipart() == [b"BPL1\x04"]
        worker.send_multipart([DONE, key(0, route)])
        worker.send_multipart([LEAVING])
        assert heard(worker) == [b"BPL1\x06"]
        worker.close(0)
        lost = packed(lost={"raw": [1]})
        assert heard(sink)[1:] == [b"BPL1\x33", route, lost]
        assert heard(sink)[1:] == [b"BPL1\x32", route, packed(plain=0, handed=True, tasks=2), b""]
        assert heard(sink)[1:] == [b"BPL1\x34", route]
        answer = packed(
            returned=1, duplicates=0, lost={"raw": [1]}, plain=0, plain_returned=0, tasks=2
        )
        sink.send_multipart([at_sink, REPORT, route, answer, b"\x02", b"", b"\x01"])
        report = batch.wait(PATIENCE)
        assert (report.missing, report.failed, report.lost) == ((1,), (0,), {"raw": (1,)})
        batch.close()
        while (frames := heard(sink)[1:])[0] == ASK:
            pass
        assert frames == [b"BPL1\x38", route]
        ventilator.kill()
        assert heard(sink)[1:] == [b"BPL1\x07"]
    assert heard(sink)[1:] == [b"BPL1\x05"]


def test_what_a_sink_says(peers: Peers) -> None:
    with Sink(ANY) as sink:
        ventilator = peers.dealer(sink.endpoint)
        ventilator.send_multipart(hello("ventilator"))
        first, words = heard(ventilator)
        assert first == b"BPL1\x02"
        said = msgpack.unpackb(words)
        assert said == {
            "role": "sink", "id": said["id"], "interval": 1000,
            "max_bytes": 16 << 20, "max_frames": 256,
        }  # fmt: skip
        ventilator.send_multipart([BEGIN, BATCH, packed(plain=False, name="v")])
        assert heard(ventilator) == [b"BPL1\x31", BATCH, b""]
        worker = peers.dealer(sink.endpoint)
        worker.send_multipart([RESULT, key(0), b"early"])
        assert heard(worker) == [b"BPL1\x08"]  # who is that?
        worker.send_multipart(hello("worker"))
        assert heard(worker) == [b"BPL1\x02", words]
        worker.send_multipart([RESULT, key(0), b"r0"])
        assert heard(worker) == [b"BPL1\x21", key(0)]
        ventilator.send_multipart([LOST, BATCH, packed(lost={"raw": [1, 9]})])
        ventilator.send_multipart([END, BATCH, packed(tasks=10, plain=2, handed=True), b"\x0c"])
        ventilator.send_multipart([ASK, BATCH])
        first, batch, words, missing, unsure, failed = heard(ventilator)
        assert (first, batch) == (b"BPL1\x35", BATCH)
        assert msgpack.unpackb(words) == {
            "returned": 1, "duplicates": 0, "lost": {"raw": [1, 9]}, "plain": 2, "plain_returned": 0,
            "tasks": 10,
        }  # fmt: skip
        assert (missing, unsure, failed) == (b"\xf2\x03", b"\x0c", b"")
        ventilator.send_multipart([KILL])
        assert heard(worker) == [b"BPL1\x07"]
        ventilator.send_multipart([LEAVING])
        assert heard(ventilator) == [b"BPL1\x06"]


def test_what_a_worker_holds_may_be_longer_than_a_task(peers: Peers) -> None:
    with Ventilator(ANY, "tcp://127.0.0.1:5", max_message_bytes=1024) as ventilator:
        worker = peers.dealer(ventilator.endpoint)
        holds = b"".join(map(key, range(10_000)))
        worker.send_multipart(hello("worker", prefetch=10_000, holds=holds))
        assert heard(worker)[0] == b"BPL1\x02"


def test_the_example_of_the_page_is_what_is_sent() -> None:
    page = (Path(__file__).parents[2] / "docs" / "pipeline.md").read_text(encoding="utf-8")
    shown = [
        [bytes.fromhex(frame.strip()) for frame in line.partition(way)[2].split("|")]
        for line in page.splitlines()
        for way in re.findall(r"^ +\w+ -> \w+ +(?=42504c31)", line)
    ]
    batch = bytes.fromhex("aabbccddeeff0011")
    assert shown == [
        [wire.BEGIN, batch, wire.pack({"plain": False, "name": "v"})],
        [wire.BEGUN, batch, b""],
        [wire.TASK, wire.key_of(batch, 7), b"hello"],
        [wire.RESULT, wire.key_of(batch, 7), b"HELLO"],
        [wire.ACK, wire.key_of(batch, 7)],
        [wire.DONE, wire.key_of(batch, 7)],
    ]


JUNK: list[list[bytes]] = [
    [b""], [b"", b"body"], [b"BPL1"], [b"BPL2\x01"], [b"BPL1\x01"], [b"BPL1\xff"], [b"0"],
    [HELLO, b"\xc1"], [HELLO, packed()], [HELLO, packed(role="king", id=ID)], [HELLO, b"\x81"],
    [HELLO, packed(role="worker", id=b"short", prefetch=1)], [HELLO, msgpack.packb([1])],
    [TASK], [TASK, b"x", b"y"], [DONE], [DONE, b"15 bytes, no key"[:15]], [DONE, key(1 << 63)],
    [RESULT], [RESULT, key(5)], [RESULT, b"no key", b"body"], [RESULT, key((1 << 64) - 1), b"body"],
    [ACK, b"x"], [BEGIN], [BEGIN, b"short", packed()], [BEGIN, BATCH], [BEGIN, BATCH, b"\xc1"],
    [END, BATCH], [END, BATCH, packed(tasks=-1, plain="many"), b"\xff" * 1000],
    [END, BATCH, packed(tasks=1 << 63, plain=1 << 63, handed=7), b""],
    [LOST, BATCH, packed(lost={"a": ["b", -1, True, 1 << 63]})], [LOST, BATCH, packed(lost=[1])],
    [ASK], [ASK, BATCH, b"more"], [FORGET, b""], [KILL, b"more"], [PING, b"more"], [LEFT], [UNKNOWN],
    [b"x"] * 400,
]  # fmt: skip


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("role", ["worker", "ventilator"])
def test_nothing_that_a_peer_sends_stops_a_sink_or_a_ventilator(
    peers: Peers, role: str, known: bool
) -> None:
    with Sink(ANY) as sink, Ventilator(ANY, sink.endpoint) as ventilator:
        for end, options in ((sink, {}), (ventilator, {"prefetch": 1, "holds": b"odd"})):
            bad = peers.dealer(end.endpoint)
            if known:
                bad.send_multipart(hello(role, **options))
            for frames in JUNK:
                bad.send_multipart(frames)
            bad.send_multipart([b"the last one"])
            wait_until(lambda end=end: end.stats()["drop_malformed"] >= 10)
            bad.close(0)
        wait_until(lambda: not ventilator.stats()["workers"], "nobody bad gets a task")
        with PipelineWorker(ventilator.endpoint, sink.endpoint, bytes.upper):
            assert ventilator.send([b"still", b"alive"]).wait(PATIENCE).complete


def test_nothing_that_is_sent_to_a_worker_stops_it(peers: Peers) -> None:
    (sink, sink_at), (ventilator, ventilator_at) = router(peers), router(peers)
    with PipelineWorker(
        ventilator_at, sink_at, bytes.upper, prefetch=2, ready_timeout=0.0
    ) as worker:
        at_sink = heard(sink)[0]
        for frames in JUNK[:-1]:
            if frames[0] not in (KILL, UNKNOWN):
                sink.send_multipart([at_sink, *frames])
        sink.send_multipart([at_sink, *welcome("sink")])
        at_ventilator = heard(ventilator)[0]
        for frames in JUNK[:-1]:
            if frames[0] not in (KILL, UNKNOWN, LEFT):
                ventilator.send_multipart([at_ventilator, *frames])
        ventilator.send_multipart([at_ventilator, *welcome("ventilator")])
        for number in range(5):  # three more than it takes
            ventilator.send_multipart([at_ventilator, TASK, key(number), b"t"])
        wait_until(lambda: worker.stats()["drop_excess"] == 3)
        assert [heard(sink)[2] for _ in range(2)] == [key(0), key(1)]
        ventilator.close(0)
        sink.close(0)


def test_a_worker_says_what_it_holds_when_it_is_asked_who_it_is(peers: Peers) -> None:
    (sink, sink_at), (ventilator, ventilator_at) = router(peers), router(peers)
    with PipelineWorker(ventilator_at, sink_at, bytes.upper, ready_timeout=0.0):
        at_sink = heard(sink)[0]
        sink.send_multipart([at_sink, *welcome("sink")])
        at_ventilator = heard(ventilator)[0]
        ventilator.send_multipart([at_ventilator, *welcome("ventilator")])
        ventilator.send_multipart([at_ventilator, TASK, key(3), b"t"])
        assert heard(sink)[1:] == [RESULT, key(3), b"T"]
        ventilator.send_multipart([at_ventilator, UNKNOWN])
        _, first, words = heard(ventilator)
        assert first == HELLO
        assert msgpack.unpackb(words)["holds"] == key(3)
        sink.send_multipart([at_sink, UNKNOWN])
        assert heard(sink)[1] == HELLO
        sink.send_multipart([at_sink, *welcome("sink")])
        assert heard(sink)[1:] == [RESULT, key(3), b"T"]  # again: it was not acknowledged
        ventilator.close(0)
        sink.close(0)
