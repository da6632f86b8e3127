"""A worker's connection to a broker: tried for until it is established, then used, and its end."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from ..net.dialing import MISMATCHED, Dialing
from ..net.sockets import one_connection
from ..wire.req import WORKER_ANNOUNCEMENT
from .readiness import REFUSED

__all__ = ["FLUSH_MS", "GOODBYE_MS", "Connection"]

#: Seconds to which the pauses between tries to connect grow.
RETRY_MAX = 3.0
#: Milliseconds that the last reply of a worker that stops may take to leave.
FLUSH_MS = 5_000
#: The same for DISCONNECT to a broker that was silent: it may be gone.
GOODBYE_MS = 1_000
#: Milliseconds that connecting, and the handshake after it, may take at the least.
CONNECT_MS = 1_000

_numbers = itertools.count(1)


class Connection:
    """Tries as often as it must to get a connection, and uses just that one.

    :meth:`read_events` does what is to be done for that, and tells when the connection has ended.
    Then the caller closes this and makes another, so nothing of the old connection can reach the
    new one.

    Used by one thread.  ``patience_ms`` is how long connecting, and the handshake, may take each
    before another try.  ``wake`` is called from another thread when a name was looked up.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        patience_ms: int,
        wake: Callable[[], object],
    ) -> None:
        self.endpoint = endpoint
        self.number = next(_numbers)
        #: Whether the connection stands, as far as is known.
        self.connected = False
        self._context = context
        #: What was to be said first, and is still to be.
        self._greeting: Sequence[bytes] | None = None
        #: What the log was told of.
        self._told: set[str] = set()
        self._dialing = Dialing(
            endpoint, self._make, wake,
            patience=max(CONNECT_MS, patience_ms) / 1000, retry_max=RETRY_MAX,
        )  # fmt: skip
        #: Over inproc there are no events: call :meth:`read_events` from time to time.
        self.silent = self._dialing.silent
        try:
            self._dialing.advance(time.monotonic())
        except BaseException:
            self.close()
            raise

    def _make(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes] | None]:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER)
        try:
            socket.linger = 0
            # By its id brokers of brigantine know that this worker waits for an answer to READY.
            one_connection(socket, WORKER_ANNOUNCEMENT)
            self._prepare(socket)
            return socket, None if self._dialing.silent else self._context.socket(zmq.PAIR)
        except BaseException:
            socket.close()
            raise

    def _prepare(self, socket: zmq.Socket[bytes]) -> None:
        """Set more options, before it connects."""

    @property
    def socket(self) -> zmq.Socket[bytes] | None:
        """Of the connection, or of this try to get one; ``None`` between two tries."""
        return self._dialing.socket

    @property
    def monitor(self) -> zmq.Socket[bytes] | None:
        """Readable when there are events; ``None`` between two tries."""
        return self._dialing.monitor

    @property
    def due(self) -> float | None:
        """When :meth:`read_events` is due at the latest, if it is, on the monotonic clock."""
        return self._dialing.due()

    def greet(self, frames: Sequence[bytes]) -> None:
        """Send this as soon as the connection stands."""
        self._greeting = frames
        self._say_greeting()

    def _say_greeting(self) -> None:
        if self._greeting is not None and self._dialing.connected:
            # Not taken: by an inproc broker that has just gone.
            self.send_frames(self._greeting)
            self._greeting = None

    def send_frames(self, frames: Sequence[bytes]) -> bool:
        """Send one message; whether libzmq took it."""
        if self.socket is None:
            return False
        try:
            self.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self) -> list[bytes] | None:
        """The frames of one message, or ``None`` if there is none."""
        if self.socket is None:
            return None
        try:
            return self.socket.recv_multipart(zmq.DONTWAIT)
        except zmq.Again:
            return None

    def read_events(self) -> tuple[bool, bool]:
        """What has happened since the last call: (has connected, is over)."""
        dialing = self._dialing
        before = dialing.connected
        dialing.advance(time.monotonic())
        has_connected = dialing.connected and not before and not self.silent
        self.connected = self.connected or has_connected
        self._say_greeting()
        return has_connected, dialing.over

    @property
    def trouble(self) -> str:
        """What keeps it from connecting, in words; empty when nothing is known to."""
        trouble = self._dialing.trouble
        return REFUSED if self._dialing.met == "refused" else trouble

    @property
    def mismatched(self) -> bool:
        """Whether what is bound there is known to be of a type that does not fit; the log was told."""
        return self._dialing.met == MISMATCHED

    def tell_trouble(self, log: logging.Logger) -> None:
        """Say once what keeps it from connecting: the endpoint may be a wrong one."""
        trouble = self._dialing.trouble
        if self.mismatched or self._dialing.over:
            return  # that is told already, or is about to be
        if trouble and trouble not in self._told:
            self._told.add(trouble)
            log.warning("%s; trying again", trouble)

    def close(self, *, linger_ms: int = 0) -> None:
        """End the connection.  What was sent is given that long to leave."""
        self._dialing.close(linger_ms)
