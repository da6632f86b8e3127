"""The sockets of one client in one process: who may use which, and how all of them end."""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import zmq

from ..errors import BrigantineError, ClientClosed, ConfigError
from ..net.contexts import KnownSocket, Sockets, close_all, end_context
from ..system.bell import Bell
from ..system.wakeup import Wakeup
from .channel import (
    CONTEXT_GONE,
    Channel,
    Maker,
    SocketProbe,
    make_context,
    unreachable,
)
from .codec import ClientCodec
from .failover import Balancer, Failover
from .pending import PendingRequest
from .sight import Sight
from .witness import Witnesses

__all__ = ["SocketPool"]

#: Idle sockets kept for one broker; more threads than this at once open sockets as they need them.
MAX_IDLE = 64
#: Seconds that close() waits for other threads to leave; they need microseconds, unless stopped.
CLOSE_PATIENCE = 5.0


class _Running:
    """A request that runs."""

    __slots__ = ("__weakref__", "thread")

    def __init__(self, thread: int) -> None:
        #: The identifier of the thread it runs in.
        self.thread = thread


class SocketPool:
    """Idle channels by broker, and the threads that are at work on the others.

    Every method may be called from any thread.  A socket changes hands under the lock, which is the
    memory barrier that libzmq asks for.  The lock is reentrant and :meth:`close` never waits for
    the thread that calls it, so a signal handler may close the client whatever it interrupted.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        context: zmq.Context[Any] | None,
        stats: Sequence[str],
        *,
        kind: int = zmq.REQ,
        codec: Callable[[bytes], ClientCodec] | None = None,
        closed: bool = False,
        failover: type[Failover] = Failover,
    ) -> None:
        self._endpoints = endpoints
        #: The type of the sockets: REQ, or DEALER.
        self._kind = kind
        self._given_context = context
        # Taken by itself, not through the condition: an exception out of the blue, such as Ctrl-C,
        # could strike within the condition's own code and leave the lock locked.
        self._lock = threading.RLock()
        #: For :meth:`close`, which waits until the requests have ended: it lets go of the lock however
        #: often a thread holds it, also where a signal handler has interrupted that.
        self._left = threading.Condition(self._lock)
        #: For those who wait until the client has ended.
        self._ended = Bell()
        self._stats = dict.fromkeys(stats, 0)
        #: Made at the first request, so that a client that is never used costs nothing.
        self._own_context: zmq.Context[Any] | None = None
        self._make: Maker | None = None
        self._wakeup: Wakeup | None = None
        self._known: Sockets = set()
        self._failover = failover(len(endpoints), self._watch)
        self._witnesses = Witnesses(endpoints, codec, self._known)
        #: Idle channels of each broker, the one used last at the end.
        self._idle: list[list[Channel]] = [[] for _ in endpoints]
        #: Channels of streams whose caller is at work on a part: no thread waits in them.
        self._set_aside: set[Channel] = set()
        #: The requests that run.  Weak, so that none stays for good however its thread left.
        self._inside: weakref.WeakSet[_Running] = weakref.WeakSet()
        self._closed = closed

    # -- brokers ------------------------------------------------------------------------------

    def next_broker(self, pending: PendingRequest) -> float:
        """Choose the broker of a request's next try; seconds to pause before it.

        Raises :class:`~brigantine.errors.NoReply` when it has none.
        """
        with self._lock:
            return self._failover.next_broker(pending, time.monotonic())

    def heard(self, pending: PendingRequest) -> None:
        """That request was answered by its broker."""
        now = time.monotonic()
        pending.heard(now)
        with self._lock:
            self._failover.answered(pending.broker, now)

    def abandoned(self, pending: PendingRequest) -> None:
        """That request was ended by something else than an answer or silence."""
        with self._lock:
            self._failover.abandoned(pending)

    def should_leave(self, pending: PendingRequest) -> bool:
        """Look at the broker of a request that waits; whether another is better asked instead."""
        context = self._given_context or self._own_context
        service = pending.service if pending.last else None
        with self._lock:
            if context is None or self._closed:
                return False
            self._witnesses.look(context, pending.broker, service)
            return self._failover.should_leave(
                pending, partial(self._witnesses.seen, pending.broker, None)
            )

    def gave_up(self, pending: PendingRequest, sight: Sight) -> None:
        """A try of that request is over, and there is no reply; its channel has seen that much."""
        now = time.monotonic()
        if sight is Sight.UNKNOWN:
            with self._lock:
                sight = self._witnesses.seen(pending.broker, pending.service)
        if not pending.gave_up(now, sight):
            return
        self.drop_idle(pending.broker)
        with self._lock:
            if not self._closed:
                self._failover.silent(pending.broker, pending.waiting_since, now)

    def held(self) -> contextlib.AbstractContextManager[Any]:
        """The time of a change of what is asked."""
        return self._lock

    def add(self, broker: int) -> None:
        """One more to be asked: the next of ``endpoints``, or one that was removed."""
        with self._lock:
            if broker == len(self._idle):
                self._idle.append([])
            assert isinstance(self._failover, Balancer)
            self._failover.add(broker)

    def remove(self, broker: int) -> None:
        """That one is not asked any more; requests that it has in hand run on."""
        with self._lock:
            assert isinstance(self._failover, Balancer)
            self._failover.remove(broker)
        self.drop_idle(broker)

    def _watch(self, broker: int) -> SocketProbe | None:
        """Watch a silent broker from outside."""
        context = self._given_context or self._own_context
        if context is None:
            return None
        try:
            socket = context.socket(zmq.DEALER, partial(KnownSocket, known=self._known))
            return SocketProbe(socket, self._endpoints[broker])
        except (zmq.ZMQError, BrigantineError):
            return None  # no sockets left, say: it has to be tried without

    # -- requests -----------------------------------------------------------------------------

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The time of one request: what it needs stays until it has left."""
        running = _Running(threading.get_ident())
        try:
            with self._lock:
                self.check_open()
                self._inside.add(running)
            yield
        except zmq.ZMQError as error:
            if self._closed or error.errno in CONTEXT_GONE:
                raise ClientClosed("the client's context was terminated") from error
            raise
        finally:
            with self._lock:
                self._inside.discard(running)
                if self._closed and not self._inside:
                    self._release()
                self._left.notify_all()

    def take(self, broker: int, *, fresh: bool) -> Channel:
        """A channel to that broker: a new one if ``fresh``, otherwise an idle one will do.

        To be called by a thread that has :meth:`entered`, and followed by :meth:`give_back`.
        """
        channel = (None if fresh else self._take_idle(broker)) or self._open(broker)
        with self._lock:
            self._failover.began(broker)
        return channel

    def give_back(self, broker: int, channel: Channel, *, clean: bool) -> None:
        """The request has ended; ``clean`` when its channel has nothing more to say."""
        with self._lock:
            self._failover.ended(broker)
            clean = clean and self._failover.may_keep(broker)
        if clean:
            self._keep(broker, channel)
            return
        with self._lock:
            self._set_aside.discard(channel)
        channel.close()

    def set_aside(self, channel: Channel) -> None:
        """Nobody waits in this channel for a while: from now on :meth:`close` closes it."""
        with self._lock:
            self._set_aside.add(channel)

    def take_up(self, channel: Channel) -> None:
        """Go on with it.  Raises :class:`~brigantine.errors.ClientClosed` if it was closed."""
        with self._lock:
            self.check_open()
            self._set_aside.discard(channel)

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end of the client."""
        if seconds > 0:
            self._ended.wait(lambda: self._closed, seconds)
        self.check_open()

    # -- the pool -----------------------------------------------------------------------------

    def _take_idle(self, broker: int) -> Channel | None:
        """An idle channel, if there is one."""
        with self._lock:
            return _first_usable(self._idle[broker])

    def _keep(self, broker: int, channel: Channel) -> None:
        """Keep a channel that has got its reply, or close it when nobody will want it."""
        with self._lock:
            self._set_aside.discard(channel)
            if not self._closed and len(self._idle[broker]) < MAX_IDLE:
                self._idle[broker].append(channel)
                return
        channel.close()

    def _open(self, broker: int) -> Channel:
        endpoint = self._endpoints[broker]
        with self._lock:
            self.check_open()
            context = self._given_context or self._own_context
            if context is None and endpoint.startswith("inproc://"):
                raise ConfigError(
                    f"{endpoint} can't be reached from a forked process: make a new client "
                    "here, for a tcp:// or ipc:// endpoint of the broker"
                )
            self._stats["sockets_opened"] += 1
            try:
                if self._wakeup is None:
                    self._wakeup = Wakeup()
                if context is None:
                    context = self._own_context = make_context()
                if self._make is None:
                    self._make = Maker(context, self._kind, self._known, KnownSocket)
            except (OSError, zmq.ZMQError) as error:
                raise unreachable(endpoint, error) from error
        try:
            return Channel(self._make, endpoint, self._wakeup)
        except zmq.ZMQError as error:
            if error.errno in CONTEXT_GONE:
                raise
            raise unreachable(endpoint, error) from error

    def drop_idle(self, broker: int) -> None:
        """Close the idle channels to a broker that was silent: they are as old and may be as dead."""
        with self._lock:
            _close_channels(self._idle[broker])

    # -- what can be seen, and the end --------------------------------------------------------

    def count(self, name: str) -> None:
        """Add one to a counter."""
        with self._lock:
            self._stats[name] += 1

    def stats(self) -> dict[str, int]:
        """All counters, and ``idle``: the sockets that wait for a request."""
        with self._lock:
            return {**self._stats, "idle": sum(map(len, self._idle))}

    def check_open(self) -> None:
        """Raises :class:`~brigantine.errors.ClientClosed` after :meth:`close`."""
        if self._closed:
            raise ClientClosed("the client is closed; make a new one")

    def close(self) -> None:
        """End every request that runs, and close all sockets.  May be called again."""
        me = threading.get_ident()
        with self._lock:
            self._closed = True
            if self._wakeup is not None:
                self._wakeup.set()
            self._ended.ring()
            self._close_unused_channels()
            self._failover.close()
            self._witnesses.close()
            self._left.wait_for(lambda: self._all_inside_are(me), CLOSE_PATIENCE)
            if not self._inside:
                self._release()

    def _close_unused_channels(self) -> None:
        for idle in self._idle:
            _close_channels(idle)
        _close_channels(self._set_aside)

    def _all_inside_are(self, thread: int) -> bool:
        return all(each.thread == thread for each in self._inside)

    def _release(self) -> None:
        """Give back what the requests shared; the last one out does it."""
        if self._wakeup is not None:
            self._wakeup.close()
        # Also those that an exception out of the blue, such as Ctrl-C, cut loose.
        close_all(self._known)
        if self._own_context is not None:
            end_context(self._own_context, self._known)


# No loop stands under a lock: an exception out of the blue at the end of its turn could leave it locked.


def _first_usable(idle: list[Channel]) -> Channel | None:
    while idle:
        channel = idle.pop()
        if channel.usable():
            return channel
    return None


def _close_channels(channels: list[Channel] | set[Channel]) -> None:
    while channels:
        channels.pop().close()
