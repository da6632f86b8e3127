"""What a message looks like that a broker can't read, and what to do: words for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..config.protocols import Protocol
from ..wire import mdp as wire_mdp
from ..wire import ppp as wire_ppp
from ..wire import req as wire
from ..wire.shown import Frame

__all__ = ["Here", "advice", "belongs", "says_ready", "workers_connect"]


class Here(NamedTuple):
    """The broker that tells."""

    frontends: tuple[str, ...]
    backends: tuple[str, ...]
    protocols: Protocol


def workers_connect(here: Here) -> str:
    """Where workers belong."""
    return f"Workers connect to {' or '.join(here.backends)}"


def belongs(frames: Sequence[Frame], here: Here) -> str:
    """Where a worker belongs that has come to the clients' endpoint."""
    header = next((first for size, first in frames if size), b"")
    _, protocol = _HEADERS.get(header, ("worker", Protocol.REQ))
    place = _worker_belongs(protocol, here)
    if protocol in here.protocols:
        return place
    name = _NAMES[protocol]
    what = f"a worker of {name}" if protocol & _MAJORDOMO else f"a {name} worker"
    return f"It looks like {what}. {place}"


def says_ready(here: Here) -> str:
    """How a worker of this broker begins, for one that does not."""
    at_work = ""
    if Protocol.REQ in here.protocols:  # no heartbeats: it says nothing until it is done
        at_work = "; one of REQ that is still at work on an older request says its reply"
    begins = f"A worker of this broker ({_spoken(here)}) says READY first, before it is asked"
    return f"{begins}{at_work}. {clients_connect(here)}"


def _worker_belongs(protocol: Protocol, here: Here) -> str:
    """At this broker's other endpoint, or at another broker."""
    if here.frontends == here.backends and not protocol & _MAJORDOMO:
        return (
            "Where one endpoint is for both sides, workers are those of the Majordomo Protocol; others "
            "need a broker with a backend of its own, such as AnyBroker(frontend, backend)"
        )
    return workers_connect(here) if protocol in here.protocols else _other_broker(protocol, here)


def clients_connect(here: Here) -> str:
    """Where clients belong."""
    return f"Clients connect to {' or '.join(here.frontends)}"


def advice(frames: Sequence[Frame], here: Here, *, from_worker: bool) -> str:
    """What it looks like, and what to do."""
    bare = frames[1:] if frames and not frames[0][0] else frames
    said = [first for size, first in bare if size == len(first)]
    led = bare is not frames
    for look in (_packed, _zproto, _majordomo, _paranoid, _plain):
        found = look(bare, said, here, led, from_worker)
        if found:
            return found
    side = "workers" if from_worker else "clients"
    return f"That is nothing that {side} of this broker say; it speaks {_spoken(here)}"


#: Header of the Majordomo Protocol -> whose it is, and which protocol.
_HEADERS = {
    wire_mdp.CLIENT_01: ("client", Protocol.MDP01),
    wire_mdp.CLIENT_02: ("client", Protocol.MDP02),
    wire_mdp.WORKER_01: ("worker", Protocol.MDP01),
    wire_mdp.WORKER_02: ("worker", Protocol.MDP02),
}
_NAMES = {
    Protocol.REQ: "REQ",
    Protocol.PPP: "PPP",
    Protocol.MDP01: "MDP 0.1",
    Protocol.MDP02: "MDP 0.2",
}
#: The broker that speaks it.
_BROKERS = {
    Protocol.REQ: "LRUBroker (brigantine broker lru)",
    Protocol.PPP: "ParanoidPirateBroker (brigantine broker ppp)",
    Protocol.MDP01: "MajordomoBroker (brigantine broker mdp)",
    Protocol.MDP02: "MajordomoBroker (brigantine broker mdp)",
}
_MAJORDOMO = Protocol.MDP01 | Protocol.MDP02
#: How a worker of it answers.
_REPLIES = {
    Protocol.MDP01: (wire_mdp.REPLY_01,),
    Protocol.MDP02: (wire_mdp.PARTIAL_02, wire_mdp.FINAL_02),
}
#: REQUEST of a client of MDP 0.2 with an empty frame in front.
_REQUESTS = (wire_mdp.CLIENT_REQUEST, wire_mdp.REQUEST)
#: zproto's frames begin with 0xAAA and four bits more.
_ZPROTO = 0xAAA0


def _spoken(here: Here) -> str:
    return ", ".join(_NAMES[each] for each in Protocol if each in here.protocols)


def _other_broker(protocol: Protocol, here: Here) -> str:
    return f"This broker speaks {_spoken(here)} with workers: use {_BROKERS[protocol]} or AnyBroker"


