"""Waiting for subscribers that don't keep up, for a bounded time; then the slowest is cut off.

libzmq tells that some queue is full, and not whose.  So the system is asked how much each connection has
taken since the stall began.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import socket as posix_socket
import struct
import termios
import time
from collections.abc import Callable, Iterable

import zmq

from ..config.pubsub import CUT_GRACE, STALL_LOOK
from ..system.forks import connections, socket_number
from .traffic import acknowledged_bytes

__all__ = ["Stalls"]

_log = logging.getLogger("brigantine.publisher")
_INT = struct.Struct("i")


class Stalls:
    """Sends the first frame of each message, and so decides what becomes of it.  Used by one thread.

    ``timeout`` is seconds, ``ends()`` are where the socket is bound and where it is connected.
    ``give_up_at()`` is the time after which nothing is waited for any more.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        timeout: float,
        ends: Callable[[], tuple[Iterable[str], Iterable[str]]],
        stats: dict[str, int],
        give_up_at: Callable[[], float],
    ) -> None:
        self._socket, self._timeout, self._ends, self._stats = socket, timeout, ends, stats
        self._give_up_at = give_up_at
        self._lossy = False
        socket.setsockopt(zmq.XPUB_NODROP, 1)

    def send(self, topic: bytes) -> bool:
        """The topic of a message; the other frames follow, then :meth:`sent`.

        False where it was given up, and nothing may follow.
        """
        if self._taken(topic):
            return True
        self._stats["stalls"] += 1
        return self._wait(topic)

    def sent(self) -> None:
        """The message is whole."""
        if self._lossy:
            self._lossy = False
            self._socket.setsockopt(zmq.XPUB_NODROP, 1)

    def _taken(self, topic: bytes) -> bool:
        try:
            self._socket.send(topic, zmq.SNDMORE | zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True

    def _wait(self, topic: bytes) -> bool:
        before = self._progress()
        if self._taken_within(topic, self._timeout):
            return True
        if self._given_up:
            return False
        after = self._progress()
        # Of those that have something yet to take, the one that has taken least since.
        slow = {each: after[each][0] - before[each][0] for each in after if each in before}
        waiting = [each for each in slow if after[each][1]]
        if waiting:
            self._cut(*min(waiting, key=slow.__getitem__))
            if self._taken_within(topic, CUT_GRACE):
                return True
            if self._given_up:
                return False
        # Over inproc, and on systems that don't tell, it is not known who; so whoever is full misses it.
        self._stats["drop_stalled"] += 1
        self._lossy = True
        self._socket.setsockopt(zmq.XPUB_NODROP, 0)
        self._socket.send(topic, zmq.SNDMORE)
        return True

    @property
    def _given_up(self) -> bool:
        return time.monotonic() >= self._give_up_at()

    def _taken_within(self, topic: bytes, seconds: float) -> bool:
        until = time.monotonic() + seconds
        while time.monotonic() < min(until, self._give_up_at()):
            time.sleep(STALL_LOOK)
            if self._taken(topic):
                return True
        return False

    def _progress(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Of each connection: bytes that its peer has taken, and that it has yet to take.

        A descriptor may become another connection's meanwhile: the number of its socket does not.
        """
        found = {}
        for descriptor in connections(*self._ends()):
            number = socket_number(descriptor)
            with contextlib.suppress(OSError):
                raw = fcntl.ioctl(descriptor, termios.TIOCOUTQ, _INT.pack(0))
                waiting = int(_INT.unpack(raw)[0])
                taken = acknowledged_bytes(descriptor)
                found[descriptor, number] = (-waiting if taken is None else taken, waiting)
        return found

    def _cut(self, descriptor: int, number: int) -> None:
        """libzmq sees the end of the connection, and lets go of what it has for it."""
        with contextlib.suppress(OSError):
            if socket_number(descriptor) != number:
                return  # it has gone by itself
            connection = posix_socket.socket(fileno=descriptor)
            try:
                who = _named(connection)
                connection.shutdown(posix_socket.SHUT_RDWR)
            finally:
                connection.detach()
            self._stats["cut_off"] += 1
            _log.warning(
                "cut off the subscriber %s: it has not kept up for %g s, and all others waited for it "
                "(stall_timeout)",
                who,
                self._timeout,
            )


def _named(connection: posix_socket.socket) -> str:
    """Who is on the other side, for a person."""
    peer = connection.getpeername()
    if isinstance(peer, tuple):
        return f"{peer[0]}:{peer[1]}"
    if hasattr(posix_socket, "SO_PEERCRED"):
        pid, _, _ = struct.unpack(
            "3i", connection.getsockopt(posix_socket.SOL_SOCKET, posix_socket.SO_PEERCRED, 12)
        )
        return f"of process {pid} over ipc"
    return "over ipc"
