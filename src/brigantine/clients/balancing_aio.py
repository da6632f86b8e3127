"""The same for asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from ..config import ClientConfig
from ..config.client import LazyPirateOptions
from ..validation.calls import called_rightly
from ..wire.body import request_frames
from .base_aio import AsyncClientBase
from .codec import REQCodec
from .failover import Balancer, Failover
from .pool_aio import LoopPool
from .services import Services

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BalancingClient"]


class BalancingClient(AsyncClientBase):
    """:class:`brigantine.BalancingClient` with coroutines; see there for arguments and errors::

        async with BalancingClient(["tcp://10.0.0.1:5555", "tcp://10.0.0.2:5555"]) as client:
            reply = await client.request(b"hello")
            client.add("tcp://10.0.0.3:5555")

    Any number of tasks of one event loop may use it at once.
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
        super().__init__(services, context=context, config=config, **options)
        self._services = Services(self._brokers, shared=context is not None)
        # Pools are to see those that are added.
        self._brokers = self._services.known

    def _new_pool(self, context: zmq.Context[Any] | None) -> LoopPool:
        pool = super()._new_pool(context)
        for each in self._services.removed:
            pool.remove(each)
        return pool

    @property
    def services(self) -> tuple[str, ...]:
        """The endpoints that are asked."""
        return self._services.asked

    def add(self, endpoint: str) -> None:
        """As :meth:`brigantine.BalancingClient.add`; to be called on the client's event loop."""
        number = self._services.add(endpoint)
        if number is not None:
            for pool in self._pools[:1]:
                pool.add(number)

    def remove(self, endpoint: str) -> None:
        """As :meth:`brigantine.BalancingClient.remove`; to be called on the client's event loop."""
        number = self._services.remove(endpoint)
        for pool in self._pools[:1]:
            pool.remove(number)

    async def request(
        self,
        body: bytes | Sequence[bytes],
        *,
        timeout: float | None = None,
        retries: int | None = None,
    ) -> bytes | list[bytes]:
        """As :meth:`brigantine.BalancingClient.request`."""
        frames = request_frames(body)
        self._services.check_some()
        return await self._ask(self._pending(REQCodec(), frames, timeout, retries))

    def _asked(self) -> Sequence[str]:
        return self.services
