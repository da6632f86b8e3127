"""The broker classes: which protocols each speaks, and how they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import zmq

from ..config import BrokerConfig
from ..config.protocols import Protocol
from ..net.arguments import service_name
from ..validation.calls import called_rightly
from .base import Broker

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..config import BrokerOptions

__all__ = ["AnyBroker", "LRUBroker", "MajordomoBroker", "ParanoidPirateBroker"]


class LRUBroker(Broker):
    """Load-balancing broker for REQ clients and REQ workers: the least recently used worker is next.

    This is the guide's lbbroker and its Simple Pirate queue.  Endpoints, options and errors:
    :class:`~brigantine.broker.Broker`::

        with LRUBroker("tcp://127.0.0.1:*", "tcp://127.0.0.1:*") as broker:
            print(broker.frontend, broker.backend, broker.stats())

    ``heartbeat_interval`` is 10 s by default.  REQ workers send no heartbeats, so this is the interval of
    ZMTP pings, whose cost grows with the square of the number of workers (docs/performance.md).  They
    detect workers that freeze; one that dies is noticed at once.

    Source: ZeroMQ guide, chapter 3 "The Load Balancing Pattern", chapter 4 "Simple Pirate Pattern".
    """


class ParanoidPirateBroker(Broker):
    """Load-balancing broker with heartbeats, for REQ clients and PPP workers.

    A worker that was silent for ``heartbeat_interval * liveness`` is expired, idle or busy.
    A worker that announces a capacity gets up to that many requests at once.  Endpoints, options and
    errors:  :class:`~brigantine.broker.Broker`.  Source:  ZeroMQ RFC 6/PPP.
    """

    _protocols = Protocol.PPP


class MajordomoBroker(Broker):
    """Service-oriented broker: clients name a service, and MDP 0.1 and 0.2 workers serve it.

    Workers of either version serve clients of either version.

    - ``backend``: without it one socket serves both sides.
    - ``default_service``: the service for clients without an MDP header; by default they are refused.
    - ``retries``: 1 by default, since RFC 7 assumes that workers are idempotent.

    Endpoints, options and errors: :class:`~brigantine.broker.Broker`.
    Source: ZeroMQ RFC 7/MDP, 18/MDP and 8/MMI.
    """

    _protocols = Protocol.MDP01 | Protocol.MDP02
    _retries = 1

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str] | None = None,
        *,
        default_service: bytes | str | None = None,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: BrokerConfig | None = None,
        **options: Unpack[BrokerOptions],
    ) -> None:
        self._default_service = (
            None if default_service is None else service_name(default_service, "default_service")
        )
        super().__init__(
            frontend, backend, impl=impl, context=context, control=control, config=config, **options
        )


class AnyBroker(Broker):
    """Broker for workers of every protocol at once: REQ, PPP, MDP 0.1 and 0.2, recognized peer by peer.

    Peers that name no service share the service ``b""``.  Without ``backend`` one socket serves both
    sides, but only MDP workers: others can't be distinguished from clients there.  Endpoints, options
    and errors: :class:`~brigantine.broker.Broker`.
    """

    _protocols = Protocol.REQ | Protocol.PPP | Protocol.MDP01 | Protocol.MDP02

    @called_rightly
    def __init__(
        self,
        frontend: str | Sequence[str],
        backend: str | Sequence[str] | None = None,
        *,
        impl: str | None = None,
        context: zmq.Context[Any] | None = None,
        control: str | Sequence[str] | None = None,
        config: BrokerConfig | None = None,
        **options: Unpack[BrokerOptions],
    ) -> None:
        super().__init__(
            frontend, backend, impl=impl, context=context, control=control, config=config, **options
        )
