"""Checks of the arguments that clients and workers take, so that a mistake is named at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq

from ..config.limits import MAX_SECONDS
from ..errors import ConfigError, OptionName, WrongUse
from ..validation.values import check_range, shown
from .endpoints import as_endpoints

__all__ = ["as_targets", "patience", "plain_context", "service_name"]

#: A port that only makes sense to bind.
WILDCARD_PORTS = ("*", "0")


def patience(timeout: float | None, name: str = "timeout") -> float | None:
    """How long a call may wait; ``None`` is for ever.

    Raises :class:`~brigantine.errors.ConfigError` for what is no number of seconds.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise WrongUse(
            OptionName(name),
            f" must be a number of seconds, or None to wait for ever, not {shown(timeout)}",
        )
    check_range(name, timeout, 0, MAX_SECONDS, "seconds")
    return timeout


def service_name(service: bytes | str, name: str = "service") -> bytes:
    """The name of a service as it is sent.

    Raises :class:`~brigantine.errors.ConfigError` for what is no name.
    """
    if isinstance(service, bytes):
        return service
    if not isinstance(service, str):
        kind = type(service).__name__
        raise WrongUse(OptionName(name), f" must be bytes or str, not {kind} ({shown(service)})")
    try:
        return service.encode()
    except UnicodeEncodeError as error:
        raise ConfigError(
            OptionName(name), f": {shown(service)} can't be sent as UTF-8: {error}"
        ) from None


def as_targets(value: str | Sequence[str], what: str, *, shared: bool) -> tuple[str, ...]:
    """Endpoints to connect to, each checked and named once.

    ``shared`` tells whether the caller passed a context, without which inproc reaches nobody.
    Raises :class:`~brigantine.errors.ConfigError` for one that can't be connected to.
    """
    endpoints = tuple(dict.fromkeys(as_endpoints(value, what)))
    for endpoint in endpoints:
        transport, _, address = endpoint.partition("://")
        host, _, port = address.rpartition(":")
        if transport == "tcp" and (host == "*" or port in WILDCARD_PORTS):
            raise ConfigError(
                OptionName(what),
                f": {endpoint!r} can be bound but not connected to; name the host and the "
                "port that was printed when it started",
            )
        if endpoint == "ipc://*":
            raise ConfigError(
                OptionName(what), f": {endpoint!r} can be bound but not connected to; name the path"
            )
        if transport == "inproc" and not shared:
            raise ConfigError(
                OptionName(what),
                f": {endpoint!r} is reached only within one context; pass context= "
                "with the zmq.Context in which it is bound",
            )
    return endpoints


def plain_context(context: zmq.Context[Any] | None) -> zmq.Context[Any] | None:
    """The caller's context, if there is one, as one whose sockets wait as we do: not those of asyncio.

    Raises :class:`~brigantine.errors.ConfigError` for anything else.
    """
    if context is None or type(context) is zmq.Context:
        return context
    if not isinstance(context, zmq.Context):
        raise WrongUse(OptionName("context"), f" must be a zmq.Context, not {shown(context)}")
    return zmq.Context(context)  # a second handle to the same one
