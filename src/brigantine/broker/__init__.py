"""The brokers, by name for each pattern; what they have in common is Broker."""

from .base import Broker
from .patterns import AnyBroker, LRUBroker, MajordomoBroker, ParanoidPirateBroker

__all__ = ["AnyBroker", "Broker", "LRUBroker", "MajordomoBroker", "ParanoidPirateBroker"]
