"""The sockets of one asyncio client on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import zmq
import zmq.asyncio

from ..errors import BrigantineError, ClientClosed
from ..net.contexts import KnownSocket, Sockets, close_all, end_context
from ..net.dialing import Dialing
from .channel import (
    CONNECT_PATIENCE,
    CONTEXT_GONE,
    Maker,
    SocketProbe,
    can_send,
    make_context,
    seen_by,
    unreachable,
)
from .codec import ClientCodec
from .failover import Balancer, Failover
from .pending import PendingRequest
from .pool import MAX_IDLE
from .sight import Sight
from .witness import Witnesses

__all__ = ["AsyncChannel", "LoopPool"]


class KnownAsyncSocket(KnownSocket, zmq.asyncio.Socket):
    """One whose messages are awaited."""


class AsyncChannel:
    """A socket connected to one broker, for one request at a time; see :class:`.channel.Channel`."""

    def __init__(self, make: Maker, endpoint: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard_at = time.monotonic()
        self._frames: list[bytes] = []
        self._closed = False
        #: What has gone wrong in a step that nobody waited for.
        self._error: BaseException | None = None
        #: Who waits for something to happen to the connection.
        self._changed: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: The descriptor of the monitor that the loop watches.
        self._watched = -1
        self._dialing: Dialing[zmq.asyncio.Socket] = Dialing(
            endpoint, make, self._wake, patience=CONNECT_PATIENCE,
            opened=self._send, closing=self._unwatch, again=True,
        )  # fmt: skip
        self._advance()
        if self._error is not None:
            self.close()
            raise self._error

    # -- its connection -----------------------------------------------------------------------

    def _wake(self) -> None:
        """From another thread: a name was looked up."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._advance)

    def _advance(self) -> None:
        """Something has happened to the connection, or is due."""
        if self._closed:
            return
        try:
            self._dialing.advance(time.monotonic())
            self._watch()
        except BaseException as error:
            self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None and not self._changed.done():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._changed.set_result(None)

    def _watch(self) -> None:
        monitor = self._dialing.monitor
        if monitor is not None and self._watched < 0:
            self._watched = cast(int, monitor.getsockopt(zmq.FD))
            self._loop.add_reader(self._watched, self._advance)
            # Its descriptor tells of nothing before it was once found empty.
            self._loop.call_soon(self._advance)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._dialing.due()) is not None:
            self._timer = self._loop.call_later(due - time.monotonic(), self._advance)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, -1
        if watched >= 0 and not self._loop.is_closed():
            self._loop.remove_reader(watched)

    # -- what it carries ----------------------------------------------------------------------

    def _send(self, socket: zmq.asyncio.Socket) -> bool:
        # With DONTWAIT it is done at once.
        sent = socket.send_multipart(self._frames, zmq.DONTWAIT) if self._frames else None
        error = None if sent is None else asyncio.ensure_future(sent).exception()
        if error is None or isinstance(error, zmq.Again):
            return error is None
        raise error

    def send(self, frames: list[bytes]) -> bool:
        """Send a message; ``False`` if an inproc broker went away since the socket was made."""
        self._frames = frames
        return self._dialing.socket is None or self._send(self._dialing.socket)

    async def receive(self, deadline: float) -> list[bytes] | None:
        """The next message, or ``None`` when none came until ``deadline`` on the monotonic clock.

        Also when the connection has ended.  After that, and when cancelled, the socket is half-used
        and must be closed.
        Raises :class:`~brigantine.errors.ClientClosed` when the socket is closed meanwhile.
        """
        if self._closed:
            raise ClientClosed("the client was closed while a stream was read")
        while True:
            over = self._dialing.over
            frames = await self._wait(deadline, zmq.DONTWAIT if over else 0)
            if frames is not None:
                self._heard_at = time.monotonic()
                return frames
            if over or time.monotonic() >= deadline:
                return None

    async def _wait(self, deadline: float, flags: int) -> list[bytes] | None:
        """A message, or ``None`` when something else has happened."""
        self._changed = changed = self._loop.create_future()
        socket = self._dialing.socket
        message: asyncio.Future[list[bytes]] | None = None
        if socket is not None:
            message = asyncio.ensure_future(socket.recv_multipart(flags))
        waits = [changed] if message is None else [changed, message]
        try:
            # Unlike wait_for, this can't lose a cancellation that comes at the same time.
            await asyncio.wait(
                waits,
                timeout=max(0.0, deadline - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if self._closed:
                raise ClientClosed("the client was closed while the request waited for its reply")
            if self._error is not None:
                raise self._error
            if message is None or not message.done() or message.cancelled():
                return None
            return message.result()
        except zmq.Again:
            return None  # it was no reply to a REQ socket, and libzmq threw it away
        finally:
            changed.cancel()
            if message is not None:
                message.cancel()

    @property
    def over(self) -> bool:
        """Whether its connection has ended, so that nothing more will come."""
        return self._dialing.over

    def sight(self) -> tuple[Sight, str]:
        """See :meth:`.channel.Channel.sight`."""
        return seen_by(self._dialing)

    def usable(self) -> bool:
        """Whether a request can be sent; if not, the channel is closed."""
        usable = False
        try:
            usable = can_send(self._dialing, self._heard_at)
        finally:
            if not usable:
                self.close()
        return usable

    def close(self) -> None:
        """Give the socket back; a request that waits in it is dropped.  May be called again."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._dialing.close()
        self._tell()


class LoopPool:
    """Idle channels by broker, and those that requests wait in.  Used on one event loop only."""

    def __init__(
        self,
        endpoints: Sequence[str],
        context: zmq.Context[Any] | None,
        stats: dict[str, int],
        kind: int,
        codec: Callable[[bytes], ClientCodec] | None,
        failover: type[Failover] = Failover,
    ) -> None:
        #: The loop and the process that its sockets belong to.
        self.loop = asyncio.get_running_loop()
        self.process = os.getpid()
        self._endpoints = endpoints
        try:
            self._own_context = make_context() if context is None else None
        except zmq.ZMQError as error:
            raise unreachable(endpoints[0], error) from error
        self._context: zmq.Context[Any] = context or self._own_context  # type: ignore[assignment]
        self._stats = stats
        self._known: Sockets = set()
        self._make = Maker(self._context, kind, self._known, KnownAsyncSocket)
        self._failover = failover(len(endpoints), self._watch)
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

    def next_broker(self, pending: PendingRequest) -> float:
        """Choose the broker of a request's next try; seconds to pause before it.

        Raises :class:`~brigantine.errors.NoReply` when it has none.
        """
        return self._failover.next_broker(pending, time.monotonic())

    def heard(self, pending: PendingRequest) -> None:
        """That request was answered by its broker."""
        now = time.monotonic()
        pending.heard(now)
        self._failover.answered(pending.broker, now)

    def abandoned(self, pending: PendingRequest) -> None:
        """That request has ended, whatever by."""
        self._failover.abandoned(pending)

    def should_leave(self, pending: PendingRequest) -> bool:
        """Look at the broker of a request that waits; whether another is better asked instead."""
        if self._closed:
            return False
        assert self._context is not None
        service = pending.service if pending.last else None
        self._witnesses.look(self._context, pending.broker, service)
        return self._failover.should_leave(
            pending, partial(self._witnesses.seen, pending.broker, None)
        )

    def gave_up(self, pending: PendingRequest, sight: Sight) -> None:
        """A try of that request is over, and there is no reply; its channel has seen that much."""
        now = time.monotonic()
        if sight is Sight.UNKNOWN:
            sight = self._witnesses.seen(pending.broker, pending.service)
        if pending.gave_up(now, sight):
            self.drop_idle(pending.broker)
            if not self._closed:
                self._failover.silent(pending.broker, pending.waiting_since, now)

    def add(self, broker: int) -> None:
        """One more to be asked: the next of ``endpoints``, or one that was removed."""
        if broker == len(self._idle):
            self._idle.append([])
        assert isinstance(self._failover, Balancer)
        self._failover.add(broker)

    def remove(self, broker: int) -> None:
        """That one is not asked any more; requests that it has in hand run on."""
        assert isinstance(self._failover, Balancer)
        self._failover.remove(broker)
        self.drop_idle(broker)

    def _watch(self, broker: int) -> SocketProbe | None:
        """Watch a silent broker from outside."""
        try:
            socket = self._context.socket(zmq.DEALER, partial(KnownSocket, known=self._known))
            return SocketProbe(socket, self._endpoints[broker])
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
        self._failover.began(broker)
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
        self._stats["sockets_opened"] += 1
        try:
            return AsyncChannel(self._make, endpoint)
        except zmq.ZMQError as error:
            if error.errno in CONTEXT_GONE:
                raise
            raise unreachable(endpoint, error) from error

    def give_back(self, broker: int, channel: AsyncChannel, *, clean: bool) -> None:
        """The request has ended; ``clean`` when its channel has nothing more to say."""
        self._busy.discard(channel)
        self._failover.ended(broker)
        clean = clean and self._failover.may_keep(broker)
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
        for broker in range(len(self._idle)):
            self.drop_idle(broker)
        self._failover.close()
        self._witnesses.close()
        while self._busy:
            self._busy.pop().close()
        # Also those that an exception out of the blue, such as Ctrl-C, cut loose.
        close_all(self._known)
        if self._own_context is not None:
            end_context(self._own_context, self._known)
