"""The exceptions of brigantine.  Each message says what was wrong, with which value, and what to do."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

__all__ = [
    "BadEnvelope",
    "BindError",
    "BrigantineError",
    "BrokerStopped",
    "Busy",
    "ClientClosed",
    "ConfigError",
    "ConfigWarning",
    "ConnectError",
    "CoreMissing",
    "Expired",
    "NoPublisher",
    "NoReply",
    "NoService",
    "NotReady",
    "OptionName",
    "PairClosed",
    "PairTimeout",
    "PipelineClosed",
    "PublisherClosed",
    "SessionLost",
    "SocketMismatch",
    "SubscriberClosed",
    "Try",
    "Unroutable",
    "WorkerFailed",
    "WrongUse",
    "named",
]

if TYPE_CHECKING:
    from typing_extensions import Self

#: Characters of a service's name that a message shows.
_LONGEST_NAME = 80


class BrigantineError(Exception):
    """Base of every exception raised by brigantine."""


class OptionName(str):
    """The name of an option or argument within the words of an error."""

    __slots__ = ()


class _Spelled(Exception):
    """What is told about an option, by names that somebody else may spell in another way."""

    def __init__(self, *parts: str) -> None:
        super().__init__("".join(parts))
        self._parts = parts

    def __reduce__(self) -> tuple[type[Any], tuple[str, ...]]:
        return type(self), self._parts

    @property
    def option(self) -> str:
        """The option or argument that this is about, by its name in Python; empty where there is none."""
        return str(next((part for part in self._parts if isinstance(part, OptionName)), ""))

    def spelled(self, spell: Callable[[str], str]) -> str:
        """The message, with the name of each option as ``spell`` has it."""
        return "".join(
            spell(part) if isinstance(part, OptionName) else part for part in self._parts
        )


class ConfigError(_Spelled, BrigantineError, ValueError):
    """An option or an endpoint has a value that can't work.

    ``option`` is the name of the option or argument, empty where it is about none.
    """


class ConfigWarning(_Spelled, UserWarning):
    """An option has a value that can work, and looks like a mistake: milliseconds in place of seconds.

    ``option`` is its name.
    """


class WrongUse(ConfigError, TypeError):
    """A call that can't be right.

    For example an argument of a wrong type, an unknown option, or ``with`` instead of ``async with``.
    """


class SocketMismatch(ConfigError):
    """Two socket types that libzmq does not connect with each other.

    ``socket_type`` and ``peer_type`` are their names; the message says why and what to use instead.
    """

    def __init__(self, message: str, socket_type: str, peer_type: str) -> None:
        super().__init__(message)
        self.socket_type = socket_type
        self.peer_type = peer_type

    def __reduce__(self) -> tuple[type[SocketMismatch], tuple[str, str, str]]:
        return type(self), (str(self), self.socket_type, self.peer_type)


class BadEnvelope(BrigantineError, ValueError):
    """Frames that are not an address stack, an empty delimiter and a body.

    ``reason`` is ``"too_many_frames"``, ``"too_deep"`` or ``"malformed"``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadEnvelope], tuple[str, str]]:
        return type(self), (self.reason, str(self))


class Unroutable(BrigantineError, OSError):
    """No connected peer has the address of a message.

    ``address`` is the routing id that the ROUTER does not know.
    """

    def __init__(self, message: str, address: bytes) -> None:
        super().__init__(errno.EHOSTUNREACH, message)
        self.address = address

    def __reduce__(self) -> tuple[type[Unroutable], tuple[str, bytes]]:
        return type(self), (str(self.strerror), self.address)


class BindError(BrigantineError, OSError):
    """A broker could not bind an endpoint (in use, no such interface, no permission)."""


class ConnectError(BrigantineError, OSError):
    """A client or worker could not begin to connect to an endpoint."""


class BrokerStopped(BrigantineError, RuntimeError):
    """A call needs a running broker, and this one was stopped or has failed."""


class ClientClosed(BrigantineError, RuntimeError):
    """A request was made, or was still waiting, when its client was closed."""


class PublisherClosed(BrigantineError, RuntimeError):
    """The publisher of a message is closed, or belongs to the parent of this forked child."""


class SubscriberClosed(BrigantineError, RuntimeError):
    """The subscriber that was read is closed, or belongs to the parent of this forked child."""


class NoPublisher(BrigantineError, TimeoutError):
    """A subscriber has heard nothing from any publisher or forwarder for too long.

    Raised once for each such silence; the subscriber keeps trying.  ``met`` says in words what was found
    at each endpoint.
    """

    def __init__(self, message: str, met: dict[str, str]) -> None:
        super().__init__(message)
        self.met = met

    def __reduce__(self) -> tuple[type[NoPublisher], tuple[str, dict[str, str]]]:
        return type(self), (str(self), self.met)


class PairClosed(BrigantineError, RuntimeError):
    """The end of a pair that was used is closed, or its other end is."""


class PairTimeout(BrigantineError, TimeoutError):
    """Nothing came from the other end of a pair in time, or nothing could be sent to it.

    ``reason`` is ``"silent"``, ``"full"``, ``"nobody"`` (none was ever connected), ``"left"`` (it was
    closed, and no other came) or ``"thread_ended"``.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[type[PairTimeout], tuple[str, str]]:
        return type(self), (str(self), self.reason)


class PipelineClosed(BrigantineError, RuntimeError):
    """A call needs an open ventilator or sink, and this one was closed or has ended."""


class CoreMissing(BrigantineError, ImportError):
    """The compiled core is missing or can't be loaded."""


