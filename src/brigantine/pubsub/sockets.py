"""The options of the sockets of publishers and subscribers.

No heartbeats of ZMTP on either: libzmq 4.3.5 with a full queue ends the process that has them set.
"""

from __future__ import annotations

from typing import Any

import zmq

from ..config.pubsub import LONGEST_TOPIC, PublisherConfig, SubscriberConfig
from ..net.sockets import BACKLOG, NO_RECONNECTION, keep_alive

__all__ = ["publisher_socket", "subscriber_socket"]


def publisher_socket(context: zmq.Context[Any], config: PublisherConfig) -> zmq.Socket[bytes]:
    """The XPUB of a publisher, neither bound nor connected yet.

    Subscriptions have no bound: libzmq would drop those beyond it without a word, and they come all at
    once after a restart.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
    try:
        socket.linger = 0  # see PublisherIO
        socket.backlog = BACKLOG
        socket.sndhwm = config.high_water_mark
        socket.rcvhwm = 0
        socket.maxmsgsize = LONGEST_TOPIC + 1
        socket.handshake_ivl = max(1, round(config.handshake_timeout * 1000))
        keep_alive(socket)
    except BaseException:
        socket.close()
        raise
    return socket


def subscriber_socket(context: zmq.Context[Any], config: SubscriberConfig) -> zmq.Socket[bytes]:
    """The XSUB of one connection of a subscriber.

    XSUB, as its thread looks after subscriptions itself: none is sent twice, and all in their order.
    They have no bound, for the same reason.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.XSUB)
    try:
        socket.linger = 0
        socket.sndhwm = 0
        socket.rcvhwm = config.high_water_mark
        socket.maxmsgsize = config.max_message_bytes
        socket.reconnect_ivl = NO_RECONNECTION
        keep_alive(socket)
    except BaseException:
        socket.close()
        raise
    return socket
