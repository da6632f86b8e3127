"""What can be seen of a broker from outside while a request waits: for the error, if there is to be one.

A request's own socket tells nothing but replies.  So a request that has waited for half its timeout has
its broker looked at by a *witness*, one for all requests of the client: a socket of its own, whose
monitor tells how connecting goes.  Over Majordomo it asks ``mmi.service`` as well, which every broker of
that protocol answers by itself: that tells a slow worker from an endpoint that is no broker's.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import zmq

from ..errors import BrigantineError
from ..net.contexts import KnownSocket, Sockets
from ..net.dialing import Dialing
from ..net.receiving import message_if_there
from ..net.sockets import keep_alive, one_connection
from ..wire.mdp import MMI_SERVICE
from .channel import CONNECT_PATIENCE
from .codec import ClientCodec, Says
from .sight import Sight

__all__ = ["Witness", "Witnesses"]

#: Services of which an answer is kept.
MOST_ANSWERS = 256
#: What mmi.service answers -> what it means.
_ANSWERS = {b"200": Sight.SERVED, b"404": Sight.UNSERVED}


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
        self._context, self._known = context, known
        self._codec = None if service_codec is None else service_codec(MMI_SERVICE)
        #: Whether the last connection that stood has ended.
        self._cut = False
        #: Services that were asked for and not answered yet, in that order; what was answered last.
        self._asked: deque[bytes] = deque()
        self._answers: dict[bytes, Sight] = {}
        self._dialing = self._dial(endpoint)

    def _dial(self, endpoint: str) -> Dialing[zmq.Socket[bytes]]:
        dialing: Dialing[zmq.Socket[bytes]] = Dialing(
            endpoint, self._make, lambda: None,
            patience=CONNECT_PATIENCE, opened=self._say, again=True,
        )  # fmt: skip
        try:
            dialing.advance(time.monotonic())
        except BaseException:
            dialing.close()
            raise
        return dialing

    def _make(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        kind = partial(KnownSocket, known=self._known)
        socket: zmq.Socket[bytes] = self._context.socket(zmq.DEALER, kind)
        try:
            socket.linger = 0
            one_connection(socket)
            keep_alive(socket)
            return socket, self._context.socket(zmq.PAIR, kind)
        except BaseException:
            socket.close()
            raise

    def _say(self, socket: zmq.Socket[bytes]) -> None:
        """Ask on a socket that begins to connect what was not answered on those before it."""
        for service in self._asked:
            self._question(socket, service)

    def _question(self, socket: zmq.Socket[bytes], service: bytes) -> None:
        assert self._codec is not None
        with contextlib.suppress(zmq.Again):  # many wait already
            socket.send_multipart(self._codec.request([service]), zmq.DONTWAIT)

    def ask(self, service: bytes | None) -> None:
        """Have the broker tell whether it has workers for a service, where the protocol can."""
        self._read()
        # Nobody calls until the answer is wanted, and that is to be how it is then.
        self._dialing.at_once(time.monotonic())
        if self._codec is None or service is None or service in self._asked:
            return
        self._answers.pop(service, None)
        self._asked.append(service)
        if self._dialing.socket is not None:
            self._question(self._dialing.socket, service)

    def seen(self, service: bytes | None) -> Sight:
        """How it is with the broker now."""
        self._read()
        dialing = self._dialing
        if not dialing.connected:
            if self._cut and not dialing.met:
                return Sight.CUT
            return Sight.UNRESOLVED if dialing.unresolved() else Sight(dialing.met or "unreached")
        if service is None:
            return Sight.CONNECTED
        waits = Sight.UNHEARD if service in self._asked else Sight.CONNECTED
        return self._answers.get(service, waits)

    def _read(self) -> None:
        dialing = self._dialing
        dialing.advance(time.monotonic())
        if dialing.connected and not dialing.over:
            self._cut = False
            assert dialing.socket is not None
            # No more: a request ends in time, also where somebody floods its client.
            for _ in range(MOST_ANSWERS):
                if (frames := message_if_there(dialing.socket)) is None:
                    break
                self._hear(frames)
        elif dialing.over:
            self._cut = True
            self._asked.clear()
            dialing.close()
            self._dialing = self._dial(dialing.endpoint)

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
        self._dialing.close()


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
        if endpoint.startswith("inproc://"):
            return  # where there is nothing to see
        # What can't be seen, for want of sockets, say, is not told; the request goes on.
        with contextlib.suppress(zmq.ZMQError, BrigantineError):
            if broker not in self._made:
                self._made[broker] = Witness(context, endpoint, self._service_codec, self._known)
            self._made[broker].ask(service)

    def seen(self, broker: int, service: bytes | None) -> Sight:
        """What was seen of a broker since."""
        with contextlib.suppress(zmq.ZMQError, BrigantineError):
            if broker in self._made:
                return self._made[broker].seen(service)
        return Sight.UNKNOWN

    def close(self) -> None:
        """Stop watching.  May be called again."""
        while self._made:
            self._made.popitem()[1].close()
