"""The same for asyncio."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import zmq

from ..config import BrokerConfig
from ..config.limits import ROUTER_SEND_TIMEOUT
from ..envelope import Envelope
from ..net.arguments import patience
from ..validation.calls import ForTasks, called_rightly
from .router_socket import Bounds, Choice, RouterSocket, closed

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Router"]

#: Seconds between looks whether a peer has room: a ROUTER tells of no single peer's.
_LOOK = 0.005


class Router(ForTasks):
    """:class:`brigantine.Router` with coroutines; see there for arguments and errors::

        async with Router("tcp://127.0.0.1:*") as router:
            envelope = await router.receive()
            await router.send(envelope.reply(b"world"))

    For the event loop that it is first used on; one task at a time may receive.
    """

    @called_rightly
    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        unroutable: Choice = "raise",
        delimiter: bool | None = None,
        high_water_mark: int = BrokerConfig.high_water_mark,
        max_message_bytes: int = BrokerConfig.max_message_bytes,
        max_frames: int = BrokerConfig.max_frames,
        max_depth: int = BrokerConfig.max_depth,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        limits = Bounds(high_water_mark, max_message_bytes, max_frames, max_depth).checked()
        self._router = RouterSocket(
            endpoint, unroutable=unroutable, delimiter=delimiter, limits=limits, impl=impl,
            context=context,
        )  # fmt: skip
        self._finalizer = weakref.finalize(self, self._router.close)
        #: The task that receives waits for it.
        self._readable: asyncio.Future[None] | None = None

    @property
    def endpoint(self) -> str:
        """Where it is bound, the first of :attr:`endpoints`."""
        return self._router.endpoints[0]

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All endpoints, with the real ports."""
        return self._router.endpoints

    def stats(self) -> dict[str, int]:
        """All counters by name, also after :meth:`close`; see :data:`brigantine.ROUTER_COUNTERS`."""
        return dict(self._router.stats)

    async def receive(self, timeout: float | None = None) -> Envelope | None:
        """As :meth:`brigantine.Router.receive`."""
        seconds = patience(timeout)
        if self._readable is not None:
            raise RuntimeError("another task receives from this Router; one at a time may")
        until = math.inf if seconds is None else time.monotonic() + seconds
        while (envelope := self._router.take()) is None:
            left = until - time.monotonic()
            if left <= 0:
                return None
            await self._wait(left)
        return envelope

    async def _wait(self, left: float) -> None:
        loop = asyncio.get_running_loop()
        descriptor = cast(int, self._router.open().getsockopt(zmq.FD))
        readable = self._readable = loop.create_future()
        loop.add_reader(descriptor, _done, readable)
        # The descriptor tells of nothing that has come since the socket was last looked at.
        timer = None if left == math.inf else loop.call_later(left, _done, readable)
        try:
            if not self._there():
                await readable
        finally:
            self._readable = None
            loop.remove_reader(descriptor)
            if timer is not None:
                timer.cancel()

    def _there(self) -> bool:
        return bool(int(cast(int, self._router.open().getsockopt(zmq.EVENTS))) & zmq.POLLIN)

    async def send(self, envelope: Envelope, timeout: float = ROUTER_SEND_TIMEOUT) -> bool:
        """As :meth:`brigantine.Router.send`."""
        waits = patience(timeout) or 0.0
        until = time.monotonic() + (waits if self._router.raises else 0.0)
        while (sent := self._router.put(envelope)) is None:
            if time.monotonic() >= until:
                return self._router.full(envelope, waits)
            await asyncio.sleep(_LOOK)
        # Sending looks at the socket, too, and takes from its descriptor what would have told.
        if self._readable is not None and self._there():
            _done(self._readable)
        return sent

    async def close(self) -> None:
        """Close the socket; what was sent has a second to leave.  May be called again."""
        if self._readable is not None and not self._readable.done():
            self._readable.set_exception(closed())
            await asyncio.sleep(0)  # its task lets go of the descriptor before that is closed
        self._finalizer.detach()
        self._router.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<aio.{type(self).__name__} endpoint={','.join(self._router.endpoints)}>"


def _done(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
