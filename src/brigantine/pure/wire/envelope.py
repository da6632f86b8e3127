"""Frames of one message: address stack, empty delimiter, body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...config import BrokerConfig
from ...errors import BadEnvelope
from ...wire.envelope import (
    address_frames,
    body_frames,
    delimits,
    has_delimiter,
    message_frames,
    shown_envelope,
)

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Envelope", "find_delimiter"]

#: What :func:`find_delimiter` answers when there is none to be used.
NO_DELIMITER = -1
TOO_DEEP = -2


def find_delimiter(frames: Sequence[bytes], max_depth: int) -> int:
    """Index of the empty frame that ends the address stack of 1 to ``max_depth`` frames.

    ``NO_DELIMITER`` when no frame is empty or none comes before it, ``TOO_DEEP`` when more than
    ``max_depth`` frames come before it.
    """
    for index, frame in enumerate(frames):
        if not frame:
            return index if index else NO_DELIMITER
        if index == max_depth:
            return TOO_DEEP
    return NO_DELIMITER


class Envelope:
    """A message of a ROUTER: address, delimiter, body.

    ``address`` is the routing id of a peer, or a stack of them (the nearest first), none of them empty;
    ``body`` is ``bytes`` for one frame or a sequence for several.  Without ``delimiter`` nothing stands
    between the two, as DEALER peers may have it.
    Source: ZeroMQ RFC 28/REQREP, "address stack" and "delimiter".
    """

    __slots__ = ("_address", "_body", "_delimiter")

    def __init__(
        self,
        address: bytes | Sequence[bytes],
        body: bytes | Sequence[bytes],
        *,
        delimiter: bool = True,
    ) -> None:
        """Raises ``ValueError`` for an empty address, an empty frame in it, or a body without a frame."""
        self._address, self._body = address_frames(address), body_frames(body)
        self._delimiter = delimits(delimiter)

    @classmethod
    def parse(
        cls,
        frames: Sequence[bytes],
        *,
        delimiter: bool | None = True,
        max_frames: int = BrokerConfig.max_frames,
        max_depth: int = BrokerConfig.max_depth,
    ) -> Self:
        """Split the frames of a message as a ROUTER received it.

        With ``delimiter`` the address ends at the first empty frame, without it is the first frame
        alone; ``None`` takes the message as it is: with a delimiter if its second frame is empty and
        more follows.  Raises :class:`~brigantine.errors.BadEnvelope` (``reason`` names the counter) for
        more than ``max_frames`` frames, more than ``max_depth`` before the delimiter, no address, no
        delimiter or no body.
        """
        frames = message_frames(frames)
        if len(frames) > max_frames:
            raise BadEnvelope("too_many_frames", f"{len(frames)} frames, at most {max_frames}")
        envelope = cls.__new__(cls)
        envelope._delimiter = has_delimiter(frames, delimiter)
        if not envelope._delimiter:
            if len(frames) == 1 or not frames[0]:
                raise BadEnvelope("malformed", "an address and a body are needed")
            envelope._address, envelope._body = frames[:1], frames[1:]
            return envelope
        at = find_delimiter(frames, max_depth)
        if at == TOO_DEEP:
            raise BadEnvelope("too_deep", f"more than {max_depth} address frames")
        if at < 0 or at + 1 == len(frames):
            raise BadEnvelope("malformed", "an address, an empty frame and a body are needed")
        envelope._address, envelope._body = frames[:at], frames[at + 1 :]
        return envelope

    def rewrap(self, address: bytes | Sequence[bytes]) -> None:
        """Put ``address`` in the place of the address stack; the body stays as it is.

        Raises ``ValueError`` for an empty address or an empty frame in it.
        """
        self._address = address_frames(address)

    def wrap(self, address: bytes | Sequence[bytes], *, delimiter: bool = True) -> Self:
        """A new envelope around this one, which is its body: ``address [] this envelope's frames``.

        So a broker sends a client's request on to a worker.
        :meth:`~brigantine.Envelope.unwrap` undoes it.
        """
        return type(self)(address, self.frames(), delimiter=delimiter)

    def unwrap(
        self,
        *,
        delimiter: bool | None = True,
        max_frames: int = BrokerConfig.max_frames,
        max_depth: int = BrokerConfig.max_depth,
    ) -> Self:
        """The envelope that is the body of this one.

        Arguments and errors: :meth:`~brigantine.Envelope.parse`.
        """
        return self.parse(
            self.body, delimiter=delimiter, max_frames=max_frames, max_depth=max_depth
        )

    def reply(self, body: bytes | Sequence[bytes]) -> Self:
        """A new envelope for the sender of this one: the same address and framing, with another body."""
        return type(self)(self._address, body, delimiter=self._delimiter)

    def frames(self) -> list[bytes]:
        """All frames as they go to a socket: address, delimiter, body."""
        return [*self._address, *([b""] if self._delimiter else []), *self._body]

    @property
    def address(self) -> list[bytes]:
        """The address stack, a list of bytes."""
        return list(self._address)

    @property
    def delimiter(self) -> bool:
        """Whether an empty frame is between address and body."""
        return self._delimiter

    @property
    def body(self) -> list[bytes]:
        """The frames after address and delimiter, a list of bytes."""
        return list(self._body)

    @property
    def size(self) -> int:
        """Bytes of all frames together."""
        return sum(map(len, self._address)) + sum(map(len, self._body))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Envelope):
            return NotImplemented
        return (self._address, self._delimiter, self._body) == (
            other._address, other._delimiter, other._body
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return shown_envelope(self._address, self._body, delimiter=self._delimiter)

    def __reduce__(self) -> tuple[object, tuple[type[Self], list[bytes], list[bytes], bool]]:
        return _made, (type(self), self.address, self.body, self.delimiter)


def _made(
    kind: type[Envelope], address: list[bytes], body: list[bytes], delimiter: bool
) -> Envelope:
    """An envelope that was pickled or copied."""
    return kind(address, body, delimiter=delimiter)
