"""The worker of the load-balancing broker: a plain function, served until told to stop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic

import zmq

from ..config import WorkerConfig
from ..config.protocols import Protocol
from ..config.worker import WORKER_INTERVALS, LRUWorkerOptions
from ..errors import OptionName, WrongUse
from ..handlers import Handler
from ..net.arguments import as_targets
from ..validation.calls import called_rightly
from ..validation.values import shown
from .base import HandlerT, Worker
from .counters import REQ_STATS
from .readiness import Readiness
from .req_connection import Request
from .req_io import REQWorkerIO
from .threads import ThreadWorker

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["LRUBase", "LRUWorker"]


class LRUBase(Worker[Request], Generic[HandlerT]):
    """Whom an LRU worker serves, whatever calls its handler."""

    _takes = LRUWorkerOptions

    @called_rightly
    def __init__(
        self,
        broker: str,
        handler: HandlerT,
        *,
        context: zmq.Context[Any] | None = None,
        config: WorkerConfig | None = None,
        **options: Unpack[LRUWorkerOptions],
    ) -> None:
        made = self._configured(WorkerConfig, config, options)
        super().__init__(handler, made, context, REQ_STATS)
        if not isinstance(broker, (str, bytes)):  # bytes are told apart below
            raise WrongUse(
                OptionName("broker"), f": a worker has one endpoint, a string, not {shown(broker)}"
            )
        (self._broker,) = as_targets(broker, "broker", shared=context is not None)
        self._readiness = Readiness((self._broker,))

    @classmethod
    def options(cls, **options: Unpack[LRUWorkerOptions]) -> WorkerConfig:
        """The limits of such a worker with these options, and its own defaults for all others."""
        return cls._configured(WorkerConfig, None, options)

    def stats(self) -> dict[str, int]:
        """Counters: requests, replies, errors, discarded_replies, discarded_requests, drop_malformed,
        drop_excess, connects, disconnects, readies
        (what they mean: :data:`brigantine.workers.counters.REQ_STATS`).

        With no request in hand, ``requests == replies + discarded_replies``.
        """
        return dict(self._stats)

    # -- inside -------------------------------------------------------------------------------

    @classmethod
    def _own(cls) -> Mapping[str, Any]:
        return {"heartbeat_interval": WORKER_INTERVALS[Protocol.REQ]}

    def _words(self) -> str:
        return f"broker={self._broker}"

    def _make_io(self) -> REQWorkerIO:
        return REQWorkerIO(self._broker, self.config, self._context, self._stats, self._readiness)


class LRUWorker(LRUBase[Handler], ThreadWorker[Request]):
    """Calls ``handler(body)`` for each request that the broker sends, one at a time::

        LRUWorker("tcp://127.0.0.1:5556", bytes.upper).run()

    The handler gets ``bytes`` when the body is one frame, else ``list[bytes]``, and returns either.
    What it raises goes to the log ``brigantine.worker`` and to the client, as
    :func:`~brigantine.wire.req.error_reply`.

    - ``broker``: the workers' endpoint of an :class:`~brigantine.LRUBroker`, or of any broker for the
      guide's REQ workers.
    - ``context``: the ``zmq.Context`` of the sockets, which inproc endpoints need.
    - ``options``: the fields of :class:`~brigantine.WorkerConfig` that are listed below.

    The connection counts as lost when nothing was heard for ``heartbeat_interval * liveness`` seconds (the
    broker's libzmq answers by itself).  A reply above the limits is an error as if the handler had raised
    it, since the broker would drop it, or cut the worker off.

    A separate thread holds the connection, so a handler may compute for as long as it likes.  When the
    connection is lost, the worker reconnects and says READY again; a reply to a request of the lost
    connection is discarded, since the broker has given up on it.

    A worker runs once.  When it stops, it asks brigantine brokers for no more requests, and answers
    those that were on the way.  The protocol itself has no message for leaving: a request that another
    broker sends just as the worker stops is lost to it, and saved only by retries of the broker or the
    client.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work and
    ``TypeError`` for a handler that can't be called.  Source:  ZeroMQ guide, chapter 3 "The Load
    Balancing Pattern", chapter 4 "Simple Pirate Pattern".
    """
