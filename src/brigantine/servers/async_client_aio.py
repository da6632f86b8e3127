"""The client of an AsyncServer, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config import BrokerConfig, ClientConfig
from ..errors import ClientClosed
from ..net.arguments import patience
from ..validation.calls import ForTasks, called_rightly
from ..wire.body import from_frames
from .async_client import ClientBase
from .calls import Outcome

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncClient"]


class AsyncClient(ClientBase, ForTasks):
    """:class:`brigantine.AsyncClient` with coroutines; see there for arguments and errors::

        async with AsyncClient("tcp://127.0.0.1:5570") as client:
            replies = await asyncio.gather(*(client.request(b"%d" % n) for n in range(100)))

    Any number of tasks may use it at once, of any event loops.  A request that is cancelled is forgotten:
    its reply is dropped.
    """

    @called_rightly
    def __init__(
        self,
        server: str,
        *,
        timeout: float | None = ClientConfig.timeout,
        max_request_bytes: int = BrokerConfig.max_message_bytes,
        on_session: Callable[[bool, int, str], object] | None = None,
        foreign: bool | None = None,
        delimiter: bool = False,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        super().__init__(
            server, timeout, max_request_bytes, on_session, foreign, delimiter, context
        )

    async def request(
        self, body: bytes | Sequence[bytes], *, timeout: float | None = None
    ) -> bytes | list[bytes]:
        """As :meth:`brigantine.AsyncClient.request`."""
        frames = [frame async for part in self._parts(body, timeout) for frame in part]
        return from_frames(frames)

    async def stream(
        self, body: bytes | Sequence[bytes], *, timeout: float | None = None
    ) -> AsyncGenerator[bytes | list[bytes], None]:
        """As :meth:`brigantine.AsyncClient.stream`, for ``async for``."""
        async for part in self._parts(body, timeout):
            yield from_frames(part)

    async def send(self, body: bytes | Sequence[bytes]) -> None:
        """As :meth:`brigantine.AsyncClient.send`."""
        self._send(body)

    async def receive(self, timeout: float | None = None) -> bytes | list[bytes] | None:
        """As :meth:`brigantine.AsyncClient.receive`."""
        line, loop = self._line, asyncio.get_running_loop()
        limit = patience(timeout)
        deadline = None if limit is None else loop.time() + limit
        came = asyncio.Event()

        def ring() -> None:
            _in_loop(loop, came.set)

        line.listeners.append(ring)
        try:
            while True:
                came.clear()
                if line.talk.pushed:
                    return from_frames(line.talk.pushed.popleft())
                if line.closing or not line.running:
                    raise ClientClosed(f"the client of {self._server} is closed")
                left = None if deadline is None else deadline - loop.time()
                if left is not None and left <= 0:
                    return None
                try:
                    await asyncio.wait_for(came.wait(), left)
                except asyncio.TimeoutError:
                    continue
        finally:
            line.listeners.remove(ring)

    async def close(self) -> None:
        """As :meth:`brigantine.AsyncClient.close`; the event loop goes on meanwhile."""
        if os.getpid() == self._process:
            await asyncio.to_thread(self._line.close)
            self._finalizer.detach()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _parts(
        self, body: bytes | Sequence[bytes], timeout: float | None
    ) -> AsyncGenerator[list[bytes], None]:
        loop = asyncio.get_running_loop()
        came: asyncio.Queue[Outcome] = asyncio.Queue()

        def tell(outcome: Outcome) -> None:
            _in_loop(loop, came.put_nowait, outcome)

        call = self._call(body, timeout, tell)
        try:
            while True:
                outcome = await came.get()
                if outcome.error is not None:
                    raise outcome.error
                if outcome.body:
                    yield outcome.body
                if outcome.last:
                    return
        finally:
            self._forget(call)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *given: Any) -> None:
    """Have it called in an event loop, unless that has ended, or does so just now."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *given)
