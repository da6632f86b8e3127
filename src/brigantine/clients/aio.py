"""The clients for asyncio, with the names that they have for threads."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Any, ClassVar

import zmq

from ..wire.body import request_frames
from ..wire.msgpack_body import packed, unpacked
from .base_aio import AsyncClientBase
from .codec import REQCodec
from .common import ServiceClient

__all__ = ["LazyPirateClient", "MajordomoClient"]


class LazyPirateClient(AsyncClientBase):
    """:class:`brigantine.LazyPirateClient` with coroutines; see there for arguments and errors::

        async with LazyPirateClient("tcp://127.0.0.1:5555") as client:
            reply = await client.request(b"hello")

    Any number of tasks of one event loop may use it at once.  A cancelled request closes only its own
    socket.  On another event loop, such as that of a second ``asyncio.run``, the client continues with
    new sockets once the first loop has ended.
    """

    _kind: ClassVar[int] = zmq.REQ

    async def request(
        self,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Send ``body`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        ``timeout`` (seconds for one try) and ``retries`` replace the client's own for this request.
        Raises what :meth:`brigantine.LazyPirateClient.request` raises.
        """
        frames = request_frames(body)
        return await self._ask(self._pending(REQCodec(), frames, timeout, retries))


class MajordomoClient(ServiceClient, AsyncClientBase):
    """:class:`brigantine.MajordomoClient` with coroutines; see there for arguments and errors::

        async with MajordomoClient("tcp://127.0.0.1:5555") as client:
            reply = await client.request("echo", b"hello")
            async for part in client.stream("search", b"words"):
                print(part)
            total = await client.call("sum", [1, 2, 3])

    Any number of tasks of one event loop may use it at once.  A cancelled request closes only its own
    socket.  On another event loop, such as that of a second ``asyncio.run``, the client continues with
    new sockets once the first loop has ended.
    """

    async def request(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Ask ``service`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        A reply in parts is returned as one, the frames of all parts in order.
        Raises what :meth:`brigantine.MajordomoClient.request` raises.
        """
        frames = partial(request_frames, body)
        return await self._ask(self._of_service(service, frames, timeout, retries))

    def stream(
        self,
        service: bytes | str,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> AsyncGenerator[bytes | list[bytes], None]:
        """Ask ``service`` and yield the parts of the reply as they arrive: PARTIALs, then the FINAL.

        Like :meth:`brigantine.MajordomoClient.stream`, but for ``async for``.  To leave it early, use
        ``contextlib.aclosing``, or await its ``aclose()``.
        """
        frames = partial(request_frames, body)
        return self._parts(self._of_service(service, frames, timeout, retries, stream=True))

    async def call(
        self,
        service: bytes | str,
        obj: object,
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> Any:
        """Send ``obj`` as msgpack and return the decoded reply.

        Raises what :meth:`brigantine.MajordomoClient.call` raises.
        """
        pending = self._of_service(service, lambda: [packed(obj)], timeout, retries)
        return unpacked(await self._ask(pending), pending.service)
