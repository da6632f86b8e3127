"""LRUWorker from outside: its frames against a raw ROUTER, its handler, what it refuses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from doubles import EMPTY, RawBroker
from harness import Peers, wait_until

from brigantine import ConfigError, LRUBroker, WorkerFailed
from brigantine.wire.req import ERROR_MARK
from brigantine.workers.lru import LRUWorker

LOGGER = "brigantine.worker"


def echo(body: Any) -> Any:
    return body


# -- the wire -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("envelope", "body"),
    [
        ([b"ticket"], [b"one"]),
        ([b"ticket"], [b""]),
        ([b"ticket"], [b"one", b"", b"three"]),
        ([b"ticket"], [b"", b""]),
        ([b"\0\xff"], [b"\0"]),
        ([b"hop", b"hop", b"client"], [b"from a broker that passes the address stack on"]),
    ],
)
def test_it_says_ready_once_and_a_reply_has_the_envelope_of_its_request(
    raw: RawBroker, workers: Any, envelope: list[bytes], body: list[bytes]
) -> None:
    workers(raw.endpoint, echo)
    peer, frames = raw.receive()
    assert frames == [EMPTY, b"READY"]
    for _ in range(3):  # a reply asks for the next request: no READY comes between
        raw.send(peer, EMPTY, *envelope, EMPTY, *body)
        assert raw.receive() == (peer, [EMPTY, *envelope, EMPTY, *body])


@pytest.mark.parametrize(
    ("frames", "body"),
    [([b"one"], b"one"), ([b""], b""), ([b"one", b"two"], [b"one", b"two"])],
)
def test_the_handler_gets_bytes_for_one_frame_and_a_list_for_several(
    raw: RawBroker, workers: Any, frames: list[bytes], body: Any
) -> None:
    seen: list[Any] = []

    def handler(request: Any) -> bytes:
        seen.append(request)
        return b"done"

    workers(raw.endpoint, handler)
    raw.send(raw.ready_worker(), EMPTY, b"ticket", EMPTY, *frames)
    assert raw.receive()[1] == [EMPTY, b"ticket", EMPTY, b"done"]
    assert seen == [body]


@pytest.mark.parametrize(
    ("reply", "frames"),
    [(b"one", [b"one"]), (b"", [b""]), ([b"a", b"b"], [b"a", b"b"]), ((b"", b"x"), [b"", b"x"])],
)
def test_the_handler_returns_bytes_or_a_sequence_of_bytes(
    raw: RawBroker, workers: Any, reply: Any, frames: list[bytes]
) -> None:
    workers(raw.endpoint, lambda _: reply)
    assert raw.ask(raw.ready_worker(), b"q") == frames


@pytest.mark.parametrize(
    "junk",
    [
        [b"body"],
        [EMPTY],
        [EMPTY, b"ticket"],
        [EMPTY, b"ticket", EMPTY],
        [EMPTY, b"ticket", b"body"],
        [EMPTY, EMPTY, b"body"],
        [EMPTY, EMPTY, EMPTY, EMPTY],
        [b"ticket", EMPTY, b"body"],
        [b"id", EMPTY, b"ticket", EMPTY, b"body"],
        [EMPTY] + [b"x"] * 1000,
    ],
)
def test_a_message_that_is_no_request_is_dropped_and_counted(
    raw: RawBroker, workers: Any, junk: list[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    worker = workers(raw.endpoint, echo)
    peer = raw.ready_worker()
    raw.send(peer, *junk)
    raw.send(peer, *junk)
    assert raw.ask(peer, b"still there") == [b"still there"]
    stats = worker.stats()
    assert (stats["drop_malformed"], stats["requests"], stats["readies"]) == (2, 1, 1)
    # The log tells once, and what it may be.
    told = [record for record in caplog.records if "workers' side" in record.getMessage()]
    assert len(told) == 1


# -- with a broker --------------------------------------------------------------------------------


def test_a_raw_client_gets_its_reply(
    broker: Callable[..., LRUBroker], peers: Peers, workers: Any
) -> None:
    running = broker()
    workers(running.backend, lambda body: [b"re", body])
    client = peers.req(running.frontend)
    client.send(b"hello")
    assert client.recv_multipart() == [b"re", b"hello"]


def test_all_workers_get_their_turn(
    broker: Callable[..., LRUBroker], workers: Any, clients: Any
) -> None:
    running = broker()
    for name in (b"a", b"b", b"c"):
        workers(running.backend, lambda _, name=name: name)
    wait_until(lambda: running.stats()["workers_idle"] == 3)
    client = clients(running.frontend)
    replies = [client.request(b"who?") for _ in range(6)]
    assert sorted(replies[:3]) == [b"a", b"b", b"c"]
    assert replies[3:] == replies[:3]


def test_the_handlers_exception_goes_to_the_log_and_to_any_client(
    broker: Callable[..., LRUBroker],
    peers: Peers,
    workers: Any,
    clients: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_: Any) -> bytes:
        raise ZeroDivisionError("by zero, it seems")

    running = broker()
    worker = workers(running.backend, fails)
    with pytest.raises(WorkerFailed, match="ZeroDivisionError: by zero, it seems"):
        clients(running.frontend).request(b"q")
    foreign = peers.req(running.frontend)
    foreign.send(b"q")
    mark, detail = foreign.recv_multipart()
    assert mark == ERROR_MARK
    assert msgpack.unpackb(detail) == {
        "type": "ZeroDivisionError",
        "message": "by zero, it seems",
    }
    stats = worker.stats()
    assert (stats["errors"], stats["replies"]) == (2, 2)
    logged = [r for r in caplog.records if r.name == LOGGER and r.levelno == logging.ERROR]
    assert len(logged) == 2
    assert all(r.exc_info and r.exc_info[0] is ZeroDivisionError for r in logged)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "kind", "detail"),
    [
        (ValueError("\ud800"), "RuntimeError", "ValueError, whose message can't be sent"),
        (Unspeakable(), "RuntimeError", "Unspeakable, whose message can't be sent"),
        (StopIteration(), "StopIteration", ""),
        (KeyError("k"), "KeyError", "'k'"),
    ],
)
def test_any_exception_can_be_reported(
    raw: RawBroker, workers: Any, error: Exception, kind: str, detail: str
) -> None:
    def fails(_: Any) -> bytes:
        raise error

    workers(raw.endpoint, fails)
    mark, report = raw.ask(raw.ready_worker(), b"q")
    assert mark == ERROR_MARK
    assert msgpack.unpackb(report) == {"type": kind, "message": detail}


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (
            None,
            "TypeError",
            "the handler's reply must be bytes or a sequence of bytes, not NoneType",
        ),
        ("text", "TypeError", "encode it first"),
        ([b"a", 5], "TypeError", "item 1 of the list is int"),
        (bytearray(b"a"), "TypeError", "not bytearray; use bytes(x)"),
        ([], "ValueError", "at least one frame"),
        (ERROR_MARK, "ValueError", "raise an exception instead"),
        ([ERROR_MARK, b"x"], "ValueError", "raise an exception instead"),
    ],
)
def test_a_reply_that_cannot_be_sent_is_the_handlers_error(
    raw: RawBroker, workers: Any, reply: Any, kind: str, words: str
) -> None:
    worker = workers(raw.endpoint, lambda _: reply)
    peer = raw.ready_worker()
    for errors in (1, 2):  # and the worker goes on
        mark, report = raw.ask(peer, b"q")
        assert mark == ERROR_MARK
        detail = msgpack.unpackb(report)
        assert detail["type"] == kind
        assert words in detail["message"]
        assert worker.stats()["errors"] == errors


# -- mistakes -------------------------------------------------------------------------------------


async def coroutine(body: bytes) -> bytes:
    return body


@pytest.mark.parametrize(
    ("broker", "words"),
    [
        ("localhost:5556", "must begin with"),
        ("tcp://127.0.0.1:*", "can be bound but not connected to"),
        ("inproc://back", "context="),
        (["tcp://127.0.0.1:5556"], "one endpoint"),
        (None, "one endpoint"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused_at_once(broker: Any, words: str) -> None:
    with pytest.raises(ConfigError, match="broker: ") as raised:
        LRUWorker(broker, echo)
    assert words in str(raised.value)


@pytest.mark.parametrize("handler", [None, b"bytes", coroutine])
def test_a_handler_that_is_no_plain_function_is_refused_at_once(handler: Any) -> None:
    with pytest.raises(TypeError, match="handler must be a"):
        LRUWorker("tcp://127.0.0.1:5556", handler)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("heartbeat_interval", 0),
        ("heartbeat_interval", float("nan")),
        ("heartbeat_interval", "5"),
        ("liveness", 1),
        ("liveness", 2.5),
        ("liveness", True),
    ],
)
def test_a_number_that_cannot_work_is_refused_at_once(option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=option):
        LRUWorker("tcp://127.0.0.1:5556", echo, **{option: value})
