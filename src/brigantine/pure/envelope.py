"""Frames of one message: address stack, empty delimiter, body."""

from __future__ import annotations

from collections.abc import Sequence

from ..config import BrokerConfig
from ..errors import BadEnvelope

__all__ = ["Envelope", "find_delimiter"]

#: What :func:`find_delimiter` answers when there is none to be used.
NO_DELIMITER = -1
TOO_DEEP = -2


def find_delimiter(frames: Sequence[bytes], max_depth: int) -> int:
    """Index of the empty frame that ends the address stack of 1 to ``max_depth`` frames.

    ``NO_DELIMITER`` when no frame is empty or none stands before it, ``TOO_DEEP`` when more than
    ``max_depth`` frames stand before it.
    """
    for index, frame in enumerate(frames):
        if not frame:
            return index if index else NO_DELIMITER
        if index == max_depth:
            return TOO_DEEP
    return NO_DELIMITER


class Envelope:
    """One message, split at the first empty frame behind its address stack.

    ``address`` holds 1 to ``max_depth`` non-empty frames (the routing id first), ``body`` at least
    one frame.  Source: ZeroMQ RFC 28/REQREP, "address stack" and "delimiter".
    """

    __slots__ = ("address", "body")

    def __init__(self, address: Sequence[bytes], body: Sequence[bytes]) -> None:
        """Raises ``ValueError`` for an empty address, an empty frame in it, or an empty body."""
        if not address or not all(address):
            raise ValueError(
                f"an address is one or more frames, none of them empty, not {address!r}"
            )
        if not body:
            raise ValueError("a body is one or more frames; send b'' for an empty one")
        self.address = list(address)
        self.body = list(body)

    @classmethod
    def parse(
        cls,
        frames: Sequence[bytes],
        *,
        max_frames: int = BrokerConfig.max_frames,
        max_depth: int = BrokerConfig.max_depth,
    ) -> Envelope:
        """Split the frames of a message as a ROUTER received it.

        Raises :class:`~brigantine.errors.BadEnvelope` (``reason`` names the counter) for more than
        ``max_frames`` frames, more than ``max_depth`` before the delimiter, no delimiter or no body.
        """
        if len(frames) > max_frames:
            raise BadEnvelope("too_many_frames", f"{len(frames)} frames, at most {max_frames}")
        at = find_delimiter(frames, max_depth)
        if at == TOO_DEEP:
            raise BadEnvelope("too_deep", f"more than {max_depth} address frames")
        if at < 0 or at + 1 == len(frames):
            raise BadEnvelope("malformed", "an address, an empty frame and a body are needed")
        envelope = cls.__new__(cls)
        envelope.address = list(frames[:at])
        envelope.body = list(frames[at + 1 :])
        return envelope

    def rewrap(self, address: Sequence[bytes]) -> None:
        """Put ``address`` in the place of the address stack; the body stays as it is.

        Raises ``ValueError`` for an empty address or an empty frame in it.
        """
        if not address or not all(address):
            raise ValueError(
                f"an address is one or more frames, none of them empty, not {address!r}"
            )
        self.address = list(address)

    def frames(self) -> list[bytes]:
        """All frames as they go to a socket: address, empty delimiter, body."""
        return [*self.address, b"", *self.body]

    @property
    def size(self) -> int:
        """Bytes of all frames together."""
        return sum(map(len, self.address)) + sum(map(len, self.body))
