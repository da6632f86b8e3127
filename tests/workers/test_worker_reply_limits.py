"""A reply that the broker would not take is told to its client, and costs nobody else anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import msgpack
import pytest
from aio_doubles import off, run
from doubles import RawBroker
from harness import PATIENCE, Peers
from heartbeat_doubles import SERVICE, HeartbeatBroker, mdp_worker

from brigantine import (
    ConfigError,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    WorkerFailed,
    aio,
)
from brigantine.config import BrokerConfig
from brigantine.wire.req import ERROR_MARK, error_reply, raise_if_error
from brigantine.workers.reply import AROUND_FRAMES

ANY = "tcp://127.0.0.1:*"
KINDS = ("lru", "ppp", "0.1", "0.2")
#: The broker's limits, and the worker's.
BYTES, FRAMES = 4096, 16
TIGHT = {"max_reply_bytes": BYTES, "max_reply_frames": FRAMES}


class Place(NamedTuple):
    """A broker whose limits are tight, and how to ask it."""

    broker: Any
    ask: Callable[[bytes], Any]
    #: Make a worker for threads, or for asyncio.
    worker: Callable[..., Any]
    task_worker: Callable[..., Any]


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, impl: str) -> Iterator[Place]:
    limits = {"max_message_bytes": BYTES, "max_frames": FRAMES, "max_depth": 2}
    with ExitStack() as stack:
        broker: Any
        client: Any
        if request.param in ("lru", "ppp"):
            lru = request.param == "lru"
            broker = (LRUBroker if lru else ParanoidPirateBroker)(ANY, ANY, impl=impl, **limits)  # type: ignore[arg-type]
            stack.enter_context(broker)
            client = LazyPirateClient(broker.frontend, timeout=PATIENCE, retries=0)
            threads: Any = LRUWorker if lru else ParanoidPirateWorker
            tasks: Any = aio.LRUWorker if lru else aio.ParanoidPirateWorker

            yield Place(
                broker,
                stack.enter_context(client).request,
                lambda handler, **options: threads(broker.backend, handler, **options),
                lambda handler, **options: tasks(broker.backend, handler, **options),
            )
            return
        version: Any = request.param
        broker = stack.enter_context(MajordomoBroker(ANY, impl=impl, **limits))  # type: ignore[arg-type]
        client = MajordomoClient(broker.frontend, timeout=PATIENCE, retries=0, version=version)
        stack.enter_context(client)
        yield Place(
            broker,
            lambda body: client.request(SERVICE, body),
            lambda handler, **options: MajordomoWorker(
                broker.backend, SERVICE, handler, version=version, **options
            ),
            lambda handler, **options: aio.MajordomoWorker(
                broker.backend, SERVICE, handler, version=version, **options
            ),
        )


def sized(body: bytes) -> Any:
    """``b"bytes 5"``: a frame of five bytes; ``b"frames 5"``: five frames."""
    what, number = body.split()
    return bytes(int(number)) if what == b"bytes" else [b"x"] * int(number)


MOST_BYTES, MOST_FRAMES = BYTES, FRAMES - AROUND_FRAMES


def test_the_largest_reply_arrives_and_a_larger_one_is_an_error_report(place: Place) -> None:
    with place.worker(sized, **TIGHT) as worker:
        for _ in range(2):  # and the worker goes on
            assert place.ask(b"bytes %d" % MOST_BYTES) == bytes(MOST_BYTES)
            with pytest.raises(WorkerFailed) as raised:
                place.ask(b"bytes %d" % (MOST_BYTES + 1))
            for words in (
                str(MOST_BYTES + 1),
                "max_reply_bytes=4096",
                "broker's max_message_bytes",
            ):
                assert words in str(raised.value)
            assert place.ask(b"frames %d" % MOST_FRAMES) == [b"x"] * MOST_FRAMES
            with pytest.raises(WorkerFailed) as raised:
                place.ask(b"frames %d" % (MOST_FRAMES + 1))
            for words in (
                f"{MOST_FRAMES + 1} frames",
                "max_reply_frames=16",
                "broker's max_frames",
            ):
                assert words in str(raised.value)
        assert (worker.stats()["errors"], worker.stats()["disconnects"]) == (4, 0)
        stats = place.broker.stats()
        assert (stats["drop_too_large"], stats["drop_too_many_frames"]) == (0, 0)


def test_a_reply_of_asyncio_has_the_same_limits(place: Place) -> None:
    async def handler(body: bytes) -> Any:
        return sized(body)

    async def main() -> None:
        async with place.task_worker(handler, **TIGHT) as worker:
            assert await off(place.ask, b"bytes %d" % MOST_BYTES) == bytes(MOST_BYTES)
            with pytest.raises(WorkerFailed, match="max_reply_bytes=4096"):
                await off(place.ask, b"bytes %d" % (MOST_BYTES + 1))
            with pytest.raises(WorkerFailed, match="max_reply_frames=16"):
                await off(place.ask, b"frames %d" % (MOST_FRAMES + 1))
            assert worker.stats()["disconnects"] == 0

    run(main())


def test_the_default_is_the_brokers(peers: Peers) -> None:
    raw = RawBroker(peers)
    most = BrokerConfig.max_message_bytes
    with LRUWorker(raw.endpoint, sized):
        peer = raw.ready_worker()
        assert raw.ask(peer, b"bytes %d" % most) == [bytes(most)]
        assert raw.ask(peer, b"bytes %d" % (most + 1))[0] == ERROR_MARK
        assert raw.ask(peer, b"frames %d" % BrokerConfig.max_frames)[0] == ERROR_MARK


# -- parts ----------------------------------------------------------------------------------------


def test_a_part_that_is_too_large_ends_the_reply(peers: Peers) -> None:
    closed: list[bool] = []

    def handler(_: bytes) -> Any:
        try:
            for size in (MOST_BYTES, MOST_BYTES, MOST_BYTES + 1):
                yield bytes(size)
        finally:
            closed.append(True)

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000, **TIGHT):
        peer = raw.ready()
        raw.request(peer, b"q")
        for _ in range(2):
            assert raw.reply(peer, word="partial") == [bytes(MOST_BYTES)]
        with pytest.raises(WorkerFailed, match="max_reply_bytes=4096"):
            raise_if_error(raw.reply(peer))
        assert closed == [True]


def test_what_a_generator_returns_has_the_same_limit(peers: Peers) -> None:
    def handler(_: bytes) -> Any:
        yield b"a"
        return bytes(MOST_BYTES + 1)

    raw = HeartbeatBroker(peers, wire="0.2")
    with mdp_worker(raw.endpoint, handler, liveness=1000, **TIGHT):
        peer = raw.ready()
        raw.request(peer, b"q")
        assert raw.reply(peer, word="partial") == [b"a"]
        with pytest.raises(WorkerFailed, match="max_reply_bytes=4096"):
            raise_if_error(raw.reply(peer))


def endless(_: bytes) -> Any:
    while True:
        yield bytes(1000)


def returns_the_rest(_: bytes) -> Any:
    for _ in range(4):
        yield bytes(1000)
    return bytes(1000)


@pytest.mark.parametrize("handler", [endless, returns_the_rest])
def test_parts_that_are_joined_are_counted_together(peers: Peers, handler: Any) -> None:
    raw = HeartbeatBroker(peers, wire="0.1")
    with mdp_worker(raw.endpoint, handler, liveness=1000, version="0.1", **TIGHT):
        peer = raw.ready()
        raw.request(peer, b"q")
        with pytest.raises(WorkerFailed, match="has 5000 bytes"):
            raise_if_error(raw.reply(peer))


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_parts_of_an_async_generator_have_the_same_limits(peers: Peers, version: Any) -> None:
    async def handler(_: bytes) -> AsyncIterator[bytes]:
        for size in (1000, BYTES + 1):
            yield bytes(size)

    raw = HeartbeatBroker(peers, wire=version)

    def ask() -> None:
        peer = raw.ready()
        raw.request(peer, b"q")
        if version == "0.2":
            assert raw.reply(peer, word="partial") == [bytes(1000)]
        with pytest.raises(WorkerFailed, match="max_reply_bytes=4096"):
            raise_if_error(raw.reply(peer))

    async def main() -> None:
        worker = aio.MajordomoWorker(
            raw.endpoint, SERVICE, handler, liveness=1000, version=version, **TIGHT
        )
        async with worker:
            await off(ask)

    run(main())


# -- error reports --------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["x", "\u00e9", "\u20ac", "\U0001f600"])
@pytest.mark.parametrize("spare", range(5))
def test_a_long_message_of_an_exception_is_cut_and_says_so(character: str, spare: int) -> None:
    short = character * (65536 // len(character.encode()))
    assert msgpack.unpackb(error_reply(ValueError(short))[1])["message"] == short
    text = "y" * spare + character * 100_000
    message = msgpack.unpackb(error_reply(ValueError(text))[1])["message"]
    kept, mark = message[: message.index("...")], message[message.index("...") :]
    assert mark == f"... [cut: {len(text)} characters in all]"
    assert text.startswith(kept)
    assert 65536 - 4 < len(message.encode()) <= 65536


def test_a_long_name_of_an_exceptions_class_is_cut() -> None:
    detail = msgpack.unpackb(error_reply(type("E" * 5000, (Exception,), {})("words"))[1])
    assert detail["type"].startswith("EEE")
    assert detail["type"].endswith("... [cut: 5000 characters in all]")
    assert len(detail["type"]) == 256
    assert detail["message"] == "words"


def test_what_lies_behind_the_cut_is_not_looked_at() -> None:
    error_reply(ValueError("x" * 100_000 + "\ud800"))


@pytest.mark.parametrize("limit", [1024, BYTES])
def test_the_report_of_any_exception_is_within_the_limit(peers: Peers, limit: int) -> None:
    def handler(_: bytes) -> bytes:
        raise type("\u20ac" * 5000, (Exception,), {})("\u20ac" * 1_000_000)

    raw = RawBroker(peers)
    with LRUWorker(raw.endpoint, handler, max_reply_bytes=limit):
        mark, report = raw.ask(raw.ready_worker(), b"q")
    assert mark == ERROR_MARK
    assert len(mark) + len(report) <= limit
    assert msgpack.unpackb(report)["message"].endswith("[cut: 1000000 characters in all]")


# -- mistakes -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("max_reply_bytes", 1023),
        ("max_reply_bytes", 1 << 41),
        ("max_reply_bytes", 4096.0),
        ("max_reply_bytes", None),
        ("max_reply_bytes", True),
        ("max_reply_frames", 3),
        ("max_reply_frames", 65537),
        ("max_reply_frames", "16"),
    ],
)
def test_a_limit_that_cannot_work_is_refused_at_once(option: str, value: Any) -> None:
    async def handler(body: bytes) -> bytes:
        return body

    for make in (
        lambda **options: LRUWorker("tcp://127.0.0.1:5556", sized, **options),
        lambda **options: aio.ParanoidPirateWorker("tcp://127.0.0.1:5556", handler, **options),
        lambda **options: MajordomoWorker("tcp://127.0.0.1:5556", SERVICE, sized, **options),
    ):
        with pytest.raises(ConfigError, match=option):
            make(**{option: value})
