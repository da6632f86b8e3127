"""The reliable client of request-reply: it gives up on a silent broker and asks again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import zmq

from ..config import CLIENT_BACKOFF, CLIENT_BACKOFF_MAX, CLIENT_TIMEOUT, BrokerConfig
from ..validation.calls import called_rightly
from ..wire.body import request_frames
from .base import ClientBase
from .codec import REQCodec
from .limits import Limits

__all__ = ["LazyPirateClient"]


class LazyPirateClient(ClientBase):
    """A client that waits for a reply for a while, then asks again on a new socket.

    ``brokers`` is the clients' endpoint of a broker, or several in order of preference: requests go
    to the first that is not silent, on silence to the next in turn, and to the first again when it
    is back, which is found out at no request's expense while it is dead or stopped (docs/clients.md).
    ``timeout`` is seconds for one try, and should outlast the work with its wait for a worker: after it
    the request is sent again, and may be carried out twice (docs/timeouts.md).  ``retries`` is how many
    tries may follow the first that met silence: by default 1, with several brokers as many as ask each
    of them once.  With several brokers the timeout should be no more than their ``heartbeat_interval *
    liveness``.  Each retry uses a new socket and the old one is closed, so that a late reply can
    answer no other request.  Before a retry to a broker that this request has tried already there is
    a pause, drawn evenly from 0 to a bound that begins at ``backoff`` seconds and doubles up to
    ``backoff_max``.  A request of more than ``max_request_bytes`` is refused before it is sent: let
    them be the broker's ``max_message_bytes``, whose default they have.  With ``context`` the sockets
    live in that ``zmq.Context``, which inproc
    endpoints need; otherwise the client has one of its own::

        with LazyPirateClient("tcp://127.0.0.1:5555") as client:
            reply = client.request(b"hello")

    One client serves any number of threads at once, and goes on working in a forked child.  A try
    that got no reply may still have been carried out: make requests that can safely run twice.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work.
    Source: ZeroMQ guide, chapter 4 "Client-Side Reliability (Lazy Pirate Pattern)".
    """

    _kind: ClassVar[int] = zmq.REQ

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        timeout: float = CLIENT_TIMEOUT,
        retries: int | None = None,
        backoff: float = CLIENT_BACKOFF,
        backoff_max: float = CLIENT_BACKOFF_MAX,
        max_request_bytes: int = BrokerConfig.max_message_bytes,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        limits = Limits(timeout, retries, backoff, backoff_max, max_request_bytes)
        super().__init__(brokers, limits, context)

    def request(
        self,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Send ``body`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        ``timeout`` (seconds for one try) and ``retries`` replace the client's own for this request.

        Raises :class:`~brigantine.errors.NoReply` when all tries met silence, and of its kinds
        :class:`~brigantine.errors.Busy` when the brokers turned the request away and
        :class:`~brigantine.errors.Expired` when the last try ran out of time at the broker,
        :class:`~brigantine.errors.WorkerFailed` when the worker's function raised,
        :class:`~brigantine.errors.ClientClosed` when the client is, or gets, closed,
        :class:`~brigantine.errors.ConnectError` when no socket can be opened,
        :class:`~brigantine.errors.ConfigError` for a body that is not one or several frames of bytes.
        """
        return self._ask(self._pending(REQCodec(), request_frames(body), timeout, retries))
