"""Which protocol a message is of, and the codec that reads it.  Frames -> command, command -> frames."""

from __future__ import annotations

from collections.abc import Sequence

from ...wire import mdp
from ...wire.req import EMPTY
from . import mdp as codec_mdp
from . import ppp as codec_ppp
from . import req as codec_req
from .messages import DIALECTS, LED, MDP01, MDP02, PPP, REQ, STRICT, WORDS, Command, Says

__all__ = [
    "disconnect",
    "heartbeat",
    "is_worker",
    "leaving",
    "parse_client",
    "parse_worker",
    "reply_head",
    "to_worker",
]

_MALFORMED = codec_req.MALFORMED


def parse_client(frames: Sequence[bytes], max_depth: int, allowed: int) -> Command:
    """What a message from a client means; what is not allowed is a body like any other."""
    if allowed & MDP02 and len(frames) > 1 and frames[1] == mdp.CLIENT_02:
        return codec_mdp.parse_client_02(frames)
    command = codec_req.parse_client(frames, max_depth)
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
        return codec_mdp.parse_client_01(frames, command.address)
    led = allowed & DIALECTS and allowed & MDP02 and frames[command.body] == mdp.CLIENT_02
    if led and (request := codec_mdp.parse_client_led(frames, command.address)):
        return request
    return command if allowed & REQ else _MALFORMED


def parse_worker(frames: Sequence[bytes], allowed: int) -> Command:
    """What a message from a worker means, in one of the protocols that are allowed."""
    count = len(frames)
    if count < 2:
        return _MALFORMED
    if allowed & MDP02 and frames[1] == mdp.WORKER_02:
        return codec_mdp.parse_worker(frames, 1, MDP02)
    if frames[1]:
        if not allowed & PPP:
            return _MALFORMED
        command = codec_ppp.parse_worker(frames)
        if command.says is Says.MALFORMED and allowed & DIALECTS and count == 2:
            return codec_ppp.IN_WORDS.get(frames[1], command)
        return command
    if allowed & MDP01 and count > 2 and frames[2] == mdp.WORKER_01:
        return codec_mdp.parse_worker(frames, 2, MDP01)
    command = codec_req.parse_worker(frames) if allowed & REQ else _MALFORMED
    led = allowed & DIALECTS and allowed & MDP02 and count > 2 and frames[2] == mdp.WORKER_02
    if led and command.says is Says.MALFORMED:
        return codec_mdp.parse_worker(frames, 2, MDP02)._replace(dialect=LED)
    return command


def is_worker(frames: Sequence[bytes]) -> bool:
    """Whether a message on a socket for both sides is a worker's: only Majordomo tells them apart."""
    count = len(frames)
    if count > 1 and frames[1] == mdp.WORKER_02:
        return True
    return count > 2 and not frames[1] and frames[2] in (mdp.WORKER_01, mdp.WORKER_02)


def to_worker(identity: bytes, ticket: bytes, protocol: int, dialect: int = STRICT) -> list[bytes]:
    """What stands in front of a request's body."""
    if protocol == REQ:
        return codec_req.to_worker(identity, ticket)
    if protocol == PPP:
        return codec_ppp.to_worker(identity, ticket)
    return _led(codec_mdp.to_worker(identity, ticket, protocol), dialect)


def _led(frames: list[bytes], dialect: int) -> list[bytes]:
    """With an empty frame behind the routing id, where the dialect has it."""
    return [frames[0], EMPTY, *frames[1:]] if dialect == LED else frames


def reply_head(
    address: Sequence[bytes], service: bytes, protocol: int, dialect: int, *, partial: bool
) -> list[bytes]:
    """What stands in front of a reply's body."""
    if protocol == REQ:
        return [*address, EMPTY]
    return codec_mdp.client_head(address, service, protocol, dialect, partial=partial)


def heartbeat(identity: bytes, protocol: int, dialect: int = STRICT) -> list[bytes]:
    """HEARTBEAT for a worker of PPP or MDP."""
    if protocol == PPP:
        return codec_ppp.heartbeat(identity, words=dialect == WORDS)
    return _led(codec_mdp.heartbeat(identity, protocol), dialect)


def leaving(identity: bytes, protocol: int) -> list[bytes]:
    """The answer to a worker that is leaving."""
    if protocol == REQ:
        return codec_req.leaving(identity)
    if protocol == PPP:
        return codec_ppp.leaving(identity)
    return codec_mdp.leaving(identity, protocol)


def disconnect(identity: bytes, protocol: int, dialect: int = STRICT) -> list[bytes]:
    """DISCONNECT for a worker of MDP."""
    return _led(codec_mdp.disconnect(identity, protocol), dialect)
