"""A worker's socket that is used for one connection, and what became of that."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Sequence
from typing import Any, cast

import zmq

from ..endpoints import connect
from ..forks import close_socket, leave_to_parent, socket_number
from ..monitor import monitor_event
from ..wire import ANNOUNCEMENT

__all__ = ["FLUSH_MS", "GOODBYE_MS", "Connection"]

#: Random bytes in a routing id.
ROUTING_ID_BYTES = 8
#: Milliseconds between libzmq's tries to connect, and the bound to which they grow.
RECONNECT_MS = 100
RECONNECT_MAX_MS = 3_000
#: Milliseconds that the last reply of a worker that stops may take to leave.
FLUSH_MS = 5_000
#: The same for DISCONNECT to a broker that was silent: it may be gone.
GOODBYE_MS = 1_000
#: Milliseconds that connecting, and the handshake after it, may take at the least.
CONNECT_MS = 1_000
#: Events that the monitor reports: a connection has its descriptor; it can be used; it has ended; a try
#: to connect has failed.
WATCHED = (
    zmq.EVENT_CONNECTED
    | zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
)

_numbers = itertools.count(1)


class Connection:
    """A DEALER socket that connects as often as it must to get a connection, and uses just that one.

    :meth:`read_events` tells when the connection has ended.  Then the caller closes this socket and
    makes a new one, so nothing of the old connection can reach the new one.

    Used by one thread.  ``patience_ms`` is how long connecting, and the handshake, may take each
    before another try.
    """

    def __init__(self, context: zmq.Context[Any], endpoint: str, patience_ms: int) -> None:
        self.endpoint = endpoint
        self.number = next(_numbers)
        #: Whether the connection stands, as far as is known.
        self.connected = False
        #: Whether nobody accepts connections at the endpoint; ``None`` once the log was told of it.
        self.refused: bool | None = False
        #: Over inproc there are no events: call :meth:`read_events` from time to time.
        self.silent = endpoint.startswith("inproc://")
        #: The descriptor of the connection, and what tells that it still is; see close_socket().
        self._descriptor = (-1, 0)
        leave_to_parent(self._in_child)
        self.socket: zmq.Socket[bytes] = context.socket(zmq.DEALER)
        self.monitor: zmq.Socket[bytes] | None = None
        try:
            self.socket.linger = 0
            # By it brokers of brigantine know that this worker waits for an answer to READY.  Printable,
            # as some brokers keep it as text.
            self.socket.routing_id = ANNOUNCEMENT + os.urandom(ROUTING_ID_BYTES).hex().encode()
            # A host that does not answer at all: don't leave it to the system's two minutes.
            patience = max(CONNECT_MS, patience_ms)
            self.socket.handshake_ivl = self.socket.connect_timeout = patience
            self.socket.reconnect_ivl = RECONNECT_MS
            self.socket.reconnect_ivl_max = RECONNECT_MAX_MS
            self._prepare()
            self.monitor = self.socket.get_monitor_socket(
                WATCHED, f"inproc://brigantine-worker-{os.getpid()}-{self.number}"
            )
            self.monitor.linger = 0
            connect(self.socket, endpoint)
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Set more options, before it connects."""

    def send_frames(self, frames: Sequence[bytes]) -> bool:
        """Send one message; whether libzmq took it."""
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self) -> list[bytes] | None:
        """The frames of one message, or ``None`` if there is none."""
        try:
            return self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def read_events(self) -> tuple[bool, bool]:
        """What the monitor saw since the last call: (has connected, is over)."""
        has_connected = is_over = False
        assert self.monitor is not None
        with contextlib.suppress(zmq.Again):
            while True:
                event, value = monitor_event(self.monitor.recv_multipart(zmq.DONTWAIT))
                if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    has_connected = self.connected = True
                elif event == zmq.EVENT_CONNECTED:
                    self._descriptor = (value, socket_number(value))
                elif event == zmq.EVENT_DISCONNECTED:
                    is_over = True
                elif self.refused is False:
                    self.refused = True
        if self.silent and not cast(int, self.socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
            is_over = True  # the pipe went with the broker's socket
        return has_connected, is_over

    def tell_refused(self, log: logging.Logger) -> None:
        """Say once, where it is so, that nobody is there: the endpoint may be a wrong one."""
        if self.refused:
            self.refused = None
            log.warning("nobody accepts connections at %s; trying again", self.endpoint)

    def close(self, *, linger_ms: int = 0) -> None:
        """End the connection.  What was sent is given that long to leave."""
        if self.monitor is not None:
            # In this order: libzmq would wait for a monitor whose reader has gone.
            with contextlib.suppress(zmq.ZMQError):  # the user's context was terminated
                self.socket.disable_monitor()
            self.monitor.close()
        self.socket.close(linger_ms)

    def _in_child(self) -> None:
        """Close the connection in a forked child: the broker is to notice when the parent has died."""
        close_socket(*self._descriptor)
