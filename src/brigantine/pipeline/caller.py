"""The connecting end of a connection of the pipeline, made again whenever it is lost; heartbeats."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import zmq

from ..net.backoff import Backoff
from ..net.dialing import MISMATCHED, Dialing
from ..net.receiving import message_if_there
from ..net.sockets import keep_alive, one_connection
from ..wire.pipeline import PING, says

__all__ = ["Caller"]

#: Seconds of the longest pause between two connections, at first and at most.
PAUSE, PAUSE_MAX = 0.1, 1.0
#: Seconds that connecting, and the handshake after it, may take.
PATIENCE = 3.0
#: Messages that libzmq holds for a plain sink that does not read.
PLAIN_HIGH_WATER_MARK = 1000

_log = logging.getLogger("brigantine.pipeline")


class Caller:
    """One endpoint, and the connection to it, if there is one.  Used by one thread.

    ``kind`` is DEALER towards one of ours; PULL, PUSH and SUB towards plain programs, which have no
    heartbeats.  ``up`` is called when a connection is established, ``down`` when it has ended, after
    all that it had brought was read by ``heard``.  ``wake`` may be called by other threads: it is time
    for a :meth:`advance`.
    """

    def __init__(
        self,
        endpoint: str,
        kind: int,
        *,
        interval: float,
        liveness: int,
        max_message_bytes: int,
        high_water_mark: int,
        wake: Callable[[], object],
        up: Callable[[], object],
        down: Callable[[], object],
        heard: Callable[[list[bytes]], object],
    ) -> None:
        self.endpoint = endpoint
        self.kind = kind
        #: Seconds of silence after which it counts as lost; and how long nothing may be said, or heard,
        #: until it is pinged.  The other side may need to hear from us more often.
        self._patience = interval * liveness
        self.interval = interval
        self._max_message_bytes = max_message_bytes
        self._high_water_mark = high_water_mark
        self._wake, self._up, self._down, self._heard = wake, up, down, heard
        self._context: zmq.Context[Any] | None = None
        self._dialing: Dialing[zmq.Socket[bytes]] | None = None
        self._backoff = Backoff(PAUSE, PAUSE_MAX)
        self._open_at = 0.0
        #: Whether a connection is established, as far as is known.
        self.connected = False
        #: Whether the peer has said something of this protocol on it.
        self.known = False
        self._heard_at = self._said_at = self._pinged_at = 0.0
        #: How often a connection stood; how often one was given up because nothing was heard.
        self.connects = self.expired = 0
        self._told: set[str] = set()

    @property
    def plain(self) -> bool:
        """Whether the other side is no program of ours."""
        return self.kind != zmq.DEALER

    @property
    def trouble(self) -> str:
        """What keeps it from being connected, in words."""
        return self._dialing.trouble if self._dialing is not None else ""

    # -- its connection -----------------------------------------------------------------------

    def open(self, context: zmq.Context[Any], now: float) -> None:
        """Begin to connect when it is time to."""
        if self._dialing is not None or now < self._open_at:
            return
        self._context = context
        self._dialing = Dialing(
            self.endpoint, self._make, self._wake, patience=PATIENCE, again=True, tried=True
        )
        self.advance(now)

    def _make(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes] | None]:
        assert self._context is not None
        socket: zmq.Socket[bytes] = self._context.socket(self.kind)
        try:
            socket.linger = 0
            one_connection(socket)
            socket.sndhwm = PLAIN_HIGH_WATER_MARK if self.plain else 0
            socket.rcvhwm = self._high_water_mark
            socket.maxmsgsize = self._max_message_bytes
            keep_alive(socket)
            if self.kind == zmq.SUB:
                socket.subscribe(b"")
            silent = self.endpoint.startswith("inproc://")
            return socket, None if silent else self._context.socket(zmq.PAIR)
        except BaseException:
            socket.close()
            raise

    def advance(self, now: float) -> None:
        """Look after the connection, and send what time makes due."""
        dialing = self._dialing
        if dialing is None:
            return
        dialing.advance(now)
        self._tell_trouble(dialing)
        if dialing.connected and not self.connected and not dialing.over:
            self.connected = True
            self.connects += 1
            self._heard_at = self._said_at = self._pinged_at = now
            self._backoff.reset()
            self._up()
        if dialing.over:
            self._read_all()
            self.end(now)
            return
        if not self.connected or self.plain:
            return
        if now - self._heard_at >= self._patience:
            self.expired += 1
            silent = "has been silent" if self.known else "does not answer in this protocol"
            _log.warning("%s %s for %.3g s; connecting again", self.endpoint, silent,
                         now - self._heard_at)  # fmt: skip
            self.end(now)
        elif now >= self._ping_at():
            self._pinged_at = now
            self.send((PING,), now)

    def _ping_at(self) -> float:
        """Pinged is who has not been heard for a while, and who has not heard from here."""
        return max(min(self._said_at, self._heard_at), self._pinged_at) + self.interval

    def _tell_trouble(self, dialing: Dialing[zmq.Socket[bytes]]) -> None:
        """Say once what keeps it from connecting: the endpoint may be a wrong one."""
        if not dialing.trouble or dialing.trouble in self._told:
            return
        self._told.add(dialing.trouble)
        if dialing.met != MISMATCHED:
            _log.warning("%s; trying again", dialing.trouble)
        elif not self.plain:  # the rest was told already
            _log.warning("%s: if a program is bound there that knows nothing of brigantine, pass "
                         "plain_ventilator=True or plain_sink=True", self.endpoint)  # fmt: skip

    def excuse(self, gap: float) -> None:
        """This thread did not run for so long: the peer was not silent."""
        self._heard_at += gap

    def end(self, now: float, linger: float = 0.0) -> None:
        """End the connection, and plan the next one."""
        dialing, self._dialing = self._dialing, None
        if dialing is None:
            return
        stood, self.connected, self.known = self.connected, False, False
        dialing.close(round(linger * 1000))
        self._open_at = now + self._backoff.next()
        if stood:
            self._down()

    # -- what it carries ----------------------------------------------------------------------

    def send(self, frames: Sequence[bytes], now: float) -> bool:
        """Send a message; whether libzmq took it."""
        if not self.connected or self._dialing is None or self._dialing.socket is None:
            return False
        try:
            self._dialing.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        self._said_at = now
        return True

    def read(self, most: int) -> bool:
        """Read up to so many messages; whether there may be more."""
        dialing = self._dialing
        if dialing is None or dialing.socket is None:
            return False
        for _ in range(most):
            if self._dialing is not dialing or dialing.socket is None:
                return False  # ended by what was heard
            frames = message_if_there(dialing.socket)
            if frames is None:
                return False
            self._heard_at = time.monotonic()
            if says(frames):
                self.known = True
            self._heard(frames)
        return True

    def _read_all(self) -> None:
        while self.read(1000):
            pass

    def register(self, poller: zmq.Poller, *, waits_for_room: bool = False) -> None:
        """Have a poll return when there is something to do here."""
        dialing = self._dialing
        if dialing is None:
            return
        if dialing.monitor is not None:
            poller.register(dialing.monitor, zmq.POLLIN)
        if dialing.socket is not None:
            wanted = 0 if self.kind == zmq.PUSH else zmq.POLLIN
            poller.register(dialing.socket, wanted | (zmq.POLLOUT if waits_for_room else 0))

    def due(self) -> float | None:
        """When :meth:`open` or :meth:`advance` is due at the latest."""
        dialing = self._dialing
        if dialing is None:
            return self._open_at
        due = dialing.due()
        if not self.connected or self.plain:
            return due
        mine = min(self._heard_at + self._patience, self._ping_at())
        return mine if due is None else min(mine, due)

    def close(self, linger: float) -> None:
        """Give everything back; may be called again."""
        dialing, self._dialing = self._dialing, None
        self.connected = False
        if dialing is not None:
            dialing.close(round(linger * 1000))
