"""Every option, limit and default: a table of options each for brokers, devices, workers and clients.

``limits`` has what is bounded and no option, ``table`` what a table is.
"""

from .broker import BrokerConfig, BrokerOptions
from .client import ClientConfig, ClientOptions
from .device import DeviceConfig, DeviceOptions
from .worker import WorkerConfig, WorkerOptions

__all__ = [
    "BrokerConfig",
    "BrokerOptions",
    "ClientConfig",
    "ClientOptions",
    "DeviceConfig",
    "DeviceOptions",
    "WorkerConfig",
    "WorkerOptions",
]
