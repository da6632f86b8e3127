"""Sockets of types that don't fit, met while they connect: told with both types, and healed."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth
from harness import PATIENCE, Peers, wait_until

import brigantine
from brigantine import (
    ForwarderDevice,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    NoReply,
    ParanoidPirateWorker,
    QueueDevice,
    StreamerDevice,
    aio,
)
from brigantine.net import mismatch
from brigantine.net.greeting import Bound, ask_bound, asked_for_ready
from brigantine.pairs import TYPES, partners

TCP = "tcp://127.0.0.1:*"
#: Seconds in which what is wrong must be told.
SOON = 1.0
LOG = "brigantine.pairs"


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    mismatch._after_fork()
    yield
    mismatch._after_fork()


@pytest.fixture(params=["tcp", "ipc"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An endpoint to bind."""
    return TCP if request.param == "tcp" else f"ipc://{tmp_path}/place"


def bound(peers: Peers, kind: int, endpoint: str = TCP, **options: Any) -> Any:
    made = peers.socket(kind, **options)
    made.bind(endpoint)
    return made


def at(made: Any) -> str:
    endpoint: str = made.last_endpoint.decode().rstrip("\0")
    return endpoint


def told(caplog: pytest.LogCaptureFixture, level: int = logging.WARNING) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOG and r.levelno == level]


def ask(endpoint: str, limit: float = SOON) -> Bound | None:
    """What is known of who is bound there, but for its READY as such."""
    answer = ask_bound(endpoint, limit)
    return None if answer is None else answer._replace(ready=b"")


# -- who is bound is asked ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", TYPES)
def test_a_bound_socket_tells_its_type(peers: Peers, place: str, kind: str) -> None:
    endpoint = at(bound(peers, getattr(zmq, kind), place))
    assert ask(endpoint) == Bound(kind, "NULL")
    assert asked_for_ready(endpoint, 5.0)["Socket-Type"] == kind.encode()  # type: ignore[index]


def test_asking_makes_nobody_a_peer(peers: Peers) -> None:
    push = bound(peers, zmq.PUSH, sndtimeo=0)
    assert ask(at(push)) is not None
    with pytest.raises(zmq.Again):
        push.send(b"a task that would be lost")


def test_a_socket_with_security_tells_which(peers: Peers) -> None:
    _, secret = zmq.curve_keypair()
    server = bound(peers, zmq.ROUTER, curve_server=1, curve_secretkey=secret)
    assert ask(at(server)) == Bound("", "CURVE")
    assert ask(at(bound(peers, zmq.ROUTER, plain_server=1))) == Bound("", "PLAIN")


@contextlib.contextmanager
def listening(say: bytes | None, *, reads: bool = True) -> Iterator[str]:
    """A TCP server that is no ZeroMQ: says something to each connection and closes; or keeps quiet."""
    server = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                if say is None:
                    kept.append(connection)
                    continue
                if reads:
                    connection.recv(100)
                connection.sendall(say)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()
        for each in kept:
            each.close()


def test_what_is_no_zeromq_socket_is_known_by_what_it_says() -> None:
    with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as endpoint:
        assert ask(endpoint) == Bound(banner=b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with listening(b"SSH-2.0-OpenSSH_9.6\r\n" + b"x" * 1000, reads=False) as endpoint:
        answer = ask_bound(endpoint)
        assert answer is not None
        assert answer.banner.startswith(b"SSH-2.0-OpenSSH_9.6")
        assert len(answer.banner) == 40


def test_who_says_nothing_is_not_waited_for_longer_than_the_limit() -> None:
    with listening(None) as endpoint:
        began = time.monotonic()
        assert ask_bound(endpoint, 0.1) is None
        assert time.monotonic() - began < PATIENCE / 2
    assert ask_bound(endpoint, 0.1) is None, "nobody is there any more"


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        (GREETING[:20], Bound()),
        (GREETING[:40], Bound(mechanism="NULL")),
        (GREETING, Bound(mechanism="NULL")),
        (GREETING + b"\x04\xff\x05READY", Bound(mechanism="NULL")),
        (GREETING + b"\x04\x06\x05READY", Bound(mechanism="NULL")),
        (GREETING + b"\x04\x08\x05ERROR\x01x", Bound(mechanism="NULL")),
        (GREETING + b"\x04\x12\x05READY\x0bSocket-Typ", Bound(mechanism="NULL")),
        (GREETING + b"\x04\x16\x05READY\x0bSocket-Type\xff\xff\xff\xff", Bound(mechanism="NULL")),
        (GREETING + b"\x06" + bytes(7) + b"\x19\x05READY\x0bsocket-type\x00\x00\x00\x03REP",
         Bound("REP", "NULL")),
        (GREETING + b"\x06\xff\xff\xff\xff\xff\xff\xff\xff", Bound(mechanism="NULL")),
        (GREETING + b"\x00\x01x", Bound(mechanism="NULL")),
        (b"\xff" + bytes(8) + b"\x7e", Bound(banner=b"\xff" + bytes(8) + b"\x7e")),
        (b"\xff" * 5000, Bound(mechanism="\ufffd" * 20)),
        (b"", None),
    ],
)  # fmt: skip
def test_a_hostile_answer_does_no_harm(answer: bytes, known: Bound | None) -> None:
    with listening(answer) as endpoint:
        got = ask(endpoint, 0.2)
    # A size that never comes to an end is as good as none.
    assert got == known or (got is None and known == Bound(mechanism="NULL"))


