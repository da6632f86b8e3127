"""What a type checker must find: an error of that kind on every line that says so, and no other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from brigantine import (
    AnyBroker,
    BrokerConfig,
    ForwarderDevice,
    LazyPirateClient,
    LRUBroker,
    LRUWorker,
    MajordomoBroker,
    MajordomoClient,
    MajordomoWorker,
    ParanoidPirateBroker,
    ParanoidPirateWorker,
    QueueDevice,
    aio,
)

ANY = "tcp://127.0.0.1:*"
TO = "tcp://127.0.0.1:5555"


def right(body: bytes) -> bytes:
    return body


def number(body: bytes) -> int:
    return len(body)


def text(body: bytes) -> str:
    return body.decode()


def texts(body: bytes) -> list[str]:
    return [body.decode()]


def nothing(body: bytes) -> None:
    print(body)


def numbers(body: bytes) -> Iterator[int]:
    yield len(body)


def parts(body: bytes) -> Iterator[bytes]:
    yield body


def no_body() -> bytes:
    return b""


def two(body: bytes, more: bytes) -> bytes:
    return body + more


async def later(body: bytes) -> bytes:
    return body


async def number_later(body: bytes) -> int:
    return len(body)


async def parts_later(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def numbers_later(body: bytes) -> AsyncIterator[int]:
    yield len(body)


def brokers() -> None:
    LRUBroker(ANY)  # wrong: call-arg
    LRUBroker(5, ANY)  # wrong: arg-type
    LRUBroker(ANY, ANY, retries="x")  # wrong: arg-type
    LRUBroker(ANY, ANY, retires=1)  # wrong: call-arg
    ParanoidPirateBroker(ANY, ANY, heartbeat_interval="1")  # wrong: arg-type
    MajordomoBroker(ANY, queue_limit=1.5)  # wrong: arg-type
    MajordomoBroker(ANY, unknown=1)  # wrong: call-arg
    MajordomoBroker(ANY, default_service=5)  # wrong: arg-type
    MajordomoBroker(ANY, config={})  # wrong: arg-type
    AnyBroker(ANY, ANY, request_ttl=None)  # wrong: arg-type
    AnyBroker.options(retires=1)  # wrong: call-arg
    BrokerConfig(retries="x")  # wrong: arg-type
    BrokerConfig(retires=1)  # wrong: call-arg
    QueueDevice(ANY, ANY, high_water_mark="x")  # wrong: arg-type
    ForwarderDevice(ANY, ANY, retries=1)  # wrong: call-arg
    LRUBroker(ANY, ANY).drain("x")  # wrong: arg-type


def workers() -> None:
    LRUWorker(TO, later)  # wrong: arg-type
    LRUWorker(TO, number)  # wrong: arg-type
    LRUWorker(TO, text)  # wrong: arg-type
    LRUWorker(TO, texts)  # wrong: arg-type
    LRUWorker(TO, nothing)  # wrong: arg-type
    LRUWorker(TO, parts)  # wrong: arg-type
    LRUWorker(TO, no_body)  # wrong: arg-type
    LRUWorker(TO, two)  # wrong: arg-type
    LRUWorker(TO, 5)  # wrong: arg-type
    LRUWorker(TO, right, capacity=2)  # wrong: call-arg
    LRUWorker(TO.encode(), right)  # wrong: arg-type
    ParanoidPirateWorker(TO, later)  # wrong: arg-type
    ParanoidPirateWorker(TO, number)  # wrong: arg-type
    ParanoidPirateWorker(TO, numbers)  # wrong: arg-type
    ParanoidPirateWorker(TO, right, capacity="x")  # wrong: arg-type
    ParanoidPirateWorker(TO, right, announce_interval=2)  # wrong: arg-type
    MajordomoWorker(TO, "echo", later)  # wrong: arg-type
    MajordomoWorker(TO, "echo", parts_later)  # wrong: arg-type
    MajordomoWorker(TO, "echo", number)  # wrong: arg-type
    MajordomoWorker(TO, "echo", right, version="0.3")  # wrong: arg-type
    MajordomoWorker(TO, right)  # wrong: call-arg, arg-type
    aio.LRUWorker(TO, right)  # wrong: arg-type
    aio.LRUWorker(TO, number_later)  # wrong: arg-type
    aio.LRUWorker(TO, parts_later)  # wrong: arg-type
    aio.ParanoidPirateWorker(TO, parts_later)  # wrong: arg-type
    aio.MajordomoWorker(TO, "echo", right)  # wrong: arg-type
    aio.MajordomoWorker(TO, "echo", parts)  # wrong: arg-type
    aio.MajordomoWorker(TO, "echo", numbers_later)  # wrong: arg-type


async def clients() -> None:
    LazyPirateClient(5)  # wrong: arg-type
    LazyPirateClient(TO, timeout="x")  # wrong: arg-type
    LazyPirateClient(TO, timout=3)  # wrong: call-arg
    MajordomoClient(TO, version="0.3")  # wrong: arg-type
    MajordomoClient(TO).request(5, b"")  # wrong: arg-type
    MajordomoClient(TO).request("echo", "text")  # wrong: arg-type
    await LazyPirateClient(TO).request(b"q")  # wrong: misc
    async with LazyPirateClient(TO):  # wrong: attr-defined
        pass
    with aio.LazyPirateClient(TO):  # wrong: attr-defined
        pass
    async with LRUBroker(ANY, ANY):  # wrong: attr-defined
        pass
    with aio.LRUWorker(TO, later):  # wrong: attr-defined
        pass
