"""Who is connected to a bound end, and what tells that somebody has gone."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import zmq

from ..config.pipeline import LOOK_FOR
from ..net.descriptors import ConnectionWatch, DescriptorReserve

__all__ = ["Peer", "PeerWatch", "PlainWatch"]


@dataclass(slots=True, eq=False)
class Peer:
    """Who has said HELLO on a connection."""

    route: bytes
    role: str
    id: bytes
    name: str
    heard_at: float
    #: When something was last sent to it.
    said_at: float
    #: It has said that it is about to end.
    leaving: bool = False


class PeerWatch(ConnectionWatch):
    """Tells besides that some connection has ended: whose, libzmq says when it is asked to send there."""

    look_until = 0.0
    _ended = False

    def hear(self, event: int, descriptor: int) -> None:
        """As of any watch."""
        if event == zmq.EVENT_DISCONNECTED:
            self._ended = True
        super().hear(event, descriptor)

    def take(self, now: float) -> tuple[bool, bool]:
        """Whether a connection has ended since the last call, and whether one has shortly before."""
        ended, self._ended = self._ended, False
        if ended:
            self.look_until = now + LOOK_FOR
        return ended, now < self.look_until


class PlainWatch(ConnectionWatch):
    """Knows about how many peers a socket for plain programs has.

    libzmq tells of a handshake that is done, and not on which descriptor: somebody who has said nothing may
    be taken for a peer that has left in the meantime.
    """

    def __init__(
        self,
        watched: zmq.Socket[bytes],
        reserve: DescriptorReserve,
        at: Callable[[], Iterable[str]],
    ) -> None:
        super().__init__(watched, reserve, more=zmq.EVENT_HANDSHAKE_SUCCEEDED, at=at)
        self._open: set[int] = set()
        #: Of those that are open, how many have done their handshake.  For any thread.
        self.peers = 0

    def hear(self, event: int, descriptor: int) -> None:
        """As of any watch."""
        if event == zmq.EVENT_ACCEPTED:
            self._open.add(descriptor)
        elif event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self.peers += 1
        elif event == zmq.EVENT_DISCONNECTED:
            self._open.discard(descriptor)
            self.peers = min(self.peers, len(self._open))
        super().hear(event, descriptor)
