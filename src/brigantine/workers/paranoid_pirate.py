"""The worker of the Paranoid Pirate Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

import zmq

from ..config import WorkerConfig
from ..config.protocols import Protocol
from ..config.worker import WORKER_INTERVALS, HeartbeatWorkerOptions
from ..handlers import Handler, StreamHandler
from ..validation.calls import called_rightly
from .base import HandlerT
from .codec import PPPCodec
from .heartbeat import HeartbeatWorker
from .streams import StreamingThreads

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["ParanoidPirateBase", "ParanoidPirateWorker"]


class ParanoidPirateBase(HeartbeatWorker, Generic[HandlerT]):
    """How a worker of PPP connects, whatever calls its handler."""

    _takes = HeartbeatWorkerOptions

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        handler: HandlerT,
        *,
        context: zmq.Context[Any] | None = None,
        config: WorkerConfig | None = None,
        **options: Unpack[HeartbeatWorkerOptions],
    ) -> None:
        super().__init__(brokers, handler, self._configured(WorkerConfig, config, options), context)

    @classmethod
    def options(cls, **options: Unpack[HeartbeatWorkerOptions]) -> WorkerConfig:
        """The limits of such a worker with these options, and its own defaults for all others."""
        return cls._configured(WorkerConfig, None, options)

    @classmethod
    def _own(cls) -> Mapping[str, Any]:
        return {"heartbeat_interval": WORKER_INTERVALS[Protocol.PPP]}

    def _codec(self) -> PPPCodec:
        return PPPCodec(self._capacity, self.config.announced_ms)


class ParanoidPirateWorker(ParanoidPirateBase[StreamHandler | Handler], StreamingThreads):
    """Calls ``handler(body)`` for each request of a broker that speaks PPP, such as
    :class:`~brigantine.ParanoidPirateBroker`::

        ParanoidPirateWorker("tcp://127.0.0.1:5556", bytes.upper).run()

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either.
    When it is a generator function, all that it yields and returns is joined into one reply.  What
    it raises goes to the log ``brigantine.worker`` and to the client, as
    :func:`~brigantine.wire.req.error_reply`.

    ``brokers`` are the workers' endpoints of one broker or of several.  The worker is registered
    with all of them at once.  Each is told ``capacity``; at most ``capacity`` requests are handled
    at once over all of them, each in a thread, and the others wait here, first come first served.
    So do requests of a new connection while handlers are still busy with those of one that ended.

    A thread of its own holds the connections and sends a heartbeat whenever nothing else was sent
    for ``heartbeat_interval`` seconds, so a handler may compute for as long as it likes.  It can't
    do so while the handler is in C code that does not let go of the GIL.  To the broker such a
    worker is silent, but its connection stands, since libzmq needs no GIL: give the broker a
    ``busy_liveness`` that outlasts the longest such call.  A worker that has died is still noticed
    at once, by its connection.  How long the call took is not taken for the broker's silence.

    A broker that was silent for ``heartbeat_interval * liveness`` seconds, or whose connection
    broke, is connected to again on a new socket after a pause: ``reconnect_min`` seconds (by default
    the ``heartbeat_interval``, at most 1), doubling up to ``reconnect_max`` until it is heard again.  Use
    the broker's interval, or the two will take each other for dead; or, at brigantine's brokers, have
    the interval announced (``announce_interval=True``): the broker then keeps to the worker's.  A
    broker of another make may refuse such a READY.  A reply to a connection that has ended is
    discarded: its ticket is void.

    A worker runs once.  When it stops, a broker of brigantine is asked for no more requests, and those
    that were on the way are answered.  The protocol itself has no word for leaving: a request that
    another broker sends to a worker just as it stops is lost to it, and saved by retries, the broker's or
    the client's.
    With ``context`` the sockets live in that ``zmq.Context``, which inproc endpoints need.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work and
    ``TypeError`` for a handler that can't be called.
    Source: ZeroMQ RFC 6/PPP; the guide, chapter 4 "Paranoid Pirate Pattern".
    """
