"""A client's socket: connected to one broker, for one request at a time."""

from __future__ import annotations

import contextlib
import errno
import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import zmq

from ..errors import ClientClosed, ConnectError
from ..net.contexts import KnownSocket, Sockets
from ..net.dialing import MISMATCHED, Dialing
from ..net.endpoints import connect
from ..net.names import Lookup, is_numeric, look_up
from ..net.receiving import message_if_there
from ..net.sockets import keep_alive, one_connection
from ..system.signals import longest_wait
from ..system.wakeup import Wakeup
from ..wire.req import ANNOUNCEMENT
from .sight import Sight

__all__ = [
    "CONTEXT_GONE",
    "Channel",
    "Maker",
    "SocketProbe",
    "can_send",
    "make_context",
    "seen_by",
    "unreachable",
]

#: Seconds that a socket may be idle for and still be used again: its connection may have been lost
#: without a word, such as to a cable that was out.
IDLE_MAX = 20.0
#: Seconds that connecting, and the handshake after it, may take each.
CONNECT_PATIENCE = 10.0
#: Sockets of a client whose connections are watched at once: each takes two more files, of which a
#: process may have 1,024 by default.  How a connection beyond them ends is known by silence alone.
MAX_WATCHED = 64
#: Seconds between two look-ups of the name of a broker that is silent.
PROBE_ASKS = 5.0
#: Milliseconds to a probe's first next try to connect, and the bound to which they grow.
RECONNECT_MS = 100
RECONNECT_MAX_MS = 1_000
#: Sockets that a context of ours may have at once; open files run out first.
MAX_SOCKETS = 16_384

#: What libzmq answers when the context was terminated under the client.
CONTEXT_GONE = (zmq.ETERM, zmq.ENOTSOCK, errno.EFAULT)


def make_context() -> zmq.Context[Any]:
    """A context for the many sockets of a client."""
    context: zmq.Context[Any] = zmq.Context()
    context.max_sockets = MAX_SOCKETS
    return context


class Maker:
    """Makes the sockets of one pool, each with the PAIR that watches it while there are enough of these.

    ``known`` gets to know all of them; ``socket_class`` is made with the context and the type.
    """

    def __init__(
        self,
        context: zmq.Context[Any],
        kind: int,
        known: Sockets,
        socket_class: Callable[..., Any],
    ) -> None:
        self._context, self._kind, self._known = context, kind, known
        self._class = socket_class
        #: One for each watch that may still be made.  A list: taking from it needs no lock, which a
        #: signal handler might find taken.
        self._watches: list[None] = [None] * MAX_WATCHED

    def __call__(self) -> tuple[Any, zmq.Socket[bytes] | None]:
        """A socket that is not connected yet, and its watch."""
        socket = self._context.socket(self._kind, partial(self._class, known=self._known))
        try:
            # Brokers of brigantine see that this client understands what they say in place of a
            # reply; to any other it is an address.
            one_connection(socket, ANNOUNCEMENT)
            # What was sent to a broker that does not answer is not worth waiting for.
            socket.linger = 0
            # Whoever reads a stream may pause: see there why these are not ZMTP's heartbeats.
            keep_alive(socket)
            return socket, self._watch()
        except BaseException:
            socket.close()
            raise

    def _watch(self) -> zmq.Socket[bytes] | None:
        try:
            self._watches.pop()
        except IndexError:
            return None
        make = partial(_Watch, known=self._known, gone=partial(self._watches.append, None))
        try:
            watch: zmq.Socket[bytes] = self._context.socket(zmq.PAIR, make)
        except BaseException:
            self._watches.append(None)
            raise
        return watch


class _Watch(KnownSocket):
    """Reads what libzmq tells of another socket's connection."""

    _gone: Callable[[], object] | None = None

    def __init__(
        self, context: zmq.Context[Any], kind: int, *, known: Sockets, gone: Callable[[], object]
    ) -> None:
        super().__init__(context, kind, known=known)
        self._gone = gone

    def close(self, linger: int | None = None) -> None:
        gone, self._gone = self._gone, None
        super().close(linger)
        if gone is not None:
            gone()


