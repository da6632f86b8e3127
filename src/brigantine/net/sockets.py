"""The options of a broker's sockets, in one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import zmq

from ..config import BrokerConfig
from ..config.limits import LINGER
from ..config.protocols import Protocol

__all__ = [
    "HANDSHAKES",
    "Handshakes",
    "backend_router",
    "capture_socket",
    "check_sides",
    "control_router",
    "device_socket",
    "frontend_router",
    "keep_alive",
    "one_connection",
    "routing_id",
    "server_router",
    "watch_connections",
]

#: Connections that may wait for accept(): thousands of clients may come at once.
BACKLOG = 4096
#: TCP keepalive, in seconds: when a connection counts as idle, how long until the next probe, and
#: after how many unanswered probes it is closed.
KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES = 60, 15, 4
#: Messages that the control endpoint holds for one peer in each direction, and bytes of a frame.
CONTROL_HIGH_WATER_MARK, CONTROL_FRAME_BYTES = 16, 1024
#: The types of a device's frontend and backend.
SIDES = ((zmq.ROUTER, zmq.DEALER), (zmq.XSUB, zmq.XPUB), (zmq.PULL, zmq.PUSH))
#: Of these, who has a routing id for each connection, which can be printed, as it speaks to ROUTERs.  A
#: ROUTER that connects only answers, and no ROUTER can ask it anything.
ONE_CONNECTION_EACH = (zmq.DEALER,)
#: The longest time that a socket option can hold, 24.8 days: an int of 32 bits.
MOST_MILLISECONDS = 2**31 - 1
#: Milliseconds to libzmq's own next try to connect: 12 days, in which it is not needed.  With -1 it
#: would also throw away what has come in when a connection ends, and was not taken yet.
NO_RECONNECTION = 2**30
#: Random bytes of a routing id, in hexadecimal digits: no two connections have the same.  With the
#: announcement it is as long as libzmq keeps within a message without another allocation.
ROUTING_ID_BYTES = 8


def frontend_router(context: zmq.Context[Any], config: BrokerConfig) -> zmq.Socket[bytes]:
    """The ROUTER for clients, not yet bound.

    The machine of a client may vanish, and its connection would stay for ever: TCP's own keepalive
    finds out, and costs nothing while nothing happens.
    """
    with _router(context, config) as socket:
        keep_alive(socket)
    return socket


def backend_router(
    context: zmq.Context[Any], config: BrokerConfig, *, pings: bool
) -> zmq.Socket[bytes]:
    """The ROUTER for workers, not yet bound.  ``pings``: some of them can't say that they are there.

    ZMTP heartbeats close a connection on which nothing was heard for ``heartbeat_interval *
    liveness`` at most (and for 0.48 of that at least: it depends on when the next PING is).  The peer's
    libzmq answers them itself, however busy its application is, so a REQ worker that computes is
    not mistaken for a dead one.  They are safe where both sides read: the loop always does, and
    a REQ worker has one message at a time to read.  Clients may pause with a queue that is full,
    so no socket that clients use has them.

    They cost with the square of the connections, as libzmq looks through all of an I/O thread's
    timers at each answer.  Workers of PPP and MDP have heartbeats of their own, so that a connection
    to a machine that has vanished is nothing but memory: TCP gives it up in its own time.
    """
    with _router(context, config) as socket:
        if pings:
            # Silence starts up to one interval before the PING that finds it.  A timeout that ends
            # before the next PING stands early among libzmq's timers, and is found sooner.
            silence = _milliseconds(config.interval(Protocol.REQ) * config.liveness)
            socket.heartbeat_timeout = silence * 12 // 25
            socket.heartbeat_ivl = silence - socket.heartbeat_timeout
            # A TTL would make every peer hang up on a broker that was only stopped for a while.
            socket.heartbeat_ttl = 0
        else:
            keep_alive(socket)
    return socket


def server_router(
    context: zmq.Context[Any], config: BrokerConfig, known_by: str
) -> zmq.Socket[bytes]:
    """The ROUTER of a server, not yet bound.  ``known_by``: a property that our clients look for.

    No HANDOVER: who connects with a routing id that is in use would have it from then on, and get the
    replies to another's requests, before a word of it was read.
    """
    with _router(context, config) as socket:
        keep_alive(socket)
        with contextlib.suppress(zmq.ZMQError):  # a libzmq that has no such option: see AsyncClient
            socket.setsockopt(zmq.METADATA, known_by.encode())
    return socket


def control_router(context: zmq.Context[Any], config: BrokerConfig) -> zmq.Socket[bytes]:
    """The ROUTER for control, not yet bound.  A peer with a frame longer than any request is cut off."""
    with _router(context, config) as socket:
        socket.sndhwm = socket.rcvhwm = CONTROL_HIGH_WATER_MARK
        socket.maxmsgsize = CONTROL_FRAME_BYTES
    return socket


def device_socket(
    context: zmq.Context[Any], kind: int, *, high_water_mark: int, max_message_bytes: int
) -> zmq.Socket[bytes]:
    """One side of a device, neither bound nor connected.

    MANDATORY for a ROUTER: see :func:`backend_router`.  IMMEDIATE where messages go to peers in turn: to
    those that are there, not to one that is still to be connected to.  No bound on subscriptions: libzmq
    would drop those beyond it without a word, and a publisher that comes later gets all of them at once.
    What vanishes without a word is found by TCP's own keepalive.
    """
    socket: zmq.Socket[bytes] = context.socket(kind)
    try:
        socket.linger = _milliseconds(LINGER)
        socket.backlog = BACKLOG
        socket.sndhwm = socket.rcvhwm = high_water_mark
        socket.maxmsgsize = max_message_bytes
        if kind == zmq.ROUTER:
            socket.router_mandatory = 1
        elif kind in (zmq.DEALER, zmq.PUSH):
            socket.immediate = 1
        elif kind == zmq.XSUB:
            socket.sndhwm = 0
        elif kind == zmq.XPUB:
            socket.rcvhwm = 0
        keep_alive(socket)
    except BaseException:
        socket.close()
        raise
    return socket


def capture_socket(
    context: zmq.Context[Any], kind: int, *, high_water_mark: int
) -> zmq.Socket[bytes]:
    """Where copies of what a device passes on go: PUB or PUSH, neither bound nor connected.

    NODROP, so that libzmq says when somebody misses a copy; IMMEDIATE for a PUSH, so that none waits for
    somebody who is still to come.
    """
    socket: zmq.Socket[bytes] = context.socket(kind)
    try:
        socket.linger = _milliseconds(LINGER)
        socket.sndhwm = high_water_mark
        if kind == zmq.PUB:
            socket.setsockopt(zmq.XPUB_NODROP, 1)
        else:
            socket.immediate = 1
        keep_alive(socket)
    except BaseException:
        socket.close()
        raise
    return socket


def check_sides(frontend: zmq.Socket[Any], backend: zmq.Socket[Any]) -> None:
    """Raises ``TypeError`` for a pair of sockets that no device has."""
    if (frontend.type, backend.type) not in SIDES:
        known = ", ".join(f"{a.name} and {b.name}" for a, b in SIDES)
        raise TypeError(
            f"a device has {known} as frontend and backend, not {frontend.type!r} and {backend.type!r}"
        )


def keep_alive(socket: zmq.Socket[Any]) -> None:
    """Have the system find out that the machine on the other side has vanished.

    ZMTP's heartbeats would close a healthy connection whose messages nobody takes for a while, since
    libzmq stops to read one whose queue is full, and then end the process: libzmq 4.3.5 fails its
    own assertion at the next receive.  The system's probes are answered by the other system,
    whatever the queues are like.
    """
    socket.tcp_keepalive = 1
    socket.tcp_keepalive_idle = KEEPALIVE_IDLE
    socket.tcp_keepalive_intvl = KEEPALIVE_INTERVAL
    socket.tcp_keepalive_cnt = KEEPALIVE_PROBES
    # Keepalive does not ask while something is on its way.
    socket.tcp_maxrt = _milliseconds(KEEPALIVE_IDLE + KEEPALIVE_INTERVAL * KEEPALIVE_PROBES)


def one_connection(socket: zmq.Socket[Any], prefix: bytes = b"") -> None:
    """Give a socket a routing id for the connection that it is about to begin, and for no other."""
    socket.routing_id = routing_id(prefix)
    socket.reconnect_ivl = NO_RECONNECTION


def routing_id(prefix: bytes = b"") -> bytes:
    """One that nobody has, to be set before a socket connects.

    It can be printed: peers keep ids as C strings, and those that libzmq makes up begin with NUL.
    """
    return prefix + os.urandom(ROUTING_ID_BYTES).hex().encode()


@contextlib.contextmanager
def _router(context: zmq.Context[Any], config: BrokerConfig) -> Iterator[zmq.Socket[bytes]]:
    """What both sides have in common, for a ``with`` in which the rest is set.

    MANDATORY, so that no send fails without a word.  No HANDOVER: a second peer that claims an
    identity in use is refused.
    """
    socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    try:
        socket.linger = _milliseconds(LINGER)
        socket.backlog = BACKLOG
        socket.sndhwm = config.high_water_mark
        socket.rcvhwm = config.high_water_mark
        socket.maxmsgsize = config.max_message_bytes
        socket.router_mandatory = 1
        socket.handshake_ivl = _milliseconds(config.handshake_timeout)
        yield socket
    except BaseException:
        # Nobody else knows of it yet, and the end of its context would wait for it.
        socket.close()
        raise


#: Events that tell how a handshake has ended.  None of them comes where libzmq finds the types of both
#: sockets to be such as can't be connected: the connection ends without a word.
HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)


class Handshakes:
    """Finds the connections to a bound socket that have ended so, by the events of its monitor.

    Not all: one whose other side was the first to notice may look like that of a program which leaves.
    """

    def __init__(self) -> None:
        #: Handshakes that have ended otherwise; how many there were when a connection came.
        self._ended = 0
        self._ended_at: dict[int, int] = {}

    def mismatched(self, event: int, descriptor: int) -> bool:
        """Whether the event is the end of a connection that had no other end of its handshake."""
        if event == zmq.EVENT_ACCEPTED:
            self._ended_at[descriptor] = self._ended
        elif event & HANDSHAKES:
            self._ended += 1
        elif event == zmq.EVENT_DISCONNECTED:
            return self._ended_at.pop(descriptor, -1) == self._ended
        return False


def watch_connections(router: zmq.Socket[bytes], more: int = 0) -> zmq.Socket[bytes]:
    """The monitor socket that tells which connections of ``router`` open and close, and ``more`` events.

    Must be called before the router is bound, or connections would be missed.
    """
    monitor: zmq.Socket[bytes] = router.get_monitor_socket(
        zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | more
    )
    try:
        monitor.rcvhwm = 0
    except BaseException:
        monitor.close()
        raise
    return monitor


def _milliseconds(seconds: float) -> int:
    """As libzmq takes it: at least 1, and no more than fits."""
    return min(max(1, round(seconds * 1000)), MOST_MILLISECONDS)