def test_random_answers_do_no_harm() -> None:
    from brigantine.net import greeting

    for length in range(200):
        for _ in range(20):
            tail = os.urandom(length)
            with contextlib.suppress(OSError, ValueError, greeting.struct.error, IndexError):
                greeting._parsed(GREETING + tail)
            greeting._as_far_as(tail)


# -- clients ------------------------------------------------------------------------------------

WRONG_FOR_REQ = [kind for kind in TYPES if kind not in partners("REQ")]
WRONG_FOR_DEALER = [kind for kind in TYPES if kind not in partners("DEALER")]


def lazy(endpoint: str, **options: Any) -> None:
    with LazyPirateClient(endpoint, **options) as client:
        client.request(b"x")


def majordomo(endpoint: str, **options: Any) -> None:
    with MajordomoClient(endpoint, **options) as client:
        client.request("echo", b"x")


def lazy_aio(endpoint: str, **options: Any) -> None:
    async def ask() -> None:
        async with aio.LazyPirateClient(endpoint, **options) as client:
            await client.request(b"x")

    asyncio.run(ask())


def majordomo_aio(endpoint: str, **options: Any) -> None:
    async def ask() -> None:
        async with aio.MajordomoClient(endpoint, **options) as client:
            await client.request("echo", b"x")

    asyncio.run(ask())


CASES = [
    *((lazy, "REQ", kind) for kind in WRONG_FOR_REQ),
    *((majordomo, "DEALER", kind) for kind in WRONG_FOR_DEALER),
    (lazy_aio, "REQ", "PUB"),
    (lazy_aio, "REQ", "DEALER"),
    (majordomo_aio, "DEALER", "PULL"),
    (majordomo_aio, "DEALER", "REQ"),
]


@pytest.mark.long
@pytest.mark.parametrize(
    ("ask", "own", "other"), CASES, ids=lambda each: getattr(each, "__name__", each)
)
def test_a_client_says_both_types_and_the_cure(
    peers: Peers, place: str, caplog: pytest.LogCaptureFixture,
    ask: Callable[..., None], own: str, other: str,
) -> None:  # fmt: skip
    endpoint = at(bound(peers, getattr(zmq, other), place))
    with pytest.raises(NoReply) as raised:
        ask(endpoint, timeout=1.0, retries=0)
    [tried] = raised.value.tries
    assert tried.seen == "mismatched"
    verdict = brigantine.check(own, other)
    for words in (f" {other} is bound there", f"the {own} of this program", verdict.reason):
        assert words in str(raised.value)
        assert words in tried.trouble
    [line] = told(caplog)
    assert line == tried.trouble
    assert verdict.cure in line


