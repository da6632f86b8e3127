"""What can be seen of a broker from outside while a request waits: for the error, if there is to be one.

A request's own socket tells nothing but replies.  So a request that has waited for half its timeout has
its broker looked at by a *witness*, one for all requests of the client: a socket of its own, whose
monitor tells how connecting goes.  Over Majordomo it asks ``mmi.service`` as well, which every broker of
that protocol answers by itself: that tells a slow worker from an endpoint that is no broker's.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq

from ..contexts import KnownSocket, Sockets
from ..endpoints import connect
from ..errors import BrigantineError
from ..monitor import monitor_event
from ..receiving import message_if_there
from ..wire_mdp import MMI_SERVICE
from .codec import ClientCodec, Says
from .dialog import Dialog
from .roster import Roster
from .sight import OUT_OF_REACH, Sight

__all__ = ["Witness", "Witnesses", "better_leave"]

#: Milliseconds between tries to connect, and the bound to which they grow.
RECONNECT_MS = 100
RECONNECT_MAX_MS = 1_000
#: What the monitor reports -> what it means until the next report.
_MEANS: dict[int, Sight] = {
    zmq.EVENT_CONNECTED: Sight.MUTE,
    zmq.EVENT_CONNECT_RETRIED: Sight.REFUSED,
    zmq.EVENT_HANDSHAKE_SUCCEEDED: Sight.CONNECTED,
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: Sight.HUNG_UP,
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: Sight.HUNG_UP,
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: Sight.HUNG_UP,
    zmq.EVENT_DISCONNECTED: Sight.HUNG_UP,
}
_WATCHED = sum(_MEANS)
#: Services of which an answer is kept.
MOST_ANSWERS = 256
#: What mmi.service answers -> what it means.
_ANSWERS = {b"200": Sight.SERVED, b"404": Sight.UNSERVED}

_numbers = itertools.count(1)


class Witness:
    """Watches one broker.  Not thread-safe.

    ``service_codec`` is that of the client's protocol, if it names services; ``known`` are the sockets that
    its client closes in the end, whatever becomes of this.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        endpoint: str,
        service_codec: Callable[[bytes], ClientCodec] | None,
        known: Sockets,
    ) -> None:
        self._codec = None if service_codec is None else service_codec(MMI_SERVICE)
        self._seen = Sight.UNREACHED
        #: Services that were asked for and not answered yet, in that order; what was answered last.
        self._asked: deque[bytes] = deque()
        self._answers: dict[bytes, Sight] = {}
        kind = partial(KnownSocket, known=known)
        self._socket: zmq.Socket[bytes] = context.socket(zmq.DEALER, kind)
        self._monitor: zmq.Socket[bytes] | None = None
        try:
            self._monitor = context.socket(zmq.PAIR, kind)
            self._socket.linger = self._monitor.linger = 0
            self._socket.reconnect_ivl = RECONNECT_MS
            self._socket.reconnect_ivl_max = RECONNECT_MAX_MS
            events = f"inproc://brigantine-witness-{os.getpid()}-{next(_numbers)}"
            self._socket.monitor(events, _WATCHED)
            self._monitor.connect(events)
            connect(self._socket, endpoint)
        except BaseException:
            self.close()
            raise

    def ask(self, service: bytes | None) -> None:
        """Have the broker tell whether it has workers for a service, where the protocol can."""
        self._read()
        if self._codec is None or service is None or service in self._asked:
            return
        self._answers.pop(service, None)
        with contextlib.suppress(zmq.Again):  # an inproc broker is gone, or many wait already
            self._socket.send_multipart(self._codec.request([service]), zmq.DONTWAIT)
            self._asked.append(service)

    def seen(self, service: bytes | None) -> Sight:
        """How it is with the broker now."""
        self._read()
        if self._seen is not Sight.CONNECTED or service is None:
            return self._seen
        waits = Sight.UNHEARD if service in self._asked else Sight.CONNECTED
        return self._answers.get(service, waits)

    def _read(self) -> None:
        assert self._monitor is not None
        while (event := message_if_there(self._monitor)) is not None:
            self._note(monitor_event(event)[0])
        while (frames := message_if_there(self._socket)) is not None:
            self._hear(frames)

    def _note(self, event: int) -> None:
        """The connection has changed."""
        before = self._seen
        if event == zmq.EVENT_CONNECT_RETRIED and before in (Sight.HUNG_UP, Sight.CUT):
            return  # it is the pause before the next try
        cut = event == zmq.EVENT_DISCONNECTED and before is Sight.CONNECTED
        self._seen = Sight.CUT if cut else _MEANS.get(event, before)
        if self._seen is Sight.CUT:
            self._asked.clear()

    def _hear(self, frames: list[bytes]) -> None:
        """The broker has said something: to the oldest question, if it answers in order."""
        if self._codec is None or not self._asked:
            return
        reply = self._codec.parse(frames)
        what = _ANSWERS.get(b"".join(reply.body), Sight.CONNECTED)
        if len(self._answers) >= MOST_ANSWERS:
            self._answers.clear()
        self._answers[self._asked.popleft()] = what if reply.says is Says.FINAL else Sight.FOREIGN

    def close(self) -> None:
        """Stop watching.  May be called again."""
        if not self._socket.closed:
            # In this order: libzmq would wait for a monitor whose reader has gone.
            with contextlib.suppress(zmq.ZMQError):  # the context was terminated
                self._socket.disable_monitor()
        if self._monitor is not None:
            self._monitor.close(0)
        self._socket.close(0)


class Witnesses:
    """The witnesses of a client, one for each broker that was ever looked at.  Not thread-safe."""

    def __init__(
        self,
        endpoints: Sequence[str],
        service_codec: Callable[[bytes], ClientCodec] | None,
        known: Sockets,
    ) -> None:
        self._endpoints = endpoints
        self._service_codec = service_codec
        self._known = known
        self._made: dict[int, Witness] = {}

    def look(self, context: zmq.Context[Any], broker: int, service: bytes | None) -> None:
        """Have a broker watched from now on, and asked for a service."""
        endpoint = self._endpoints[broker]
        if endpoint.startswith("inproc://") or not _is_cheap(endpoint):
            return  # where there is nothing to see, or a look could take time
        # What can't be seen, for want of sockets, say, is not told; the request goes on.
        with contextlib.suppress(zmq.ZMQError, BrigantineError):
            if broker not in self._made:
                self._made[broker] = Witness(context, endpoint, self._service_codec, self._known)
            self._made[broker].ask(service)

    def seen(self, broker: int, service: bytes | None) -> Sight:
        """What was seen of a broker since."""
        with contextlib.suppress(zmq.ZMQError):
            if broker in self._made:
                return self._made[broker].seen(service)
        return Sight.UNKNOWN

    def close(self) -> None:
        """Stop watching.  May be called again."""
        while self._made:
            self._made.popitem()[1].close()


def _is_cheap(endpoint: str) -> bool:
    """Whether no name has to be looked up: libzmq would do nothing else for as long as that takes."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0].strip("[]")
    if not endpoint.startswith("tcp://") or host == "localhost":
        return True
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def better_leave(dialog: Dialog, roster: Roster, witnesses: Witnesses) -> bool:
    """Whether a request should not wait on for its broker: that is out of reach, and another is not."""
    if dialog.last or dialog.patient or not roster.others(dialog):
        return False
    return witnesses.seen(dialog.broker, None) in OUT_OF_REACH
