"""Topics and bodies as they are given: checked, so that a mistake is named at once."""

from __future__ import annotations

from collections.abc import Iterable

from ..config.pubsub import LONGEST_TOPIC
from ..errors import ConfigError, OptionName, WrongUse
from ..net.arguments import service_name
from ..validation.values import shown
from ..wire.pubsub import LONGEST_NAME, NUL

__all__ = ["as_body", "as_name", "as_topic", "as_topics"]


def as_topic(topic: bytes | str, name: str = "topic") -> bytes:
    """A topic, or how topics begin, as it is sent.

    Raises :class:`~brigantine.errors.ConfigError` for what is none, is too long or begins with a NUL.
    """
    made = service_name(topic, name)
    if len(made) > LONGEST_TOPIC:
        raise ConfigError(
            OptionName(name), f" must be at most {LONGEST_TOPIC} bytes long, not {len(made)}"
        )
    if made.startswith(NUL):
        raise ConfigError(
            OptionName(name),
            f": {shown(made)} begins with a NUL byte; such topics are for heartbeats and the like",
        )
    return made


def as_topics(topics: bytes | str | Iterable[bytes | str]) -> tuple[bytes, ...]:
    """One or several, each of them once; none is allowed, too."""
    if isinstance(topics, (bytes, str)):
        return (as_topic(topics, "topics"),)
    if not isinstance(topics, Iterable) or isinstance(topics, (bytearray, memoryview)):
        raise WrongUse(
            OptionName("topics"),
            f" must be bytes, str or several of them, not {shown(topics)}; b'' stands for all topics",
        )
    return tuple(dict.fromkeys(as_topic(each, "topics") for each in topics))


def as_body(body: bytes, most: int) -> bytes:
    """``body`` unchanged.  Raises :class:`~brigantine.errors.ConfigError` for what can't be sent."""
    if not isinstance(body, bytes):
        cure = "; encode it first: text.encode()" if isinstance(body, str) else "; use bytes(x)"
        text = cure if isinstance(body, (str, bytearray, memoryview)) else "; see publish_object()"
        raise WrongUse(OptionName("body"), f" must be bytes, not {type(body).__name__}{text}")
    if len(body) > most:
        raise ConfigError(
            OptionName("body"),
            f" must be at most max_message_bytes ({most} bytes) long, not {len(body)}",
        )
    return body


def as_name(name: str) -> str:
    """The name of a publisher, unchanged."""
    if not isinstance(name, str):
        raise WrongUse(OptionName("name"), f" must be a string, not {shown(name)}")
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigError(
            OptionName("name"),
            f" must be 1 to {LONGEST_NAME} characters that can be printed, not {shown(name)}",
        )
    return name
