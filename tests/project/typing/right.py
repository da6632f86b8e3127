"""What a user of brigantine may write; no type checker may find anything wrong with it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import zmq

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
    StreamerDevice,
    aio,
)
from brigantine.handlers import AsyncHandler, Handler, StreamHandler, echo, upper

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from brigantine import BrokerOptions

ANY = "tcp://127.0.0.1:*"
TO = "tcp://127.0.0.1:5555"
context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()


def one(body: bytes) -> bytes:
    return body


def several(body: list[bytes]) -> list[bytes]:
    return body


def either(body: bytes | list[bytes]) -> bytes | tuple[bytes, ...]:
    return body if isinstance(body, bytes) else tuple(body)


def sequence(body: Any) -> Sequence[bytes]:
    return [body]


def parts(body: bytes) -> Iterator[bytes]:
    yield body


def parts_and_end(body: bytes) -> Generator[bytes | list[bytes], None, bytes]:
    yield body
    return body


class Service:
    def __call__(self, body: bytes) -> bytes:
        return body

    def method(self, body: bytes) -> bytes:
        return body


async def later(body: bytes) -> bytes:
    return body


async def parts_later(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def parts_generated(body: bytes) -> AsyncGenerator[bytes | list[bytes], None]:
    yield body


def brokers() -> None:
    LRUBroker(ANY, ANY)
    LRUBroker([ANY], (ANY,), request_ttl=600, retries=1, heartbeat_interval=2.5)
    ParanoidPirateBroker(ANY, ANY, impl="pure", context=context, control=ANY, liveness=4)
    MajordomoBroker(ANY)
    MajordomoBroker(ANY, ANY, default_service=b"echo", max_frames=64, queue_bytes=1 << 20)
    AnyBroker(ANY, ANY, config=BrokerConfig(drain_timeout=1))
    start(retries=2)
    for device in (QueueDevice, ForwarderDevice, StreamerDevice):
        with device(ANY, ">" + TO, high_water_mark=10, max_message_bytes=4096, io_threads=2):
            pass


def start(**options: Unpack[BrokerOptions]) -> MajordomoBroker:
    return MajordomoBroker(ANY, **options)


def workers(handler: Handler, stream: StreamHandler, coroutine: AsyncHandler) -> None:
    for each in (one, several, either, sequence, Service(), Service().method, echo, upper, handler):
        LRUWorker(TO, each)
    LRUWorker(TO, bytes.upper)
    LRUWorker(TO, lambda body: body)
    ParanoidPirateWorker([TO], one, capacity=3)
    ParanoidPirateWorker(TO, parts)
    ParanoidPirateWorker(TO, parts_and_end)
    MajordomoWorker(TO, "echo", one, version="0.1")
    MajordomoWorker(TO, b"echo", parts_and_end)
    MajordomoWorker(TO, "echo", parts)
    MajordomoWorker(TO, "echo", stream)
    MajordomoWorker(TO, "echo", handler)
    aio.LRUWorker(TO, later)
    aio.ParanoidPirateWorker(TO, coroutine)
    aio.MajordomoWorker(TO, "echo", later)
    aio.MajordomoWorker(TO, "echo", parts_later)
    aio.MajordomoWorker(TO, "echo", parts_generated)
    with LRUWorker(TO, one) as worker:
        worker.stop()


def clients() -> None:
    with LazyPirateClient(TO, timeout=5, retries=0) as client:
        reply: bytes | list[bytes] = client.request(b"q", timeout=2.5)
    with MajordomoClient((TO, TO), version="0.1", backoff=0.1) as majordomo:
        reply = majordomo.request("echo", [b"a", b"b"])
        for part in majordomo.stream(b"echo", b"q"):
            print(part, reply)


async def tasks() -> None:
    async with aio.MajordomoClient(TO) as client, aio.LRUWorker(TO, later) as worker:
        print(await client.request("echo", b"q"), await client.call("echo", [1]))
        async for part in client.stream("echo", b"q"):
            print(part)
        worker.stop()
