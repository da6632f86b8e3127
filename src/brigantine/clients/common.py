"""What the clients for threads and those for asyncio have in common: what they take, and what they ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import zmq

from ..config import ClientConfig, ClientOptions
from ..config.client import LazyPirateOptions
from ..config.given import TakesOptions
from ..net.arguments import as_targets, plain_context, service_name
from ..net.backoff import Backoff
from ..system.patched import refuse_patched
from ..validation.calls import called_rightly, public_name
from .codec import ClientCodec, mdp_codec
from .counters import MDP_STATS, STATS
from .failover import Failover
from .limits import Limits
from .pending import PendingRequest

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["CommonClient", "ServiceClient"]


class CommonClient(TakesOptions, ABC):
    """Base of all clients."""

    #: The type of its sockets.
    _kind: ClassVar[int]
    #: Counter -> meaning.
    _names: ClassVar[dict[str, str]] = STATS
    #: Which broker is asked.
    _failover: ClassVar[type[Failover]] = Failover
    #: What its brokers are called.
    _what: ClassVar[str] = "brokers"
    #: How a service is asked, where the protocol has any.
    _service_codec: Callable[[bytes], ClientCodec] | None = None

    _table = ClientConfig
    _takes: ClassVar[type] = LazyPirateOptions

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        context: zmq.Context[Any] | None = None,
        config: ClientConfig | None = None,
        **options: Unpack[LazyPirateOptions],
    ) -> None:
        refuse_patched(public_name(type(self)))
        self._brokers: Sequence[str] = as_targets(brokers, self._what, shared=context is not None)
        self.config = self._configured(ClientConfig, config, options)
        self._limits = Limits(self.config)
        self._closed = False
        self._begin(plain_context(context))

    @abstractmethod
    def _begin(self, context: zmq.Context[Any] | None) -> None:
        """Make the pools, the last step of making a client."""

    @classmethod
    def options(cls, **options: Unpack[LazyPirateOptions]) -> ClientConfig:
        """The limits of such a client with these options, and its defaults for all others."""
        return cls._configured(ClientConfig, None, options)

    def _pending(
        self,
        codec: ClientCodec,
        frames: list[bytes],
        timeout: float | None,
        retries: int | None,
        *,
        stream: bool = False,
    ) -> PendingRequest:
        limits = self._limits
        pending = PendingRequest(
            codec,
            frames,
            self._brokers,
            timeout=limits.timeout(timeout),
            retries=limits.retries(retries, len(self._brokers)),
            backoff=Backoff(limits.backoff, limits.backoff_max),
            stream=stream,
        )
        limits.check_size(pending.frames)
        return pending

    def _asked(self) -> Sequence[str]:
        """The endpoints that are asked."""
        return self._brokers

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        return f"<{public_name(type(self))} {state} {self._what}={','.join(self._asked())}>"


class ServiceClient(CommonClient):
    """Base of those that ask services by name, in the protocol of Majordomo."""

    _kind: ClassVar[int] = zmq.DEALER
    _names: ClassVar[dict[str, str]] = MDP_STATS

    _takes: ClassVar[type] = ClientOptions

    @called_rightly
    def __init__(
        self,
        brokers: str | Sequence[str],
        *,
        context: zmq.Context[Any] | None = None,
        config: ClientConfig | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        self.config = self._configured(ClientConfig, config, options)
        self._codec = self._service_codec = mdp_codec(self.config.version)
        super().__init__(brokers, context=context, config=self.config)

    @classmethod
    def options(cls, **options: Unpack[ClientOptions]) -> ClientConfig:
        """The limits of such a client with these options, and its defaults for all others."""
        return cls._configured(ClientConfig, None, options)

    def _of_service(
        self,
        service: bytes | str,
        frames: Callable[[], list[bytes]],
        timeout: float | None,
        retries: int | None,
        *,
        stream: bool = False,
    ) -> PendingRequest:
        """A request to a service; its frames are made when the name is known to be right."""
        codec = self._codec(service_name(service))
        return self._pending(codec, frames(), timeout, retries, stream=stream)
