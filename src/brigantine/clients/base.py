"""Base of the clients for threads: several brokers, a pool of sockets, and closing."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from ..config import ClientConfig
from ..config.client import LazyPirateOptions
from ..config.given import TakesOptions
from ..errors import ClientClosed
from ..net.arguments import as_targets, plain_context
from ..net.backoff import Backoff
from ..system.patched import refuse_patched
from ..validation.calls import ForThreads, called_rightly, public_name
from ..wire.body import from_frames
from .codec import ClientCodec, Reply, Says
from .counters import STATS, ending
from .failover import Failover
from .failure import checked
from .limits import Limits
from .pending import PendingRequest
from .pool import SocketPool

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["ClientBase"]


class ClientBase(ForThreads, TakesOptions):
    """Base of the clients that threads call: pools, fork, close, and driving a :class:`PendingRequest`."""

    #: The type of its sockets.
    _kind: ClassVar[int]
    #: Counter -> meaning.
    _stats: ClassVar[dict[str, str]] = STATS
    #: Which broker is asked.
    _failover: ClassVar[type[Failover]] = Failover
    #: What its brokers are called.
    _what: ClassVar[str] = "brokers"
    #: How a service is asked, where the protocol has any.
    _service_codec: Callable[[bytes], ClientCodec] | None = None

    _table = ClientConfig
    _takes: ClassVar[type] = LazyPirateOptions

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        context: zmq.Context[Any] | None = None,
        config: ClientConfig | None = None,
        **options: Unpack[LazyPirateOptions],
    ) -> None:
        refuse_patched(public_name(type(self)))
        self._brokers: Sequence[str] = as_targets(brokers, self._what, shared=context is not None)
        self.config = self._configured(ClientConfig, config, options)
        self._limits = Limits(self.config)
        self._closed = False
        # A context and its sockets don't survive a fork: each process gets a pool of its own.
        self._pools = {os.getpid(): self._new_pool(plain_context(context))}
        self._finalizer = weakref.finalize(self, _close, self._pools)

    def _new_pool(self, context: zmq.Context[Any] | None) -> SocketPool:
        return SocketPool(
            self._brokers,
            context,
            tuple(self._stats),
            kind=self._kind,
            codec=self._service_codec,
            closed=self._closed,
            failover=self._failover,
        )

    def _pool(self) -> SocketPool:
        """The pool of this process.  Takes no lock, which a fork could have left locked."""
        process = os.getpid()
        pool = self._pools.get(process)
        if pool is None:
            # Of threads that get here at once, setdefault lets one win; a pool is empty until used.
            pool = self._pools.setdefault(process, self._new_pool(None))
        return pool

    @classmethod
    def options(cls, **options: Unpack[LazyPirateOptions]) -> ClientConfig:
        """The limits of such a client with these options, and its defaults for all others."""
        return cls._configured(ClientConfig, None, options)

    # -- driving a pending ---------------------------------------------------------------------

    def _pending(
        self,
        codec: ClientCodec,
        frames: list[bytes],
        timeout: float | None,
        retries: int | None,
        *,
        stream: bool = False,
    ) -> PendingRequest:
        limits = self._limits
        pending = PendingRequest(
            codec,
            frames,
            self._brokers,
            timeout=limits.timeout(timeout),
            retries=limits.retries(retries, len(self._brokers)),
            backoff=Backoff(limits.backoff, limits.backoff_max),
            stream=stream,
        )
        limits.check_size(pending.frames)
        return pending

    def _ask(self, pending: PendingRequest) -> bytes | list[bytes]:
        """The one reply to a request that is no stream."""
        self._warn_in_coroutine("request")
        pool = self._pool()
        with pool.entered():
            pool.count("requests")
            end = "interrupted"
            try:
                (reply,) = self._replies(pool, pending)
                body = from_frames(checked(reply, pending.service).body)
                end = "replies"
            except BaseException as error:
                end = ending(error)
                raise
            finally:
                pool.count(end)
        return body

    def _parts(self, pending: PendingRequest) -> Generator[bytes | list[bytes], None, None]:
        """The replies to a stream, as they come.

        Between two of them the caller is not inside the pool, so a stream that is left half read
        keeps nobody from closing the client.
        """
        pool, process = self._pool(), os.getpid()
        replies = self._replies(pool, pending)
        with pool.entered():
            pool.count("requests")
        end = "interrupted"
        try:
            while True:
                if os.getpid() != process:
                    raise ClientClosed("a stream can't be read on in a forked process; ask again")
                with pool.entered():
                    reply = next(replies, None)
                if reply is None:
                    break
                body = from_frames(checked(reply, pending.service).body)
                if reply.says is Says.FINAL:
                    end = "replies"
                if not pending.only_ends(reply):
                    yield body
        except BaseException as error:
            if end != "replies":
                end = ending(error)
            raise
        finally:
            # In a forked child the pool is the parent's, and so are the sockets.
            if os.getpid() == process:
                replies.close()
                pool.count(end)

    def _replies(self, pool: SocketPool, pending: PendingRequest) -> Generator[Reply, None, None]:
        """Try brokers one after the other until one has answered; the last reply is the FINAL."""
        answered, process = False, os.getpid()
        try:
            while not answered:
                pool.pause(pool.next_broker(pending))
                pool.count("tries")
                answered = yield from self._one_try(pool, pending)
                if not answered:
                    pool.gave_up(pending, pending.sight)
        except BaseException:
            if os.getpid() == process:  # see _parts
                pool.abandoned(pending)
            raise

    def _one_try(self, pool: SocketPool, pending: PendingRequest) -> Generator[Reply, None, bool]:
        """Ask one broker and yield its replies; whether a FINAL was among them."""
        process = os.getpid()
        channel = pool.take(pending.broker, fresh=pending.fresh)
        last: Reply | None = None
        try:
            pending.sent(time.monotonic())
            waits = channel.send(pending.frames)
            while waits and last is None:
                frames = channel.receive(pending.until)
                if (
                    frames is None
                    and not channel.over
                    and pending.wait_on()
                    and not pool.should_leave(pending)
                ):
                    continue
                if frames is None:
                    return False
                reply = pending.receive(frames)
                if reply.says.heard:
                    pool.heard(pending)
                if reply.says is not Says.FINAL:
                    pool.count(reply.says.value)
                if reply.says.ends:
                    last = reply
                elif reply.says is Says.PARTIAL and pending.stream:
                    pool.park(channel)
                    yield reply
                    pool.unpark(channel)
                    pending.resumed(time.monotonic())
                elif time.monotonic() >= pending.deadline:
                    return False  # junk without end is silence, too
        finally:
            if os.getpid() == process:  # see _parts
                pending.saw(*channel.sight())
                pool.give_back(pending.broker, channel, clean=last is not None)
        if last is None or last.says is Says.ERROR:
            return False
        yield last
        return True

    # -- what it is, and its end --------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """Counters of this process, and the gauge ``idle``: open sockets without a request.

        requests, replies, worker_failed, no_reply, no_service, busy, expired, interrupted, tries,
        error_answers, sockets_opened; clients of Majordomo also parts, drop_malformed and
        drop_unexpected.  At rest ``requests == replies + worker_failed + no_reply + no_service +
        busy + expired + interrupted``.
        """
        return self._pool().stats()

    def close(self) -> None:
        """Close all sockets.  Requests in other threads raise ClientClosed at once.

        May be called again, from any thread and from a signal handler.  In a forked child it
        closes the child's own sockets only.
        """
        self._closed = True
        self._pool().close()

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.ClientClosed` after :meth:`close`."""
        self._pool().check_open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} {state} {self._what}={','.join(self._brokers)}>"


def _close(pools: dict[int, SocketPool]) -> None:
    """Close a client that was forgotten: run by the garbage collector, or when Python exits."""
    pool = pools.get(os.getpid())
    if pool is not None:
        pool.close()
