"""What each peer has been sent and has not yet taken, in bytes of memory.

libzmq counts messages, however large they are.  So the last frame of a heavy message is sent tracked:
when libzmq is done with it the peer's system has taken all of the message, or the connection is gone and
the message with it.

A heavy message costs ``LIGHT`` bytes or more.  Lighter ones are not counted: the high-water mark bounds
them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import zmq

from ...config.limits import FRAME_OVERHEAD

__all__ = ["Accounts", "weigh"]

#: Peers that are looked at in one turn of the loop, as to what they have taken.
_LOOKED_AT = 16


def weigh(frames: Sequence[bytes]) -> int:
    """What a message costs."""
    return FRAME_OVERHEAD * len(frames) + sum(map(len, frames))


class _Account:
    """A peer that has something to take."""

    def __init__(self) -> None:
        self.outstanding = 0
        #: What it is to take, in the order in which it will: the tracker and the cost of each message.
        self.charges: deque[tuple[zmq.MessageTracker, int]] = deque()

    def settle(self) -> int:
        """Take off what the peer has taken; returns how much that was."""
        before = self.outstanding
        while self.charges and self.charges[0][0].done:
            self.outstanding -= self.charges.popleft()[1]
        return before - self.outstanding


class Accounts:
    """Of the peers of both sides."""

    def __init__(self, limit: int) -> None:
        #: Bytes that a peer may have to take, if it has anything.
        self._limit = limit
        #: By side and routing id: the sides are two sockets, one routing id can be two peers.
        self._peers: dict[tuple[int, bytes], _Account] = {}
        #: Bytes that all of them have yet to take, as was last found.
        self.unsent = 0

    def admits(self, side: int, name: bytes, weight: int) -> bool:
        """Whether a peer may be sent a heavy message."""
        self._settle((side, name))
        account = self._peers.get((side, name))
        return account is None or account.outstanding + weight <= self._limit

    def charge(self, side: int, name: bytes, weight: int, tracker: zmq.MessageTracker) -> None:
        """Charge a peer with a message that was sent."""
        account = self._peers.setdefault((side, name), _Account())
        account.charges.append((tracker, weight))
        account.outstanding += weight
        self.unsent += weight

    def settle(self, most: int = _LOOKED_AT) -> None:
        """Take off what peers have taken, of so many in turn."""
        for _ in range(min(most, len(self._peers))):
            peer = next(iter(self._peers))
            if not self._settle(peer):
                self._peers[peer] = self._peers.pop(peer)

    def settle_all(self) -> None:
        """Take off what peers have taken."""
        self.settle(len(self._peers))

    def _settle(self, peer: tuple[int, bytes]) -> bool:
        """The same of one peer; whether it has nothing left to take."""
        account = self._peers.get(peer)
        if account is None:
            return True
        self.unsent -= account.settle()
        if not account.charges:
            del self._peers[peer]
        return not account.charges
