"""The devices: a queue, a forwarder and a streamer; what they have in common is Device."""

from .base import Device, ForwarderDevice, QueueDevice, StreamerDevice

__all__ = ["Device", "ForwarderDevice", "QueueDevice", "StreamerDevice"]
