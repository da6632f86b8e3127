"""Servers of ours that are bound over inproc, where no handshake tells whose they are."""

from __future__ import annotations

from typing import Any

import zmq

__all__ = ["forget", "is_ours", "remember"]

#: Address of the context, endpoint.
_bound: set[tuple[int, str]] = set()


def remember(context: zmq.Context[Any], endpoint: str) -> None:
    """One of our servers is bound there."""
    if endpoint.startswith("inproc://"):
        _bound.add((int(context.underlying), endpoint))


def forget(context: zmq.Context[Any], endpoint: str) -> None:
    """It is not any more."""
    _bound.discard((int(context.underlying), endpoint))


def is_ours(socket: zmq.Socket[bytes] | None, endpoint: str) -> bool:
    """Whether one of our servers is bound where that socket is connected."""
    return socket is not None and (int(socket.context.underlying), endpoint) in _bound
