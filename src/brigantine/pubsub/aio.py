"""Publishers and subscribers for asyncio: the same threads, awaited."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import zmq

from ..config.pubsub import PublisherConfig, SubscriberConfig
from ..errors import SubscriberClosed
from ..net.arguments import patience
from ..validation.calls import ForTasks, called_rightly
from ..wire.msgpack_body import packed
from .message import Message
from .publisher import PublisherBase
from .subscriber import SubscriberBase, checked_count

__all__ = ["Publisher", "Subscriber"]

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

    from ..config.pubsub import PublisherOptions, SubscriberOptions


class Publisher(PublisherBase, ForTasks):
    """:class:`brigantine.Publisher` with coroutines; see there for arguments and errors::

        async with Publisher("tcp://127.0.0.1:5556") as publisher:
            await publisher.publish("weather.berlin", b"21 C")

    Any number of tasks may use it at once, of any event loops.
    """

    @called_rightly
    def __init__(
        self,
        endpoints: str | Sequence[str],
        *,
        name: str | None = None,
        config: PublisherConfig | None = None,
        context: zmq.Context[Any] | None = None,
        **options: Unpack[PublisherOptions],
    ) -> None:
        super().__init__(endpoints, name, config, context, options)

    async def publish(self, topic: bytes | str, body: bytes) -> None:
        """As :meth:`brigantine.Publisher.publish`; cancelled while it waits it publishes nothing."""
        message = self._checked(topic, body)
        if self._io.put(*message):
            return
        self._stats["waits"] += 1
        while not self._io.put(*message):
            await self._io.bells.wait_async(lambda: self._io.room(*message), None)

    async def publish_object(self, topic: bytes | str, obj: object) -> None:
        """As :meth:`brigantine.Publisher.publish_object`."""
        await self.publish(topic, packed(obj))

    async def wait_ready(self, timeout: float | None = None, subscribers: int = 1) -> int:
        """As :meth:`brigantine.Publisher.wait_ready`."""
        patience(timeout)
        checked_count("subscribers", subscribers)
        self._check_open()
        await self._io.bells.wait_async(lambda: self._ready(subscribers), timeout)
        return self._come(subscribers, timeout)

    async def close(self, linger: float | None = None) -> int:
        """As :meth:`brigantine.Publisher.close`; the event loop goes on meanwhile."""
        if os.getpid() == self._process:
            self._io.stop(linger)
        return await asyncio.to_thread(partial(self._close, linger))

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.PublisherClosed` after :meth:`close`."""
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class Subscriber(SubscriberBase, ForTasks):
    """:class:`brigantine.Subscriber` with coroutines; see there for arguments and errors::

        async with Subscriber("tcp://127.0.0.1:5556", "weather.") as subscriber:
            async for message in subscriber:
                print(message.topic, message.body, message.missed)

    Any number of tasks may use it at once, of any event loops.
    """

    @called_rightly
    def __init__(
        self,
        endpoints: str | Sequence[str],
        topics: bytes | str | Iterable[bytes | str],
        *,
        config: SubscriberConfig | None = None,
        context: zmq.Context[Any] | None = None,
        **options: Unpack[SubscriberOptions],
    ) -> None:
        super().__init__(endpoints, topics, config, context, options)

    async def recv(self, timeout: float | None = None) -> Message | None:
        """As :meth:`brigantine.Subscriber.recv`; one that is cancelled takes no message."""
        patience(timeout)
        self._check_open()
        return await self._inbox.get_async(timeout)

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Messages as they come, until it is closed.  Raises what :meth:`recv` raises otherwise."""
        while True:
            try:
                message = await self.recv()
            except SubscriberClosed:
                if os.getpid() != self._process:
                    raise
                return
            if message is not None:
                yield message

    async def wait_ready(self, timeout: float | None = None, publishers: int = 1) -> int:
        """As :meth:`brigantine.Subscriber.wait_ready`."""
        patience(timeout)
        checked_count("publishers", publishers)
        self._check_open()
        await self._inbox.bells.wait_async(lambda: self._ready(publishers), timeout)
        return self._confirmed(publishers, timeout)

    async def close(self) -> None:
        """As :meth:`brigantine.Subscriber.close`; the event loop goes on meanwhile."""
        if os.getpid() == self._process:
            self._io.stop()
            await asyncio.to_thread(self._io.cut)
            self._finalizer.detach()

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.SubscriberClosed` after :meth:`close`."""
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