def can_send(dialing: Dialing[Any], heard_at: float) -> bool:
    """Whether an idle socket, on which a message last came at ``heard_at``, can carry a request.

    A long idle socket may have silently lost its connection, for instance to an unplugged cable.  A message
    that came while nothing was asked, such as a second reply, would be taken for the next answer.
    """
    now = time.monotonic()
    # One that is not watched may have lost its connection.
    if now - heard_at >= IDLE_MAX or not (dialing.monitor or dialing.silent):
        return False
    dialing.advance(now)
    if dialing.over or not dialing.connected or dialing.socket is None:
        return False
    events = cast(int, dialing.socket.getsockopt(zmq.EVENTS))
    return bool(events & zmq.POLLOUT) and not events & zmq.POLLIN


def seen_by(dialing: Dialing[Any]) -> tuple[Sight, str]:
    """What the way to a connection tells of the broker, and what is in that way, in words."""
    if dialing.met == MISMATCHED:
        return Sight.MISMATCHED, dialing.trouble
    if dialing.silent or (dialing.connected and not dialing.over):
        return Sight.UNKNOWN, ""
    if dialing.connected:
        return Sight.CUT, ""
    if words := dialing.unresolved():
        return Sight.UNRESOLVED, words
    return Sight(dialing.met), dialing.trouble


def unreachable(endpoint: str, error: OSError | zmq.ZMQError) -> ConnectError:
    """What to raise when there is no socket to be had, mostly for want of file descriptors."""
    return ConnectError(error.errno, f"can't open a socket to {endpoint}: {error.strerror}")


class Channel:
    """A socket connected to one broker.  Used by one thread at a time.

    Until its connection is established it keeps trying, and sends the message again: no broker has had it.
    Once the connection has ended, the channel delivers what had arrived by then, and nothing more.
    """

    def __init__(self, make: Maker, endpoint: str, wakeup: Wakeup) -> None:
        self._heard_at = time.monotonic()
        self._frames: list[bytes] = []
        self._woken = wakeup.fileno()
        #: Is set when a name was looked up.
        self._bell = None if is_numeric(endpoint) else Wakeup()
        self._poller: zmq.Poller | None = None
        self._dialing: Dialing[zmq.Socket[bytes]] = Dialing(
            endpoint, make, self._ring, patience=CONNECT_PATIENCE,
            opened=self._opened, closing=self._forget_poller, again=True,
        )  # fmt: skip
        try:
            self._dialing.advance(self._heard_at)
        except BaseException:
            self.close()
            raise

    def _ring(self) -> None:
        if self._bell is not None:
            self._bell.set()

    def _forget_poller(self) -> None:
        self._poller = None

    def _opened(self, socket: zmq.Socket[bytes]) -> None:
        self._forget_poller()
        if self._frames:
            # Who hangs up at once has ended the connection by now: it is sent in the next try.
            with contextlib.suppress(zmq.Again):
                socket.send_multipart(self._frames, zmq.DONTWAIT)

    def send(self, frames: list[bytes]) -> bool:
        """Send a message; ``False`` if an inproc broker went away since the socket was made."""
        self._frames = frames
        try:
            if self._dialing.socket is not None:
                self._dialing.socket.send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def receive(self, deadline: float) -> list[bytes] | None:
        """The next message, or ``None`` when none came until ``deadline`` on the monotonic clock.

        Also when the connection has ended.  A socket that was left waiting is half-used and must be
        closed.
        Raises :class:`~brigantine.errors.ClientClosed` when the client is closed meanwhile.
        """
        longest = longest_wait()
        dialing = self._dialing
        while True:
            now = time.monotonic()
            due = dialing.due()
            left = max(0.0, deadline - now)
            bounds = [each for each in (longest, due and due - now) if each is not None]
            sleep = 0.0 if dialing.over else max(0.0, min([left, *bounds]))
            ready = dict((self._poller or self._new_poller()).poll(math.ceil(sleep * 1000)))
            if self._woken in ready:  # first: a broker may send without end
                raise ClientClosed("the client was closed while the request waited for its reply")
            if dialing.socket in ready:
                assert dialing.socket is not None
                frames = message_if_there(dialing.socket)
                if frames is not None:
                    self._heard_at = time.monotonic()
                    return frames
            elif dialing.over or left <= 0:
                return None
            elif dialing.monitor in ready or not dialing.connected:
                if self._bell is not None:
                    self._bell.clear()
                dialing.advance(time.monotonic())
            if left <= 0:
                return None

    def _new_poller(self) -> zmq.Poller:
        self._poller = poller = zmq.Poller()
        bell = None if self._bell is None else self._bell.fileno()
        for source in (self._dialing.socket, self._dialing.monitor, self._woken, bell):
            if source is not None:
                poller.register(source, zmq.POLLIN)
        return poller

    @property
    def over(self) -> bool:
        """Whether its connection has ended, so that nothing more will come."""
        return self._dialing.over

    def sight(self) -> tuple[Sight, str]:
        """What was seen of the broker, and what keeps it from being connected, in words."""
        return seen_by(self._dialing)

    def usable(self) -> bool:
        """Whether a request can be sent; if not, the channel is closed."""
        usable = False
        try:
            usable = can_send(self._dialing, self._heard_at)
        finally:
            if not usable:
                self.close()
        return usable

    def close(self) -> None:
        """Give the socket back; a request that waits in it is dropped.  May be called again."""
        self._dialing.close()
        if self._bell is not None:
            self._bell.close()


