"""What was seen of a broker while a try waited in vain, in words, and what to do about it."""

from __future__ import annotations

from enum import Enum

__all__ = ["OUT_OF_REACH", "Sight", "advice", "sight_of", "words"]


class Sight(Enum):
    """The values are those of :attr:`brigantine.Try.seen`."""

    #: Nothing is known: over inproc, or the try was too short to look.
    UNKNOWN = ""
    #: The name of the host leads to no address.
    UNRESOLVED = "unresolved"
    #: Connecting is refused.
    REFUSED = "refused"
    #: Connecting is answered by nobody.
    UNREACHED = "unreached"
    #: A connection is taken, and ZeroMQ's handshake not answered.
    MUTE = "mute"
    #: A connection is taken, and ended before the handshake was over.
    HUNG_UP = "hung_up"
    #: What is bound there is of a type, or has a security, to which this client can't connect.
    MISMATCHED = "mismatched"
    #: A connection that stood has ended.
    CUT = "cut"
    #: The connection stands, and nothing was heard.
    CONNECTED = "connected"
    #: Likewise, and not even the question for the service's workers was answered.
    UNHEARD = "unheard"
    #: The broker has workers for the service, and says so.
    SERVED = "served"
    #: The broker has no worker for the service, and says so.
    UNSERVED = "unserved"
    #: What was heard is not of this client's protocol, or no answer to what was asked.
    FOREIGN = "foreign"
    #: Parts of the reply came, and not its end.
    PARTS = "parts"
    #: The broker has answered with an error.
    ANSWERED = "answered"


#: The broker can't be talked to now.
OUT_OF_REACH = (
    Sight.UNRESOLVED, Sight.REFUSED, Sight.UNREACHED, Sight.MUTE, Sight.HUNG_UP,
    Sight.MISMATCHED, Sight.CUT,
)  # fmt: skip

_WORDS: dict[Sight, str] = {
    Sight.UNRESOLVED: "the name of the host can't be looked up",
    Sight.REFUSED: "nobody accepts connections there",
    Sight.UNREACHED: "connecting was not answered",
    Sight.MUTE: "connections are accepted, but ZeroMQ's handshake is not answered",
    Sight.HUNG_UP: "connections are ended before ZeroMQ's handshake is over",
    Sight.MISMATCHED: "what is bound there is not what this client can connect to",
    Sight.CUT: "the connection was ended",
    Sight.CONNECTED: "connected, but nothing was heard",
    Sight.UNHEARD: "connected, but nothing was heard, not even of the service's workers",
    Sight.SERVED: "the broker has workers for the service, but no reply came in time",
    Sight.UNSERVED: "the broker has no worker for the service",
    Sight.FOREIGN: "what it answers is not of this client's protocol",
    Sight.PARTS: "parts of the reply came, but not its end",
}

#: How troubles begin.  Who takes a connection and answers no handshake is told apart from outside.
_TROUBLES: dict[str, Sight] = {
    "can't look up": Sight.UNRESOLVED,
    "nobody accepts connections": Sight.REFUSED,
    "nobody speaks ZMTP": Sight.HUNG_UP,
    "wrong socket type": Sight.MISMATCHED,
}

_SLOW = (
    "Give the request a timeout that the work fits into (it is {timeout:g} s for one try), or start more "
    "workers"
)
_CONNECTED = (
    "Either its workers need longer than the timeout of {timeout:g} s, or it has none that is free, or "
    "the endpoint is the workers' side of a broker or one of another protocol ({protocol}). The broker "
    "knows which: look at its services and workers (brigantine ctl services, brigantine ctl workers)"
)
_ADVICE: dict[Sight, str] = {
    Sight.UNKNOWN: "Check that the endpoint is the clients' side of a broker that runs, that it has "
    "workers, which need less than the timeout of {timeout:g} s, that it speaks this client's "
    "protocol, and that the request is within its max_message_bytes and max_frames",
    Sight.UNRESOLVED: "Check the name of the host",
    Sight.REFUSED: "Check that the broker runs, and that this is its endpoint for clients",
    Sight.UNREACHED: "Check the host's address, that it is up, and that no firewall drops connections",
    Sight.MUTE: "The broker's process is stopped or hangs, or something else than ZeroMQ listens there",
    Sight.HUNG_UP: "What listens there is no ZeroMQ socket, or none that takes clients: check the port",
    Sight.MISMATCHED: "Connect to the clients' side of a broker or to a server: check the port "
    "(brigantine check tells which types of sockets fit)",
    Sight.CUT: "The broker was stopped, or refuses what it is sent: a frame above its max_message_bytes, "
    "for one (the request has {size} bytes)",
    Sight.CONNECTED: _CONNECTED,
    Sight.UNHEARD: "Check that the endpoint is the clients' side of a Majordomo broker: not the workers' "
    "side, nor a broker of another protocol ({protocol}). A broker that hangs looks the same",
    Sight.SERVED: _SLOW,
    Sight.UNSERVED: "Check the service's name, and that its workers run (brigantine ls)",
    Sight.FOREIGN: "Check that the endpoint is the clients' side of a broker that speaks this client's "
    "protocol ({protocol})",
    Sight.PARTS: "The timeout of {timeout:g} s is for a whole reply: give it more, or read the parts as "
    "they come, with stream(), where it is for each of them",
}


def sight_of(trouble: str) -> Sight | None:
    """What the words mean that tell what keeps a connection from health."""
    return next((sight for head, sight in _TROUBLES.items() if trouble.startswith(head)), None)


def words(sight: Sight) -> str:
    """What was seen, in the middle of a sentence."""
    return _WORDS.get(sight, "")


def advice(sight: Sight) -> str:
    """What to do, with places for ``timeout``, ``size`` and ``protocol``."""
    return _ADVICE.get(sight, "")
