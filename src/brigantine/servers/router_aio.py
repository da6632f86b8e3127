"""The same for asyncio."""

from __future__ import annotations

import asyncio
import math
import time
from typing import TYPE_CHECKING, cast

import zmq

from ..config.limits import ROUTER_SEND_TIMEOUT
from ..envelope import Envelope
from ..net.arguments import patience
from ..validation.calls import ForTasks
from .router_face import RouterFace
from .router_socket import closed

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Router"]

#: Seconds between looks whether a peer has room: a ROUTER tells of no single peer's.
_LOOK = 0.005


class Router(RouterFace, ForTasks):
    """:class:`brigantine.Router` with coroutines; see there for arguments and errors::

        async with Router("tcp://127.0.0.1:*") as router:
            envelope = await router.receive()
            await router.send(envelope.reply(b"world"))

    For the event loop that it is first used on; one task at a time may receive.
    """

    #: The task that receives waits for it.
    _readable: asyncio.Future[None] | None = None

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
            if self._there():  # after much that was no envelope: others have their turn
                loop.call_soon(_done, readable)
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


def _done(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
