"""A loop in a thread of its own, and the handle that the rest of the program holds."""

from __future__ import annotations

import itertools
import os
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from .._impl import implementation
from ..config import BrokerConfig
from ..control.server import Answer, ControlServer, pack
from ..errors import BrokerStopped
from ..net.accepting import Accepting
from ..net.arguments import patience, plain_context
from ..net.descriptors import DescriptorReserve
from ..net.endpoints import as_control_endpoints
from ..notices.kinds import Notice, level, pack_notice
from ..notices.log import NoticeLog
from ..notices.lookalikes import Here
from ..system.background import Background
from ..system.bell import Bell
from ..system.forks import close_bound, leave_to_parent
from ..system.patched import refuse_patched
from ..system.scheduling import let_others_finish
from ..system.signals import leave_signals_to_main_thread
from ..validation.calls import ForThreads
from ..wire.loop import STOP
from .pipe import LoopLine

__all__ = ["LoopHandle"]

if TYPE_CHECKING:
    from typing_extensions import Self

#: Tells loops apart for as long as their context may remember their endpoints, as id() would not.
_numbers = itertools.count()


class LoopHandle(ForThreads, ABC):
    """What brokers and devices have in common: it runs from construction until :meth:`stop`.

    Whoever derives from it calls :meth:`_start` at the end of the constructor.
    """

    #: What it is, in the words of errors.
    what: ClassVar[str]

    def __init__(
        self,
        impl: str,
        context: zmq.Context[Any] | None,
        io_threads: int,
        control: str | Sequence[str] | None,
    ) -> None:
        refuse_patched(type(self).__name__)
        self.impl = impl
        context = plain_context(context)
        self._own_context = context is None
        self._controls_wanted = () if control is None else as_control_endpoints(control, "control")
        self._io_threads = io_threads
        self._context: zmq.Context[Any]
        if context is not None:
            self._context = context
        #: Real endpoints, in the order they were given.
        self.frontends: tuple[str, ...] = ()
        self.backends: tuple[str, ...] = ()
        self.controls: tuple[str, ...] = ()
        self._loop: Any = None
        self._error: BaseException | None = None
        #: The sockets are bound, or that has failed: what the constructor waits for.
        self._up = False
        self._changed = Bell()
        self._told_to_end = False
        self._server: ControlServer | None = None
        self._notices = NoticeLog(
            implementation(impl).NoticeQueue, f"brigantine.{self.what}", self._here
        )
        self._reserve = DescriptorReserve(self._endpoints, self._notice)
        self._accepting = Accepting(self._reserve, self._notice)

    def _start(self) -> None:
        """Start the thread, and wait until the sockets are bound.  Raises what that raises.

        All that must be given back is made by the thread, which no exception out of the blue strikes.
        """
        self._thread = Background(self._serve, f"brigantine-{self.what}")
        #: Is in the names of the loop's inproc endpoints.
        self._name = f"{os.getpid()}-{next(_numbers)}"
        endpoint = f"inproc://brigantine-control-{self._name}"
        self._line = LoopLine(endpoint, self._thread, self.what)
        self._finalizer = weakref.finalize(self, _shut_down, self._line, self._thread)
        try:
            self._thread.start()
            leave_to_parent(self._in_child)
            self._changed.wait(lambda: self._up)
            if self._error is not None:
                raise self._error
        except BaseException:  # also Ctrl-C: nobody gets this handle
            self.stop()
            raise

    # -- what it is ---------------------------------------------------------------------------

    @property
    def frontend(self) -> str:
        """The real endpoint of the frontend (the first, when there are several)."""
        return self.frontends[0]

    @property
    def backend(self) -> str:
        """The real endpoint of the backend (the first, when there are several)."""
        return self.backends[0] if self.backends else self.frontend

    @property
    def control(self) -> str | None:
        """The real endpoint for control (the first, when there are several); ``None`` without one."""
        return self.controls[0] if self.controls else None

    @property
    def running(self) -> bool:
        """Whether the loop runs."""
        return self._thread.running

    @property
    def told_to_end(self) -> bool:
        """Whether somebody asked for the end, here or on the control endpoint."""
        return self._told_to_end

    def stats(self) -> dict[str, int]:
        """All counters by name, also after the end.  Never waits for the loop."""
        self._line.refuse_in_child()
        with self._line.guard.inside():
            stats: dict[str, int] = self._loop.stats()
        stats["connections_rejected"] = self._reserve.rejected
        stats["accepts_failed"] = self._accepting.failed
        if self._server is not None:
            stats["control_requests"] = self._server.requests
            stats["drop_control"] = self._server.dropped
        return stats

    # -- how it ends --------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop now.

        From any thread, and from a signal handler.  Where this has interrupted another method of the
        same object, which goes on only when the handler returns, the loop is told and not waited for.
        In a forked child it does nothing: the loop is the parent's.
        """
        self._end_with(STOP)
        self._join(None)

    def join(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most ``timeout`` seconds; returns whether it has.

        In a signal handler that has interrupted another method of the same object it does not wait.
        Raises :class:`~brigantine.errors.BrokerStopped` when its loop ended with an error.
        """
        ended = self._join(patience(timeout))
        if ended and self._error is not None:
            raise BrokerStopped(f"the {self.what} ended with {self._error!r}") from self._error
        return ended

    def __enter__(self) -> Self:
        """Raises :class:`~brigantine.errors.BrokerStopped` when it has ended, or is told to."""
        if self._told_to_end or not self.running:
            raise BrokerStopped(
                f"this {self.what} has been stopped and can't be started again; make a new "
                f"{type(self).__name__} for each `with`"
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = "running" if self.running else "stopped"
        sides = [f"frontend={','.join(self.frontends)}"]
        if self.backends or not self.frontends:
            sides.append(f"backend={','.join(self.backends)}")
        return f"<{type(self).__name__} {self.impl} {state} {' '.join(sides)}>"

    # -- inside -------------------------------------------------------------------------------

    @abstractmethod
    def _open(self) -> Any:
        """The loop, with its sockets; the line has begun.  In the loop's thread."""

    @abstractmethod
    def _close(self) -> None:
        """Close what :meth:`_open` made, however far that came."""

    @abstractmethod
    def _commands(self) -> Mapping[bytes, Callable[[], Answer]]:
        """What the control endpoint answers."""

    @abstractmethod
    def _here(self) -> Here:
        """What notices tell of it."""

    def _endpoints(self) -> tuple[str, ...]:
        """All that it has bound, and perhaps what it has connected."""
        return (*self.frontends, *self.backends, *self.controls)

    def _notice(self, notice: Notice) -> None:
        self._notices.queue.put(pack_notice(notice), level(notice))

    def _in_child(self) -> None:
        """Close what is bound in a forked child: the port is free when the parent's loop has ended."""
        if not self._line.ended:
            close_bound(self._endpoints())

    def _end_with(self, command: bytes) -> None:
        self._told_to_end = True
        self._line.tell(command)

    def _join(self, timeout: float | None) -> bool:
        if self._line.in_child:
            return True
        if self._line.guard.mine:
            return False
        with self._line.guard.inside():
            ended = self._thread.wait(timeout)
        if ended:
            self._finalizer.detach()
        return ended

    def _serve(self) -> None:
        """The loop's thread: makes the sockets, runs the loop, closes the sockets."""
        leave_signals_to_main_thread()
        try:
            if self._own_context:
                self._context = zmq.Context(io_threads=self._io_threads)
            self._line.open(self._context)
            try:
                self._run()
            finally:
                self._line.close()
                if self._own_context:
                    self._context.term()
        except BaseException as error:
            self._error = self._error or error
        finally:  # whatever happens: the constructor waits for it
            self._line.end()
            self._say_up()

    def _run(self) -> None:
        try:
            self._loop = self._open()
            self._accepting.begin(self._endpoints())
            if self._server is not None:
                self._server.start()
            self._say_up()
            let_others_finish()
            self._loop.run()
        except BaseException as error:
            self._error = error
        finally:
            self._line.end()
            self._accepting.end()
            self._close()
            if self._server is not None:
                self._server.end(pack(self.stats() if self._loop is not None else {}))
            self._notices.end()

    def _say_up(self) -> None:
        self._up = True
        self._changed.ring()

    def _bind_control(self, config: BrokerConfig) -> None:
        """Bind the control endpoints, if there are any; the loop's thread starts to answer later.

        The server's thread must not wait for the loop's, which waits for it.
        """
        if self._controls_wanted:
            self._server = ControlServer(
                self._context, config, self._controls_wanted, self._commands(), self._reserve
            )
            self.controls = self._server.endpoints


def _shut_down(line: LoopLine, thread: Background) -> None:
    """Stop a loop that nobody has stopped: run when Python exits."""
    if not line.in_child:
        line.tell(STOP)
        thread.wait()
