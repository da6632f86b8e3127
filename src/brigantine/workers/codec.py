"""The worker's side of PPP, MDP 0.1 and MDP 0.2: what is said <-> frames on a DEALER socket.

What the frames are is written in ``wire_ppp`` and ``wire_mdp``; the ``id`` there is the ROUTER's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol, cast

import msgpack

from ..wire import mdp, ppp
from ..wire.req import EMPTY, LEAVING

__all__ = ["MDP01Codec", "MDP02Codec", "Message", "PPPCodec", "Says", "WorkerCodec", "is_ours"]


#: A ticket of ours, and how many frames it and the empty one are.
_OUR_TICKET = re.compile(rb"[0-9a-f]{16}\Z")
TICKET_FRAMES = 2


class Says(Enum):
    """What a message from the broker means."""

    REQUEST = auto()
    HEARTBEAT = auto()
    #: The broker has let this worker go: nothing more is on its way.
    LEAVING = auto()
    DISCONNECT = auto()
    MALFORMED = auto()


class Message(NamedTuple):
    """A message from the broker.  ``envelope`` goes back unchanged in front of the reply's body."""

    says: Says
    envelope: Sequence[bytes] = ()
    body: Sequence[bytes] = ()


_MALFORMED = Message(Says.MALFORMED)
_HEARTBEAT = Message(Says.HEARTBEAT)
_LEAVING = Message(Says.LEAVING)
_DISCONNECT = Message(Says.DISCONNECT)


class WorkerCodec(Protocol):
    """What a protocol must be able to say and to understand."""

    #: The protocol, in words.
    name: str
    #: Whether a reply may come in several messages.
    partials: bool
    #: The body that only ends the reply of a generator; none where a reply must say something.
    end: Sequence[bytes]
    heartbeat: list[bytes]
    #: "Send me nothing more", to brokers of brigantine, which repeat it.
    leaving: list[bytes]
    #: ``None`` where the protocol has no word for leaving.
    disconnect: list[bytes] | None

    def ready(self) -> list[bytes]:
        """The first message of a connection."""

    def parse(self, frames: list[bytes]) -> Message:
        """A message from the broker."""

    def reply(
        self, envelope: Sequence[bytes], body: Sequence[bytes], *, final: bool
    ) -> list[bytes]:
        """A reply, or one part of it."""


class PPPCodec:
    """ZeroMQ RFC 6/PPP."""

    name = "PPP"
    partials = False
    end: Sequence[bytes] = ()

    def __init__(self, capacity: int, interval_ms: int = 0) -> None:
        """``interval_ms`` is the heartbeat interval to announce; 0: none."""
        self._announced = _announced(capacity, interval_ms)
        self.heartbeat = [ppp.HEARTBEAT]
        self.leaving = [LEAVING]
        self.disconnect: list[bytes] | None = None

    def ready(self) -> list[bytes]:
        """``0x01``, and what is announced in the same frame."""
        return [ppp.READY + b"".join(self._announced)]

    def parse(self, frames: list[bytes]) -> Message:
        """``0x02``, LEAVING or ``ticket [] body...``."""
        if frames == self.leaving:
            return _LEAVING
        return _HEARTBEAT if frames == self.heartbeat else _request(frames)

    def reply(
        self, envelope: Sequence[bytes], body: Sequence[bytes], *, final: bool
    ) -> list[bytes]:
        """``ticket [] body...``; there are no parts."""
        assert final
        return [*envelope, *body]


class MDP02Codec:
    """ZeroMQ RFC 18/MDP."""

    name = "MDP 0.2"
    partials = True
    end: Sequence[bytes] = (EMPTY,)
    _head: Sequence[bytes] = (mdp.WORKER_02,)
    _heartbeat, _disconnect = mdp.HEARTBEAT_02, mdp.DISCONNECT_02
    _part, _final = mdp.PARTIAL_02, mdp.FINAL_02

    def __init__(self, service: bytes, capacity: int, interval_ms: int = 0) -> None:
        """``interval_ms`` is the heartbeat interval to announce; 0: none."""
        self._service = service
        self._announced = _announced(capacity, interval_ms)
        self.heartbeat = [*self._head, self._heartbeat]
        self.leaving = [*self.heartbeat, LEAVING]
        self.disconnect: list[bytes] | None = [*self._head, self._disconnect]

    def ready(self) -> list[bytes]:
        """Header, command and service; what is announced follows, a frame each."""
        return [*self._head, mdp.READY, self._service, *self._announced]

    def parse(self, frames: list[bytes]) -> Message:
        """HEARTBEAT, DISCONNECT, or REQUEST: header, command, ``ticket [] body...``."""
        if frames == self.heartbeat:
            return _HEARTBEAT
        if frames == self.leaving:
            return _LEAVING
        if frames == self.disconnect:
            return _DISCONNECT
        start = [*self._head, mdp.REQUEST]
        return _request(frames[len(start) :]) if frames[: len(start)] == start else _MALFORMED

    def reply(
        self, envelope: Sequence[bytes], body: Sequence[bytes], *, final: bool
    ) -> list[bytes]:
        """Header, command and ``ticket [] body...``."""
        return [*self._head, self._final if final else self._part, *envelope, *body]


class MDP01Codec(MDP02Codec):
    """ZeroMQ RFC 7/MDP: the empty frame first, other numbers, and replies are whole."""

    name = "MDP 0.1"
    partials = False
    _head: Sequence[bytes] = (EMPTY, mdp.WORKER_01)
    _heartbeat, _disconnect = mdp.HEARTBEAT_01, mdp.DISCONNECT_01
    _final = mdp.REPLY_01

    def reply(
        self, envelope: Sequence[bytes], body: Sequence[bytes], *, final: bool
    ) -> list[bytes]:
        """Header, REPLY and ``ticket [] body...``; there are no parts."""
        assert final
        return super().reply(envelope, body, final=True)


def is_ours(envelope: Sequence[bytes]) -> bool:
    """Whether a request's ticket is of the kind that brokers of brigantine give."""
    return len(envelope) == TICKET_FRAMES and _OUR_TICKET.match(envelope[0]) is not None


def _announced(capacity: int, interval_ms: int) -> list[bytes]:
    """What READY announces: the capacity, and behind it the interval.

    Nothing for a capacity of 1 alone, which is what brokers take for granted.
    """
    numbers = [capacity, interval_ms] if interval_ms else [capacity] if capacity > 1 else []
    return [cast(bytes, cast(Any, msgpack).packb(each)) for each in numbers]


def _request(frames: list[bytes]) -> Message:
    """``ticket [] body...``.

    The ticket is one frame from our brokers; a broker that passes on a whole address stack in its
    place is understood as well.
    """
    try:
        end = frames.index(EMPTY) + 1
    except ValueError:
        return _MALFORMED
    # The shortest: ticket, empty, one frame of body.
    if end < 2 or end == len(frames):
        return _MALFORMED
    return Message(Says.REQUEST, frames[:end], frames[end:])
