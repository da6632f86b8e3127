"""A thread that binds sockets, and the handle to it: how it begins, is asked to end, and ends."""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import Any, TypeVar

import zmq

from ..config.pipeline import PipelineConfig
from ..config.protocols import Protocol
from ..errors import PipelineClosed
from ..net.accepting import Accepting
from ..net.closing import closing
from ..net.descriptors import ConnectionWatch, DescriptorReserve
from ..net.endpoints import bind
from ..net.sockets import BACKLOG, keep_alive
from ..notices.kinds import Notice, describe, level
from ..notices.lookalikes import Here
from ..system.background import Background
from ..system.bells import Bells
from ..system.forks import close_bound, leave_to_parent
from ..system.signals import leave_signals_to_main_thread
from ..system.wakeup import Wakeup

__all__ = ["BoundThread"]

Watch = TypeVar("Watch", bound=ConnectionWatch)

_log = logging.getLogger("brigantine.pipeline")


class BoundThread(ABC):
    """Makes, uses and closes its sockets.  Everything from ``_run`` on is the thread's own.

    :meth:`start` waits until the endpoints are bound.
    """

    #: What it is, in logs and errors.
    what = ""

    def __init__(
        self, config: PipelineConfig, context: zmq.Context[Any] | None, counters: Mapping[str, str]
    ) -> None:
        self.config = config
        self._own_context = context is None
        self._context: Any = context
        #: Where it is bound; the first are the ROUTER's, in the order they were given.
        self.endpoints: tuple[str, ...] = ()
        self.count = dict.fromkeys(counters, 0)
        self.changes = Bells()
        self.error: BaseException | None = None
        self.stopping = False
        #: The thread serves nobody any more.
        self.ended = False
        self._up = False
        self._wakeup = Wakeup()
        self._made: list[zmq.Socket[bytes]] = []
        self._bound: list[tuple[zmq.Socket[bytes], str]] = []
        self._now = time.monotonic()
        self._process = os.getpid()
        self.reserve = DescriptorReserve(lambda: [real for _, real in self._bound], self._tell)
        #: What others than the thread have to say: that logs it, as a log handler may block.
        self._untold: deque[Notice] = deque()
        self._accepting = Accepting(self.reserve, self._tell_later)
        #: What tells of the connections of each socket that is bound.
        self._watches: list[ConnectionWatch] = []
        self._thread = Background(self._run, f"brigantine-{self.what}")

    # -- any thread ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin; raises what binding has raised."""
        try:
            self._thread.start()
            leave_to_parent(self._in_child)
            self.changes.wait(lambda: self._up or self.ended, None)
            if self.error is not None:
                raise self.error
        except BaseException:  # also Ctrl-C: nobody gets this
            self.stop()
            self.join(None)
            raise

    def wake(self) -> None:
        """It is time for a turn."""
        self._wakeup.set()

    def stop(self) -> None:
        """End soon.  From a signal handler, too."""
        if os.getpid() == self._process:
            self.stopping = True
            self.wake()
            self.changes.ring()

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread.running

    def join(self, timeout: float | None) -> bool:
        """Wait for the end; whether it has come."""
        return os.getpid() != self._process or self._thread.wait(timeout)

    def check(self) -> None:
        """Raise :class:`~brigantine.errors.PipelineClosed` where it has ended, or is told to."""
        if os.getpid() != self._process:
            raise PipelineClosed(
                f"this {self.what} runs in process {self._process}, not in this forked child"
            )
        if self.error is not None:
            raise PipelineClosed(f"the {self.what} has ended with {self.error!r}") from self.error
        if self.stopping or self.ended:
            raise PipelineClosed(f"this {self.what} has been closed")

    def stats(self) -> dict[str, int]:
        """All counters."""
        return {
            **self.count,
            "connections_rejected": self.reserve.rejected,
            "accepts_failed": self._accepting.failed,
        }

    def _in_child(self) -> None:
        if not self.ended:
            close_bound(real for _, real in self._bound)

    def _tell_later(self, notice: Notice) -> None:
        self._untold.append(notice)
        self.wake()

    def _tell(self, notice: Notice) -> None:
        here = Here(self.endpoints, (), Protocol(0))
        _log.log(level(notice), "%s: %s", self.what, describe(notice, here))

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_to_main_thread()
        try:
            if self._own_context:
                self._context = zmq.Context()
            try:
                self._open()
                self._accepting.begin(real for _, real in self._bound)
                self._up = True
                self.changes.ring()
                while not self._finished(self._now):
                    self._turn()
                    while self._untold:
                        self._tell(self._untold.popleft())
            except BaseException as error:
                self.error = error  # known before the end is
                raise
            finally:
                self.ended = True
                self._accepting.end()
                self._close()
                if self._own_context:
                    self._context.term()
        except BaseException as error:
            self.error = self.error or error
            if self._up:
                _log.critical("the %s has ended", self.what, exc_info=True)
        finally:
            self.ended = True
            self._wakeup.close()
            self.changes.ring()

    def _socket(self, kind: int) -> Any:
        socket = self._context.socket(kind)
        self._made.append(socket)
        socket.linger = round(self.config.linger * 1000)
        socket.backlog = BACKLOG
        socket.rcvhwm = self.config.high_water_mark
        socket.maxmsgsize = self.config.max_message_bytes
        keep_alive(socket)
        return socket

    def _watched(self, watch: Watch) -> Watch:
        """Have the connections of a socket looked after; to be called before it is bound."""
        self._watches.append(watch)
        return watch

    def _bind(self, socket: zmq.Socket[bytes], endpoint: str) -> str:
        real = bind(socket, endpoint)
        self._bound.append((socket, real))
        return real

    def _close(self) -> None:
        with closing(self._context, self._bound, shared=not self._own_context):
            for watch in self._watches:
                watch.close()
            for socket in reversed(self._made):
                socket.close()

    # -- what a subclass is to say ------------------------------------------------------------

    @abstractmethod
    def _open(self) -> None:
        """Make and bind the sockets."""

    @abstractmethod
    def _turn(self) -> None:
        """Wait for something to happen, and deal with it."""

    @abstractmethod
    def _finished(self, now: float) -> bool:
        """Whether the thread may end."""
