"""Copies of what a device passes on, for observers: they never make it wait."""

from __future__ import annotations

import zmq

__all__ = ["Capture"]


class Capture:
    """The socket that copies go to: a PUB with XPUB_NODROP, or a PUSH."""

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        #: A PUB: who has room gets the copy, though others have none.
        self._lossy = socket.type == zmq.PUB

    def copy(self, frames: list[bytes]) -> tuple[bool, bool]:
        """Whether it was taken, and whether somebody has missed it."""
        if self._sent(frames):
            return True, False
        # libzmq learns of what has been taken a millisecond later, unless it is asked.
        self._socket.getsockopt(zmq.EVENTS)
        if self._sent(frames):
            return True, False
        if not self._lossy:
            return False, True
        # Somebody has no room: libzmq takes him off its list until he has, and the others get it.
        self._socket.setsockopt(zmq.XPUB_NODROP, 0)
        try:
            return self._sent(frames), True
        finally:
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)

    def _sent(self, frames: list[bytes]) -> bool:
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True
