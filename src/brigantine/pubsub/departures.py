"""Whether what was published has left: marks among the messages, of which libzmq tells when it lets go.

A queue of libzmq keeps its order.  So when it has let go of a marked message, as it was handed to the
system or dropped, it has of all before that, in every queue that this one was in.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import zmq

from ..config.pubsub import MARK_EVERY, MOST_MARKS

__all__ = ["Departures"]


class Departures:
    """Sends the last frames of messages, and marks some of them.  Used by one thread."""

    def __init__(self) -> None:
        self._sent = 0
        #: How many had been sent with the last mark that has left.
        self._left = 0
        self._marked = 0
        self._marks: deque[tuple[Any, int]] = deque()

    @property
    def due(self) -> bool:
        """Whether the next message should have a mark."""
        return self._sent - self._marked >= MARK_EVERY

    def send(self, socket: zmq.Socket[bytes], frame: bytes, *, mark: bool) -> None:
        """Send the last frame of a message."""
        self._sent += 1
        if not mark:
            socket.send(frame)
            return
        if len(self._marks) >= MOST_MARKS:
            self._look()
        if len(self._marks) >= MOST_MARKS:
            self._marks.pop()  # this message comes after that one: its mark says more
        try:
            tracked = zmq.Frame(frame, track=True, copy=False)
        except RuntimeError:  # Python ends, and pyzmq can't start the thread that would tell
            socket.send(frame)
            return
        self._marks.append((socket.send(tracked, copy=False, track=True), self._sent))
        self._marked = self._sent
        self._look()

    def _look(self) -> None:
        while self._marks and self._marks[0][0].done:
            self._left = self._marks.popleft()[1]

    def all_left(self) -> bool:
        """Whether all marks have left."""
        self._look()
        return not self._marks

    def missing(self, *, cut_short: bool = False) -> int:
        """Messages of which it is not known that they have left everywhere: none if all marks have.

        ``cut_short``: more was to follow, so that what came after the last mark may not have left either.
        """
        self._look()
        return self._sent - self._left if self._marks or cut_short else 0
