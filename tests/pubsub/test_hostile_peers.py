"""Whoever comes to a publisher or answers a subscriber may be anything."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
import zmq
from harness import Peers, wait_until
from shells import BEAT, bodies, header

Maker = Callable[..., Any]
KINDS = (
    b"",
    b"\0",
    b"a",
    BEAT,
    b"\0brigantine.welcome.",
    b"\0brigantine.last.",
    b"\x93",
    b"\xff" * 300,
    # Maps with keys that can't be looked up.
    b"\x81\x90\x01",
    b"\x93\x81\x90\x01\x01\x01",
)


def test_half_open_connections_are_hung_up_on_and_garbage_hurts_nobody(
    publisher: Maker, subscriber: Maker
) -> None:
    out = publisher(handshake_timeout=0.3)
    host, _, port = out.endpoint.removeprefix("tcp://").rpartition(":")
    into = subscriber(out.endpoint, "a")
    into.wait_ready(10)
    strangers = [socket.create_connection((host, int(port))) for _ in range(50)]
    for number, each in enumerate(strangers):
        each.settimeout(10)
        if number % 2:
            each.sendall(random.Random(number).randbytes(500))
    out.publish("a", b"x")
    assert bodies(into, 1) == [b"x"]
    for each in strangers[::2]:
        with contextlib.suppress(ConnectionResetError):
            while each.recv(4096):
                pass
    out.publish("a", b"y")
    assert bodies(into, 1) == [b"y"]
    for each in strangers:
        each.close()


@pytest.mark.parametrize("last_values", [0, 10])
def test_whatever_a_subscriber_says_a_publisher_lives(
    publisher: Maker, subscriber: Maker, peers: Peers, last_values: int
) -> None:
    out = publisher(last_values=last_values)
    stranger = peers.socket(zmq.XSUB, out.endpoint)
    draw = random.Random(3)
    for _ in range(500):
        length = draw.randrange(1, 8)
        frames = [
            draw.choice((b"\0", b"\1", b"\2", b"")) + draw.choice(KINDS) for _ in range(length)
        ]
        stranger.send_multipart(frames)
    for packed in ([], [1], [[b""], None, None, 1], [[b"a"] * 100, b"x", b"y", 2**63]):
        ask = b"\0brigantine.last.0123456789abcdef.1." + msgpack.packb(packed)
        stranger.send(b"\1" + ask)
        stranger.send(b"\0" + ask)
    unhashable = b"\0brigantine.last.0123456789abcdef.2.\x94\x90\xc0\xc0\x81\x90\x01"
    stranger.send(b"\1" + unhashable)
    # All of that is read before anybody else comes: with XPUB_MANUAL libzmq forgets whose subscription is
    # whose when messages that are none wait among those of several peers.
    welcome = b"\0brigantine.welcome.fedcba9876543210.1"
    stranger.send(b"\1" + welcome)
    while stranger.recv_multipart()[0] != welcome:
        pass
    into = subscriber(out.endpoint, "a", last_values=True)
    into.wait_ready(10)
    assert out.stats()["drop_malformed"] > 0
    out.publish("a", b"x")
    assert bodies(into, 1) == [b"x"]


def test_whatever_a_publisher_says_a_subscriber_lives(subscriber: Maker, peers: Peers) -> None:
    pub = peers.context.socket(zmq.XPUB)
    peers.sockets.append(pub)
    pub.linger = 0
    pub.sndhwm = 0
    port = pub.bind_to_random_port("tcp://127.0.0.1")
    into = subscriber(f"tcp://127.0.0.1:{port}", "", last_values=True, queue_limit=100_000,
                      high_water_mark=100_000)  # fmt: skip
    asked: list[bytes] = []

    def all_asked() -> bool:
        while pub.poll(50):
            asked.append(pub.recv()[1:])
        return any(each.startswith(b"\0brigantine.last.") for each in asked)

    wait_until(all_asked)
    draw = random.Random(5)
    parts = (
        *KINDS,
        *asked,
        header(),
        header(number=2**64 - 1),
        header("p" * 255),
        b"\x94\xc4\0\xc0\xc0\x90",
    )
    for _ in range(3000):
        pub.send_multipart([draw.choice(parts) for _ in range(draw.randrange(1, 7))])
    for interval in (1, 3_600_000, 3_600_001, 2**64 - 1):
        pub.send_multipart([BEAT, msgpack.packb([interval, []]), header()])
    pub.send_multipart([b"end", b"x", header("q")])
    found = None
    while found is None or found.topic != b"end":
        found = into.recv(10)
        assert found is not None
    assert into.stats()["drop_malformed"] > 0
    assert into.stats()["disconnects"] == 0
