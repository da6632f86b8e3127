"""Which socket types may be connected, why the others may not, and which side of a pair binds.

libzmq silently refuses to connect types that don't fit, and the program waits for ever.
:func:`check` tells beforehand.  Sources: zmq_socket(3); the ZeroMQ guide, "Messaging Patterns"; RFC 28,
29, 30 and 31, "compatible peers".
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Final, NamedTuple

import zmq

from .errors import ConfigError, SocketMismatch, WrongUse
from .validation.values import shown

__all__ = ["TYPES", "Verdict", "check", "partners", "type_name"]

#: The types that speak ZMTP, in the order of the tables.
TYPES: Final = (
    "REQ", "REP", "DEALER", "ROUTER", "PUB", "SUB", "XPUB", "XSUB", "PUSH", "PULL", "PAIR",
)  # fmt: skip
#: For either side may bind.
EITHER: Final = "either"

#: What libzmq knows besides, and why no pair can be told of it.
_OTHERS: Final = {
    "STREAM": "speaks plain TCP and not ZMTP, so no ZeroMQ socket can be its peer",
    **dict.fromkeys(
        ("CHANNEL", "CLIENT", "DGRAM", "DISH", "GATHER", "PEER", "RADIO", "SCATTER", "SERVER"),
        "is a draft of libzmq, which the wheels of pyzmq do not have",
    ),
}
_OLD_NAMES: Final = {"XREQ": "DEALER", "XREP": "ROUTER"}


class _Trait(NamedTuple):
    pattern: str
    does: str
    #: The peer that it is usually meant for.
    mate: str


_TRAITS: Final = {
    "REQ": _Trait("request-reply", "sends a request and waits for its reply", "REP"),
    "REP": _Trait("request-reply", "waits for a request and sends its reply", "REQ"),
    "DEALER": _Trait("request-reply", "sends requests to its peers in turn", "ROUTER"),
    "ROUTER": _Trait("request-reply", "sends to the peer whose address is in front", "DEALER"),
    "PUB": _Trait("publish-subscribe", "sends what was subscribed to, and receives nothing", "SUB"),
    "SUB": _Trait("publish-subscribe", "subscribes and receives, and sends nothing", "PUB"),
    "XPUB": _Trait("publish-subscribe", "publishes, and receives only subscriptions", "SUB"),
    "XSUB": _Trait("publish-subscribe", "receives, and sends only subscriptions", "PUB"),
    "PUSH": _Trait("pipeline", "sends tasks, and receives nothing", "PULL"),
    "PULL": _Trait("pipeline", "receives tasks, and sends nothing", "PUSH"),
    "PAIR": _Trait("exclusive pair", "speaks with exactly one other PAIR", "PAIR"),
}

#: (the side that binds, the side that connects) -> what it is for.
_LEGAL: Final = {
    ("REP", "REQ"): "a client and a server, a request and its reply in turn",
    ("ROUTER", "REQ"): "clients and a broker, or a server that has many requests in hand at once",
    (
        "DEALER",
        "REP",
    ): "a broker's way to plain servers, or an asynchronous client of one; the DEALER "
    "sends the empty frame in front itself",
    ("ROUTER", "DEALER"): "asynchronous clients or workers, and a server or broker",
    ("DEALER", "DEALER"): "two asynchronous peers that know that each has no other: with several, "
    "messages go round in turn and a reply finds its way to nobody in particular",
    ("ROUTER", "ROUTER"): "peers or brokers that address each other: each must know the other's "
    "routing id, so set it before connecting",
    ("PUB", "SUB"): "a publisher and its subscribers",
    ("XSUB", "PUB"): "publishers and the near side of a forwarder",
    (
        "XPUB",
        "SUB",
    ): "the far side of a forwarder, or a publisher that sees subscriptions, and subscribers",
    ("XPUB", "XSUB"): "a forwarder and the next one",
    ("PUSH", "PULL"): "a ventilator and its workers; between workers and a sink, the PULL binds",
    ("PAIR", "PAIR"): "two threads, over inproc; a second peer gets nothing and is told nothing",
}
#: Those of which either side may bind.
_EITHER_BINDS: Final = {
    ("DEALER", "REP"),
    ("DEALER", "DEALER"),
    ("ROUTER", "ROUTER"),
    ("PUSH", "PULL"),
    ("PAIR", "PAIR"),
}

#: Pairs of one pattern that don't fit: why, and what to use.
_ILLEGAL: Final = {
    ("REQ", "REQ"): (
        "both sides want to start by sending a request, and neither ever sends a reply",
        (("REQ", "REP"), ("REQ", "ROUTER")),
    ),
    ("REQ", "DEALER"): (
        "it would break with a second REQ, as a DEALER has no way of sending a reply to the peer that "
        "asked: a REQ would get what is meant for another",
        (("REQ", "ROUTER"), ("DEALER", "ROUTER")),
    ),
    ("REP", "REP"): (
        "both sides wait for the other to send the first message",
        (("REQ", "REP"), ("DEALER", "REP")),
    ),
    ("REP", "ROUTER"): (
        "the ROUTER would have to start, which it can only if it knows that the REP is connected, and "
        "under which identity; it adds nothing over DEALER to ROUTER",
        (("DEALER", "ROUTER"), ("DEALER", "REP"), ("REQ", "ROUTER")),
    ),
    ("PUB", "PUB"): ("both only publish: nobody subscribes", (("PUB", "SUB"), ("PUB", "XSUB"))),
    ("SUB", "SUB"): ("both only receive: nobody publishes", (("PUB", "SUB"), ("XPUB", "SUB"))),
    ("PUB", "XPUB"): (
        "both publish: nobody receives. Publishers connect to a forwarder's XSUB; its XPUB is for "
        "subscribers",
        (("PUB", "XSUB"), ("SUB", "XPUB")),
    ),
    ("SUB", "XSUB"): (
        "both receive: nobody publishes. Subscribers connect to a forwarder's XPUB; its XSUB is for "
        "publishers",
        (("SUB", "XPUB"), ("PUB", "XSUB")),
    ),
    ("XPUB", "XPUB"): ("both publish: nobody subscribes", (("XPUB", "XSUB"), ("XPUB", "SUB"))),
    ("XSUB", "XSUB"): ("both receive: nobody publishes", (("XPUB", "XSUB"), ("PUB", "XSUB"))),
    ("PUSH", "PUSH"): ("both only send: nobody takes the tasks", (("PUSH", "PULL"),)),
    ("PULL", "PULL"): ("both only receive: nobody sends tasks", (("PUSH", "PULL"),)),
}  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """The answer of :func:`check`: true if the pair is legal; ``str()`` says everything in a sentence."""

    #: The two types by name, as they were asked for.
    socket_type: str
    peer_type: str
    legal: bool
    #: What the pair is for, or why it can't work.
    reason: str
    #: Pairs to use in its place; none where it is legal.
    instead: tuple[tuple[str, str], ...]
    #: The type of the side that should bind, ``"either"``, or ``""`` where it is not legal.
    binds: str

    def __bool__(self) -> bool:
        return self.legal

    def __str__(self) -> str:
        pair = f"{self.socket_type} to {self.peer_type}"
        if not self.legal:
            return (
                f"{pair} can't work, and libzmq does not connect them: {self.reason}. {self.cure}"
            )
        return f"{pair} is a legal pair, {self.who_binds}: {self.reason}"

    @property
    def who_binds(self) -> str:
        """Which side should bind and which connect, in words; empty if the pair is not legal."""
        if not self.legal:
            return ""
        if self.binds == EITHER:
            return (
                "the side that is there first and stays binds, the one that comes and goes connects"
            )
        other = self.peer_type if self.socket_type == self.binds else self.socket_type
        return f"{self.binds} binds, {other} connects"

    @property
    def cure(self) -> str:
        """What to use instead, in words; empty if the pair is legal."""
        words = " or ".join(
            f"{one} to {other} ({_brief(one, other)})" for one, other in self.instead
        )
        return f"Use {words}" if words else ""

    def require(self) -> None:
        """Raise :class:`~brigantine.errors.SocketMismatch` unless the pair is legal."""
        if not self.legal:
            raise SocketMismatch(str(self), self.socket_type, self.peer_type)


def check(socket_type: str | int, peer_type: str | int) -> Verdict:
    """Whether sockets of two types may be connected, why, and which side should bind.

    Types are names (``"REQ"``) or constants of pyzmq (``zmq.REQ``), in any order.
    Raises :class:`~brigantine.errors.ConfigError` for what is no type of socket that speaks ZMTP.
    """
    one, other = type_name(socket_type), type_name(peer_type)
    pair, binds = _bound_by(one, other)
    if pair is not None:
        return Verdict(one, other, True, _LEGAL[pair], (), binds)
    reason, instead = _why_not(one, other)
    return Verdict(one, other, False, reason, instead, "")


def partners(socket_type: str | int) -> tuple[str, ...]:
    """The types that a socket of this one may be connected with.  Raises as :func:`check` does."""
    one = type_name(socket_type)
    return tuple(other for other in TYPES if _bound_by(one, other)[0] is not None)


def type_name(given: str | int) -> str:
    """The name of a type that is given by name or as a constant of pyzmq.

    Raises :class:`~brigantine.errors.ConfigError` for what is no type of socket that speaks ZMTP.
    """
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise WrongUse(
            f"a type of socket is a name such as 'REQ' or a constant such as zmq.REQ, not {shown(given)}"
        )
    name = _by_number(given) if isinstance(given, int) else _by_name(given)
    if name in TYPES:
        return name
    if name in _OTHERS:
        raise ConfigError(f"{name} {_OTHERS[name]}; types that have pairs: {', '.join(TYPES)}")
    alike = difflib.get_close_matches(name, TYPES, n=1)
    meant = f"did you mean {alike[0]}?" if alike else f"there are {', '.join(TYPES)}"
    raise ConfigError(f"there is no type of socket {shown(given)}; {meant}")


def _by_number(number: int) -> str:
    try:
        return zmq.SocketType(number).name
    except ValueError:
        return ""


def _by_name(name: str) -> str:
    plain = name.strip().upper().replace("ZMQ.", "").removeprefix("ZMQ_")
    return _OLD_NAMES.get(plain, plain)


def _bound_by(one: str, other: str) -> tuple[tuple[str, str] | None, str]:
    """The key of a legal pair, and the type that binds; ``None`` for one that is not."""
    for pair in ((one, other), (other, one)):
        if pair in _LEGAL:
            return pair, EITHER if pair in _EITHER_BINDS else pair[0]
    return None, ""


def _brief(one: str, other: str) -> str:
    """Who of a legal pair binds, in few words."""
    verdict = check(one, other)
    return "the side that stays binds" if verdict.binds == EITHER else verdict.who_binds


def _why_not(one: str, other: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    known = _ILLEGAL.get((one, other)) or _ILLEGAL.get((other, one))
    if known is not None:
        return known
    ours, theirs = _TRAITS[one], _TRAITS[other]
    reason = (
        f"they are of different patterns: {one} ({ours.pattern}) {ours.does}, "
        f"{other} ({theirs.pattern}) {theirs.does}"
    )
    return reason, ((one, ours.mate), (other, theirs.mate))
