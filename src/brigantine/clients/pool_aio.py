"""The sockets of one asyncio client on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq
import zmq.asyncio

from ..contexts import KnownSocket, Sockets, close_all, end_context
from ..errors import BrigantineError, ClientClosed
from .channel import (
    CONTEXT_GONE,
    SocketScout,
    can_send,
    make_context,
    open_socket,
    unreachable,
)
from .codec import ClientCodec
from .dialog import Dialog
from .pool import MAX_IDLE
from .roster import Roster
from .witness import Witnesses, better_leave

__all__ = ["AsyncChannel", "LoopPool"]


class _KnownAsyncSocket(zmq.asyncio.Socket):
    """As :class:`KnownSocket`."""

    def __init__(self, context: zmq.Context[Any], kind: int, *, known: Sockets) -> None:
        known.add(self)
        super().__init__(context, kind)  # type: ignore[misc]


class AsyncChannel:
    """A socket connected to one broker, for one request at a time."""

    def __init__(self, socket: zmq.asyncio.Socket, endpoint: str) -> None:
        self._socket = socket
        self._heard_at = time.monotonic()
        open_socket(socket, endpoint)

    async def send(self, frames: list[bytes]) -> bool:
        """Send a message; ``False`` if an inproc broker went away since the socket was made."""
        try:
            await self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    async def receive(self, deadline: float) -> list[bytes] | None:
        """The next message, or ``None`` when none came until ``deadline`` on the monotonic clock.

        After that, and when cancelled, the socket is half-used and must be closed.
        Raises :class:`~brigantine.errors.ClientClosed` when the socket is closed meanwhile.
        """
        if self._socket.closed:
            raise ClientClosed("the client was closed while a stream was read")
        while True:
            frames = await self._wait(deadline)
            if frames is not None or time.monotonic() >= deadline:
                return frames

    async def _wait(self, deadline: float) -> list[bytes] | None:
        message: asyncio.Future[list[bytes]] = asyncio.ensure_future(self._socket.recv_multipart())
        try:
            # Unlike wait_for, this can't lose a cancellation that comes at the same time.
            await asyncio.wait((message,), timeout=max(0.0, deadline - time.monotonic()))
            if message.cancelled():
                raise ClientClosed("the client was closed while the request waited for its reply")
            if not message.done():
                return None
            self._heard_at = time.monotonic()
            return message.result()
        except zmq.Again:
            return None  # it was no reply to a REQ socket, and libzmq threw it away
        finally:
            message.cancel()

    def usable(self) -> bool:
        """Whether a request can be sent; if not, the channel is closed."""
        usable = False
        try:
            usable = can_send(self._socket, self._heard_at)
        finally:
            if not usable:
                self.close()
        return usable

    def close(self) -> None:
        """Give the socket back; a request that waits in it is dropped.  May be called again."""
        self._socket.close()


class LoopPool:
    """Idle channels by broker, and those that requests wait in.  Used on one event loop only."""

    def __init__(
        self,
        endpoints: Sequence[str],
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        kind: int,
        codec: Callable[[bytes], ClientCodec] | None,
    ) -> None:
        #: The loop and the process that its sockets belong to.
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self._endpoints = endpoints
        try:
            self._own_context = make_context() if context is None else None
        except zmq.ZMQError as error:
            raise unreachable(endpoints[0], error) from error
        self._context = context or self._own_context
        self._stats = stats
        #: The type of the sockets: REQ, or DEALER.
        self._kind = kind
        self._known: Sockets = weakref.WeakSet()
        self._roster = Roster(len(endpoints), self._watch)
        self._witnesses = Witnesses(endpoints, codec, self._known)
        #: Idle channels of each broker, the one used last at the end.
        self._idle: list[list[AsyncChannel]] = [[] for _ in endpoints]
        self._busy: set[AsyncChannel] = set()
        #: Requests that pause before a retry.
        self._pauses: set[asyncio.Future[None]] = set()
        self._closed = False

    @property
    def idle(self) -> int:
        """How many sockets wait for a request."""
        return sum(map(len, self._idle))

    # -- brokers ------------------------------------------------------------------------------

    def turn(self, dialog: Dialog) -> float:
        """Turn a request to the broker of its next try; seconds to pause before it.

        Raises :class:`~brigantine.errors.NoReply` when it has none.
        """
        return self._roster.turn(dialog, time.monotonic())

    def heard(self, dialog: Dialog) -> None:
        """That request was answered by its broker."""
        now = time.monotonic()
        dialog.heard(now)
        self._roster.answered(dialog.broker, now)

    def left(self, dialog: Dialog) -> None:
        """That request has ended, whatever by."""
        self._roster.left(dialog)

    def look(self, dialog: Dialog) -> bool:
        """Look at the broker of a request that waits; whether another one is better asked instead."""
        if self._closed:
            return False
        assert self._context is not None
        service = dialog.service if dialog.last else None
        self._witnesses.look(self._context, dialog.broker, service)
        return better_leave(dialog, self._roster, self._witnesses)

    def gave_up(self, dialog: Dialog) -> None:
        """A try of that request is over, and there is no reply."""
        now = time.monotonic()
        if dialog.gave_up(now, self._witnesses.seen(dialog.broker, dialog.service)):
            self.drop_idle(dialog.broker)
            if not self._closed:
                self._roster.silent(dialog.broker, dialog.waiting_since, now)

    def _watch(self, broker: int) -> SocketScout | None:
        """Watch a silent broker from outside."""
        assert self._context is not None
        try:
            socket = self._context.socket(zmq.DEALER, partial(KnownSocket, known=self._known))
            return SocketScout(socket, self._endpoints[broker])
        except (zmq.ZMQError, BrigantineError):
            return None  # no sockets left, say: it has to be tried without

    # -- requests -----------------------------------------------------------------------------

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the client."""
        if seconds > 0:
            end: asyncio.Future[None] = self.loop.create_future()
            self._pauses.add(end)
            try:
                await asyncio.wait((end,), timeout=seconds)
            finally:
                self._pauses.discard(end)
        if self._closed:
            raise ClientClosed("the client was closed while the request waited for its reply")

    def take(self, broker: int, *, fresh: bool) -> AsyncChannel:
        """A channel to that broker: a new one if ``fresh``, otherwise an idle one will do.

        To be followed by :meth:`give_back`.
        """
        channel = None if fresh else self._take_idle(broker)
        channel = channel or self._open(broker)
        self._busy.add(channel)
        return channel

    def _take_idle(self, broker: int) -> AsyncChannel | None:
        idle = self._idle[broker]
        while idle:
            channel = idle.pop()
            if channel.usable():
                return channel
        return None

    def _open(self, broker: int) -> AsyncChannel:
        endpoint = self._endpoints[broker]
        assert self._context is not None
        self._stats["sockets_opened"] += 1
        try:
            socket = self._context.socket(self._kind, partial(_KnownAsyncSocket, known=self._known))
        except zmq.ZMQError as error:
            if error.errno in CONTEXT_GONE:
                raise
            raise unreachable(endpoint, error) from error
        return AsyncChannel(socket, endpoint)

    def give_back(self, broker: int, channel: AsyncChannel, *, clean: bool) -> None:
        """The request has ended; ``clean`` when its channel has nothing more to say."""
        self._busy.discard(channel)
        if clean and not self._closed and len(self._idle[broker]) < MAX_IDLE:
            self._idle[broker].append(channel)
        else:
            channel.close()

    def drop_idle(self, broker: int) -> None:
        """Close the idle channels to a broker that was silent: they are as old and may be as dead."""
        idle = self._idle[broker]
        while idle:
            idle.pop().close()

    def close(self) -> None:
        """Close all sockets, which ends every request that runs.  May be called again."""
        if self.process != os.getpid():
            return  # a forked child has no right to its parent's sockets
        self._closed = True
        for end in self._pauses:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                end.cancel()
        for broker in range(len(self._endpoints)):
            self.drop_idle(broker)
        self._roster.close()
        self._witnesses.close()
        while self._busy:
            self._busy.pop().close()
        # Also those that an exception out of the blue, such as Ctrl-C, cut loose.
        close_all(self._known)
        if self._own_context is not None:
            end_context(self._own_context, self._known)
