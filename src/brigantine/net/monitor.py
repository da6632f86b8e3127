"""Messages of a socket's monitor.

As ``zmq.utils.monitor.parse_monitor_message``, whose module imports asyncio: a fifth of the time
that a process of brigantine takes to start.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

__all__ = ["monitor_event"]

#: The first frame: event and value.  Source: zmq_socket_monitor(3), version 1 of the format.
_EVENT = struct.Struct("=HI")


def monitor_event(frames: Sequence[bytes]) -> tuple[int, int]:
    """The event (``zmq.EVENT_...``) and its value, such as a file descriptor.

    The second frame, which is the endpoint, is not looked at.
    Raises ``ValueError`` for what no monitor sends.
    """
    if len(frames) != 2 or len(frames[0]) != _EVENT.size:
        raise ValueError(f"not a message of a socket's monitor: {frames!r}")
    event, value = _EVENT.unpack(frames[0])
    return event, value
