"""Closing bound sockets: nothing that was sent is lost, and their endpoints are free afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import zmq

from ..config.limits import LINGER
from .endpoints import wait_until_free
from .inproc import pipes_end, witnesses

__all__ = ["closing"]


@contextlib.contextmanager
def closing(
    context: zmq.Context[Any], bound: Iterable[tuple[zmq.Socket[bytes], str]], *, shared: bool
) -> Iterator[None]:
    """The time in which the caller closes sockets, of which these are bound to these endpoints.

    ``shared`` tells that the context goes on: the end of a context waits for its sockets by itself.
    Over tcp and ipc nothing is unbound before: libzmq would end the connections of that listener with all
    that is on its way in them.  Where the caller has terminated the context, closing is all that still
    works.
    """
    pairs = list(bound)
    endpoints = [endpoint for _, endpoint in pairs]
    # Nobody who asks over inproc after this may reach a socket that is no longer read.
    watching = witnesses(context, endpoints)
    for socket, endpoint in pairs:
        if endpoint.startswith("inproc://"):
            with contextlib.suppress(zmq.ZMQError):
                socket.unbind(endpoint)
    yield
    pipes_end(watching, LINGER)
    if shared:
        wait_until_free(endpoints, LINGER)
