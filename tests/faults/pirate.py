"""A raw PPP or MDP worker with heartbeats and reconnecting, in a thread or in a process.

It is driven in lines over a stream socket.  It says ``connected``, ``got BODY`` for a request that
it holds, ``muted SECONDS`` (monotonic), ``disconnect``, ``silence`` (it gave its broker up) and
``stats JSON``; it is told ``go`` (answer all that is held), ``mute`` (a last heartbeat, then none),
``beat`` (speak again), ``ready`` (READY once more), ``stats``, and ends with the socket.
"""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections import Counter

import zmq
from protocol_frames import DIALECTS

__all__ = ["HOLD", "Pirate"]

#: A request whose body starts so is held until the worker is told ``go``.
HOLD = b"hold"
_CHUNK = 65536


class Pirate:
    """One worker; ``run`` returns when the other end of ``control`` is closed.

    ``dialect`` is the name of a protocol.  Replies are the worker's name and the request's body.
    ``interval`` is that of its heartbeats; 0 for none.  With ``liveness`` it gives up a broker that
    was silent for ``interval * liveness``, or that said DISCONNECT, and begins anew on a new socket.
    ``pace`` is how many seconds each request takes.
    """

    def __init__(
        self,
        control: socket.socket,
        dialect: str,
        endpoint: str,
        name: str = "worker",
        *,
        interval: float = 0.1,
        liveness: int = 0,
        capacity: int = 1,
        identity: str = "",
        pace: float = 0.0,
    ) -> None:
        self._control, self._endpoint, self._name = control, endpoint, name.encode()
        self._dialect = DIALECTS[dialect]
        self._interval, self._liveness = interval, liveness
        self._capacity, self._identity, self._pace = capacity, identity.encode(), pace
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._held: list[tuple[bytes, tuple[bytes, ...]]] = []
        self._mute = False
        self._heard_at = self._beat_at = 0.0
        #: Messages by kind, READYs said, most requests held at once.
        self._count: Counter[str] = Counter()
        self._lines = b""

    def run(self) -> None:
        self._connect()
        try:
            while self._turn():
                pass
        finally:
            self._hang_up()
            self._context.term()
            self._control.close()

    # -- the connection -----------------------------------------------------------------------

    def _connect(self) -> None:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        if self._identity:
            self._socket.setsockopt(zmq.IDENTITY, self._identity)
        self._monitor = self._socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._socket.connect(self._endpoint)
        self._poller = zmq.Poller()
        for source in (self._socket, self._monitor, self._control.fileno()):
            self._poller.register(source, zmq.POLLIN)
        self._heard_at = time.monotonic()
        self._ready()

    def _hang_up(self) -> None:
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()

    def _reconnect(self, why: str) -> None:
        self._say(why)
        self._hang_up()
        self._held.clear()
        self._connect()

    # -- the conversation ---------------------------------------------------------------------

    def _turn(self) -> bool:
        ready = dict(self._poller.poll(self._timeout()))
        if self._monitor in ready:
            self._monitor.recv_multipart()
            self._say("connected")
        if self._control.fileno() in ready and not self._obey():
            return False
        if self._socket in ready:
            self._take(self._socket.recv_multipart())
        now = time.monotonic()
        if self._liveness and now >= self._heard_at + self._interval * self._liveness:
            self._reconnect("silence")
        elif self._interval and not self._mute and now >= self._beat_at:
            self._send(self._dialect.heartbeat())
        return True

    def _timeout(self) -> int | None:
        if not self._interval:
            return None
        due = self._heard_at + self._interval * self._liveness if self._liveness else self._beat_at
        due = due if self._mute else min(due, self._beat_at)
        if self._mute and not self._liveness:
            return None
        return max(0, int((due - time.monotonic()) * 1000) + 1)

    def _take(self, frames: list[bytes]) -> None:
        self._heard_at = time.monotonic()
        heard = self._dialect.hear(frames)
        self._count[heard.kind] += 1
        if heard.kind == "REQUEST":
            if heard.body[-1].startswith(HOLD):
                self._held.append((heard.ticket, heard.body))
                self._count["most_held"] = max(self._count["most_held"], len(self._held))
                self._say(f"got {heard.body[-1].decode()}")
            else:
                if self._pace:
                    time.sleep(self._pace)
                self._reply(heard.ticket, heard.body)
        elif heard.kind == "DISCONNECT" and self._liveness:
            self._reconnect("disconnect")
        elif heard.kind == "DISCONNECT":
            self._say("disconnect")

    def _reply(self, ticket: bytes, body: tuple[bytes, ...]) -> None:
        self._send(self._dialect.reply(ticket, self._name, *body))

    def _ready(self) -> None:
        self._count["READY"] += 1
        self._send(self._dialect.ready(self._capacity))

    def _send(self, frames: list[bytes]) -> None:
        self._socket.send_multipart(frames)
        self._beat_at = time.monotonic() + self._interval

    # -- the line -----------------------------------------------------------------------------

    def _obey(self) -> bool:
        """Do what the other end says; whether it is still there."""
        try:
            data = self._control.recv(_CHUNK)
        except ConnectionError:
            return False
        self._lines += data
        *lines, self._lines = self._lines.split(b"\n")
        for line in lines:
            getattr(self, f"_on_{line.decode()}")()
        return bool(data)

    def _on_go(self) -> None:
        held, self._held = self._held, []
        for ticket, body in held:
            self._reply(ticket, body)

    def _on_mute(self) -> None:
        self._send(self._dialect.heartbeat())
        self._mute = True
        self._say(f"muted {time.monotonic()}")

    def _on_beat(self) -> None:
        self._mute = False
        self._send(self._dialect.heartbeat())

    def _on_ready(self) -> None:
        self._ready()

    def _on_stats(self) -> None:
        self._say(f"stats {json.dumps(self._count)}")

    def _say(self, line: str) -> None:
        # The other end may close at any moment; ``_obey`` then sees that it did.
        with contextlib.suppress(ConnectionError):
            self._control.sendall(line.encode() + b"\n")