def test_what_is_wrong_is_told_once_however_often_it_is_tried(
    peers: Peers, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint = at(bound(peers, zmq.PUB))
    with LazyPirateClient(endpoint, timeout=0.3, retries=2) as client:
        for _ in range(2):
            with pytest.raises(NoReply):
                client.request(b"x")
    assert len(told(caplog)) == 1


def test_the_other_side_is_asked_once_in_a_while(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def count(endpoint: str) -> Bound | None:
        asked.append(endpoint)
        return ask_bound(endpoint)

    monkeypatch.setattr(mismatch, "ask_bound", count)
    endpoint = at(bound(peers, zmq.PUB))
    with pytest.raises(NoReply):
        lazy(endpoint, timeout=0.6, retries=2)
    assert asked == [endpoint]


def test_a_client_is_served_as_soon_as_the_right_type_is_there(
    peers: Peers, place: str, impl: str
) -> None:
    wrong = bound(peers, zmq.PUB, place)
    endpoint = at(wrong)
    with LazyPirateClient(endpoint, timeout=PATIENCE, retries=0) as client:
        replies: list[Any] = []
        asking = threading.Thread(target=lambda: replies.append(client.request(b"x")))
        asking.start()
        wait_until(lambda: mismatch._state.told, "it is told what is wrong", SOON)
        wrong.close(0)
        with (
            free(endpoint, lambda: LRUBroker(endpoint, TCP, impl=impl)) as broker,
            LRUWorker(broker.backend, bytes.upper),
        ):
            asking.join(PATIENCE)
    assert replies == [b"X"]


def free(endpoint: str, make: Callable[[], Any]) -> Any:
    """What is bound where another has just been closed."""
    made: list[Any] = []

    def bindable() -> bool:
        with contextlib.suppress(brigantine.BindError):
            made.append(make())
        return bool(made)

    wait_until(bindable, f"{endpoint} is free")
    return made[0]


def test_security_is_named(peers: Peers, caplog: pytest.LogCaptureFixture) -> None:
    _, secret = zmq.curve_keypair()
    server = bound(peers, zmq.ROUTER, curve_server=1, curve_secretkey=secret)
    with pytest.raises(NoReply, match="asks for CURVE security"):
        lazy(at(server), timeout=1.0, retries=0)
    [line] = told(caplog)
    assert "CURVE" in line


def test_what_is_no_zeromq_is_named_with_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    with (
        listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as endpoint,
        pytest.raises(NoReply) as raised,
    ):
        lazy(endpoint, timeout=1.0, retries=0)
    assert raised.value.tries[0].seen == "hung_up"
    [line] = told(caplog)
    assert "it says b'HTTP/1.1 400 Bad Request" in line


def test_a_legal_peer_is_not_complained_of(peers: Peers, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NoReply) as raised:
        lazy(at(bound(peers, zmq.REP)), timeout=0.3, retries=0)
    assert raised.value.tries[0].seen in ("connected", "")
    assert told(caplog) == []


# -- workers ------------------------------------------------------------------------------------


def workers() -> list[Any]:
    return [
        lambda to: LRUWorker(to, bytes.upper, ready_timeout=0.01),
        lambda to: ParanoidPirateWorker(to, bytes.upper, ready_timeout=0.01),
        lambda to: MajordomoWorker(to, "echo", bytes.upper, ready_timeout=0.01),
    ]


@pytest.mark.pairwise
@pytest.mark.parametrize("make", workers(), ids=["lru", "ppp", "mdp"])
def test_a_worker_says_both_types_and_the_cure(
    peers: Peers, place: str, caplog: pytest.LogCaptureFixture, make: Callable[..., Any]
) -> None:
    with make(at(bound(peers, zmq.PUSH, place))) as worker:
        [line] = wait_until(lambda: told(caplog), "it is told what is wrong", SOON)
        assert "a PUSH is bound there, and the DEALER of this program" in line
        assert brigantine.check("DEALER", "PUSH").cure in line
        with pytest.raises(brigantine.NotReady, match="a PUSH is bound there"):
            worker.wait_ready(timeout=0.01)


@pytest.mark.long
@pytest.mark.parametrize("make", workers(), ids=["lru", "ppp", "mdp"])
def test_a_worker_heals(
    peers: Peers, place: str, caplog: pytest.LogCaptureFixture, impl: str, make: Callable[..., Any]
) -> None:
    wrong = bound(peers, zmq.PUSH, place)
    endpoint = at(wrong)
    with caplog.at_level(logging.INFO, LOG), make(endpoint) as worker:
        wait_until(lambda: told(caplog), "it is told what is wrong", SOON)
        with pytest.raises(brigantine.NotReady):
            worker.wait_ready(timeout=0.3)
        wrong.close(0)
        with free(endpoint, lambda: brigantine.AnyBroker(TCP, endpoint, impl=impl)):
            worker.wait_ready(timeout=PATIENCE)
            wait_until(lambda: told(caplog, logging.INFO), "it is told that this is over")
    assert len(told(caplog)) == 1
    assert not any("no broker speaks ZMTP" in each for each in caplog.messages)


def test_a_worker_for_asyncio_says_so_too(peers: Peers, caplog: pytest.LogCaptureFixture) -> None:
    endpoint = at(bound(peers, zmq.SUB))

    async def upper(body: bytes) -> bytes:
        return body.upper()

    async def run() -> None:
        async with aio.MajordomoWorker(endpoint, "echo", upper):
            while not told(caplog):
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(run(), PATIENCE))
    assert "a SUB is bound there, and the DEALER" in told(caplog)[0]


# -- devices ------------------------------------------------------------------------------------

SIDES = [
    (kind, side, own, other)
    for kind, sides in (
        (QueueDevice, ("ROUTER", "DEALER")),
        (ForwarderDevice, ("XSUB", "XPUB")),
        (StreamerDevice, ("PULL", "PUSH")),
    )
    for side, own in enumerate(sides)
    for other in ("PAIR", own if own not in partners(own) else "SUB")
]


@pytest.mark.pairwise
@pytest.mark.parametrize(("kind", "side", "own", "other"), SIDES)
def test_a_device_says_both_types_and_heals(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str,
    kind: Any, side: int, own: str, other: str,
) -> None:  # fmt: skip
    wrong = bound(peers, getattr(zmq, other))
    endpoint = at(wrong)
    ends = [TCP, TCP]
    ends[side] = f">{endpoint}"
    with kind(*ends, impl=impl):
        [line] = wait_until(lambda: told(caplog), "it is told what is wrong", SOON)
        assert f" {other} is bound there, and the {own} of this program" in line
        wrong.close(0)
        right = peers.socket(getattr(zmq, partners(own)[0]))
        events = right.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        wait_until(lambda: binds(right, endpoint), "the endpoint is free")
        assert events.poll(int(PATIENCE * 1000)), "it connects again by itself"
        right.disable_monitor()
        events.close(0)


def binds(made: Any, endpoint: str) -> bool:
    try:
        made.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True


# -- inproc: what is known is known through this package -----------------------------------------


def test_over_inproc_a_client_knows_what_this_package_has_bound(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    with StreamerDevice("inproc://in", TCP, context=peers.context, impl=impl):
        with pytest.raises(NoReply, match="a PULL is bound there, and the REQ") as raised:
            lazy("inproc://in", timeout=0.3, retries=0, context=peers.context)
        assert raised.value.tries[0].seen == "mismatched"
    assert len(told(caplog)) == 1


def suppressed(ask: Callable[..., Any], body: bytes) -> None:
    with contextlib.suppress(NoReply):
        ask(body)


def test_over_inproc_a_client_that_came_first_is_told_of(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    with LazyPirateClient(
        "inproc://later", timeout=0.5, retries=0, context=peers.context
    ) as client:
        asking = threading.Thread(target=suppressed, args=(client.request, b"x"))
        asking.start()
        wait_until(lambda: mismatch._state.inproc, "it connects")
        with StreamerDevice("inproc://later", TCP, context=peers.context, impl=impl):
            [line] = told(caplog)
            asking.join(PATIENCE)
    assert "a PULL is bound there, and the REQ of this program" in line


def test_over_inproc_a_client_heals_as_well(peers: Peers, impl: str) -> None:
    context = peers.context
    with LazyPirateClient("inproc://place", timeout=PATIENCE, context=context) as client:
        replies: list[Any] = []
        with StreamerDevice("inproc://place", TCP, context=context, impl=impl):
            asking = threading.Thread(target=lambda: replies.append(client.request(b"x")))
            asking.start()
            wait_until(lambda: mismatch._state.told, "it is told what is wrong", SOON)
        with (
            LRUBroker("inproc://place", TCP, context=context, impl=impl) as broker,
            LRUWorker(broker.backend, bytes.upper),
        ):
            asking.join(PATIENCE)
    assert replies == [b"X"]


def test_over_inproc_a_worker_and_a_device_say_so(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    context = peers.context
    with ForwarderDevice("inproc://x", "inproc://y", context=context, impl=impl):
        with LRUWorker("inproc://x", bytes.upper, context=context):
            wait_until(lambda: told(caplog), "it is told what is wrong", SOON)
        with pytest.raises(brigantine.ConnectError, match="an XPUB is bound there, and the DEALER"):
            QueueDevice(TCP, ">inproc://y", context=context, impl=impl)
    assert "an XSUB is bound there, and the DEALER of this program" in told(caplog)[0]


def test_over_inproc_what_fits_is_not_complained_of(
    peers: Peers, caplog: pytest.LogCaptureFixture, impl: str
) -> None:
    context = peers.context
    with (
        MajordomoBroker("inproc://mdp", context=context, impl=impl) as broker,
        MajordomoWorker("inproc://mdp", "echo", bytes.upper, context=context),
        MajordomoClient(broker.frontend, context=context) as client,
    ):
        assert client.request("echo", b"x") == b"X"
    assert told(caplog) == []


def test_what_is_known_stays_bounded(peers: Peers) -> None:
    for number in range(600):
        made = peers.context.socket(zmq.PULL)
        mismatch.inproc_bound(made, f"inproc://{number}")
        made.close(0)
        mismatch.tell(zmq.REQ, f"tcp://127.0.0.1:{number}", f"words {number}")
    assert len(mismatch._state.inproc) <= 257
    assert len(mismatch._state.told) <= 256


def test_open_endpoints_over_inproc_are_not_all_looked_through_at_each_bind(
    peers: Peers, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweeps: list[int] = []
    forget = mismatch._forget_closed

    def counted() -> None:
        sweeps.append(len(mismatch._state.inproc))
        forget()

    monkeypatch.setattr(mismatch, "_forget_closed", counted)
    made = peers.socket(zmq.PULL)
    for number in range(3000):
        mismatch.inproc_bound(made, f"inproc://{number}")
    assert sweeps == [257, 515, 1031, 2063]
