"""What a server sends to its clients: replies and errors, in the framing of each."""

from __future__ import annotations

import zmq

from ...config.limits import LIGHT
from ...config.servers import ServerConfig
from ...counters import SERVER_COUNTERS
from ...wire import server as wire
from ...wire.server_errors import answers_of
from ..loop.accounts import Accounts, weigh
from ..sessions.sessions import Sessions
from .handoff import Work, split_key

__all__ = ["Client", "Sending"]


class Client:
    """What is known of the client of a session, beside what Sessions knows."""

    __slots__ = ("bare", "connection", "delimiter", "ours", "single")

    def __init__(self, connection: object, *, single: bool) -> None:
        #: By which connection it came.
        self.connection = connection
        #: What it last sent had the empty frame; it has sent something without.
        self.delimiter = self.bare = False
        #: It has said HELLO; it is a REQ socket, connected to the ROUTER directly.
        self.ours, self.single = False, single


class Sending:
    """Base of the server's loop."""

    def __init__(
        self, router: zmq.Socket[bytes], config: ServerConfig, epoch: bytes, tells: int
    ) -> None:
        if router.type != zmq.ROUTER:
            raise TypeError(f"frontend must be a ROUTER socket, not {router.type!r}")
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        self._router = router
        self._epoch = epoch
        self._sessions = Sessions(config, tells)
        self._accounts = Accounts(config.peer_bytes)
        self._answers = {name: answers_of(name, SERVER_COUNTERS[name]) for name in SERVER_COUNTERS}

    def _client(self, serial: int) -> Client | None:
        return self._sessions._clients.get(serial)

    def _token(self, serial: int) -> bytes:
        return self._epoch + serial.to_bytes(wire.SERIAL_BYTES, "big")

    def _tell(self, work: Work, reason: str) -> None:
        """Tell a client that its request has ended without a reply."""
        if self._sessions.address(work.turn.serial) is not None:
            self._tell_to(work, reason)

    def _tell_to(self, work: Work, reason: str) -> None:
        told, untold = self._answers[reason]
        self._send_to(
            work.key, work.delimiter, wire.FAILED if work.ours else 0, work.turn.serial, work.number,
            told if work.ours or work.told else untold,
        )  # fmt: skip

    def _send_to(
        self, key: bytes, delimiter: bool, kind: int, serial: int, number: int, body: list[bytes]
    ) -> str:
        """Send a body; the counter of a request for which it is refused, or ``""``."""
        message = [*split_key(key)]
        if delimiter or kind:
            message.append(b"")
        if kind:
            message.append(wire.pack_head(kind, self._token(serial), number))
        message += body
        weight = weigh(message)
        if weight >= LIGHT and not self._accounts.admits(0, message[0], weight):
            return "shed_client_bytes"
        try:
            self._send(message, weight)
        except zmq.Again:
            return "shed_client_full"
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return "failed_client_gone"
        return ""

    def _send(self, message: list[bytes], weight: int) -> None:
        if weight < LIGHT:
            self._router.send_multipart(message, zmq.DONTWAIT)
            return
        for frame in message[:-1]:
            self._router.send(frame, zmq.DONTWAIT | zmq.SNDMORE)
        tracked = zmq.Frame(message[-1], track=True, copy=False)
        tracker = self._router.send(tracked, zmq.DONTWAIT, copy=False, track=True)
        self._accounts.charge(0, message[0], weight, tracker)
