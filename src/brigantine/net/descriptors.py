"""What is done when a process has no file descriptors left: connections are closed, and control goes on.

Each connection costs one.  Where there is none, libzmq can't accept who waits, and is woken for him over
and over: a CPU for nothing, without a word.  So the last numbers are kept in reserve.  The system gives
out the lowest number that is free, so a connection that gets one of the reserve tells that all others
are in use.  It is closed at once: its peer sees that, can go elsewhere, and libzmq there tries again.

Over ipc libzmq 4.3.5 does not even survive: its listener ends the process (ipc_listener.cpp, accept: EMFILE
is none of the errors that it knows).  So the reserve must be larger than what may come in a moment.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket as posix_socket
import sys
import threading
import time
from collections.abc import Callable, Iterable

import zmq

from ..config.limits import DESCRIPTOR_RESERVE, DESCRIPTOR_SHARE, DESCRIPTOR_SPARES, REJECTED_EVERY
from ..notices.kinds import Notice
from ..system.forks import BoundAt
from .mismatch import tell_bound
from .monitor import monitor_event
from .sockets import HANDSHAKES, Handshakes, watch_connections

__all__ = [
    "LENT",
    "ConnectionWatch",
    "DescriptorReserve",
    "control_share",
    "descriptor_limit",
    "give_back",
    "peer_address",
    "take_descriptors",
]


#: How many of the descriptors that are held back in this process are lent: if any, all that a connection
#: gets are among them.  One byte, where any thread can look; see accepting.py.
LENT = bytearray(1)


def descriptor_limit() -> int:
    """How many descriptors this process may have: anew each time, as prlimit(1) changes it from outside."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def _size(limit: int) -> int:
    return min(DESCRIPTOR_RESERVE, limit // DESCRIPTOR_SHARE)


def control_share() -> int:
    """How many connections of control may have a descriptor of the reserve."""
    return _size(descriptor_limit()) // 2


def take_descriptors(count: int) -> list[int]:
    """So many new descriptors, or as many as there are.

    Each is a file of its own, as a connection is: the system may be out of files, too.
    """
    found: list[int] = []
    with contextlib.suppress(OSError):
        while len(found) < count:
            found.append(posix_socket.socket(posix_socket.AF_UNIX).detach())
    return found


def give_back(descriptors: list[int]) -> None:
    """Close them all."""
    while descriptors:
        os.close(descriptors.pop())


def _still_lent() -> bool:
    """Whether there are none but what was lent: the program has closed no files meanwhile."""
    found = take_descriptors(LENT[0])
    left = len(found) < LENT[0]
    give_back(found)
    return left


def peer_address(descriptor: int) -> str | None:
    """Where the peer of a connection of libzmq's speaks from; ``None`` over ipc, and if it is gone."""
    try:
        connection = posix_socket.socket(fileno=descriptor)
    except OSError:  # closed, or no socket
        return None
    try:
        peer = connection.getpeername()
    except OSError:
        return None
    finally:
        connection.detach()
    return str(peer[0]) if isinstance(peer, tuple) else None


class _Seldom:
    """What is told the first time, and then how often it was so, once in REJECTED_EVERY."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0
        #: How many of them the log knows of, and when it was last told.
        self._told = 0
        self._told_at: float | None = None

    def to_tell(self) -> int:
        """It is so once more; how many there are to tell of now."""
        now = time.monotonic()
        with self._lock:
            self.count += 1
            if self._told_at is not None and now - self._told_at < REJECTED_EVERY:
                return 0
            more, self._told, self._told_at = self.count - self._told, self.count, now
            return more


class DescriptorReserve:
    """Closes connections of one broker or device; any of its threads may use it.

    ``endpoints()`` are where that is bound, and ``tell`` takes a notice for its log.
    """

    def __init__(
        self, endpoints: Callable[[], Iterable[str]], tell: Callable[[Notice], object]
    ) -> None:
        self.endpoints = endpoints
        self._tell = tell
        #: The compiled core looks here.
        self.lent = LENT
        self._rejections, self._unheard = _Seldom(), _Seldom()

    @property
    def rejected(self) -> int:
        """Connections that were closed for want of descriptors."""
        return self._rejections.count

    def begins(self) -> int:
        """The lowest number of the reserve.  The compiled core has the same in ``descriptors.pxd``."""
        if LENT[0]:
            return 0
        limit = descriptor_limit()
        return limit - _size(limit)

    def reject(self, descriptor: int) -> None:
        """Close a connection that was accepted with a descriptor of the reserve.

        It is libzmq's, which gives the descriptor back when it sees the end of the connection.  If it has
        done so already, another file may have the number: that is left alone.
        """
        if LENT[0] and not _still_lent():
            return
        if self.hang_up(descriptor):
            self._count(descriptor)

    def hang_up(self, descriptor: int) -> bool:
        """End a connection of libzmq's, if it is one of those that are bound here; whether it was."""
        try:
            connection = posix_socket.socket(fileno=descriptor)
        except OSError:  # closed, or no socket
            return False
        try:
            if not BoundAt(self.endpoints()).has(connection.getsockname()):
                return False
            with contextlib.suppress(OSError):  # its peer has gone
                connection.shutdown(posix_socket.SHUT_RDWR)
        except OSError:
            return False
        finally:
            connection.detach()
        return True

    def hang_up_unheard(self, descriptor: int) -> bool:
        """:meth:`hang_up` on a client that was not heard for too long."""
        address = peer_address(descriptor)
        if not self.hang_up(descriptor):
            return False
        if more := self._unheard.to_tell():
            self._tell(Notice("unheard", address=address, numbers=(more,)))
        return True

    def _count(self, descriptor: int) -> None:
        more = self._rejections.to_tell()
        if not more:
            return
        # All below the number are in use, or it would have got a lower one.
        limit = descriptor_limit()
        used = limit if LENT[0] else descriptor
        numbers = (more, used, limit, _size(limit))
        self._tell(Notice("no_descriptors", "connections_rejected", numbers=numbers))


class ConnectionWatch:
    """Reads the monitor of a socket that is going to be bound; used by one thread.

    Of the connections that get a descriptor of the reserve ``kept`` are let in at a time.  ``more`` are
    events beside those that it needs.  ``at()`` is where the socket is bound, by default wherever
    the reserve is.
    """

    def __init__(
        self,
        watched: zmq.Socket[bytes],
        reserve: DescriptorReserve,
        *,
        kept: int = 0,
        more: int = 0,
        at: Callable[[], Iterable[str]] | None = None,
    ) -> None:
        self._watched = watched
        self._reserve = reserve
        self._at = reserve.endpoints if at is None else at
        self._kept = kept
        self._inside: set[int] = set()
        self._kind, self._handshakes = int(watched.type), Handshakes()
        #: Readable when there is news.
        self.monitor = watch_connections(watched, more | HANDSHAKES)

    def read(self) -> None:
        """Take what has happened, and do what :meth:`hear` does."""
        while True:
            try:
                event, descriptor = monitor_event(self.monitor.recv_multipart(zmq.DONTWAIT))
            except zmq.Again:
                return
            self.hear(event, descriptor)

    def hear(self, event: int, descriptor: int) -> None:
        """One event: a connection is closed for which there is no descriptor.

        One that has ended since the type of its socket does not fit is told of.
        """
        if self._handshakes.mismatched(event, descriptor):
            tell_bound(self._kind, self._at())
        if event == zmq.EVENT_DISCONNECTED:
            self._inside.discard(descriptor)
        elif event == zmq.EVENT_ACCEPTED and descriptor >= self._reserve.begins():
            kept = min(self._kept, DESCRIPTOR_SPARES - 1) if LENT[0] else self._kept
            if len(self._inside) < kept:
                self._inside.add(descriptor)
            else:
                self._reserve.reject(descriptor)

    def close(self) -> None:
        """Close the monitor, before what it watches is closed."""
        with contextlib.suppress(zmq.ZMQError):  # the program has terminated the context
            self._watched.disable_monitor()
        self.monitor.close()
