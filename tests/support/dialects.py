"""How workers and clients of every protocol speak, frame by frame, written by hand from the RFCs.

ZeroMQ RFC 6/PPP, 7/MDP (0.1) and 18/MDP (0.2); nothing here is taken from the code under test.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, NamedTuple

from models import BACKEND, FRONTEND, NO_CONNECTION, Call, Rig

from brigantine.config.protocols import Protocol

Frames = list[bytes]


class Dialect(NamedTuple):
    """A worker's protocol.  A command that it does not have is None."""

    flag: Protocol
    #: What stands between the routing id and the command.
    head: tuple[bytes, ...]
    ready: bytes
    request: bytes | None
    partial: bytes | None
    final: bytes | None
    heartbeat: bytes | None
    disconnect: bytes | None

    @property
    def mdp(self) -> bool:
        return self.disconnect is not None

    def command(self, worker: bytes, byte: bytes | None) -> Frames:
        """A command without anything behind it."""
        assert byte is not None, f"{self} has no such command"
        return [worker, *self.head, byte]

    def leaves(self, worker: bytes) -> Frames:
        """ "Send me nothing more", and the broker's answer to it."""
        beat = [] if not self.mdp or self.heartbeat is None else [self.heartbeat]
        return [worker, *self.head, *beat, b"brigantine/1:leaving"]

    def registers(
        self, worker: bytes, service: bytes, capacity: bytes = b"", interval: bytes = b""
    ) -> Frames:
        """READY; ``capacity`` and ``interval`` are what stands behind it, encoded already."""
        if self.flag == Protocol.PPP:
            return [worker, self.ready + capacity + interval]
        if not self.mdp:
            return [worker, *self.head, self.ready]
        return [
            worker, *self.head, self.ready, service, *(each for each in (capacity, interval) if each)
        ]  # fmt: skip

    def job(self, worker: bytes, ticket: bytes, *body: bytes) -> Frames:
        """REQUEST, from the broker."""
        command = [] if self.request is None else [self.request]
        return [worker, *self.head, *command, ticket, b"", *body]

    def part(self, worker: bytes, ticket: bytes, *body: bytes) -> Frames:
        """PARTIAL."""
        return [*self.command(worker, self.partial), ticket, b"", *body]

    def reply(self, worker: bytes, ticket: bytes, *body: bytes) -> Frames:
        """REPLY, or FINAL."""
        command = [] if self.final is None else [self.final]
        return [worker, *self.head, *command, ticket, b"", *body]


