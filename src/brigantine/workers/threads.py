"""How workers for threads run and stop: one thread for each handler that may run."""

from __future__ import annotations

import atexit
import inspect
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import OptionName, WrongUse
from ..net.arguments import patience
from ..runtime.reentrancy import ReentrancyGuard
from ..system.background import Background
from ..validation.calls import ForThreads
from ..wire.body import from_frames
from .base import Worker
from .io_thread import RequestT, WorkerIO
from .kinds import is_async, is_generator, name_of

__all__ = ["ThreadWorker"]

if TYPE_CHECKING:
    from typing_extensions import Self

_log = logging.getLogger("brigantine.worker")


class ThreadWorker(Worker[RequestT], ForThreads):
    """A worker whose handler is a plain function."""

    #: Whether the handler may be a generator function.
    _takes_generators: ClassVar[bool] = False
    _thread: Background | None = None
    #: Threads beside the one that serves.
    _helpers: Sequence[Background] = ()
    #: Who is in :meth:`run`, once somebody was.
    _runners: ReentrancyGuard | None = None

    # -- how it runs --------------------------------------------------------------------------

    def run(self) -> None:
        """Serve in this thread until :meth:`stop`; return at once if that was called before.

        Ctrl-C ends it with KeyboardInterrupt, without replies to the requests that the handlers hold.
        Whatever ends it, its sockets are closed afterwards.

        Raises :class:`~brigantine.errors.ConnectError` when it can't begin to connect, and
        ``RuntimeError`` when this worker was run before.
        """
        self._warn_in_coroutine("run")
        self._claim()
        self._runners = ReentrancyGuard()
        with self._runners.inside():
            self._serve()

    def start(self) -> Self:
        """:meth:`run` in a background thread, which does not keep the program from ending.

        Returns when a broker has confirmed this worker, or after ``ready_timeout`` seconds: the broker
        may come later.  The log says which brokers have not confirmed it.  Raises ``RuntimeError`` when
        this worker was run before.
        """
        self._claim()
        self._thread = Background(self._serve_and_log, "brigantine-worker")
        try:
            self._thread.start()
            self._readiness.wait(1, self.config.ready_timeout)
        except BaseException:  # such as Ctrl-C: nobody may have this worker to stop it
            self.stop()
            raise
        self._log_missing()
        return self

    def wait_ready(self, timeout: float | None = None, brokers: int = 1) -> int:
        """Wait until this many brokers have confirmed the worker; return how many have.

        A broker of PPP or MDP has confirmed it by sending anything since READY (brigantine's do so at once,
        others with their first heartbeat or request).  A broker of REQ workers, whose protocol has no
        answer to READY, has confirmed it once the connection is established.

        Raises :class:`~brigantine.errors.NotReady`, a ``TimeoutError``, when they have not within
        ``timeout`` seconds (``None``: it waits for ever), or when this worker has ended.
        """
        self._expect(brokers)
        patience(timeout)
        if not self._readiness.wait(brokers, timeout):
            raise self._readiness.error(repr(self), brokers, timeout)
        return self._readiness.confirmed

    def stop(self) -> None:
        """Finish the requests that the handlers hold, send their replies, and take no others.

        May be called again, from any thread.  After :meth:`start` it waits until the worker has ended,
        unless the handler itself calls it.  It does not wait for :meth:`run` to return, so a signal
        handler may call it then.
        """
        if not self._tell_to_stop() or self._in_own_thread():
            return
        if self._thread is not None:
            self._thread.wait()
        elif self._io is not None and self._runners is not None and not self._runners.going_on:
            self._io.cut()  # nobody is left in run(), which an exception kept from doing it

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # -- inside -------------------------------------------------------------------------------

    def _check_kind(self, handler: Callable[[Any], Any]) -> None:
        if is_async(handler):
            raise WrongUse(
                OptionName("handler"),
                f" must be a plain function, not the async function {name_of(handler)!r}; "
                f"brigantine.aio.{type(self).__name__} is for these",
            )
        if is_generator(handler) and not self._takes_generators:
            raise WrongUse(
                OptionName("handler"),
                f" must be a plain function, not the generator function {name_of(handler)!r}: "
                f"the workers of PPP and MDP take these, {type(self).__name__} does not",
            )

    def _in_own_thread(self) -> bool:
        threads = (*self._helpers, self._thread)
        return any(thread is not None and thread.current for thread in threads)

    def _serve_and_log(self) -> None:
        try:
            self._serve()
        except BaseException:
            # Nobody waits for this thread's exception; without a word the service would be gone.
            _log.critical("%r has ended", self, exc_info=True)

    def _serve(self) -> None:
        try:
            io = self._make_io()
        except BaseException:
            self._readiness.end()
            raise
        # A program may end while a background thread is in the handler: the connection is closed
        # then, the handler is not waited for.
        atexit.register(io.cut)
        try:
            self._io = io
            if self._stopping:  # stop() came before there was anything to stop
                return
            io.start()
            self._helpers = [
                Background(partial(self._help, io), f"brigantine-worker-{n}")
                for n in range(1, self._capacity)
            ]
            for helper in self._helpers:
                helper.start()
            self._work(io)
            for helper in self._helpers:
                helper.wait()  # it has nothing in hand
        finally:
            io.cut()
            atexit.unregister(io.cut)
            self._readiness.end()

    def _work(self, io: WorkerIO[RequestT, Any]) -> None:
        while (request := io.next_request()) is not None:
            try:
                body = self._reply(io, request, self._handler(from_frames(request.body)))
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException as error:  # also CancelledError, of an event loop in the handler
                body = self._failed(error)
            self._leave_child()
            io.answer(request, body)

    def _refuse_awaitable(self, value: Any) -> None:
        """Raise ``TypeError`` for what a handler in asyncio's clothes, but not marked so, returns."""
        if inspect.isawaitable(value):
            if inspect.iscoroutine(value):
                value.close()
            raise TypeError(
                f"the handler has returned {type(value).__name__!r}, which is to be awaited; "
                f"brigantine.aio.{type(self).__name__} is for handlers that are coroutine functions"
            )

    def _help(self, io: WorkerIO[RequestT, Any]) -> None:
        try:
            self._work(io)
        except BaseException as error:  # what ends one thread ends the worker
            io.fail(error)

    def _reply(self, _io: WorkerIO[RequestT, Any], _request: RequestT, value: Any) -> list[bytes]:
        """The frames that end the reply, from what the handler has returned."""
        self._refuse_awaitable(value)
        return self._limits.as_reply(value)
