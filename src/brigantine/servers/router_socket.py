"""A bound ROUTER that takes and gives envelopes: what its two shells have in common, which wait."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Literal, cast

import zmq

from .._impl import implementation
from ..config.limits import JUNK_TIME, LINGER, NOTICES_KNOWN
from ..config.router import RouterConfig
from ..counters import ROUTER_COUNTERS
from ..envelope import Envelope
from ..errors import BadEnvelope, BrokerStopped, ConfigError, OptionName, Unroutable, WrongUse
from ..net.arguments import plain_context
from ..net.closing import closing
from ..net.contexts import OwnContext
from ..net.endpoints import as_endpoints, bind
from ..net.sockets import BACKLOG, keep_alive
from ..system.forks import close_bound, leave_to_parent
from ..validation.values import shown as shown_value
from ..wire.shown import shown
from .router_watch import RouterWatch

__all__ = ["RouterSocket", "closed"]

_log = logging.getLogger("brigantine.router")


def closed() -> BrokerStopped:
    """What a call of a closed router raises."""
    return BrokerStopped("this Router is closed; make a new one")


class RouterSocket:
    """Owns the socket, and its context if nobody gave one.  Nothing here waits."""

    def __init__(
        self,
        endpoint: str | Sequence[str],
        *,
        unroutable: Literal["raise", "count"],
        delimiter: bool | None,
        config: RouterConfig,
        impl: str | None,
        context: zmq.Context[Any] | None,
    ) -> None:
        wanted = as_endpoints(endpoint, "endpoint")
        if unroutable not in ("raise", "count"):
            raise ConfigError(
                OptionName("unroutable"),
                f" must be 'raise' or 'count', not {shown_value(unroutable)}",
            )
        if delimiter is not None and not isinstance(delimiter, bool):
            raise WrongUse(
                OptionName("delimiter"),
                f" must be True, False or None, not {shown_value(delimiter)}",
            )
        self._envelope: type[Envelope] = implementation(impl).Envelope
        self._raises, self._delimiter, self._limits = unroutable == "raise", delimiter, config
        self.count = dict.fromkeys(ROUTER_COUNTERS, 0)
        #: Peer and cause that the log has told of.
        self._told: set[tuple[bytes, str]] = set()
        self._process = os.getpid()
        given = plain_context(context)
        self._own = OwnContext() if given is None else None
        self.context: zmq.Context[Any] = self._own or cast("zmq.Context[Any]", given)
        self.socket: zmq.Socket[bytes] | None = None
        self.endpoints: tuple[str, ...] = ()
        #: What looks after connections, of which there are none over inproc.
        self._watch: RouterWatch | None = None
        leave_to_parent(self._in_child)
        try:
            self.socket = self._made()
            if not all(each.startswith("inproc://") for each in wanted):
                self._watch = RouterWatch(self.socket, lambda: self.endpoints)
            for each in wanted:
                self.endpoints += (bind(self.socket, each),)
        except BaseException:
            self.close()
            raise

    def _made(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self.context.socket(zmq.ROUTER)
        self.socket = socket  # known, whatever happens to the rest
        socket.linger = int(LINGER * 1000)
        socket.backlog = BACKLOG
        socket.sndhwm = socket.rcvhwm = self._limits.high_water_mark
        socket.maxmsgsize = self._limits.max_message_bytes
        socket.router_mandatory = 1
        keep_alive(socket)
        return socket

    def look_after(self) -> None:
        """Look after connections, in a thread, until :meth:`close`."""
        if self._watch is not None:
            self._watch.begin()

    def open(self) -> zmq.Socket[bytes]:
        """The socket.  Raises :class:`~brigantine.errors.BrokerStopped` where it is closed."""
        if self.socket is None or self._process != os.getpid():
            raise closed()
        return self.socket

    def stats(self) -> dict[str, int]:
        """All counters."""
        return {**self.count, **({} if self._watch is None else self._watch.stats())}

    # -- receiving ----------------------------------------------------------------------------

    def take(self) -> Envelope | None:
        """The next envelope; ``None`` when there is none, or nothing but junk came for a moment.

        What is no envelope is dropped.
        """
        socket, until = self.open(), 0.0
        while int(cast(int, socket.getsockopt(zmq.EVENTS))) & zmq.POLLIN:
            frames = self._frames(socket)
            try:
                envelope = self._envelope.parse(
                    frames, delimiter=self._delimiter,
                    max_frames=self._limits.max_frames, max_depth=self._limits.max_depth,
                )  # fmt: skip
            except BadEnvelope as error:
                self._drop(frames[0], f"drop_{error.reason}", str(error))
                until = until or time.monotonic() + JUNK_TIME
                if time.monotonic() > until:
                    # Who waits looks at its time limit, and lets others have their turn.
                    return None
                continue
            self.count["received"] += 1
            return envelope
        return None

    def _frames(self, socket: zmq.Socket[bytes]) -> list[bytes]:
        """The frames of the next message: no more than one too many, however many it has."""
        frames = [socket.recv(zmq.DONTWAIT)]
        while socket.getsockopt(zmq.RCVMORE):
            frame = socket.recv(zmq.DONTWAIT)
            if len(frames) <= self._limits.max_frames:
                frames.append(frame)
        return frames

    def _drop(self, peer: bytes, counter: str, why: str) -> None:
        self.count[counter] += 1
        if (peer, counter) not in self._told:
            if len(self._told) >= NOTICES_KNOWN:
                self._told.clear()
            self._told.add((peer, counter))
            _log.warning("dropped a message from %s: %s (%s)", shown(peer), why, counter)

    # -- sending ------------------------------------------------------------------------------

    def put(self, envelope: Envelope) -> bool | None:
        """Send an envelope: whether that is done, or ``None`` when there is no room for its peer now.

        Raises :class:`~brigantine.errors.Unroutable` for an address that nobody has, unless it is to
        be counted.
        """
        if not hasattr(envelope, "frames"):
            raise WrongUse(
                f"send() takes an Envelope, not {shown_value(envelope)}; Envelope(address, body) makes one"
            )
        frames = envelope.frames()
        try:
            self.open().send_multipart(frames, zmq.DONTWAIT)
        except zmq.Again:
            return None
        except zmq.ZMQError as error:
            if error.errno != errno.EHOSTUNREACH:
                raise
            self.count["drop_unroutable"] += 1
            if self._raises:
                raise Unroutable(
                    f"nobody is connected whose address is {shown(frames[0])}: it has left, or was never "
                    "there. Send to the address of a message that has come from it, or make the Router "
                    "with unroutable='count'",
                    frames[0],
                ) from None
            return False
        self.count["sent"] += 1
        return True

    def full(self, envelope: Envelope, waited: float) -> bool:
        """There was no room for an envelope: ``False``, or what :meth:`put` raises is raised."""
        self.count["drop_peer_full"] += 1
        if not self._raises:
            return False
        address = envelope.frames()[0]
        raise TimeoutError(
            f"{shown(address)} has taken nothing for {waited:g} s, and {self._limits.high_water_mark:,} "
            "messages wait for it (high_water_mark); have it read, or wait longer (timeout=)"
        )

    @property
    def raises(self) -> bool:
        """Whether trouble with an address is raised, and not only counted."""
        return self._raises

    def close(self) -> None:
        """Close it; what was sent has a second to leave.  May be called again."""
        if self._process != os.getpid():
            return  # a forked child has no right to its parent's sockets
        if self._watch is not None:
            self._watch.end()
        socket, self.socket = self.socket, None
        if socket is not None:
            bound = [(socket, each) for each in self.endpoints]
            with closing(self.context, bound, shared=self._own is None):
                socket.close()
        if self._own is not None:
            with contextlib.suppress(zmq.ZMQError):
                self._own.end()

    def _in_child(self) -> None:
        close_bound(self.endpoints)
