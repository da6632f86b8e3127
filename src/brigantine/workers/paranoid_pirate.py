"""The worker of the Paranoid Pirate Protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic

import zmq

from ..config import PPP_INTERVAL, READY_TIMEOUT, BrokerConfig
from ..handlers import Handler, StreamHandler
from ..validation.calls import called_rightly
from .base import Handles
from .codec import PPPCodec
from .heartbeat import RECONNECT_MAX, HeartbeatWorker
from .reply import ReplyLimits
from .streams import StreamingThreads

__all__ = ["ParanoidPirateBase", "ParanoidPirateWorker"]


class ParanoidPirateBase(HeartbeatWorker, Generic[Handles]):
    """How a worker of PPP connects, whatever calls its handler."""

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        handler: Handles,
        *,
        capacity: int = 1,
        heartbeat_interval: float = PPP_INTERVAL,
        announce_interval: bool = False,
        liveness: int = 3,
        reconnect_min: float | None = None,
        reconnect_max: float = RECONNECT_MAX,
        max_reply_bytes: int = BrokerConfig.max_message_bytes,
        max_reply_frames: int = BrokerConfig.max_frames,
        ready_timeout: float = READY_TIMEOUT,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        super().__init__(
            brokers, handler, capacity, heartbeat_interval, announce_interval, liveness,
            reconnect_min, reconnect_max, ReplyLimits(max_reply_bytes, max_reply_frames), context,
            ready_timeout,
        )  # fmt: skip

    def _codec(self) -> PPPCodec:
        return PPPCodec(self._capacity, self._interval_ms)


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

    ``max_reply_bytes`` and ``max_reply_frames`` bound one reply:
    let them be the broker's ``max_message_bytes`` and ``max_frames``, whose defaults they have.  A
    larger reply is an error as if the handler had raised it; the broker would drop it, or cut the worker
    off.

    A worker runs once.  When it stops, a broker of brigantine is asked for no more requests, and those
    that were on the way are answered.  The protocol itself has no word for leaving: a request that
    another broker sends to a worker just as it stops is lost to it, and saved by retries, the broker's or
    the client's.
    With ``context`` the sockets live in that ``zmq.Context``, which inproc endpoints need.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work and
    ``TypeError`` for a handler that can't be called.
    Source: ZeroMQ RFC 6/PPP; the guide, chapter 4 "Paranoid Pirate Pattern".
    """
