"""Base of the servers: a ROUTER served by its own loop, and handlers in other threads."""

from __future__ import annotations

import contextlib
import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, cast

import zmq

from .._impl import chosen, implementation
from ..config import BrokerConfig
from ..config.limits import LINGER
from ..config.protocols import Protocol
from ..config.servers import WORKERS_RANGE, ServerConfig
from ..control.server import Answer, before_the_end, pack
from ..errors import OptionName, WrongUse
from ..net.arguments import patience
from ..net.closing import closing
from ..net.endpoints import as_endpoints, bind
from ..net.overlap import check_distinct
from ..net.sockets import HANDSHAKES, server_router, watch_connections
from ..notices.lookalikes import Here
from ..runtime.handle import LoopHandle
from ..system.signals import signal_mask
from ..validation.calls import public_name
from ..validation.values import shown, whole
from ..wire import server as wire
from ..wire.loop import DRAIN, STOP
from ..workers.kinds import is_async, mistake_in, name_of
from ..workers.reply import ReplyLimits
from .handling import Handling
from .inproc import forget, remember

__all__ = ["Server"]

#: Callbacks for the beginning and end of a session: see Sessions.
TELLS_KNOWN, TELLS_ALL, TELLS_NONE = 0, 1, 2


class Server(LoopHandle):
    """A ROUTER for clients, and handlers in the same process.

    Which ones, and how they are called, say :class:`~brigantine.AsyncServer` and
    :class:`~brigantine.ThreadedServer`.
    """

    what = "server"
    #: Arguments of a handler, in words.
    _takes: ClassVar[tuple[int, str]]

    def __init__(
        self,
        frontend: str | Sequence[str],
        handler: Callable[..., Any],
        workers: int,
        tells: int,
        impl: Literal["core", "pure"] | str | None,
        context: zmq.Context[Any] | None,
        control: str | Sequence[str] | None,
        config: ServerConfig,
    ) -> None:
        self.config = config
        check_handler(handler, *self._takes)
        self._check_kind(handler)
        self._handler = handler
        self._workers = workers
        self._tells = tells
        #: The handlers' threads begin as this one would start them, not as the loop's thread does.
        self._signals = signal_mask()
        super().__init__(chosen(impl), context, self.config.io_threads, control)
        rooms = implementation(self.impl)
        self._loop_class = rooms.ServerLoop
        self._wanted = as_endpoints(frontend, "frontend")
        check_distinct(frontend=self._wanted, control=self._controls_wanted)
        limits = ReplyLimits(self.config.max_message_bytes, self.config.max_frames)
        self._handling = Handling(rooms.Handoff(), limits, self.config.max_message_bytes)
        #: Tells this run of the server from every other.
        self.epoch = os.urandom(wire.EPOCH_BYTES)
        #: In the order they were made, and where the first is bound.
        self._made: list[zmq.Socket[bytes]] = []
        self._bound: list[tuple[zmq.Socket[bytes], str]] = []

    # -- what it is ---------------------------------------------------------------------------

    def stats(self) -> dict[str, int]:
        """All counters by name (see :data:`brigantine.SERVER_COUNTERS`), also after the server has stopped.

        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child, where no server runs.
        Never waits for the loop, and the ledger always holds:
        ``accepted == replied + queued + in_flight + shed + failed``.
        """
        stats = super().stats()
        stats["connections_unheard"] = 0 if self._loop is None else self._loop.unheard
        stats["handler_errors"] = self._handling.errors
        stats |= self._thread_counts()
        return stats

    # -- how it ends --------------------------------------------------------------------------

    def drain(self, timeout: float | None = None) -> bool:
        """Shed new requests, finish accepted ones, then stop.  Returns whether all were finished in time.

        ``timeout`` is how many seconds to wait here.  The server itself stops after
        ``config.drain_timeout`` at the latest; unfinished requests are counted as failed_stopped.
        A signal handler may call it, see :meth:`stop`.
        Raises :class:`~brigantine.errors.BrokerStopped` in a forked child, and
        :class:`~brigantine.errors.WrongUse` in a handler, for which it would wait; with ``timeout=0`` a
        handler may begin to drain.
        """
        if patience(timeout) != 0 and self._in_handler():
            raise no_wait_in_handler("drain")
        self._line.refuse_in_child()
        self._end_with(DRAIN)
        if timeout is None:
            timeout = self.config.drain_timeout + 4 * LINGER + 1.0
        return self._join(timeout) and self.stats()["failed_stopped"] == 0

    def stop(self) -> None:
        """Stop now.  Waiting requests fail; a running handler has a second to finish.

        Every session is closed then.  May be called from any thread and from a signal handler.  If the
        signal handler has interrupted another method of the same server, which continues only when it
        returns, the server is told to stop but not waited for.  A handler may call it, and is not waited
        for.  In a forked child this does nothing: the server belongs to the parent.
        """
        if self._in_handler():
            self._end_with(STOP)
            return
        super().stop()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; returns whether it has.

        In a signal handler that has interrupted another method of the same object it does not wait.
        Raises :class:`~brigantine.errors.BrokerStopped` when its loop ended with an error, and
        :class:`~brigantine.errors.WrongUse` in a handler, for which it would wait.
        """
        if patience(timeout) != 0 and self._in_handler():
            raise no_wait_in_handler("join")
        return super().join(timeout)

    # -- what a subclass says -----------------------------------------------------------------

    @abstractmethod
    def _check_kind(self, handler: Callable[..., Any]) -> None:
        """Raise :class:`~brigantine.errors.WrongUse` for a handler that another class takes."""

    @abstractmethod
    def _begin_handlers(self) -> None:
        """Have tasks taken from the handoff.  In the loop's thread."""

    @abstractmethod
    def _end_handlers(self) -> None:
        """There are no more tasks; wait a moment for those that take them."""

    @abstractmethod
    def _in_handler(self) -> bool:
        """Whether the caller is a handler of this server."""

    @abstractmethod
    def _thread_counts(self) -> dict[str, int]:
        """``threads``, ``threads_replaced`` and ``threads_hung``."""

    # -- inside -------------------------------------------------------------------------------

    def _open(self) -> Any:
        router = server_router(
            self._context, cast(BrokerConfig, self.config), f"{wire.PROPERTY}:{wire.PROPERTY_VALUE}"
        )
        self._made.append(router)
        control = self._context.socket(zmq.PAIR)
        self._made.append(control)
        control.rcvhwm = 0  # see LoopLine
        control.connect(self._line.endpoint)
        self._line.begin()
        monitor = watch_connections(router, HANDSHAKES)
        self._made.append(monitor)
        for endpoint in self._wanted:
            self._bound.append((router, bind(router, endpoint)))
            remember(self._context, self._bound[-1][1])
        self.frontends = tuple(endpoint for _, endpoint in self._bound)
        self._bind_control(cast(BrokerConfig, self.config))
        loop = self._loop_class(
            router, control, self.config, self.epoch, self._handling.handoff, self._workers, self._tells,
            monitor, self._notices.queue, self._reserve,
        )  # fmt: skip
        self._begin_handlers()
        return loop

    def _close(self) -> None:
        self._handling.handoff.finish()  # where the loop has not come to do so
        self._end_handlers()
        for _, endpoint in self._bound:
            forget(self._context, endpoint)
        with closing(self._context, self._bound, shared=not self._own_context):
            if self._made:
                with contextlib.suppress(zmq.ZMQError):  # the program has terminated the context
                    self._made[0].disable_monitor()
            for socket in reversed(self._made):
                socket.close()

    def _here(self) -> Here:
        return Here(self.frontends, (), Protocol(0))

    def _commands(self) -> Mapping[bytes, Callable[[], Answer]]:
        def ends(command: bytes) -> Answer:
            return before_the_end(
                self.stats(), self.config.drain_timeout, lambda: self._end_with(command)
            )

        return {
            b"stats": lambda: Answer(pack(self.stats())),
            b"drain": lambda: ends(DRAIN),
            b"stop": lambda: ends(STOP),
        }


