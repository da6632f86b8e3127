"""The exceptions of brigantine.  Each message says what was wrong, with which value, and what to do."""

from __future__ import annotations

__all__ = [
    "BadEnvelope",
    "BindError",
    "BrigantineError",
    "BrokerStopped",
    "Busy",
    "ClientClosed",
    "ConfigError",
    "ConnectError",
    "CoreMissing",
    "Expired",
    "NoReply",
    "NoService",
    "WorkerFailed",
    "WrongUse",
]


class BrigantineError(Exception):
    """Base of every exception raised by brigantine."""


class ConfigError(BrigantineError, ValueError):
    """An option or an endpoint has a value that can't work."""


class WrongUse(ConfigError, TypeError):
    """A call that can't be meant.

    An argument of a wrong type, an option that there is not, ``with`` where it is ``async with``.
    """


class BadEnvelope(BrigantineError, ValueError):
    """Frames that are not an address stack, an empty delimiter and a body.

    ``reason`` is ``"too_many_frames"``, ``"too_deep"`` or ``"malformed"``.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason

    def __reduce__(self) -> tuple[type[BadEnvelope], tuple[str, str]]:
        return type(self), (self.reason, str(self))


class BindError(BrigantineError, OSError):
    """A broker could not bind an endpoint (in use, no such interface, no permission)."""


class ConnectError(BrigantineError, OSError):
    """A client or worker could not start to connect to an endpoint."""


class BrokerStopped(BrigantineError, RuntimeError):
    """A call needs a running broker, and this one was stopped, or ended with an error."""


class ClientClosed(BrigantineError, RuntimeError):
    """A request was made, or was still waiting, when its client was closed."""


class CoreMissing(BrigantineError, ImportError):
    """The compiled core is not there or can't be loaded."""


class NoReply(BrigantineError, TimeoutError):
    """No broker answered a request within its timeout and retries.

    ``tries`` is the list of ``(endpoint, seconds waited)``, in the order they were made.
    ``reason`` is the broker's counter that the request went to, as far as a broker has told
    (:data:`brigantine.COUNTERS`), else empty.

    The subclasses tell what a broker of brigantine said in place of a reply; see docs/clients.md.
    """

    def __init__(self, message: str, tries: list[tuple[str, float]], reason: str = "") -> None:
        super().__init__(message)
        self.tries = tries
        self.reason = reason

    def __reduce__(self) -> tuple[type[NoReply], tuple[str, list[tuple[str, float]], str]]:
        return type(self), (str(self), self.tries, self.reason)


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

    So is a request that was at the broker when that was stopped.
    """


class WorkerFailed(BrigantineError, RuntimeError):
    """The worker's function raised.

    ``kind`` is the name of the exception's class at the worker, ``detail`` its message.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}" if detail else kind)
        self.kind = kind
        self.detail = detail

    def __reduce__(self) -> tuple[type[WorkerFailed], tuple[str, str]]:
        return type(self), (self.kind, self.detail)
