"""Request distribution: a client that spreads its requests over services that are all alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from ..config import ClientConfig
from ..config.client import LazyPirateOptions
from ..net.arguments import as_targets
from ..validation.calls import called_rightly
from ..wire.body import request_frames
from .base import ClientBase
from .codec import REQCodec
from .failover import Balancer, Failover
from .pool import SocketPool
from .services import Services

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BalancingClient"]


class BalancingClient(ClientBase):
    """A client that spreads requests over services (REP or ROUTER sockets, or brokers) by itself.

    ``services`` is an endpoint or several.  A request goes to the healthy service with the fewest
    unanswered requests of this client; services with equally few take turns.  Each request has a socket
    for one endpoint, so nothing is queued for a service that is not there.  A service that did not answer
    is skipped, watched from outside, and used again when it is back, as brokers of a
    :class:`~brigantine.LazyPirateClient` are; the request goes to another one, ``retries`` times (by
    default until each was asked once).  Services are added and removed while it is in use::

        with BalancingClient(["tcp://10.0.0.1:5555", "tcp://10.0.0.2:5555"]) as client:
            client.request(b"hello")
            client.add("tcp://10.0.0.3:5555")
            client.remove("tcp://10.0.0.1:5555")

    One client serves any number of threads at once.  A try that got no reply may still have been carried
    out: make requests that can safely run twice.

    Raises :class:`~brigantine.errors.ConfigError` for an endpoint or number that can't work.
    Source: ZeroMQ guide, chapter 3 "The Request-Reply Combinations", chapter 2 "Request Distribution".
    """

    _kind: ClassVar[int] = zmq.REQ
    _failover: ClassVar[type[Failover]] = Balancer
    _what: ClassVar[str] = "services"

    @called_rightly
    def __init__(
        self,
        services: str | Sequence[str],
        *,
        context: zmq.Context[Any] | None = None,
        config: ClientConfig | None = None,
        **options: Unpack[LazyPirateOptions],
    ) -> None:
        shared = context is not None
        self._known = Services(as_targets(services, self._what, shared=shared), shared=shared)
        super().__init__(services, context=context, config=config, **options)

    def _new_pool(self, context: zmq.Context[Any] | None) -> SocketPool:
        self._brokers = self._known.known  # so that it sees those that are added
        pool = super()._new_pool(context)
        for each in self._known.removed:
            pool.remove(each)
        return pool

    @property
    def services(self) -> tuple[str, ...]:
        """The endpoints that are asked."""
        return self._known.asked

    def add(self, endpoint: str) -> None:
        """Ask that service, too, from the next request on; nothing if it is asked already.

        Raises :class:`~brigantine.errors.ConfigError` for an endpoint that can't be connected to.
        """
        pool = self._pool()
        with pool.held():
            number = self._known.add(endpoint)
            if number is not None:
                pool.add(number)

    def remove(self, endpoint: str) -> None:
        """Send that service no more requests.

        Requests that it holds continue: its reply counts, and without one they go to another service.
        Raises :class:`~brigantine.errors.ConfigError` for an endpoint that is not asked.
        """
        pool = self._pool()
        with pool.held():
            pool.remove(self._known.remove(endpoint))

    def request(
        self,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """Send ``body`` to a service and return the reply: ``bytes`` if it is one frame, else a list.

        Raises what :meth:`brigantine.LazyPirateClient.request` raises; :class:`~brigantine.errors.NoReply`
        also where all services were removed.
        """
        frames = request_frames(body)
        self._known.check_some()
        return self._ask(self._pending(REQCodec(), frames, timeout, retries))

    def _asked(self) -> Sequence[str]:
        return self.services