def check_handler(handler: Any, arguments: int, words: str) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` for what can't be called so."""
    if not callable(handler):
        raise WrongUse(OptionName("handler"), f" must be a function, not {shown(handler)}")
    if (mistake := mistake_in(handler, arguments)) is not None:
        raise WrongUse(
            OptionName("handler"),
            f" must be a function of {words}; {name_of(handler)!r} can't be called so: {mistake}",
        )


def check_callback(name: str, callback: Any) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` for what is no function of a session."""
    if callback is None:
        return
    if not callable(callback):
        raise WrongUse(
            OptionName(name), f" must be a function of a session, or None, not {shown(callback)}"
        )
    if (mistake := mistake_in(callback)) is not None:
        raise WrongUse(
            OptionName(name),
            f" must be a function of one argument, the session; {name_of(callback)!r} can't be "
            f"called so: {mistake}",
        )


def check_plain(kind: type, handler: Any) -> None:
    """Raise :class:`~brigantine.errors.WrongUse` for a coroutine function, where threads call it."""
    if is_async(handler):
        raise WrongUse(
            f"{public_name(kind)} calls plain functions in threads, not the async function "
            f"{name_of(handler)!r}; brigantine.aio.AsyncServer is for these"
        )


def no_wait_in_handler(call: str) -> WrongUse:
    """What a handler is told that calls it."""
    return WrongUse(
        f"{call}() in a handler of the same server would wait for that handler, and it for {call}(); "
        "stop() and drain(timeout=0) don't wait there"
    )


def count_of(name: str, value: int) -> int:
    """How many threads or tasks."""
    return whole(name, value, *WORKERS_RANGE)
