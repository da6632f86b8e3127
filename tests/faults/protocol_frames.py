"""PPP, MDP 0.1 and MDP 0.2 as a worker's and a client's DEALER sees them, byte by byte.

Written from ZeroMQ RFC 6, 7 and 18, not from the code under test; nothing of it is imported here.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgpack

__all__ = ["DIALECTS", "MDP", "MDP01", "MDP02", "PPP", "SERVICE", "Dialect", "Heard"]

#: The service that workers and clients of these tests name.
SERVICE = b"echo"
_READY = b"\x01"


@dataclass(frozen=True)
class Heard:
    """A message in words: REQUEST, HEARTBEAT or DISCONNECT at a worker; PARTIAL or FINAL at a client."""

    kind: str
    ticket: bytes = b""
    body: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Dialect:
    """One protocol.  Frames are without the routing id, which only the broker sees."""

    name: str
    #: The class of brigantine that speaks it.
    broker: str
    #: Whether its broker is tested with one socket for both sides.
    one_socket: bool
    #: What every message from and to a worker begins with.
    head: tuple[bytes, ...]
    heartbeat_byte: bytes
    request_byte: bytes = b"\x02"
    final_byte: bytes = b""
    partial_byte: bytes = b""
    disconnect_byte: bytes = b""

    @property
    def mdp(self) -> bool:
        return bool(self.head)

    # -- what a worker says -------------------------------------------------------------------

    def ready(self, capacity: int = 1, service: bytes = SERVICE) -> list[bytes]:
        packed = msgpack.packb(capacity) if capacity > 1 else b""
        if not self.mdp:
            return [_READY + packed]
        return [*self.head, _READY, service, *filter(None, [packed])]

    def heartbeat(self) -> list[bytes]:
        return [*self.head, self.heartbeat_byte]

    def disconnect(self) -> list[bytes]:
        return [*self.head, self.disconnect_byte]

    def reply(self, ticket: bytes, *body: bytes) -> list[bytes]:
        """PPP and 0.1: REPLY; 0.2: FINAL."""
        return [*self._with(self.final_byte), ticket, b"", *body]

    def partial(self, ticket: bytes, *body: bytes) -> list[bytes]:
        return [*self._with(self.partial_byte), ticket, b"", *body]

    def _with(self, command: bytes) -> list[bytes]:
        return [*self.head, command] if self.mdp else []

    # -- what a worker hears ------------------------------------------------------------------

    def hear(self, frames: list[bytes]) -> Heard:
        if frames == self.heartbeat():
            return Heard("HEARTBEAT")
        if self.mdp and frames == self.disconnect():
            return Heard("DISCONNECT")
        before = self._with(self.request_byte)
        assert frames[: len(before)] == before, f"no {self.name} message: {frames!r}"
        ticket, delimiter, *body = frames[len(before) :]
        assert ticket, frames
        assert delimiter == b"", frames
        return Heard("REQUEST", ticket, tuple(body))

    # -- the client's side --------------------------------------------------------------------

    def ask(self, *body: bytes, service: bytes = SERVICE) -> list[bytes]:
        if self is MDP02:
            return [b"MDPC02", b"\x01", service, *body]
        return [b"", *([b"MDPC01", service] if self.mdp else []), *body]

    def answer(self, frames: list[bytes], service: bytes = SERVICE) -> Heard:
        if self is MDP02:
            kind = {b"\x02": "PARTIAL", b"\x03": "FINAL"}[frames[1]]
            assert [frames[0], frames[2]] == [b"MDPC02", service], frames
            return Heard(kind, body=tuple(frames[3:]))
        before = [b"", *([b"MDPC01", service] if self.mdp else [])]
        assert frames[: len(before)] == before, frames
        return Heard("FINAL", body=tuple(frames[len(before) :]))


PPP = Dialect("ppp", "ParanoidPirateBroker", False, (), b"\x02")
MDP01 = Dialect(
    "mdp01", "MajordomoBroker", False, (b"", b"MDPW01"), b"\x04",
    final_byte=b"\x03", disconnect_byte=b"\x05",
)  # fmt: skip
MDP02 = Dialect(
    "mdp02", "MajordomoBroker", True, (b"MDPW02",), b"\x05",
    final_byte=b"\x04", partial_byte=b"\x03", disconnect_byte=b"\x06",
)  # fmt: skip

DIALECTS = {each.name: each for each in (PPP, MDP01, MDP02)}
MDP = (MDP01, MDP02)
