"""The wire of publish-subscribe, byte by byte: vectors written from docs/pubsub.md by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import zmq
from harness import Peers, wait_until
from shells import BEAT

from brigantine.pubsub.numbering import Numbering
from brigantine.wire.pubsub import (
    Beat,
    Header,
    Origin,
    packed_beat,
    read_beat,
    read_header,
    welcome_topic,
    welcomed,
)

#: publisher "p1", life 0x00000102, first numbering, number 1 and 300.
HEADER_1 = bytes.fromhex("93 a2 7031 cf 0000010200000000 01")
HEADER_300 = bytes.fromhex("93 a2 7031 cf 0000010200000000 cd 012c")
#: 1000 ms; topic "a" has come to number 7 of epoch 0x0000010200000000.
BEAT_BODY = bytes.fromhex("92 cd 03e8 91 93 c4 01 61 cf 0000010200000000 07")


def test_a_header_is_an_array_of_name_epoch_and_number() -> None:
    origin = Origin("p1")
    assert origin.header(0x102 << 32, 1) == HEADER_1
    assert origin.header(0x102 << 32, 300) == HEADER_300
    assert read_header(HEADER_300) == Header("p1", 0x102 << 32, 300)


def test_numbers_begin_with_one_in_each_topic() -> None:
    numbering = Numbering("p1", 10, life=0x102)
    assert numbering.header(b"a") == HEADER_1
    assert numbering.header(b"b") == HEADER_1
    for _ in range(298):
        numbering.header(b"a")
    assert numbering.header(b"a") == HEADER_300


def test_a_heartbeat_tells_its_interval_and_how_far_topics_have_come() -> None:
    assert packed_beat(1000, [(b"a", 0x102 << 32, 7)]) == BEAT_BODY
    assert read_beat(BEAT_BODY) == Beat(1000, [(b"a", 0x102 << 32, 7)])
    assert packed_beat(1000) == bytes.fromhex("92 cd 03e8 90")


def test_a_topic_that_was_used_is_told_three_times_and_in_welcomes() -> None:
    numbering = Numbering("p1", 10, life=0x102)
    numbering.header(b"a")
    tail = (b"a", 0x102 << 32, 1)
    assert [numbering.tails() for _ in range(4)] == [[tail], [tail], [tail], []]
    assert numbering.recent() == [tail]


def test_a_welcome_is_asked_for_under_a_topic_of_ones_own() -> None:
    topic = welcome_topic(b"0123456789abcdef", 10)
    assert topic == b"\0brigantine.welcome.0123456789abcdef.a"
    assert welcomed(topic) == b"0123456789abcdef"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x93",
        b"text",
        b"\xc1",
        bytes.fromhex("93 c4 02 7031 01 01"),  # a name of bytes
        bytes.fromhex("93 a0 01 01"),  # none
        bytes.fromhex("93 a2 7031 01 00"),  # no number is 0
        bytes.fromhex("93 a2 7031 ff 01"),  # -1
        bytes.fromhex("93 a2 7031 cb 3ff0000000000000 01"),  # 1.0
        bytes.fromhex("93 a2 7031 c3 01"),  # true
        bytes.fromhex("92 a2 7031 01"),
        HEADER_1 + b"\0",
        bytes.fromhex("93 a2 ff31 01 01"),  # no UTF-8
    ],
)
def test_what_is_no_header_is_a_frame_of_somebody_else(frame: bytes) -> None:
    assert read_header(frame) is None


@pytest.mark.parametrize(
    "frame", [b"", b"\x92", bytes.fromhex("92 00 90"), bytes.fromhex("92 01 01"),
              bytes.fromhex("92 ce 0036ee81 90"),
              bytes.fromhex("92 01 91 93 a1 61 01 01"), bytes.fromhex("92 01 91 92 c4 01 61 01")],
)  # fmt: skip
def test_what_is_no_heartbeat_is_not_taken_for_one(frame: bytes) -> None:
    assert read_beat(frame) is None


@pytest.mark.parametrize(
    "topic",
    [b"\0brigantine.welcome.", b"\0brigantine.welcome.0123456789abcdef", b"weather",
     b"\0brigantine.welcome.0123456789abcdef.", b"\0brigantine.welcome.short.1"],
)  # fmt: skip
def test_what_is_no_place_for_a_welcome_is_not_taken_for_one(topic: bytes) -> None:
    assert welcomed(topic) is None


def test_any_sub_reads_what_is_published(publisher: Callable[..., Any], peers: Peers) -> None:
    made = publisher(name="p1")
    sub = peers.socket(zmq.SUB, made.endpoint)
    sub.subscribe(b"weather")
    monitor = peers.socket(zmq.XSUB, made.endpoint)
    monitor.send(b"\x01\0brigantine.welcome.0123456789abcdef.1")
    monitor.send(b"\x01\0brigantine.welcome.0123456789abcdef.2")
    made.wait_ready(10)

    def published() -> bool:
        made.publish("weather.berlin", b"21 C")
        return bool(sub.poll(10))

    wait_until(published)
    topic, body, third = sub.recv_multipart()
    assert (topic, body) == (b"weather.berlin", b"21 C")
    assert third.startswith(b"\x93\xa2p1\xcf")


def test_heartbeats_are_for_those_alone_that_ask_for_them(
    publisher: Callable[..., Any], peers: Peers
) -> None:
    made = publisher(name="p1", heartbeat_interval=0.05)
    sub = peers.socket(zmq.SUB, made.endpoint)
    sub.subscribe(b"a")
    ours = peers.socket(zmq.XSUB, made.endpoint)
    ours.send(b"\x01" + BEAT)
    for _ in range(3):
        topic, body, _ = ours.recv_multipart()
        assert topic == BEAT
        assert body == bytes.fromhex("92 32 90")
    assert made.stats()["heartbeats"] >= 3
    made.publish("a", b"x")
    assert sub.recv_multipart()[:2] == [b"a", b"x"]


def test_nobody_is_sent_heartbeats_who_takes_everything_while_none_of_ours_is_there(
    publisher: Callable[..., Any], peers: Peers
) -> None:
    made = publisher(heartbeat_interval=0.01)
    sub = peers.socket(zmq.SUB, made.endpoint)
    sub.subscribe(b"")
    for number in range(20):
        made.publish("a", b"%d" % number)
        if sub.poll(20):
            assert sub.recv_multipart()[0] == b"a"
    assert made.stats()["heartbeats"] == 0
