"""Clients, workers, publishers and subscribers for asyncio, under the same names as those for threads.

They speak the same protocols.  Coroutines drive a client; a worker's connections stay in a thread, so
that it heartbeats whatever its handlers do.
"""

from __future__ import annotations

from .clients.aio import LazyPirateClient, MajordomoClient
from .clients.balancing_aio import BalancingClient
from .exclusive.aio import Pair
from .pipeline.aio import PipelineWorker, ReceivedBatch, SentBatch, Sink, Ventilator
from .pubsub.aio import Publisher, Subscriber
from .servers.async_client_aio import AsyncClient
from .servers.async_server_aio import AsyncServer
from .servers.router_aio import Router
from .workers.aio import LRUWorker, MajordomoWorker, ParanoidPirateWorker

__all__ = [
    "AsyncClient",
    "AsyncServer",
    "BalancingClient",
    "LRUWorker",
    "LazyPirateClient",
    "MajordomoClient",
    "MajordomoWorker",
    "Pair",
    "ParanoidPirateWorker",
    "PipelineWorker",
    "Publisher",
    "ReceivedBatch",
    "Router",
    "SentBatch",
    "Sink",
    "Subscriber",
    "Ventilator",
]
