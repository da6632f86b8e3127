"""One end of a pair: its sockets, whom it is connected with, and how each call ends."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
from collections import deque
from typing import Any, cast

import zmq

from ..config.pair import PairConfig
from ..errors import BindError, ConnectError, PairClosed, PairTimeout
from ..net.endpoints import bind
from ..system.wakeup import Wakeup
from .rendezvous import Cable, Contexts, Link, is_alive, meeting
from .turn import Turn, Use

__all__ = ["BOUND", "CONNECTED", "End"]

BOUND, CONNECTED = "bound", "connected"
_log = logging.getLogger("brigantine.pair")
#: Why nothing came, or could be sent, in words.
_REASONS = {
    "silent": "nothing came from the other end",
    "full": "the other end has not read what it was sent",
    "nobody": "nobody is connected",
    "left": "the other end was closed, and nobody has come in its place",
    "thread_ended": "the thread that used the other end has ended",
}


class End:
    """Owns its sockets, which one thread uses at a time; :meth:`close` is for any thread."""

    def __init__(self, side: str, endpoint: str, contexts: Contexts, config: PairConfig) -> None:
        self.side = side
        self.other = CONNECTED if side == BOUND else BOUND
        self.endpoint = endpoint
        self.contexts = contexts
        self.config = config
        self.wakeup = Wakeup()
        #: A task waits by ``wakeup``: whoever sends something rings it.
        self.listens = False
        #: The connections, the newest last; those before it are over, but not all was read.
        self._links: deque[Link] = deque()
        #: Where plain PAIR sockets connect, or what is connected to one.
        self.plain: zmq.Socket[bytes] | None = None
        #: Something came from there, and it is still connected.
        self.plain_heard = False
        self._ever = False
        self.closed = False
        #: It has met its only peer: no other can come.
        self.sealed = False
        self.sent = self.received = 0
        #: Messages that other ends had not read when they were closed.
        self.unread = 0
        #: Messages of a plain socket beside the other end, dropped.
        self.dropped = 0
        #: Who used it last.
        self.owner = threading.get_ident()
        self._key: tuple[int, str] | None = None
        self._process = os.getpid()
        #: That of the one call that goes on, or of who closes.
        self.turn = Turn()
        #: Held while a connection is made or ended.
        self._meet = threading.RLock()
        contexts.enter(self)

    # -- how ends meet ------------------------------------------------------------------------

    def bind(self, key: tuple[int, str]) -> None:
        """Take the place of that name.  Raises :class:`~brigantine.errors.BindError` where it is taken."""
        self._key = key  # known before it is taken: close() gives back what is this end's
        if not meeting.place.bind(key, self):
            raise BindError(
                errno.EADDRINUSE,
                f"can't bind {self.endpoint}: another Pair of this process is bound there; choose "
                "another name, or connect to it",
            )
        self.plain = self._plain_socket()
        bind(self.plain, self.endpoint)
        meeting.place.announce()

    def connect_plain(self) -> None:
        """Connect to a plain PAIR socket, whenever that is bound."""
        self.plain = self._plain_socket()
        self.plain.connect(self.endpoint)

    def _plain_socket(self) -> zmq.Socket[bytes]:
        socket: zmq.Socket[bytes] = self.contexts.context.socket(zmq.PAIR)
        socket.linger = 0
        socket.sndhwm = socket.rcvhwm = self.config.high_water_mark
        return socket

    def accept(self, end: End) -> None:
        """Connect another end to this one, from the other's thread.

        Raises :class:`~brigantine.errors.ConnectError` where this one has its peer.
        """
        with self._meet:
            if self.closed:
                raise ConnectError(errno.ECONNREFUSED, f"{self.endpoint} was closed just now")
            if self.plain_heard:
                raise ConnectError(
                    errno.EISCONN,
                    f"{self.endpoint} has its one peer already, a plain PAIR socket: a pair has two ends. "
                    "Close that one first, or make a pair of another name",
                )
            last = self._links[-1] if self._links else None
            if last is not None and not last.cables[CONNECTED].closed:
                first = last.ends[CONNECTED]
                if is_alive(first.owner):
                    raise ConnectError(
                        errno.EISCONN,
                        f"{self.endpoint} has its one peer already (used by thread {first.owner}): a pair "
                        "has two ends. Close that one first, or make a pair of another name",
                    )
                first.close()
            link = Link(self.contexts.context, self.config.high_water_mark, self, end)
            self._links.append(link)
            end._links.append(link)
            self._ever = end._ever = True
        self.wakeup.set()

    # -- what it is connected with ------------------------------------------------------------

    def check(self) -> None:
        """Raise :class:`~brigantine.errors.PairClosed` where this end can't be used any more."""
        if os.getpid() != self._process:
            raise PairClosed(
                f"this end of {self.endpoint} is of process {self._process}, not of this forked child"
            )
        if self.closed:
            raise PairClosed(f"this end of {self.endpoint} has been closed")

    def refuse_gone(self) -> None:
        """Raise where the other end was closed, all of it was read, and no other can come."""
        last = self.sealed or (self.side == CONNECTED and self.plain is None)
        if last and self._peer() is None:
            raise PairClosed(
                f"the other end of {self.endpoint} has been closed{self._unread_words()}"
            )

    @property
    def is_connected(self) -> bool:
        """Whether the other end is there."""
        return not self.closed and self._peer() is not None

    def _unread_words(self) -> str:
        return f"; it had not read {self.unread} messages" if self.unread else ""

    def _peer(self) -> Link | None:
        """The connection that stands."""
        link = self._links[-1] if self._links else None
        return None if link is None or link.cables[self.other].closed else link

    def _cables(self) -> list[Cable]:
        """Its side of all connections that something may come from, the oldest first."""
        while self._links and self._is_over(self._links[0]):
            with self._meet:
                link = self._links.popleft()
                self._close_side(link)
        return [link.cables[self.side] for link in list(self._links)]

    def _is_over(self, link: Link) -> bool:
        mine, theirs = link.cables[self.side], link.cables[self.other]
        return theirs.closed and (mine.closed or not _events(mine.socket) & zmq.POLLIN)

    # -- what it carries: in the thread that uses it ------------------------------------------

    def try_recv(self) -> list[bytes] | None:
        """A message that is there."""
        for cable in self._cables():
            if _events(cable.socket) & zmq.POLLIN:
                return cable.socket.recv_multipart(zmq.DONTWAIT)
        return None if self.plain is None else self._try_recv_plain(self.plain)

    def _try_recv_plain(self, plain: zmq.Socket[bytes]) -> list[bytes] | None:
        # As many as may wait there: one that goes on sending does not keep the call beyond its time limit.
        for _ in range(2 * self.config.high_water_mark + 1):
            events = _events(plain)
            if not events & zmq.POLLIN:
                self.plain_heard = self.plain_heard and bool(events & zmq.POLLOUT)
                break
            frames = plain.recv_multipart(zmq.DONTWAIT)
            if self._peer() is None:
                self.plain_heard = True
                return frames
            self.dropped += 1
            if self.dropped == 1:
                _log.warning("a plain PAIR socket is connected to %s as well: what it sends is dropped, "
                             "for a pair has two ends", self.endpoint)  # fmt: skip
        return None

    def try_send(self, frames: list[bytes]) -> bool:
        """Whether the other end is there and has room."""
        self._cables()
        link = self._peer()
        if link is None:
            return self.plain is not None and _sent(self.plain, frames)
        with link.lock:
            if link.cables[self.other].closed:
                return False
            if not _sent(link.cables[self.side].socket, frames):
                return False
        if link.ends[self.other].listens:
            link.ends[self.other].wakeup.set()
        return True

    def sockets(self, *, sending: bool) -> list[zmq.Socket[bytes]]:
        """What tells that there may be something to do, beside ``wakeup``."""
        cables = self._cables()
        if sending and self._peer() is not None:
            return [cables[-1].socket]
        plain = [] if self.plain is None else [self.plain]
        return plain if sending else [*(each.socket for each in cables), *plain]

    def timed_out(self, timeout: float, *, sending: bool) -> PairTimeout:
        """What a call raises that has waited for so long."""
        link = self._peer()
        if link is not None and not is_alive(link.ends[self.other].owner):
            reason = "thread_ended"
        elif link is not None or self.plain_heard or (self.side == CONNECTED and self.plain):
            reason = "full" if sending else "silent"
        else:
            reason = "left" if self._ever else "nobody"
        unread = self._unread_words() if reason == "left" else ""
        words = f"{self.endpoint}: {_REASONS[reason]} within {timeout:g} s{unread}"
        return PairTimeout(words, reason)

    # -- the end ------------------------------------------------------------------------------

    def close(self) -> None:
        """Close this end.  From any thread: one that waits in a call of it closes it on its way out."""
        if os.getpid() != self._process:
            return
        self.closed = True
        if self._key is not None:
            meeting.place.leave(self._key, self)
        self.wakeup.set()
        self.close_sockets()  # again, too: Ctrl-C may have struck who was about to

    def close_sockets(self) -> None:
        """Close the sockets, unless a call goes on, which does it at its end."""
        use = Use(sys._getframe())
        if self.turn.take(use):
            try:
                self._let_go()
            finally:
                self.turn.give_back(use)

    def _let_go(self) -> None:
        # Each is forgotten once it is closed: where Ctrl-C strikes, what was not is closed the next time.
        with self._meet:
            links = list(self._links)
        for link in links:
            self._close_side(link)
        self._links.clear()
        if self.plain is not None:
            if self.side == BOUND:
                with contextlib.suppress(zmq.ZMQError):  # not bound, or its context was terminated
                    self.plain.unbind(self.endpoint)  # the name is free at once
            self.plain.close()
            self.plain = None
        self.wakeup.close()
        self.contexts.leave(self)

    def _close_side(self, link: Link) -> None:
        """Close this side of a connection, and tell the other what was not read."""
        cable, other = link.cables[self.side], link.ends[self.other]
        with link.lock:
            if not cable.closed:
                other.unread += _left_unread(cable.socket)
                cable.closed = True
        cable.socket.close()
        other.wakeup.set()


def _left_unread(socket: zmq.Socket[bytes]) -> int:
    """How many messages have come that nobody has read, and will."""
    unread = 0
    with contextlib.suppress(zmq.ZMQError):  # the context was terminated
        while _events(socket) & zmq.POLLIN:
            socket.recv_multipart(zmq.DONTWAIT)
            unread += 1
    return unread


def _sent(socket: zmq.Socket[bytes], frames: list[bytes]) -> bool:
    try:
        socket.send_multipart(frames, zmq.DONTWAIT)
    except zmq.Again:
        return False
    return True


def _events(socket: zmq.Socket[Any]) -> int:
    return 0 if socket.closed else cast(int, socket.getsockopt(zmq.EVENTS))
