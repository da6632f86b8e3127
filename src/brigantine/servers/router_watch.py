"""Looks after the connections of a Router: there may be no descriptors, or a socket that does not fit.

In a thread, since the Router's own program may be busy elsewhere, and libzmq is woken over and over for
whoever it can't accept.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

import zmq

from ..config.protocols import Protocol
from ..net.accepting import Accepting
from ..net.descriptors import ConnectionWatch, DescriptorReserve
from ..notices.kinds import Notice, describe, level
from ..notices.lookalikes import Here
from ..system.background import Background
from ..system.signals import leave_signals_to_main_thread
from ..system.wakeup import Wakeup

__all__ = ["RouterWatch"]

_log = logging.getLogger("brigantine.router")


class RouterWatch:
    """To be made before the socket is bound, begun after that, and ended before it is closed."""

    def __init__(self, socket: zmq.Socket[bytes], endpoints: Callable[[], Sequence[str]]) -> None:
        self._endpoints = endpoints
        self._reserve = DescriptorReserve(endpoints, self._tell_later)
        self._accepting = Accepting(self._reserve, self._tell_later)
        self._untold: deque[Notice] = deque()
        self._wakeup = Wakeup()
        self._ending = False
        self._thread = Background(self._run, "brigantine-router")
        self._watch = ConnectionWatch(socket, self._reserve)

    def begin(self) -> None:
        """Look after all connections from now on."""
        self._thread.start()

    def stats(self) -> dict[str, int]:
        """Its counters."""
        return {
            "connections_rejected": self._reserve.rejected,
            "accepts_failed": self._accepting.failed,
        }

    def end(self) -> None:
        """Wait for the thread, and stop looking.  May be called again."""
        self._ending = True
        self._wakeup.set()
        self._thread.wait()
        self._wakeup.close()
        if not self._watch.monitor.closed:
            self._watch.close()

    def _tell_later(self, notice: Notice) -> None:
        """From any thread: a log handler may block."""
        self._untold.append(notice)
        self._wakeup.set()

    # -- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        leave_signals_to_main_thread()
        try:
            self._accepting.begin(self._endpoints())
            poller = zmq.Poller()
            poller.register(self._wakeup.fileno(), zmq.POLLIN)
            poller.register(self._watch.monitor, zmq.POLLIN)
            while not self._ending:
                poller.poll()
                self._wakeup.clear()
                self._watch.read()
                self._tell()
        except zmq.ContextTerminated:
            self._watch.monitor.close()  # the program waits for that
        except Exception:
            _log.critical(
                "the connections of a Router are not looked after any more", exc_info=True
            )
            self._watch.close()  # or what it tells would pile up
        finally:
            self._accepting.end()
            self._tell()

    def _tell(self) -> None:
        here = Here(tuple(self._endpoints()), (), Protocol(0))
        while self._untold:
            notice = self._untold.popleft()
            _log.log(level(notice), "%s", describe(notice, here))
