"""Base of all workers, for threads and for asyncio: arguments, one run, errors."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Generic, TypeVar

import zmq

from ..config import WorkerConfig
from ..config.given import TakesOptions
from ..errors import OptionName, WrongUse
from ..net.arguments import plain_context
from ..system.patched import refuse_patched
from ..validation.calls import public_name
from ..validation.values import shown, whole
from .io_thread import RequestT, WorkerIO
from .kinds import mistake_in, name_of
from .readiness import Readiness
from .reply import ReplyLimits

__all__ = ["HandlerT", "Worker"]

#: What kind of function the handlers of a worker are.
HandlerT = TypeVar("HandlerT", bound=Callable[[Any], Any])

#: The exit code of a forked child in which a handler has returned.
CHILD_CODE = 1

_log = logging.getLogger("brigantine.worker")


class Worker(TakesOptions, ABC, Generic[RequestT]):
    """A handler, and the numbers that say how to connect.

    One kind of subclass says to whom and what to say, the other kind how the handler is called
    (``ThreadWorker``, ``TaskWorker``); a worker is one of each.
    """

    #: What stands before the name of the class to tell which of that name it is.
    _module: ClassVar[str] = ""
    #: What the brokers have said to it.  Whoever knows these makes it.
    _readiness: Readiness
    _table = WorkerConfig

    def __init__(
        self,
        handler: Callable[[Any], Any],
        config: WorkerConfig,
        context: zmq.Context[Any] | None,
        stats: Iterable[str],
    ) -> None:
        refuse_patched(public_name(type(self)))
        if not callable(handler):
            raise WrongUse(OptionName("handler"), f" must be a function, not {shown(handler)}")
        self._check_kind(handler)
        if (mistake := mistake_in(handler)) is not None:
            raise WrongUse(
                OptionName("handler"),
                f" must be a function of one argument, the request's body; {name_of(handler)!r} "
                f"can't be called so: {mistake}",
            )
        self._handler = handler
        self.config = config
        self._capacity = config.capacity
        #: Of what the handler gives.
        self._limits = ReplyLimits(config.max_reply_bytes, config.max_reply_frames)
        self._context = plain_context(context)
        self._stats = dict.fromkeys(stats, 0)
        #: Guards ``errors`` in the stats, which every handler's thread counts.
        self._errors = threading.Lock()
        self._process = os.getpid()
        #: Taken by the one run.
        self._once = threading.Lock()
        self._stopping = False
        self._io: WorkerIO[RequestT, Any] | None = None

    def stats(self) -> dict[str, int]:
        """Counters."""
        return dict(self._stats)

    def __repr__(self) -> str:
        name = getattr(self._handler, "__qualname__", repr(self._handler))
        return f"<{self._module}{type(self).__name__} {self._words()} handler={name}>"

    def _tell_ready(self, tell: Callable[[int, int], object]) -> None:
        """Wait as one that enters ``with``, then ``tell`` how many brokers have confirmed, and of how many.

        For a thread beside the one that runs this worker.
        """
        self._readiness.wait(1, self.config.ready_timeout)
        self._log_missing()
        tell(self._readiness.confirmed, self._readiness.total)

    # -- what a subclass is to say ------------------------------------------------------------

    @abstractmethod
    def _check_kind(self, handler: Callable[[Any], Any]) -> None:
        """Raise ``TypeError`` for a handler that another class takes."""

    @abstractmethod
    def _words(self) -> str:
        """What ``repr`` says beside the handler."""

    @abstractmethod
    def _make_io(self) -> WorkerIO[RequestT, Any]:
        """The I/O thread, not yet started."""

    # -- inside -------------------------------------------------------------------------------

    def _claim(self) -> None:
        if not self._once.acquire(blocking=False):
            raise RuntimeError(f"a worker runs once; make a new {type(self).__name__}")
        self._process = os.getpid()

    def _expect(self, brokers: int) -> int:
        """``brokers`` unchanged, if they can be waited for."""
        if os.getpid() != self._process:
            raise RuntimeError(
                f"{self!r} runs in process {self._process}, not in this forked child"
            )
        return whole("brokers", brokers, 1, self._readiness.total)

    def _log_missing(self) -> None:
        """Say which brokers have not confirmed this worker so far, if it has been waited for."""
        if self._readiness.ended or not self.config.ready_timeout or not self._readiness.missing():
            return
        level = logging.INFO if self._readiness.confirmed else logging.WARNING
        _log.log(level, "%r is not yet confirmed by %s", self, self._readiness.words())

    def _tell_to_stop(self) -> bool:
        """Have the I/O thread end when it has nothing in hand; whether this worker is ours."""
        if os.getpid() != self._process:
            return False  # the worker is the parent's
        self._stopping = True
        if self._io is not None:
            self._io.stop()
        return True

    def _leave_child(self) -> None:
        """Exit where a handler has come back in a child that it has forked: it serves nobody there."""
        if os.getpid() != self._process:
            _log.critical(
                "%r runs in process %d; its handler has forked this one and then returned here. "
                "Exiting: a child that a handler forks must end by os._exit()",
                self,
                self._process,
            )
            os._exit(CHILD_CODE)

    def _failed(self, error: BaseException) -> list[bytes]:
        """The frames that report what went wrong in the handler."""
        with self._errors:
            self._stats["errors"] += 1
        _log.error("%r failed on a request; its client is told so", self, exc_info=error)
        with contextlib.suppress(Exception):  # its own words can't be had, or can't be encoded
            return self._limits.report(error)
        return self._limits.report(
            RuntimeError(f"{type(error).__name__}, whose message can't be sent")
        )
