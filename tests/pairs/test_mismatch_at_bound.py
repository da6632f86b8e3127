"""Who is bound names its own type, and whom it takes, when a socket comes that does not fit."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from figures import measured
from harness import Peers, wait_until
from zmtp import RawPeer, opening

import brigantine
from brigantine import (
    AsyncServer,
    ForwarderDevice,
    LRUBroker,
    MajordomoBroker,
    Publisher,
    QueueDevice,
    StreamerDevice,
)
from brigantine.net import mismatch
from brigantine.pairs import TYPES, partners
from brigantine.wire.loop import SIDES

TCP = "tcp://127.0.0.1:*"
#: Seconds to the next socket, and the words of the log.
AGAIN, SAID = 0.5, "bound there takes"
WRONG = [kind for kind in TYPES if kind not in partners("ROUTER")]


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    mismatch._after_fork()
    yield
    mismatch._after_fork()


@pytest.fixture(autouse=True)
def _levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def told(caplog: pytest.LogCaptureFixture, log: str, words: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == log and words in r.getMessage()]


def comes(kind: str, endpoint: str) -> None:
    """A socket of that type comes, says so, and stays until it is turned away.

    By hand: of two of libzmq either may be the first to notice.  Where it is the one that has come, it is
    gone before its type was read, and nothing is to be seen.
    """
    with RawPeer(endpoint, shake_hands=False) as made:
        made.send_bytes(opening(kind.encode()))
        assert made.hung_up()


def meets(peers: Peers, kind: str, endpoint: str, is_told: Callable[[], Any]) -> None:
    """Sockets of libzmq come, one after the other, until one is told of."""
    last, came = 0.0, peers.socket(getattr(zmq, kind))

    def come() -> Any:
        nonlocal last, came
        if time.monotonic() - last > AGAIN:
            last = time.monotonic()
            came.close(0)
            came = peers.socket(getattr(zmq, kind), endpoint)
        return is_told()

    wait_until(come, f"{kind} at {endpoint} is told of")


def hang_up(endpoint: str, words: bytes) -> None:
    """A plain connection, which says something and leaves."""
    host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
    with socket.create_connection((host, int(port))) as made:
        made.recv(10)
        made.sendall(words)


def shaken_hands(peers: Peers, kind: int, endpoint: str) -> None:
    """A socket that fits connects, and leaves."""
    made = peers.socket(kind)
    events = made.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    made.connect(endpoint)
    assert events.poll(10_000)
    made.disable_monitor()
    events.close(0)
    made.close(0)


def is_named(caplog: pytest.LogCaptureFixture, side: bytes, kind: str, broker: LRUBroker) -> None:
    """A socket of that type comes to a side, and is told of."""
    endpoint = broker.frontend if side == SIDES[0] else broker.backend
    comes(kind, endpoint)
    words = f"a connection to the {side.decode()}' endpoint ({endpoint}) has ended in its handshake"
    [line] = wait_until(lambda: told(caplog, "brigantine.broker", words), f"{kind} is told of")
    assert "A ROUTER is bound there, and takes REQ, DEALER and ROUTER" in line


@pytest.mark.parametrize("kind", WRONG)
def test_a_broker_names_its_type_and_whom_it_takes(
    caplog: pytest.LogCaptureFixture, impl: str, kind: str
) -> None:
    with LRUBroker(TCP, TCP, impl=impl) as broker:
        for side in SIDES:
            is_named(caplog, side, kind, broker)


def test_it_names_them_over_ipc_once_and_serves_who_fits(
    caplog: pytest.LogCaptureFixture, impl: str, tmp_path: Path
) -> None:
    with LRUBroker(f"ipc://{tmp_path}/a", f"ipc://{tmp_path}/b", impl=impl) as broker:
        for side in (*SIDES, *SIDES):
            is_named(caplog, side, "PUB", broker)
        with (
            brigantine.LRUWorker(broker.backend, bytes.upper),
            brigantine.LazyPirateClient(broker.frontend) as client,
        ):
            assert client.request(b"x") == b"X"
    assert len(told(caplog, "brigantine.broker", "has ended in its handshake")) == len(SIDES)


def test_one_socket_for_both_sides_says_so_too(caplog: pytest.LogCaptureFixture, impl: str) -> None:
    with MajordomoBroker(TCP, impl=impl) as broker:
        comes("PULL", broker.frontend)
        wait_until(lambda: told(caplog, "brigantine.broker", "not fit"), "it is told of")


def test_a_server_names_its_type_and_whom_it_takes(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    with AsyncServer(TCP, lambda _, body: body, impl=impl) as server:
        words = f"clients' endpoint ({server.frontend}) has ended in its handshake"
        hang_up(server.frontend, b"GET / HTTP/1.1\r\n\r\n")
        shaken_hands(peers, zmq.DEALER, server.frontend)
        comes("PULL", server.frontend)
        [line] = wait_until(lambda: told(caplog, "brigantine.server", words), "PULL is told of")
        assert "A ROUTER is bound there, and takes REQ, DEALER and ROUTER" in line
        with brigantine.LazyPirateClient(server.frontend) as client:
            assert client.request(b"x") == b"x"


def test_a_plain_connection_and_one_that_fits_are_not_taken_for_it(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    with LRUBroker(TCP, TCP, impl=impl) as broker:
        for endpoint in (broker.frontend, broker.backend):
            hang_up(endpoint, b"")
            hang_up(endpoint, b"GET / HTTP/1.1\r\n\r\n")
            brigantine.net.greeting.ask_bound(endpoint)  # type: ignore[attr-defined]
            for kind in (zmq.REQ, zmq.DEALER, zmq.ROUTER):
                shaken_hands(peers, kind, endpoint)
        # All that was there is known, when the end of the last one is.
        clients = "clients' endpoint ("
        assert not told(caplog, "brigantine.broker", clients)
        comes("PUB", broker.frontend)
        wait_until(lambda: told(caplog, "brigantine.broker", clients), "it is told of")
        assert not told(caplog, "brigantine.broker", "workers' endpoint (")


DEVICES = [
    (QueueDevice, 0, "ROUTER", "PUB"), (QueueDevice, 1, "DEALER", "REQ"),
    (ForwarderDevice, 0, "XSUB", "SUB"), (ForwarderDevice, 1, "XPUB", "PUB"),
    (StreamerDevice, 0, "PULL", "PULL"), (StreamerDevice, 1, "PUSH", "PUSH"),
]  # fmt: skip


@pytest.mark.pairwise
@pytest.mark.parametrize(("device", "side", "own", "other"), DEVICES)
def test_a_device_names_its_type_and_whom_it_takes(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str,
    device: Any, side: int, own: str, other: str,
) -> None:  # fmt: skip
    with device(TCP, TCP, impl=impl) as made:
        ends = [made.frontend, made.backend]
        endpoint = ends.pop(side)
        comes(other, endpoint)
        words = f"the {own} that is bound there takes {', '.join(partners(own))}"
        [line] = wait_until(lambda: told(caplog, "brigantine.pairs", words), "it is told of")
        assert endpoint in line
        assert ends[0] not in line, "another type is bound there"
        hang_up(endpoint, b"GET / HTTP/1.1\r\n\r\n")
        shaken_hands(peers, getattr(zmq, partners(own)[0]), endpoint)
    assert len(told(caplog, "brigantine.pairs", SAID)) == 1


def test_a_publisher_names_its_type_and_whom_it_takes(caplog: pytest.LogCaptureFixture) -> None:
    with Publisher(TCP, name="p") as publisher:
        comes("PULL", publisher.endpoint)
        words = "that is bound there takes SUB, XSUB"
        wait_until(lambda: told(caplog, "brigantine.pairs", words), "it is told of")


@pytest.mark.long
def test_no_wrong_pair_is_silent_where_ours_is_bound(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    """Each type that is bound by one of ours, each that does not fit: no pair is silent."""
    makers: dict[str, Callable[[], Any]] = {
        "ROUTER": lambda: QueueDevice(TCP, TCP, impl=impl),
        "XSUB": lambda: ForwarderDevice(TCP, TCP, impl=impl),
        "PULL": lambda: StreamerDevice(TCP, TCP, impl=impl),
    }
    behind = {"ROUTER": "DEALER", "XSUB": "XPUB", "PULL": "PUSH"}
    silent, asked = [], 0
    for front, make in makers.items():
        for own in (front, behind[front]):
            for other in TYPES:
                if other in partners(own):
                    continue
                mismatch._after_fork()
                caplog.clear()
                with make() as device:
                    endpoint = device.frontend if own == front else device.backend
                    asked += 1
                    try:
                        meets(
                            peers, other, endpoint, lambda: told(caplog, "brigantine.pairs", SAID)
                        )
                    except AssertionError:
                        silent.append((own, other))
    measured.append(
        ("58", impl, "wrong pairs at bound sockets", {"pairs": asked, "silent": len(silent)})
    )
    assert silent == []
