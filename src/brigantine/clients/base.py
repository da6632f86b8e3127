"""Base of the clients for threads: several brokers, a pool of sockets, and closing."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import zmq

from ..errors import ClientClosed
from ..validation.calls import ForThreads
from ..wire.body import from_frames
from .codec import Reply, Says
from .common import CommonClient
from .counters import ending
from .failure import checked
from .pending import PendingRequest
from .pool import SocketPool

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ClientBase"]


class ClientBase(ForThreads, CommonClient):
    """Base of the clients that threads call: pools, fork, close, and driving a :class:`PendingRequest`."""

    def _begin(self, context: zmq.Context[Any] | None) -> None:
        # A context and its sockets don't survive a fork: each process gets a pool of its own.
        self._pools = {os.getpid(): self._new_pool(context)}
        self._finalizer = weakref.finalize(self, _close, self._pools)

    def _new_pool(self, context: zmq.Context[Any] | None) -> SocketPool:
        return SocketPool(
            self._brokers,
            context,
            tuple(self._names),
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

    # -- driving a request ---------------------------------------------------------------------

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
                    pool.set_aside(channel)
                    yield reply
                    pool.take_up(channel)
                    pending.resumed(time.monotonic())
                elif time.monotonic() >= pending.deadline:
                    return False  # junk without end is silence, too
        finally:
            if os.getpid() == process:  # see _parts
                try:
                    pending.saw(*channel.sight())
                finally:
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


def _close(pools: dict[int, SocketPool]) -> None:
    """Close a client that was forgotten: run by the garbage collector, or when Python exits."""
    pool = pools.get(os.getpid())
    if pool is not None:
        pool.close()
