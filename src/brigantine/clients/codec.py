"""The client's side of each protocol: a body -> frames to send, frames received -> what they say."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import ClassVar, NamedTuple, Protocol

from ..errors import ConfigError, OptionName
from ..validation.values import shown
from ..wire import mdp
from ..wire.req import EMPTY

__all__ = [
    "VERSIONS",
    "ClientCodec",
    "MDP01Codec",
    "MDP02Codec",
    "REQCodec",
    "Reply",
    "Says",
    "mdp_codec",
]


class Says(Enum):
    """What a message from a broker means for the waiting request.  The values name counters."""

    PARTIAL = "parts"
    FINAL = "replies"
    #: A FINAL in which the broker says why there is no reply.  No codec answers this.
    ERROR = "error_answers"
    MALFORMED = "drop_malformed"
    #: Well formed, but for another service than the one that was asked.
    UNEXPECTED = "drop_unexpected"

    @property
    def ends(self) -> bool:
        """Whether the broker has nothing more to say to this try."""
        return self in (Says.FINAL, Says.ERROR)

    @property
    def heard(self) -> bool:
        """Whether the broker lives: it has said something that answers this try."""
        return self.ends or self is Says.PARTIAL


class Reply(NamedTuple):
    """A message from a broker, read."""

    says: Says
    #: The body's frames; none unless it is a PARTIAL or a FINAL.
    body: list[bytes]


_MALFORMED = Reply(Says.MALFORMED, [])
_UNEXPECTED = Reply(Says.UNEXPECTED, [])


class ClientCodec(Protocol):
    """One request's protocol."""

    #: What a message calls it.
    protocol: ClassVar[str]

    @property
    def service(self) -> bytes | None:
        """The service that is asked, if the protocol has any."""

    def request(self, body: Sequence[bytes]) -> list[bytes]:
        """The frames that ask."""

    def parse(self, frames: list[bytes]) -> Reply:
        """What the frames of a message say.  Never raises."""


class REQCodec:
    """A REQ socket's: the body and nothing else, since the socket itself writes the empty frame."""

    protocol: ClassVar[str] = "that of REQ sockets, for LRU and Paranoid Pirate brokers"
    service = None

    def request(self, body: Sequence[bytes]) -> list[bytes]:
        """``body...``."""
        return list(body)

    def parse(self, frames: list[bytes]) -> Reply:
        """``body...``."""
        return Reply(Says.FINAL, frames)


class MDP01Codec:
    """MDP 0.1 (RFC 7) on a DEALER socket, for one service."""

    protocol: ClassVar[str] = "MDP 0.1"

    def __init__(self, service: bytes) -> None:
        self.service = service

    def request(self, body: Sequence[bytes]) -> list[bytes]:
        """``[] "MDPC01" service body...``."""
        return [EMPTY, mdp.CLIENT_01, self.service, *body]

    def parse(self, frames: list[bytes]) -> Reply:
        """``[] "MDPC01" service body...``."""
        if len(frames) < 3 or frames[:2] != [EMPTY, mdp.CLIENT_01]:
            return _MALFORMED
        if frames[2] != self.service:
            return _UNEXPECTED
        return Reply(Says.FINAL, frames[3:])


class MDP02Codec:
    """MDP 0.2 (RFC 18) on a DEALER socket, for one service."""

    protocol: ClassVar[str] = "MDP 0.2"

    _SAYS = {mdp.CLIENT_PARTIAL: Says.PARTIAL, mdp.CLIENT_FINAL: Says.FINAL}  # noqa: RUF012

    def __init__(self, service: bytes) -> None:
        self.service = service

    def request(self, body: Sequence[bytes]) -> list[bytes]:
        """``"MDPC02" 0x01 service body...``."""
        return [mdp.CLIENT_02, mdp.CLIENT_REQUEST, self.service, *body]

    def parse(self, frames: list[bytes]) -> Reply:
        """``"MDPC02" 0x02|0x03 service body...``."""
        says = self._SAYS.get(frames[1]) if len(frames) >= 3 else None
        if says is None or frames[0] != mdp.CLIENT_02:
            return _MALFORMED
        if frames[2] != self.service:
            return _UNEXPECTED
        return Reply(says, frames[3:])


#: Version of the Majordomo Protocol -> codec.
VERSIONS: dict[str, type[MDP01Codec] | type[MDP02Codec]] = {
    "0.1": MDP01Codec,
    "0.2": MDP02Codec,
}


def mdp_codec(version: str) -> type[MDP01Codec] | type[MDP02Codec]:
    """The codec of a version.  Raises :class:`~brigantine.errors.ConfigError` for any other."""
    codec = VERSIONS.get(version) if isinstance(version, str) else None
    if codec is None:
        raise ConfigError(
            OptionName("version"),
            f" must be {' or '.join(map(repr, VERSIONS))}, not {shown(version)}",
        )
    return codec
