"""The connections of many peers: made on one socket, waited for, and watched."""

from __future__ import annotations

import errno
import os
import resource
import time
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from ..config.load import Plan
from ..core.load.line import peer_name
from ..errors import BrigantineError, ConfigError
from ..net.endpoints import connect
from ..net.reach import reach
from ..wire.req import ANNOUNCEMENT

__all__ = ["Connections", "ConnectionsFailed", "allow_files"]

#: Descriptors of this process in addition to one for each connection: standard streams, libzmq's own,
#: connections of brokers that a test or benchmark runs in the same process.
SPARE_FILES = 64
#: Seconds between two looks at whether all are connected.
TICK = 0.05
#: Seconds that the last words of workers may take.
LINGER = 0.5
#: Random bytes in the routing ids of clients that announce themselves, and of the others, whose ids
#: are kept short.
_ANNOUNCED_NONCE, _NONCE = 6, 4
#: A connection whose handshake fails is reported twice: as failed, and as closed.
_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_EVENTS = zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED | _FAILED


class ConnectionsFailed(BrigantineError, OSError):
    """Not all peers could be connected in time."""


def allow_files(connections: int) -> None:
    """Raise the soft limit of open files if so many connections need it.

    Raises :class:`~brigantine.errors.ConfigError` when the hard limit is too low.
    """
    needed = connections + SPARE_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"{connections} clients and workers need {needed} open files, and this process may have "
            f"{hard}: raise the limit (ulimit -Hn), or share them among several processes"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Connections:
    """``count`` peers on one ROUTER, each with a connection of its own to ``endpoint``.

    A name in it is looked up here, for at most ``timeout`` seconds.
    Raises :class:`~brigantine.errors.ConnectError` when connecting can't be tried.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        count: int,
        *,
        timeout: float = Plan.connect_timeout,
        announce: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self._address = reach(endpoint, timeout)
        self.count = count
        #: Connections that are open now, and that were lost up to now.
        self.open = self.lost = 0
        #: Connections lost since all were there last.
        self._lost_since = 0
        #: Connections that are about to be closed before they could be used.
        self._failed = 0
        # Over inproc a connection is there at once or when the other side binds, and nobody tells.
        self._watched = not endpoint.startswith("inproc://")
        self.socket: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
        self._monitor: zmq.Socket[bytes] | None = None
        try:
            self._connect(announce)
        except BaseException:
            self.close()
            raise

    def _connect(self, announce: bool) -> None:
        socket = self.socket
        socket.linger = 0
        # A connection that is gone must not swallow what is sent.
        socket.router_mandatory = 1
        # The clients' windows bound what is out; libzmq must not drop or hold any of it.
        socket.sndhwm = socket.rcvhwm = 0
        if self._watched:
            self._monitor = socket.get_monitor_socket(_EVENTS)
            self._monitor.rcvhwm = 0
        prefix = ANNOUNCEMENT if announce else b""
        prefix += os.urandom(_ANNOUNCED_NONCE if announce else _NONCE).hex().encode()
        for number in range(self.count):
            # Every connection tells the routing id that the socket had when it was begun.  One that
            # can be printed: some brokers keep them as C strings, and those of libzmq begin with NUL.
            # It is told again when libzmq reconnects: one of many to an endpoint can't be ended alone.
            socket.setsockopt(zmq.ROUTING_ID, prefix + b"-%d" % number)
            socket.setsockopt(zmq.CONNECT_ROUTING_ID, peer_name(number))
            connect(socket, self._address)

    def wait(self, timeout: float, who: str) -> None:
        """Return when all are connected.

        Raises :class:`ConnectionsFailed` if they are not within ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        while self._watched:
            self.look()
            if self.open >= self.count:
                self._lost_since = 0
                return
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConnectionsFailed(
                    errno.ETIMEDOUT,
                    f"{self.open} of {self.count} {who} are connected to {self.endpoint} after "
                    f"{timeout:g} s; is the broker running there, and may it have so many open files?",
                )
            assert self._monitor is not None
            self._monitor.poll(int(min(TICK, left) * 1000) + 1)

    def look(self) -> bool:
        """Take note of connections opened and lost; whether all of them were lost and are back."""
        while self._monitor is not None and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)["event"]
            if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.open += 1
            elif event & _FAILED:
                self._failed += 1
            elif self._failed:
                self._failed -= 1
            else:
                self.open -= 1
                self.lost += 1
                self._lost_since += 1
        if self._lost_since >= self.count and self.open >= self.count:
            self._lost_since = 0
            return True
        return False

    def close(self, linger: float = 0.0) -> None:
        """Close all connections; ``linger`` seconds for what is still to be sent."""
        if self._monitor is not None:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self._monitor = None
        self.socket.close(int(linger * 1000))
