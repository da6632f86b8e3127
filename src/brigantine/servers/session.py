"""The session of a client, as handlers see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..wire.body import request_frames

__all__ = ["REASONS", "Session"]

#: Why a session has ended, by the number that a loop tells.
REASONS = ("", "timeout", "left", "replaced", "stopped")


class Session:
    """The session of one client: opened when it first speaks, closed when it falls silent.

    - ``address``: the frames of its address stack.
    - ``number``: distinguishes it from all other sessions of this server.
    - ``state``: a dict for handlers to keep what they like; they may also set attributes.
    """

    def __init__(self, handoff: Any, place: int, number: int, address: tuple[bytes, ...]) -> None:
        self._handoff, self._place = handoff, place
        self.number = number
        self.address = address
        #: Why it was closed: ``"timeout"``, ``"left"``, ``"replaced"`` (another connection has come with
        #: its address) or ``"stopped"``; empty while it is open.
        self.closed = ""

    @property
    def state(self) -> dict[Any, Any]:
        """Whatever handlers keep; empty at first."""
        # One step: several handlers may come first at once.
        found: dict[Any, Any] = self.__dict__.setdefault("_state", {})
        return found

    def send(self, body: bytes | Sequence[bytes]) -> bool:
        """Send the client a message that is no reply to a request, from any thread.

        Returns whether the session is open.  If the client has gone, or has no room for the message,
        nobody is told, and the server counts it (``drop_reply_late``).
        """
        frames = request_frames(body)
        if self.closed:
            return False
        self._handoff.push(self._place, self.number, frames)
        return True

    def __repr__(self) -> str:
        name = ",".join(frame.hex() for frame in self.address)
        return f"<Session {self.number} of {name}{' ' * bool(self.closed)}{self.closed}>"
