"""A client's socket: connected to one broker, for one request at a time."""

from __future__ import annotations

import errno
import math
import os
import time
from typing import Any, cast

import zmq

from ..endpoints import connect
from ..errors import ClientClosed, ConnectError
from ..receiving import message_if_there
from ..signals import longest_wait
from ..sockets import keep_alive
from ..wakeup import Wakeup
from ..wire import ANNOUNCEMENT

__all__ = [
    "CONTEXT_GONE",
    "Channel",
    "SocketScout",
    "can_send",
    "make_context",
    "open_socket",
    "unreachable",
]

#: Seconds that a socket may be idle for and still be used again: its connection may have been lost
#: without a word, such as to a cable that was out.
IDLE_MAX = 20.0
#: Milliseconds to the first reconnection of a broken connection, and the bound to which they grow.
RECONNECT_MS = 100
RECONNECT_MAX_MS = 1_000
#: Sockets that a context of ours may have at once; open files run out first.
MAX_SOCKETS = 16_384

#: Random bytes of a routing id behind the announcement: no two sockets have the same.
ROUTING_ID_BYTES = 16

#: What libzmq answers when the context was terminated under the client.
CONTEXT_GONE = (zmq.ETERM, zmq.ENOTSOCK, errno.EFAULT)


def make_context() -> zmq.Context[Any]:
    """A context for the many sockets of a client."""
    context: zmq.Context[Any] = zmq.Context()
    context.max_sockets = MAX_SOCKETS
    return context


def open_socket(socket: zmq.Socket[Any], endpoint: str) -> None:
    """Set a client's options and begin to connect.  Closes the socket if it can't."""
    try:
        # Brokers of brigantine see that this client understands what they say in place of a reply;
        # to any other it is an address like those that libzmq makes up.
        socket.routing_id = ANNOUNCEMENT + os.urandom(ROUTING_ID_BYTES)
        # What was sent to a broker that does not answer is not worth waiting for.
        socket.linger = 0
        # Whoever reads a stream may pause: see there why these are not ZMTP's heartbeats.
        keep_alive(socket)
        socket.reconnect_ivl = RECONNECT_MS
        socket.reconnect_ivl_max = RECONNECT_MAX_MS
        connect(socket, endpoint)
    except BaseException:
        socket.close()
        raise


def can_send(socket: zmq.Socket[Any], heard_at: float) -> bool:
    """Whether an idle socket, on which a message last came at ``heard_at``, can carry a request.

    One that is idle for long may have lost its connection without the broker's noticing, such as
    to a cable that was out.  libzmq connects it again, but with the same routing id, and a broker that
    thinks the old connection alive ignores the new one.

    An inproc connection does not come back when its broker does.  And a message that came while
    nothing was asked, such as a second reply, would be taken for the answer to what is asked next.
    """
    if time.monotonic() - heard_at >= IDLE_MAX:
        return False
    events = cast(int, socket.getsockopt(zmq.EVENTS))
    return bool(events & zmq.POLLOUT) and not events & zmq.POLLIN


def unreachable(endpoint: str, error: OSError | zmq.ZMQError) -> ConnectError:
    """What to raise when there is no socket to be had, mostly for want of file descriptors."""
    return ConnectError(error.errno, f"can't open a socket to {endpoint}: {error.strerror}")


class Channel:
    """A socket connected to one broker.  Used by one thread at a time."""

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str, wakeup: Wakeup) -> None:
        self._socket = socket
        open_socket(socket, endpoint)
        self._heard_at = time.monotonic()
        self._poller = zmq.Poller()
        self._poller.register(socket, zmq.POLLIN)
        self._woken = wakeup.fileno()
        self._poller.register(self._woken, zmq.POLLIN)

    def send(self, frames: list[bytes]) -> bool:
        """Send a message; ``False`` if an inproc broker went away since the socket was made."""
        try:
            self._socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self, deadline: float) -> list[bytes] | None:
        """The next message, or ``None`` when none came until ``deadline`` on the monotonic clock.

        A socket that was left waiting is half-used and must be closed.
        Raises :class:`~brigantine.errors.ClientClosed` when the client is closed meanwhile.
        """
        longest = longest_wait()
        while True:
            left = max(0.0, deadline - time.monotonic())
            sleep = left if longest is None else min(longest, left)
            ready = dict(self._poller.poll(math.ceil(sleep * 1000)))
            if self._woken in ready:  # first: a broker may send without end
                raise ClientClosed("the client was closed while the request waited for its reply")
            if self._socket in ready:
                frames = message_if_there(self._socket)
                if frames is not None:
                    self._heard_at = time.monotonic()
                    return frames
            if left <= 0:
                return None

    def usable(self) -> bool:
        """Whether a request can be sent; if not, the channel is closed."""
        usable = False
        try:
            usable = can_send(self._socket, self._heard_at)
        finally:
            if not usable:
                self.close()
        return usable

    def close(self) -> None:
        """Give the socket back; a request that waits in it is dropped.  May be called again."""
        self._socket.close()


class SocketScout:
    """A socket that is connected to a broker and sends nothing: it tells whether the broker is there.

    Not thread-safe.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self._socket = socket
        # Without it libzmq takes messages also for connections that do not stand yet.
        socket.immediate = 1
        open_socket(socket, endpoint)

    def connected(self) -> bool:
        """Whether a connection stands, ZMTP handshake included.  Over inproc always true."""
        try:
            return bool(cast(int, self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)
        except zmq.ZMQError:
            return False  # its context was terminated

    def close(self) -> None:
        """Stop watching.  May be called again."""
        self._socket.close(0)