class SocketProbe:
    """A socket that is connected to a broker and sends nothing: it tells whether the broker is there.

    As nothing is sent by it, nobody sees its routing id, so libzmq may connect it again by itself.
    Not thread-safe.
    """

    def __init__(self, socket: zmq.Socket[bytes], endpoint: str) -> None:
        self._socket = socket
        self._endpoint = endpoint
        self._lookup: Lookup | None = None
        #: Where it connects to, and when that was looked up.
        self._addresses: tuple[str, ...] = ()
        self._asked_at = -math.inf
        try:
            socket.linger = 0
            # Without it libzmq takes messages also for connections that do not stand yet.
            socket.immediate = 1
            socket.reconnect_ivl = RECONNECT_MS
            socket.reconnect_ivl_max = RECONNECT_MAX_MS
            keep_alive(socket)
            if is_numeric(endpoint):
                connect(socket, endpoint)
            else:
                self._find(time.monotonic())
        except BaseException:
            socket.close()
            raise

    def _find(self, now: float) -> None:
        """Keep to the addresses that the name has now."""
        if self._lookup is None:
            if now - self._asked_at >= PROBE_ASKS:
                self._asked_at = now
                self._lookup = look_up(self._endpoint, lambda: None)
            return
        found = self._lookup.endpoints
        if found is None:
            return
        self._lookup = None
        for address in set(self._addresses) - set(found) if found else ():
            self._socket.disconnect(address)
        for address in found:
            if address not in self._addresses:
                connect(self._socket, address)
        self._addresses = found or self._addresses

    def connected(self) -> bool:
        """Whether a connection is established, ZMTP handshake included.  Over inproc always true."""
        try:
            stands = bool(cast(int, self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLOUT)
            if not stands and not is_numeric(self._endpoint):
                self._find(time.monotonic())
            return stands
        except (zmq.ZMQError, ConnectError):
            return False  # its context was terminated, say

    def close(self) -> None:
        """Stop watching.  May be called again."""
        if self._lookup is not None:
            self._lookup.cancel()
        self._socket.close(0)
