"""The thread that holds a worker's connections, and how the handlers' threads deal with it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

import zmq

from ..system.background import Background
from ..system.signals import leave_signals_to_main_thread, longest_wait
from ..system.wakeup import Wakeup
from .readiness import Readiness

__all__ = ["HasBody", "RequestT", "WorkerIO"]


class HasBody(Protocol):
    """A request, as far as a handler is concerned."""

    body: list[bytes]


#: What is handed to the handlers' side, and what that hands back.
RequestT = TypeVar("RequestT", bound=HasBody)
ReplyT = TypeVar("ReplyT")


class WorkerIO(ABC, Generic[RequestT, ReplyT]):
    """An I/O thread with a queue of requests out of it and a queue of replies into it.

    The handlers' side is threads, which wait for :meth:`next_request`, or an event loop, which is
    told by what it has passed to :meth:`give_to`.

    A subclass says what a turn of the thread is; all sockets are its own.  :meth:`stop`,
    :meth:`hurry` and :meth:`cut` may be called from any thread and from a signal handler.
    """

    def __init__(
        self, context: zmq.Context[Any] | None, stats: dict[str, int], readiness: Readiness
    ) -> None:
        self._given_context = context
        #: Written by the I/O thread, ``errors`` by the handlers'.
        self._stats = stats
        self._readiness = readiness
        self._process = os.getpid()
        self._inbox: SimpleQueue[RequestT | None] = SimpleQueue()
        self._give: Callable[[RequestT | None], object] = self._inbox.put
        self._outbox: SimpleQueue[ReplyT] = SimpleQueue()
        self._wakeup = Wakeup()
        self._stopping = False
        self._cut = False
        self._error: BaseException | None = None
        self._thread = Background(self._run, "brigantine-worker-io")

    # -- the handlers' side -------------------------------------------------------------------

    def give_to(self, take: Callable[[RequestT | None], object]) -> None:
        """Have the I/O thread call ``take`` with each request, and with ``None`` when it ends.

        To be called before :meth:`start`.
        """
        self._give = take

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def next_request(self) -> RequestT | None:
        """Wait for a request; ``None`` when the thread has ended.  Raises what made it fail."""
        longest = longest_wait()
        while True:
            try:
                request = self._inbox.get(timeout=longest)
            except Empty:
                continue
            break
        if request is None:
            self._inbox.put(None)  # for the next one that waits
            self.check()
        return request

    def check(self) -> None:
        """Once the thread has ended: raise what made it fail, if anything did."""
        if self._error is not None:
            raise self._error

    @abstractmethod
    def answer(self, request: RequestT, body: list[bytes]) -> None:
        """Give the reply to a request, or the last part of it."""

    def _hand_in(self, item: ReplyT) -> None:
        """Give something to the I/O thread."""
        self._outbox.put(item)
        self._wakeup.set()

    # -- any thread ---------------------------------------------------------------------------

    def stop(self) -> None:
        """End once the requests that are out were answered."""
        self._stopping = True
        self._wakeup.set()

    def fail(self, error: BaseException) -> None:
        """End now; whoever waits for a request gets ``error``.  From a handler's thread."""
        if self._error is None:
            self._error = error
        self.hurry()

    def hurry(self) -> None:
        """End as soon as the replies that were handed in are on their way."""
        self._cut = True
        self._wakeup.set()

    def cut(self) -> None:
        """:meth:`hurry`, and wait until all sockets are closed.  May be called again."""
        if os.getpid() != self._process:
            return  # a forked child has neither the thread nor the right to its sockets
        self.hurry()
        self._thread.wait()
        # Once more: an exception out of the blue may have struck who took it, and did not pass it on.
        self._inbox.put(None)
        self._wakeup.close()

    # -- the I/O thread -----------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_to_main_thread()
        context = self._given_context
        try:
            if context is None:
                context = zmq.Context()
            while not (self._cut or (self._stopping and self._finished())):
                self._turn(context)
            self._close(flush=self._error is None)
        except BaseException as error:
            if self._error is None:
                self._error = error
            self._close(flush=False)
        finally:
            if context is not None and self._given_context is None:
                context.term()
            self._give(None)

    @abstractmethod
    def _finished(self) -> bool:
        """Whether nothing is left to do before the thread may stop."""

    @abstractmethod
    def _turn(self, context: zmq.Context[Any]) -> None:
        """Wait for something to happen, and deal with it."""

    @abstractmethod
    def _close(self, *, flush: bool) -> None:
        """Close all sockets.  With ``flush`` what was handed in is sent, and given time to leave."""
