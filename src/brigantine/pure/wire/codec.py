"""Which protocol a message is of, and the codec that reads it.  Frames -> command, command -> frames."""

from __future__ import annotations

from collections.abc import Sequence

from ...wire import mdp
from ...wire.req import EMPTY
from .mdp import (
    disconnect_mdp,
    head_mdp,
    heartbeat_mdp,
    leaving_mdp,
    parse_led_client,
    parse_mdp01_client,
    parse_mdp02_client,
    parse_mdp_worker,
)
from .messages import DIALECTS, LED, MDP01, MDP02, PPP, REQ, STRICT, WORDS, Command, Says
from .ppp import IN_WORDS, head_ppp, heartbeat_ppp, leaving_ppp, parse_ppp_worker
from .req import MALFORMED, head_req, leaving_req, parse_req_client, parse_req_worker

__all__ = [
    "disconnect_head",
    "heartbeat_head",
    "is_worker",
    "leaving_head",
    "parse_client",
    "parse_worker",
    "request_head",
]


def parse_client(frames: Sequence[bytes], max_depth: int, allowed: int) -> Command:
    """What a message from a client means; what is not allowed is a body like any other."""
    if allowed & MDP02 and len(frames) > 1 and frames[1] == mdp.CLIENT_02:
        return parse_mdp02_client(frames)
    command = parse_req_client(frames, max_depth)
    if command.says is not Says.REQUEST:
        late = len(frames) > 2 and frames[1] == mdp.WORKER_02
        return Command(Says.WORKER, MDP02) if late else command
    if frames[1] == mdp.WORKER_02:
        return Command(Says.WORKER, MDP02)
    if len(frames) > command.body + 1:
        if frames[command.body] == mdp.WORKER_01:
            return Command(Says.WORKER, MDP01)
        if frames[command.body] == mdp.WORKER_02:
            return Command(Says.WORKER, MDP02, dialect=LED)
    if allowed & MDP01 and frames[command.body] == mdp.CLIENT_01:
        return parse_mdp01_client(frames, command.address)
    led = allowed & DIALECTS and allowed & MDP02 and frames[command.body] == mdp.CLIENT_02
    if led and (request := parse_led_client(frames, command.address)):
        return request
    return command if allowed & REQ else MALFORMED


def parse_worker(frames: Sequence[bytes], allowed: int) -> Command:
    """What a message from a worker means, in one of the protocols that are allowed."""
    count = len(frames)
    if count < 2:
        return MALFORMED
    if allowed & MDP02 and frames[1] == mdp.WORKER_02:
        return parse_mdp_worker(frames, 1, MDP02)
    if frames[1]:
        if not allowed & PPP:
            return MALFORMED
        command = parse_ppp_worker(frames)
        if command.says is Says.MALFORMED and allowed & DIALECTS and count == 2:
            return IN_WORDS.get(frames[1], command)
        return command
    if allowed & MDP01 and count > 2 and frames[2] == mdp.WORKER_01:
        return parse_mdp_worker(frames, 2, MDP01)
    command = parse_req_worker(frames) if allowed & REQ else MALFORMED
    led = allowed & DIALECTS and allowed & MDP02 and count > 2 and frames[2] == mdp.WORKER_02
    if led and command.says is Says.MALFORMED:
        return parse_mdp_worker(frames, 2, MDP02)._replace(dialect=LED)
    return command


def is_worker(frames: Sequence[bytes]) -> bool:
    """Whether a message on a socket for both sides is a worker's: only Majordomo tells them apart."""
    count = len(frames)
    if count > 1 and frames[1] == mdp.WORKER_02:
        return True
    return count > 2 and not frames[1] and frames[2] in (mdp.WORKER_01, mdp.WORKER_02)


def request_head(
    identity: bytes, ticket: bytes, protocol: int, dialect: int = STRICT
) -> list[bytes]:
    """The frames before the body of a request."""
    if protocol == REQ:
        return head_req(identity, ticket)
    if protocol == PPP:
        return head_ppp(identity, ticket)
    return _lead(head_mdp(identity, ticket, protocol), dialect)


def _lead(frames: list[bytes], dialect: int) -> list[bytes]:
    """With an empty frame after the routing id, where the dialect has it."""
    return [frames[0], EMPTY, *frames[1:]] if dialect == LED else frames


def heartbeat_head(identity: bytes, protocol: int, dialect: int = STRICT) -> list[bytes]:
    """HEARTBEAT for a worker of PPP or MDP."""
    if protocol == PPP:
        return heartbeat_ppp(identity, words=dialect == WORDS)
    return _lead(heartbeat_mdp(identity, protocol), dialect)


def leaving_head(identity: bytes, protocol: int) -> list[bytes]:
    """The answer to a worker that is leaving."""
    if protocol == REQ:
        return leaving_req(identity)
    if protocol == PPP:
        return leaving_ppp(identity)
    return leaving_mdp(identity, protocol)


def disconnect_head(identity: bytes, protocol: int, dialect: int = STRICT) -> list[bytes]:
    """DISCONNECT for a worker of MDP."""
    return _lead(disconnect_mdp(identity, protocol), dialect)
