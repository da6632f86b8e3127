"""The client of an AsyncServer, for threads."""

from __future__ import annotations

import contextlib
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

import zmq

from ..config import BrokerConfig, ClientConfig
from ..config.limits import MAX_SECONDS
from ..errors import ClientClosed, ConfigError, OptionName, WrongUse
from ..net.arguments import as_targets, patience, plain_context
from ..system.patched import refuse_patched
from ..system.signals import longest_wait
from ..validation.calls import ForThreads, called_rightly, public_name
from ..validation.values import flag, shown, whole
from ..wire.body import from_frames, request_frames
from .calls import Call, Outcome
from .client_thread import ClientThread

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["AsyncClient", "ClientBase"]


class ClientBase:
    """Base of the clients for threads and for asyncio: arguments, and the connection."""

    def __init__(
        self,
        server: str,
        timeout: float | None,
        max_request_bytes: int,
        on_session: Callable[[bool, int, str], object] | None,
        foreign: bool | None,
        delimiter: bool,
        context: zmq.Context[Any] | None,
    ) -> None:
        refuse_patched(public_name(type(self)))
        if not isinstance(server, str):
            raise WrongUse(
                OptionName("server"), f": a client has one endpoint, a string, not {shown(server)}"
            )
        (self._server,) = as_targets(server, "server", shared=context is not None)
        self._timeout = patience(timeout)
        self._most = whole("max_request_bytes", max_request_bytes, 1024, 1 << 40, "bytes")
        if on_session is not None and not callable(on_session):
            raise WrongUse(
                OptionName("on_session"), f" must be a function, or None, not {shown(on_session)}"
            )
        if foreign is not None:
            flag("foreign", foreign)
        flag("delimiter", delimiter)
        self._process = os.getpid()
        self._line = ClientThread(
            self._server, plain_context(context), on_session, foreign=foreign, delimiter=delimiter
        )
        self._finalizer = weakref.finalize(self, _close, self._line, self._process)
        self._line.start()

    @property
    def session(self) -> int:
        """The number of the session that the server keeps for this client; 0 while there is none."""
        return self._line.talk.session

    def stats(self) -> dict[str, int]:
        """Counters: see ``brigantine.servers.calls.STATS``."""
        return dict(self._line.stats)

    def __repr__(self) -> str:
        state = f"session={self.session}" if self._line.running else "closed"
        return f"<{public_name(type(self))} {self._server} {state}>"

    # -- inside -------------------------------------------------------------------------------

    def _call(
        self,
        body: bytes | Sequence[bytes],
        timeout: float | None,
        tell: Callable[[Outcome], object],
    ) -> Call:
        """Make a request."""
        frames = self._checked(body)
        now = time.monotonic()
        limit = self._timeout if timeout is None else patience(timeout)
        call = Call(frames, now, now + (MAX_SECONDS if limit is None else limit), tell)
        self._line.ask(call)
        return call

    def _forget(self, call: Call) -> None:
        """Nobody waits for it any more."""
        if not call.ended:
            with contextlib.suppress(ClientClosed):
                self._line.order(lambda _: self._line.talk.forget(call))

    def _checked(self, body: bytes | Sequence[bytes]) -> list[bytes]:
        if os.getpid() != self._process:
            raise ClientClosed(
                f"this client was made in process {self._process}, of which this one was forked; a child "
                "needs a client of its own"
            )
        frames = request_frames(body)
        size = sum(map(len, frames))
        if size > self._most:
            raise ConfigError(
                f"the request has {size} bytes; the limit is max_request_bytes={self._most}. Send less, or "
                "raise it and the server's max_message_bytes together"
            )
        return frames

    def _send(self, body: bytes | Sequence[bytes]) -> None:
        frames = self._checked(body)
        line = self._line

        def send(now: float) -> None:
            call = Call(frames, now, now + (line_timeout or MAX_SECONDS), _into_pushed(line))
            line.talk.ask(call, now)

        line_timeout = self._timeout
        line.order(send)


def _into_pushed(line: ClientThread) -> Callable[[Outcome], object]:
    """Replies to a message that nobody waits for are messages beside requests."""

    def tell(outcome: Outcome) -> None:
        if outcome.body:
            line.talk.take_push(outcome.body)
            line.ring()

    return tell


