"""A ROUTER socket for programs: envelopes in and out, and no message silently lost."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import zmq

from ..config.limits import ROUTER_SEND_TIMEOUT
from ..envelope import Envelope
from ..net.arguments import patience
from ..system.signals import longest_wait
from ..validation.calls import ForThreads
from .router_face import RouterFace

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Router"]


class Router(RouterFace, ForThreads):
    """A bound ROUTER that works with envelopes, for REQ and DEALER peers; for one thread at a time::

        with Router("tcp://127.0.0.1:*") as router:
            envelope = router.receive()
            router.send(envelope.reply(b"world"))

    - ``endpoint``: one or several endpoints; ``tcp://HOST:*`` takes a free port.
    - ``unroutable``: ``"raise"`` raises :class:`~brigantine.Unroutable` for a message to an address that no
      peer has; ``"count"`` counts it.  A bare ROUTER silently drops it.
    - ``delimiter``: how peers frame their messages: ``True`` with an empty frame after the address,
      ``False`` without, ``None`` either way.
    - options: those of :class:`~brigantine.RouterConfig`, one by one or as ``config``.

    A received message that is no envelope is dropped, counted, and logged once for each peer and cause.
    Raises :class:`~brigantine.ConfigError` for an option that can't work and :class:`~brigantine.BindError`
    for an endpoint that can't be bound.
    Source: ZeroMQ guide, chapter 3 "ROUTER-to-REQ" and "ROUTER-to-DEALER".
    """

    def receive(self, timeout: float | None = None) -> Envelope | None:
        """The next envelope, or ``None`` when none came within ``timeout`` seconds.

        Raises :class:`~brigantine.BrokerStopped` after :meth:`close`.
        """
        until = _until(patience(timeout))
        while (envelope := self._router.take()) is None:
            if not _wait(self._router.open(), zmq.POLLIN, until):
                return None
        return envelope

    def send(self, envelope: Envelope, timeout: float = ROUTER_SEND_TIMEOUT) -> bool:
        """Send an envelope to the peer whose address is in front; return whether it is on its way.

        If that peer does not read, this waits for it ``timeout`` seconds and then raises
        ``TimeoutError``.  With ``unroutable="count"`` nothing is waited for or raised, but counted.
        Raises :class:`~brigantine.Unroutable` when no peer has the address and
        :class:`~brigantine.BrokerStopped` after :meth:`close`.
        """
        waits = patience(timeout) or 0.0
        until = _until(waits if self._router.raises else 0.0)
        while (sent := self._router.put(envelope)) is None:
            if not _wait(self._router.open(), 0, until):
                return self._router.full(envelope, waits)
        return sent

    def close(self) -> None:
        """Close the socket; what was sent has a second to leave.  May be called again."""
        self._finalizer.detach()
        self._router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


#: Milliseconds between looks whether a peer has room: a ROUTER tells of no single peer's.
_LOOK = 5


def _until(timeout: float | None) -> float:
    return math.inf if timeout is None else time.monotonic() + timeout


def _wait(socket: zmq.Socket[Any], event: int, until: float) -> bool:
    """Wait for an event, or for a moment where there is none that tells; whether time is left."""
    left = until - time.monotonic()
    if left <= 0:
        return False
    most = min(left, longest_wait() or math.inf)
    if event:
        socket.poll(None if most == math.inf else math.ceil(most * 1000), event)
    else:
        time.sleep(min(most, _LOOK / 1000))
    return True