class Try(tuple[str, float]):
    """One try of a request without a reply: a pair ``(endpoint, seconds waited)`` with attributes.

    - ``seen``: a word for what was seen of the broker meanwhile, such as ``"refused"`` or
      ``"connected"``; docs/clients.md lists all of them.  Empty if nothing is known.
    - ``said``: ``(error, reason)`` if the broker answered with an error, else ``None``.
    - ``trouble``: what kept the request from reaching the broker, in words, as far as is known.
    - ``limits``: the options of the broker whose limits the request or its reply exceeded, with their
      values, such as ``{"max_message_bytes": 1048576}``.  Empty if the broker did not say.
    """

    seen: str
    said: tuple[str, str] | None
    trouble: str
    limits: dict[str, int]

    def __new__(
        cls,
        endpoint: str,
        waited: float,
        seen: str = "",
        said: tuple[str, str] | None = None,
        trouble: str = "",
        limits: Mapping[str, int] | None = None,
    ) -> Self:
        """``waited`` is seconds."""
        made = super().__new__(cls, (endpoint, waited))
        made.seen, made.said, made.trouble = seen, said, trouble
        made.limits = dict(limits or {})
        return made

    @property
    def endpoint(self) -> str:
        """The endpoint of the broker."""
        return self[0]

    @property
    def waited(self) -> float:
        """Seconds from asking to giving up."""
        return self[1]

    def __getnewargs__(
        self,
    ) -> tuple[str, float, str, tuple[str, str] | None, str, dict[str, int]]:
        return (*self, self.seen, self.said, self.trouble, self.limits)

    def __repr__(self) -> str:
        return f"Try({self.endpoint!r}, {self.waited:.3g}, seen={self.seen!r}, said={self.said!r})"


class NoReply(BrigantineError, TimeoutError):
    """No broker answered a request within its timeout and retries.

    - ``tries``: a list of :class:`Try`, in the order they were made; each is a pair ``(endpoint,
      seconds waited)``, and tells what was seen meanwhile.
    - ``reason``: the counter of the broker in which the request ended (:data:`brigantine.COUNTERS`), if a
      broker has said so, else empty.
    - ``service``: the service that was asked, or ``None`` if the protocol has none.

    The subclasses say what a broker of brigantine answered instead of a reply; see docs/clients.md.
    """

    def __init__(
        self,
        message: str,
        tries: Sequence[tuple[str, float]],
        reason: str = "",
        service: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.tries = [each if isinstance(each, Try) else Try(*each) for each in tries]
        self.reason = reason
        self.service = service

    def __reduce__(self) -> tuple[type[NoReply], tuple[str, list[Try], str, bytes | None]]:
        return type(self), (str(self), self.tries, self.reason, self.service)


class NoService(NoReply):
    """No worker offers the service, at any broker that answered.

    Raised as soon as all brokers have said so, or are silent.
    """


class Busy(NoReply):
    """A broker turned the request away: its queue is full, or it is stopping.

    Raised as soon as all brokers have refused the request, or are silent.
    """


class Expired(NoReply):
    """The request ran out of time at the broker: no worker was free, or none replied in time.

    Also raised for a request that the broker still held when it was stopped.
    """


class SessionLost(NoReply):
    """The session at an AsyncServer in which the request was asked has ended.

    Whether the request was carried out is not known; the state that the server kept is gone.
    """


class NotReady(BrigantineError, TimeoutError):
    """Fewer peers than expected have confirmed a worker, a subscriber or a publisher.

    ``confirmed`` is how many have; ``missing`` are the endpoints of those that have not, as far as known.
    """

    def __init__(self, message: str, confirmed: int, missing: tuple[str, ...]) -> None:
        super().__init__(message)
        self.confirmed = confirmed
        self.missing = missing

    def __reduce__(self) -> tuple[type[NotReady], tuple[str, int, tuple[str, ...]]]:
        return type(self), (str(self), self.confirmed, self.missing)


class WorkerFailed(BrigantineError, RuntimeError):
    """The worker's function raised.

    - ``kind``: the name of the exception's class at the worker.
    - ``detail``: the exception's message.
    - ``service``: the service that was asked, or ``None`` if the protocol has none.
    """

    def __init__(self, kind: str, detail: str, service: bytes | None = None) -> None:
        words = f"{kind}: {detail}" if detail else kind
        super().__init__(words if service is None else f"{named(service)}: {words}")
        self.kind = kind
        self.detail = detail
        self.service = service

    def __reduce__(self) -> tuple[type[WorkerFailed], tuple[str, str, bytes | None]]:
        return type(self), (self.kind, self.detail, self.service)


def named(service: bytes) -> str:
    """The name of a service as messages show it, shortened if it is long."""
    try:
        text = service.decode()
    except UnicodeDecodeError:
        text = ""
    if not text.isprintable() or not text:
        text = repr(service)
    return text if len(text) <= _LONGEST_NAME else text[: _LONGEST_NAME - 3] + "..."
