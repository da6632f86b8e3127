"""The end of an inproc pipe: libzmq's reaper thread ends it some time after its socket was closed.

Until then the peer can send into it, and what it sends is lost without a word.  So a broker that
stops connects a witness to each inproc endpoint, whose pipe ends after all others, and waits.
"""

from __future__ import annotations

import contextlib
import select
import time
from collections.abc import Iterable
from typing import Any, cast

import zmq

__all__ = ["pipes_end", "witnesses"]


def witnesses(context: zmq.Context[Any], endpoints: Iterable[str]) -> list[zmq.Socket[bytes]]:
    """A socket connected to each inproc endpoint among ``endpoints``, as far as that still works."""
    made: list[zmq.Socket[bytes]] = []
    for endpoint in endpoints:
        if not endpoint.startswith("inproc://"):
            continue
        with contextlib.suppress(zmq.ZMQError):  # the context was terminated
            made.append(context.socket(zmq.DEALER))
            made[-1].linger = 0
            made[-1].connect(endpoint)
    return made


def pipes_end(watching: list[zmq.Socket[bytes]], timeout: float) -> None:
    """Wait until the other ends of all witnesses have gone, at most ``timeout`` seconds; close them.

    A pipe whose other end has gone takes no more messages: ``zmq.EVENTS`` tells at once, a send
    up to a millisecond later (libzmq reads a busy socket's commands no more often).
    """
    deadline = time.monotonic() + timeout
    for witness in watching:
        with contextlib.suppress(zmq.ZMQError):
            while cast(int, witness.getsockopt(zmq.EVENTS)) & zmq.POLLOUT:
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                # Readable when libzmq has something to tell the socket, such as the end of a pipe.
                ready = select.poll()
                ready.register(cast(int, witness.getsockopt(zmq.FD)), select.POLLIN)
                ready.poll(left * 1000)
        witness.close()