def _packed(
    bare: Sequence[Frame], _said: list[bytes], _here: Here, _led: bool, _worker: bool
) -> str | None:
    for header in _HEADERS:
        if bare and bare[0][1].startswith(header) and bare[0][0] > len(header):
            return (
                "It looks like the Majordomo Protocol with the whole command in one frame; the header, the "
                "command and what follows are a frame each (RFC 7, 18)"
            )
    return None


def _zproto(
    bare: Sequence[Frame], _said: list[bytes], _here: Here, _led: bool, _worker: bool
) -> str | None:
    if bare and int.from_bytes(bare[0][1][:2], "big") & 0xFFF0 == _ZPROTO:
        return (
            "It looks like a message of zproto's framing (0xAAA. in front), which is no protocol of "
            "brokers here: see docs/mdp.md"
        )
    return None


def _majordomo(
    bare: Sequence[Frame], said: list[bytes], here: Here, led: bool, from_worker: bool
) -> str | None:
    if not said or said[0] not in _HEADERS or bare[0][1] != said[0]:
        return None
    whose, protocol = _HEADERS[said[0]]
    name = _NAMES[protocol]
    if whose == "worker" and protocol not in here.protocols:
        return f"It looks like a worker of {name}. {_other_broker(protocol, here)}"
    if whose == "client" and not here.protocols & _MAJORDOMO:
        return (
            f"It looks like a client of {name}. This broker knows no services: use MajordomoBroker "
            "(brigantine broker mdp) or AnyBroker"
        )
    if (whose == "client") == from_worker:
        where = clients_connect(here) if from_worker else workers_connect(here)
        return f"It looks like a {whose} of {name} at the wrong endpoint. {where}"
    if protocol == Protocol.MDP02 and led:
        looks = f"It looks like {name} with an empty frame in front; RFC 18 has none, and"
        if whose == "client" and (len(bare) < 4 or bare[1][1] not in _REQUESTS):
            return f"{looks} such a request is 0x01 or 0x02, a service, and one frame at least"
        return f"{looks} strict=True refuses it"
    if protocol == Protocol.MDP01 and not led:
        return f"It looks like {name} without the empty frame that RFC 7 has in front of the header"
    if whose == "worker" and len(bare) > 2 and bare[1][1] in _REPLIES[protocol]:
        return f"It looks like a reply of {name}. {_REPLY_FRAMES}"
    return f"It looks like {name}, but is no command of it: see docs/mdp.md for its frames"


_REPLY_FRAMES = (
    "Its address is followed by one empty frame, and that by one frame at least, which may be empty"
)
#: What workers without a protocol header say when they are ready, and heartbeats of PPP.
_READY = (wire.READY, wire.READY_BYTE)
_BEATS = (wire_ppp.HEARTBEAT, wire_ppp.HEARTBEAT_WORD)


def _paranoid(
    bare: Sequence[Frame], said: list[bytes], here: Here, led: bool, from_worker: bool
) -> str | None:
    if len(bare) != 1 or not said or said[0] not in (*_READY, *_BEATS):
        return None
    word = "READY" if said[0] in _READY else "HEARTBEAT"
    protocol = Protocol.REQ if led and word == "READY" else Protocol.PPP
    what = f"It looks like the {word} of a {_NAMES[protocol]} worker"
    if not from_worker:
        return f"{what} at the clients' endpoint. {_worker_belongs(protocol, here)}"
    if protocol not in here.protocols:
        return f"{what}. {_other_broker(protocol, here)}"
    return f"{what} in words, which strict=True refuses"


def _plain(
    bare: Sequence[Frame], _said: list[bytes], here: Here, led: bool, from_worker: bool
) -> str | None:
    empty = any(not size for size, _ in bare)
    if from_worker:
        if led and bare and not empty:
            return (
                "It looks like a request of a client, or a reply without the address frames that came with "
                f"the request. {clients_connect(here)}; a worker sends back all frames up to the empty "
                "one, and then its reply"
            )
        if Protocol.PPP not in here.protocols:
            return None
        if led and empty:
            return "It looks like a reply of a REQ worker; PPP has no empty frame in front of the address"
        return None if empty or len(bare) < 2 else f"It looks like a reply of PPP. {_REPLY_FRAMES}"
    if led and not bare:
        return "It looks like a request without a body: send one frame at least after the empty one"
    if led and not here.protocols & (Protocol.REQ | Protocol.PPP):
        return (
            "It looks like a request of a plain REQ client, which names no service. Use a Majordomo "
            "client, or give this broker a default_service"
        )
    if not led and not empty:
        if not here.protocols & (Protocol.REQ | Protocol.PPP):
            return (
                "It looks like a request of a plain DEALER client, which names no service. Use a "
                "Majordomo client, or give this broker a default_service and send an empty frame in front"
            )
        return (
            "It looks like a DEALER client that does not send the empty frame: send one in front of the "
            "body, as a REQ socket does by itself"
        )
    return None
