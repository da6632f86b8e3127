"""A message, as a subscriber receives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..wire.unpacking import Unreadable, unpacked

__all__ = ["Message"]

#: Bytes of a body that an error shows.
_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Message:
    """A message, its publisher, and how many messages before it were missed.

    ``topic`` and ``body`` are its first two frames; a single frame is the topic, and the body is then
    empty.  ``frames`` are all that the publisher gave, without the frame with the number.
    """

    topic: bytes
    body: bytes
    #: Name of the publisher; ``None`` for one that does not number its messages.
    publisher: str | None = None
    #: Which of the topic it is, from 1 on; ``None`` where there are no numbers.
    number: int | None = None
    #: How many messages of this topic and publisher were missed right before it; ``None`` where that is
    #: unknown: the first of its topic, or after a restart of the publisher, or without numbers.
    missed: int | None = None
    #: Whether it was asked for as the last value of its topic, and may have been published long ago.
    is_last_value: bool = False
    frames: tuple[bytes, ...] = ()

    def object(self) -> Any:
        """The object in the body, which is msgpack, as ``publish_object()`` sends it.

        Raises :class:`~brigantine.ConfigError`, a ``ValueError``, for any other body.
        """
        try:
            return unpacked(self.body, any_keys=True)
        except Unreadable as error:
            raise ConfigError(
                f"the body of a message under {self.topic!r} is no msgpack: {self.body[:_SHOWN]!r} "
                f"({error}); read message.body"
            ) from error