REQ = Dialect(Protocol.REQ, (b"",), b"READY", None, None, None, None, None)
PPP = Dialect(Protocol.PPP, (), b"\x01", None, None, None, b"\x02", None)
MDP01 = Dialect(Protocol.MDP01, (b"", b"MDPW01"), b"\x01", b"\x02", None, b"\x03", b"\x04", b"\x05")
MDP02 = Dialect(Protocol.MDP02, (b"MDPW02",), b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06")
#: Of published workers, not of the RFCs: an empty frame in front, and words in place of bytes.
LED = MDP02._replace(head=(b"", b"MDPW02"))
WORDY = PPP._replace(ready=b"READY", heartbeat=b"HEARTBEAT")
#: Clients of MDP 0.2 that send an empty frame in front.
LED_CLIENTS = ("led", "shifted")
DIALECTS = {"REQ": REQ, "PPP": PPP, "MDP01": MDP01, "MDP02": MDP02}
ALL = Protocol.REQ | Protocol.PPP | Protocol.MDP01 | Protocol.MDP02
MAJORDOMO = Protocol.MDP01 | Protocol.MDP02


def asks(version: str, client: bytes, service: bytes, *body: bytes) -> Frames:
    """A request of a client of version "0.1" or "0.2", or of a plain one ("").

    "led" and "shifted" are published clients of 0.2: with an empty frame in front, and with other numbers.
    """
    if version == "0.2":
        return [client, b"MDPC02", b"\x01", service, *body]
    if version in LED_CLIENTS:
        return [client, b"", b"MDPC02", b"\x01" if version == "led" else b"\x02", service, *body]
    return [client, b"", *([b"MDPC01", service] if version == "0.1" else []), *body]


def answer(version: str, client: bytes, service: bytes, *body: bytes) -> Frames:
    """The reply to it, FINAL for version "0.2"."""
    if version == "0.2":
        return [client, b"MDPC02", b"\x03", service, *body]
    if version == "led":
        return [client, b"", b"MDPC02", b"\x03", service, *body]
    if version == "shifted":
        return [client, b"", b"MDPC02", b"\x04", *body]
    return [client, b"", *([b"MDPC01", service] if version == "0.1" else []), *body]


def partial_answer(client: bytes, service: bytes, *body: bytes, version: str = "0.2") -> Frames:
    """A PARTIAL, which only version "0.2" has."""
    if version == "led":
        return [client, b"", b"MDPC02", b"\x02", service, *body]
    if version == "shifted":
        return [client, b"", b"MDPC02", b"\x03", *body]
    return [client, b"MDPC02", b"\x02", service, *body]


class TalkRig(Rig):
    """A rig whose workers speak one dialect, for one service; clients speak ``version``."""

    def __init__(
        self, rooms: ModuleType, dialect: Dialect, version: str | None = None, **options: Any
    ) -> None:
        self.dialect = dialect
        self.service = b"echo" if dialect.mdp else b""
        versions = {Protocol.MDP01: "0.1", Protocol.MDP02: "0.2"}
        self.version = versions.get(dialect.flag, "") if version is None else version
        protocols = MAJORDOMO if dialect.mdp else dialect.flag
        times = {"heartbeat_interval": 1.0, "liveness": 3, "request_ttl": 64.0}
        super().__init__(
            rooms, **{"protocols": protocols, "default_service": self.service,
                      "services": (self.service,), **times, **options},
        )  # fmt: skip

    def join(
        self,
        worker: bytes,
        capacity: bytes = b"",
        connection: int = NO_CONNECTION,
        interval: bytes = b"",
    ) -> list[Call]:
        frames = self.dialect.registers(worker, self.service, capacity, interval)
        return self.receive(BACKEND, frames, connection)

    def request(self, client: bytes, *body: bytes) -> list[Call]:
        return self.receive(FRONTEND, asks(self.version, client, self.service, *body))

    def sent(self, client: bytes, worker: bytes, *body: bytes) -> bytes:
        """Have ``worker``, which is free and next, take a request; returns its ticket."""
        [call] = self.request(client, *body)
        assert call[:2] == (BACKEND, self.dialect.job(worker, call.ticket, *body))
        return call.ticket

    def final(
        self, worker: bytes, ticket: bytes, *body: bytes, connection: int = NO_CONNECTION
    ) -> list[Call]:
        return self.receive(BACKEND, self.dialect.reply(worker, ticket, *body), connection)

    def part(
        self, worker: bytes, ticket: bytes, *body: bytes, connection: int = NO_CONNECTION
    ) -> list[Call]:
        return self.receive(BACKEND, self.dialect.part(worker, ticket, *body), connection)

    def beat(self, worker: bytes) -> list[Call]:
        return self.receive(BACKEND, self.dialect.command(worker, self.dialect.heartbeat))

    def bye(self, worker: bytes) -> list[Call]:
        return self.receive(BACKEND, self.dialect.command(worker, self.dialect.disconnect))

    def idle(self) -> list[bytes]:
        workers: list[bytes] = self.board.idle_workers(self.service)
        return workers

    def is_told(self, calls: list[Call], worker: bytes, command: bytes | None) -> None:
        """That one command, HEARTBEAT or DISCONNECT, is all that was sent."""
        assert [call[:2] for call in calls] == [(BACKEND, self.dialect.command(worker, command))]
