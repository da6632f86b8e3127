"""The Majordomo Protocol 0.1 and 0.2: frames as a ROUTER received them -> command (see ``wire_mdp``)."""

from __future__ import annotations

from collections.abc import Sequence

from ...wire import mdp
from ...wire.ready import decode_capacity, decode_interval
from ...wire.req import EMPTY, LEAVING
from .messages import LED, MDP01, MDP02, REQ, SHIFTED, STRICT, Command, Says

__all__ = [
    "client_reply_head",
    "disconnect_mdp",
    "head_mdp",
    "heartbeat_mdp",
    "leaving_mdp",
    "parse_led_client",
    "parse_mdp01_client",
    "parse_mdp02_client",
    "parse_mdp_worker",
]


def parse_mdp01_client(frames: Sequence[bytes], delimiter: int) -> Command:
    """``id... [] "MDPC01" service body...``; ``delimiter`` is the index of the empty frame."""
    if len(frames) < delimiter + 4:
        return Command(Says.MALFORMED, MDP01)
    return Command(
        Says.REQUEST, MDP01,
        address=delimiter, service=delimiter + 2, body=delimiter + 3,
    )  # fmt: skip


def parse_mdp02_client(frames: Sequence[bytes]) -> Command:
    """``id "MDPC02" 0x01 service body...``."""
    if len(frames) < 5 or frames[2] != mdp.CLIENT_REQUEST:
        return Command(Says.MALFORMED, MDP02)
    return Command(Says.REQUEST, MDP02, address=1, service=3, body=4)


def parse_led_client(frames: Sequence[bytes], delimiter: int) -> Command | None:
    """``id... [] "MDPC02" command service body...``, of published clients; ``None`` if that is none."""
    if len(frames) < delimiter + 3 or frames[delimiter + 2] not in _LED_REQUESTS:
        return None
    if len(frames) < delimiter + 5:
        return Command(Says.MALFORMED, MDP02)
    return Command(
        Says.REQUEST, MDP02, dialect=_LED_REQUESTS[frames[delimiter + 2]],
        address=delimiter, service=delimiter + 3, body=delimiter + 4,
    )  # fmt: skip


#: REQUEST as it is after an empty frame and the header: as the RFC has it, and as workers get it.
_LED_REQUESTS = {mdp.CLIENT_REQUEST: LED, mdp.REQUEST: SHIFTED}


def parse_mdp_worker(frames: Sequence[bytes], at: int, protocol: int) -> Command:
    """A message whose header ``MDPW01`` or ``MDPW02`` is frame ``at``."""
    count = len(frames)
    if count < at + 2:
        return Command(Says.MALFORMED, protocol)
    says = _WORKER_SAYS[protocol].get(frames[at + 1], Says.MALFORMED)
    if says is Says.READY:
        if at + 3 <= count <= at + 5:
            capacity = decode_capacity(frames[at + 3]) if count > at + 3 else 1
            interval = decode_interval(frames[at + 4]) if count > at + 4 else 0
            if capacity and (interval or count < at + 5):
                return Command(says, protocol, service=at + 2, capacity=capacity, interval=interval)
    elif says in (Says.FINAL, Says.PARTIAL):
        if count > at + 4 and frames[at + 2] and not frames[at + 3]:
            return Command(says, protocol, ticket=at + 2, body=at + 4)
        if count > at + 2 and frames[at + 2]:
            return Command(Says.MALFORMED, protocol, ticket=at + 2)
    elif says in (Says.HEARTBEAT, Says.DISCONNECT) and count == at + 2:
        return Command(says, protocol)
    elif says is Says.HEARTBEAT and count == at + 3 and frames[at + 2] == LEAVING:
        return Command(Says.LEAVING, protocol)
    return Command(Says.MALFORMED, protocol)


_WORKER_SAYS = {
    MDP01: {
        mdp.READY: Says.READY,
        mdp.REPLY_01: Says.FINAL,
        mdp.HEARTBEAT_01: Says.HEARTBEAT,
        mdp.DISCONNECT_01: Says.DISCONNECT,
    },
    MDP02: {
        mdp.READY: Says.READY,
        mdp.PARTIAL_02: Says.PARTIAL,
        mdp.FINAL_02: Says.FINAL,
        mdp.HEARTBEAT_02: Says.HEARTBEAT,
        mdp.DISCONNECT_02: Says.DISCONNECT,
    },
}


def head_mdp(identity: bytes, ticket: bytes, protocol: int) -> list[bytes]:
    """The frames before the body of a request."""
    if protocol == MDP01:
        return [identity, EMPTY, mdp.WORKER_01, mdp.REQUEST, ticket, EMPTY]
    return [identity, mdp.WORKER_02, mdp.REQUEST, ticket, EMPTY]


def heartbeat_mdp(identity: bytes, protocol: int) -> list[bytes]:
    """HEARTBEAT for a worker."""
    if protocol == MDP01:
        return [identity, EMPTY, mdp.WORKER_01, mdp.HEARTBEAT_01]
    return [identity, mdp.WORKER_02, mdp.HEARTBEAT_02]


def leaving_mdp(identity: bytes, protocol: int) -> list[bytes]:
    """The answer to LEAVING."""
    return [*heartbeat_mdp(identity, protocol), LEAVING]


def disconnect_mdp(identity: bytes, protocol: int) -> list[bytes]:
    """DISCONNECT for a worker."""
    if protocol == MDP01:
        return [identity, EMPTY, mdp.WORKER_01, mdp.DISCONNECT_01]
    return [identity, mdp.WORKER_02, mdp.DISCONNECT_02]


def client_reply_head(
    address: Sequence[bytes], service: bytes, protocol: int, dialect: int, *, partial: bool
) -> list[bytes]:
    """What stands in front of the body of a reply, or of a part of one."""
    if protocol == REQ:
        return [*address, EMPTY]
    if protocol == MDP01:
        return [*address, EMPTY, mdp.CLIENT_01, service]
    if dialect == SHIFTED:
        return [*address, EMPTY, mdp.CLIENT_02, mdp.PARTIAL_02 if partial else mdp.FINAL_02]
    command = mdp.CLIENT_PARTIAL if partial else mdp.CLIENT_FINAL
    lead = [] if dialect == STRICT else [EMPTY]
    return [*address, *lead, mdp.CLIENT_02, command, service]
