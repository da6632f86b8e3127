"""Messaging patterns for ZeroMQ: request-reply brokers, servers, publish-subscribe, pipelines, devices.

from brigantine import LRUBroker, LRUWorker, LazyPirateClient

The classes for asyncio are in :mod:`brigantine.aio`.
"""

from ._impl import implementation
from ._version import __version__
from .broker.event_reader import Events
from .broker.patterns import AnyBroker, LRUBroker, MajordomoBroker, ParanoidPirateBroker
from .clients.balancing import BalancingClient
from .clients.lazy_pirate import LazyPirateClient
from .clients.majordomo import MajordomoClient
from .config import (
    BrokerConfig,
    BrokerOptions,
    ClientConfig,
    ClientOptions,
    DeviceConfig,
    DeviceOptions,
    WorkerConfig,
    WorkerOptions,
)
from .config.pair import PairConfig, PairOptions
from .config.pipeline import PipelineConfig, PipelineOptions
from .config.pubsub import (
    PublisherConfig,
    PublisherOptions,
    SubscriberConfig,
    SubscriberOptions,
)
from .config.router import RouterConfig, RouterOptions
from .config.servers import ServerConfig, ServerOptions
from .counters import COUNTERS, DEVICE_COUNTERS, ROUTER_COUNTERS, SERVER_COUNTERS, ledger_holds
from .devices.base import ForwarderDevice, QueueDevice, StreamerDevice
from .envelope import Envelope
from .errors import (
    BadEnvelope,
    BindError,
    BrigantineError,
    BrokerStopped,
    Busy,
    ClientClosed,
    ConfigError,
    ConfigWarning,
    ConnectError,
    CoreMissing,
    Expired,
    NoPublisher,
    NoReply,
    NoService,
    NotReady,
    PairClosed,
    PairTimeout,
    PipelineClosed,
    PublisherClosed,
    SessionLost,
    SocketMismatch,
    SubscriberClosed,
    Try,
    Unroutable,
    WorkerFailed,
    WrongUse,
)
from .events import Event
from .exclusive.pair import Pair
from .pairs import Verdict, check
from .pipeline.counters import SINK_COUNTERS, VENTILATOR_COUNTERS
from .pipeline.report import Report, Result
from .pipeline.sink import ReceivedBatch, Sink
from .pipeline.ventilator import SentBatch, Ventilator
from .pipeline.worker import PipelineWorker
from .pubsub.counters import PUBLISHER_COUNTERS, SUBSCRIBER_COUNTERS
from .pubsub.message import Message
from .pubsub.publisher import Publisher
from .pubsub.subscriber import Subscriber
from .servers.async_client import AsyncClient
from .servers.async_server import AsyncServer
from .servers.router import Router
from .servers.session import Session
from .servers.threaded_server import ThreadedServer
from .workers.lru import LRUWorker
from .workers.majordomo import MajordomoWorker
from .workers.paranoid_pirate import ParanoidPirateWorker

__all__ = [
    "COUNTERS",
    "DEVICE_COUNTERS",
    "PUBLISHER_COUNTERS",
    "ROUTER_COUNTERS",
    "SERVER_COUNTERS",
    "SINK_COUNTERS",
    "SUBSCRIBER_COUNTERS",
    "VENTILATOR_COUNTERS",
    "AnyBroker",
    "AsyncClient",
    "AsyncServer",
    "BadEnvelope",
    "BalancingClient",
    "BindError",
    "BrigantineError",
    "BrokerConfig",
    "BrokerOptions",
    "BrokerStopped",
    "Busy",
    "ClientClosed",
    "ClientConfig",
    "ClientOptions",
    "ConfigError",
    "ConfigWarning",
    "ConnectError",
    "CoreMissing",
    "DeviceConfig",
    "DeviceOptions",
    "Envelope",
    "Event",
    "Events",
    "Expired",
    "ForwarderDevice",
    "LRUBroker",
    "LRUWorker",
    "LazyPirateClient",
    "MajordomoBroker",
    "MajordomoClient",
    "MajordomoWorker",
    "Message",
    "NoPublisher",
    "NoReply",
    "NoService",
    "NotReady",
    "Pair",
    "PairClosed",
    "PairConfig",
    "PairOptions",
    "PairTimeout",
    "ParanoidPirateBroker",
    "ParanoidPirateWorker",
    "PipelineClosed",
    "PipelineConfig",
    "PipelineOptions",
    "PipelineWorker",
    "Publisher",
    "PublisherClosed",
    "PublisherConfig",
    "PublisherOptions",
    "QueueDevice",
    "ReceivedBatch",
    "Report",
    "Result",
    "Router",
    "RouterConfig",
    "RouterOptions",
    "SentBatch",
    "ServerConfig",
    "ServerOptions",
    "Session",
    "SessionLost",
    "Sink",
    "SocketMismatch",
    "StreamerDevice",
    "Subscriber",
    "SubscriberClosed",
    "SubscriberConfig",
    "SubscriberOptions",
    "ThreadedServer",
    "Try",
    "Unroutable",
    "Ventilator",
    "Verdict",
    "WorkerConfig",
    "WorkerFailed",
    "WorkerOptions",
    "WrongUse",
    "__version__",
    "check",
    "ledger_holds",
]

implementation()  # the compiled core is missing: say so now, not at the first broker
