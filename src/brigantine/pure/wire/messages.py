"""What a message means: the codecs' answer, and the switchboard's question."""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

from ...config.protocols import Protocol

__all__ = [
    "DIALECTS",
    "LED",
    "MDP",
    "MDP01",
    "MDP02",
    "NONE",
    "PPP",
    "REQ",
    "SHIFTED",
    "STRICT",
    "WORDS",
    "Command",
    "Says",
]

#: No such frame.
NONE = -1

# The flags of Protocol as plain integers: an IntFlag makes an object for every `&`.
REQ = int(Protocol.REQ)
PPP = int(Protocol.PPP)
MDP01 = int(Protocol.MDP01)
MDP02 = int(Protocol.MDP02)
MDP = MDP01 | MDP02
#: Beside the protocols that a broker allows: dialects of them, too.
DIALECTS = 16
#: Of a command, and how a peer is answered: as the RFC has it; PPP with READY and HEARTBEAT as words;
#: MDP 0.2 with an empty frame in front; of clients, the same with commands numbered as those of workers,
#: and replies without the service.
STRICT, WORDS, LED, SHIFTED = 0, 1, 2, 3


class Says(Enum):
    """The commands of all protocols."""

    REQUEST = auto()
    READY = auto()
    PARTIAL = auto()
    #: REPLY, and FINAL of MDP 0.2.
    FINAL = auto()
    HEARTBEAT = auto()
    DISCONNECT = auto()
    #: Ours, see wire.LEAVING.
    LEAVING = auto()
    MALFORMED = auto()
    TOO_DEEP = auto()
    #: On a socket for clients: what a worker of MDP says.
    WORKER = auto()


class Command(NamedTuple):
    """A parsed message: which frames hold what, by their index; NONE where there is no such frame."""

    says: Says
    #: REQ, PPP, MDP01 or MDP02; 0 where the message is of none.
    protocol: int = 0
    #: Frames of a client's address stack (from the first).
    address: int = NONE
    service: int = NONE
    ticket: int = NONE
    #: First frame of the body; it goes to the end.
    body: int = NONE
    #: What a READY announces.
    capacity: int = 1
    #: Its heartbeat interval in milliseconds; 0 when it leaves that to the broker.
    interval: int = 0
    #: STRICT, WORDS, LED or SHIFTED.
    dialect: int = 0
