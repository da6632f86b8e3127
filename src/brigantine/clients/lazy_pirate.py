"""The reliable client of request-reply: it gives up on a silent broker and asks again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import zmq

from ..wire.body import request_frames
from .base import ClientBase
from .codec import REQCodec

__all__ = ["LazyPirateClient"]


class LazyPirateClient(ClientBase):
    """A client that waits for a reply for a while, then asks again on a new socket::

        with LazyPirateClient("tcp://127.0.0.1:5555") as client:
            reply = client.request(b"hello")

    - ``brokers``: the clients' endpoint of a broker, or several in order of preference.  Requests go to the
      first that is not silent.  They return to the first broker once it is back; probing it never delays
      a request (docs/clients.md).
    - ``context``: the ``zmq.Context`` of the sockets, which inproc endpoints need; by default the client
      has its own.
    - ``options``: the fields of :class:`~brigantine.ClientConfig`, listed below.

    ``timeout`` should outlast the work and its wait for a worker: after it the request is sent again,
    and may be carried out twice (docs/timeouts.md).  The pauses before a broker is asked again are of
    random length.

    Each retry uses a new socket and closes the old one, so that a late reply can't answer another request.
    Any number of threads may use one client at once, and it keeps working in a forked child.  A try without
    a reply may still have been carried out: make requests that can safely run twice.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work.
    Source: ZeroMQ guide, chapter 4 "Client-Side Reliability (Lazy Pirate Pattern)".
    """

    _kind: ClassVar[int] = zmq.REQ

    def request(
        self,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Send ``body`` and return the reply: ``bytes`` if it is one frame, else a list of them.

        ``timeout`` (seconds for one try) and ``retries`` replace the client's own for this request.

        Raises:

        - :class:`~brigantine.errors.NoReply` when all tries met silence, or one of its subclasses:
          :class:`~brigantine.errors.Busy` when the brokers turned the request away,
          :class:`~brigantine.errors.Expired` when the last try ran out of time at the broker;
        - :class:`~brigantine.errors.WorkerFailed` when the worker's function raised;
        - :class:`~brigantine.errors.ClientClosed` when the client is closed, before or meanwhile;
        - :class:`~brigantine.errors.ConnectError` when no socket can be opened;
        - :class:`~brigantine.errors.ConfigError` for a body that is not one or several frames of bytes.
        """
        return self._ask(self._pending(REQCodec(), request_frames(body), timeout, retries))