class AsyncClient(ClientBase, ForThreads):
    """Asks an :class:`~brigantine.AsyncServer`, with many requests in flight on one connection::

        with AsyncClient("tcp://127.0.0.1:5570") as client:
            reply = client.request(b"hello")
            futures = [client.submit(b"%d" % number) for number in range(100)]
            for part in client.stream(b"count to ten"):
                print(part)

    Any thread may use it.  Replies are matched by number, never by order; one that comes after its
    request has timed out is dropped.  The server keeps a session for this client, which begins with the
    connection and is kept open by heartbeats.  When it has ended, because the connection was lost or
    the server restarted, its requests raise :class:`~brigantine.errors.SessionLost`, and the next
    request is in a new session.

    - ``server``: the endpoint of the server.
    - ``timeout``: seconds for one request, or ``None`` for no limit.
    - ``on_session``: ``on_session(opened, number, why)`` is called in the client's own thread when a
      session begins or ends; it should be short, and start no process: signals are held back there.
    - ``foreign``: whether the server is another program, in any language, that answers each request.
      ``None`` finds this out at each connection, without a message.  Such a program gets requests
      unchanged, one after the other, and no heartbeats.  Through a queue device pass ``foreign=False``,
      since the device would be asked.
    - ``delimiter``: whether to send such a program the empty frame before each request.

    Raises :class:`~brigantine.errors.ConfigError` for an argument that can't work.
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

    def request(
        self, body: bytes | Sequence[bytes], *, timeout: float | None = None
    ) -> bytes | list[bytes]:
        """Send ``body`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        Several replies are returned as one, the frames of all in order; no reply is an empty list.

        Raises :class:`~brigantine.errors.NoReply` when the last one has not come within ``timeout``
        seconds, or one of its subclasses :class:`~brigantine.errors.SessionLost`,
        :class:`~brigantine.errors.Busy` and :class:`~brigantine.errors.Expired`;
        :class:`~brigantine.errors.WorkerFailed` when the handler raised;
        :class:`~brigantine.errors.ClientClosed` when this client is closed.
        """
        frames = [frame for part in self._parts(body, timeout) for frame in part]
        return from_frames(frames)

    def stream(
        self, body: bytes | Sequence[bytes], *, timeout: float | None = None
    ) -> Iterator[bytes | list[bytes]]:
        """Yield the replies to one request as they arrive.  Raises what :meth:`request` raises."""
        for part in self._parts(body, timeout):
            yield from_frames(part)

    def submit(
        self, body: bytes | Sequence[bytes], *, timeout: float | None = None
    ) -> Future[bytes | list[bytes]]:
        """:meth:`request` without waiting: returns a ``concurrent.futures.Future`` of the reply."""
        future: Future[bytes | list[bytes]] = Future()
        frames: list[bytes] = []

        def tell(outcome: Outcome) -> None:
            frames.extend(outcome.body or ())
            if outcome.last and future.set_running_or_notify_cancel():
                if outcome.error is not None:
                    future.set_exception(outcome.error)
                else:
                    future.set_result(from_frames(frames))

        self._call(body, timeout, tell)
        return future

    def send(self, body: bytes | Sequence[bytes]) -> None:
        """Send a message whose replies are read with :meth:`receive`."""
        self._send(body)

    def receive(self, timeout: float | None = None) -> bytes | list[bytes] | None:
        """The next message that is no reply to a request, or ``None`` if none came in ``timeout`` seconds.

        Raises :class:`~brigantine.errors.ClientClosed` when this client is closed.
        """
        line, limit = self._line, patience(timeout)
        line.came.wait(lambda: line.talk.pushed or not line.running or line.closing, limit)
        try:
            return from_frames(line.talk.pushed.popleft())
        except IndexError:
            if line.closing or not line.running:
                raise ClientClosed(f"the client of {self._server} is closed") from None
            return None

    def close(self) -> None:
        """Leave: the server closes the session, and waiting requests raise ClientClosed.

        May be called from any thread, and again.
        """
        if os.getpid() == self._process:
            self._line.close()
            self._finalizer.detach()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _parts(self, body: bytes | Sequence[bytes], timeout: float | None) -> Iterator[list[bytes]]:
        self._warn_in_coroutine("request")
        came: SimpleQueue[Outcome] = SimpleQueue()
        call = self._call(body, timeout, came.put)
        longest = longest_wait()
        try:
            while True:
                try:
                    outcome = came.get(timeout=longest)
                except Empty:
                    continue
                if outcome.error is not None:
                    raise outcome.error
                if outcome.body:
                    yield outcome.body
                if outcome.last:
                    return
        finally:
            self._forget(call)


def _close(line: ClientThread, process: int) -> None:
    if os.getpid() == process:
        line.close()
