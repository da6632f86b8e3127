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

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either.  If
    it is a generator function, everything that it yields and returns is joined into one reply.  What it
    raises goes to the log ``brigantine.worker`` and to the client, as
    :func:`~brigantine.wire.req.error_reply`.

    - ``brokers``: the workers' endpoints of one broker or of several.  The worker registers with all of
      them at once.
    - ``context``: the ``zmq.Context`` of the sockets, which inproc endpoints need.
    - ``options``: the fields of :class:`~brigantine.WorkerConfig`, listed below.

    At most ``capacity`` requests are handled at once, over all brokers, each in a thread.  Others wait in
    the worker in the order they came, as do requests of a new connection while handlers are still busy
    with those of one that has ended.  Brokers of other programs may refuse a READY with a capacity above
    1, or with an interval (``announce_interval``).  Use the broker's ``heartbeat_interval``, or each side
    will declare the other dead.  A reply above the limits is an error as if the handler had raised it,
    since the broker would drop it, or cut the worker off.

    A separate thread holds the connections, and sends a heartbeat whenever nothing else was sent for
    ``heartbeat_interval`` seconds, so a handler may compute for as long as it likes.  The thread can't
    do so while a handler runs C code that keeps the GIL.  To the broker such a worker is silent, but
    its connection stays open, since libzmq needs no GIL: give the broker a ``busy_liveness`` that
    outlasts the longest such call.  A worker that has died is still noticed at once, by its connection.
    Time spent in such a call does not count as silence of the broker.

    A reply to a request of a connection that has ended is discarded: its ticket is void.

    A worker runs once.  When it stops, it asks brigantine brokers for no more requests, and answers
    those that were on the way.  The protocol itself has no message for leaving: a request that another
    broker sends just as the worker stops is lost to it, and saved only by retries of the broker or the
    client.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work and
    ``TypeError`` for a handler that can't be called.  Source:  ZeroMQ RFC 6/PPP; the guide, chapter 4
    "Paranoid Pirate Pattern".
    """
