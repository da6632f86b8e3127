"""Base of the clients for asyncio: several brokers, a pool of sockets, and closing."""

from __future__ import annotations

import asyncio
import os
import time
import weakref
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

import zmq

from ..errors import ClientClosed
from ..validation.calls import ForTasks
from ..wire.body import from_frames
from .channel import CONTEXT_GONE
from .codec import Reply, Says
from .common import CommonClient
from .counters import ending
from .failure import checked
from .pending import PendingRequest
from .pool_aio import AsyncChannel, LoopPool

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncClientBase"]


class AsyncClientBase(ForTasks, CommonClient):
    """Base of the clients that tasks call: pools, loops, close, and driving a :class:`PendingRequest`."""

    def _begin(self, context: zmq.Context[Any] | None) -> None:
        self._context = context
        self._stats = dict.fromkeys(self._names, 0)
        self._process = os.getpid()
        #: The pool of the event loop that the client was last used on comes first.  In a forked
        #: child that of its parent follows, kept so that nothing tidies up the parent's sockets.
        self._pools: list[LoopPool] = []
        self._finalizer = weakref.finalize(self, _close, self._pools)

    # -- what it is, and its end --------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """Counters, and the gauge ``idle``: open sockets without a request.

        requests, replies, worker_failed, no_reply, no_service, busy, expired, interrupted, tries,
        error_answers, sockets_opened; clients of Majordomo also parts, drop_malformed and
        drop_unexpected.  At rest ``requests == replies + worker_failed + no_reply + no_service +
        busy + expired + interrupted``.
        """
        return {**self._stats, "idle": sum(pool.idle for pool in self._pools[:1])}

    async def close(self) -> None:
        """Close all sockets.  Requests of other tasks raise ClientClosed at once.  May be called again."""
        self._closed = True
        _close(self._pools)

    async def __aenter__(self) -> Self:
        """Raises :class:`~brigantine.errors.ClientClosed` after :meth:`close`."""
        self._check_open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # -- driving a request ---------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise ClientClosed("the client is closed; make a new one")

    def _pool(self) -> LoopPool:
        """The pool of this event loop; one of a loop that has ended is closed."""
        self._check_open()
        loop, process = asyncio.get_running_loop(), os.getpid()
        if self._pools:
            pool = self._pools[0]
            if pool.loop is loop and pool.process == process:
                return pool
            if pool.process == process and pool.loop.is_running():
                raise RuntimeError(
                    "this client is at work on another event loop; make a client for each loop"
                )
            if pool.process == process:
                self._pools.pop(0).close()
        # A context doesn't survive a fork.
        context = self._context if process == self._process else None
        self._pools.insert(0, self._new_pool(context))
        return self._pools[0]

    def _new_pool(self, context: zmq.Context[Any] | None) -> LoopPool:
        return LoopPool(
            self._brokers, context, self._stats, self._kind, self._service_codec, self._failover
        )

    async def _ask(self, pending: PendingRequest) -> bytes | list[bytes]:
        """The one reply to a request that is no stream."""
        (body,) = [body async for body in self._parts(pending)]
        return body

    async def _parts(self, pending: PendingRequest) -> AsyncGenerator[bytes | list[bytes], None]:
        """Try brokers one after the other; the replies of the one that has answered."""
        pool = self._pool()
        self._stats["requests"] += 1
        end = "interrupted"
        try:
            reply: Reply | None = None
            while reply is None or reply.says is not Says.FINAL:
                await pool.pause(pool.next_broker(pending))
                self._stats["tries"] += 1
                channel = pool.take(pending.broker, fresh=pending.fresh)
                reply = None
                try:
                    pending.sent(time.monotonic())
                    if channel.send(pending.frames):
                        reply = await self._next(pool, channel, pending)
                    while reply is not None and reply.says is Says.PARTIAL:
                        yield from_frames(reply.body)
                        pending.resumed(time.monotonic())
                        reply = await self._next(pool, channel, pending)
                finally:
                    clean = reply is not None and reply.says.ends
                    try:
                        pending.saw(*channel.sight())
                    finally:
                        pool.give_back(pending.broker, channel, clean=clean)
                if reply is None or reply.says is Says.ERROR:
                    pool.gave_up(pending, pending.sight)
            body = from_frames(checked(reply, pending.service).body)
            end = "replies"
            if not pending.only_ends(reply):
                yield body
        except zmq.ZMQError as error:
            if error.errno in CONTEXT_GONE:
                raise ClientClosed("the client's context was terminated") from error
            raise
        except BaseException as error:
            if end != "replies":
                end = ending(error)
            raise
        finally:
            pool.abandoned(pending)
            self._stats[end] += 1

    async def _next(
        self, pool: LoopPool, channel: AsyncChannel, pending: PendingRequest
    ) -> Reply | None:
        """The next reply for the caller, the broker's ERROR, or ``None`` when it was silent."""
        while True:
            frames = await channel.receive(pending.until)
            if frames is None:
                if not channel.over and pending.wait_on() and not pool.should_leave(pending):
                    continue
                return None
            reply = pending.receive(frames)
            if reply.says.heard:
                pool.heard(pending)
            if reply.says is not Says.FINAL:
                self._stats[reply.says.value] += 1
            if reply.says.ends or (reply.says is Says.PARTIAL and pending.stream):
                return reply
            if time.monotonic() >= pending.deadline:
                return None  # junk without end is silence, too


def _close(pools: list[LoopPool]) -> None:
    """Close a client, or one that was forgotten: run by the garbage collector, or at exit."""
    for pool in pools:
        pool.close()
