"""Checks of the arguments that clients and workers take, so that a mistake is named at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import zmq

from .endpoints import as_endpoints
from .errors import ConfigError

__all__ = ["as_targets", "number", "plain_context", "whole"]

#: A port that only makes sense to bind.
WILDCARD_PORTS = ("*", "0")


def number(name: str, value: float, low: float, high: float) -> float:
    """``value`` as a float.  Raises :class:`~brigantine.errors.ConfigError` if out of range."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ConfigError(f"{name} must be a number, not {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, not {value!r}")
    return float(value)


def whole(name: str, value: int, low: int, high: int) -> int:
    """``value`` unchanged.  Raises :class:`~brigantine.errors.ConfigError` if out of range."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{name} must be a whole number, not {value!r}")
    if not low <= value <= high:
        raise ConfigError(f"{name} must be from {low} to {high}, not {value!r}")
    return value


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
                f"{what}: {endpoint!r} can be bound but not connected to; name the host and the "
                "port that was printed when it started"
            )
        if endpoint == "ipc://*":
            raise ConfigError(
                f"{what}: {endpoint!r} can be bound but not connected to; name the path"
            )
        if transport == "inproc" and not shared:
            raise ConfigError(
                f"{what}: {endpoint!r} is reached only within one context; pass context= "
                "with the zmq.Context in which it is bound"
            )
    return endpoints


def plain_context(context: zmq.Context[Any] | None) -> zmq.Context[Any] | None:
    """The caller's context, if there is one, as one whose sockets wait as we do: not those of asyncio.

    Raises :class:`~brigantine.errors.ConfigError` for anything else.
    """
    if context is None or type(context) is zmq.Context:
        return context
    if not isinstance(context, zmq.Context):
        raise ConfigError(f"context must be a zmq.Context, not {context!r}")
    return zmq.Context(context)  # a second handle to the same one
