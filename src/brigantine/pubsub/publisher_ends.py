"""Where a publisher is bound or connected, names followed where they lead."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable
from queue import SimpleQueue

import zmq

from ..config.protocols import Protocol
from ..devices.ends import CONNECT, End
from ..devices.names import Followed, Move, NameFollower
from ..errors import BrokerStopped, ConnectError
from ..net.descriptors import ConnectionWatch, DescriptorReserve
from ..net.endpoints import bind, connect, disconnect
from ..net.named_end import WATCHED
from ..net.names import is_numeric
from ..net.overlap import leads_to
from ..notices.kinds import Notice, describe
from ..notices.lookalikes import Here

__all__ = ["PublisherEnds"]

_log = logging.getLogger("brigantine.publisher")


class PublisherEnds:
    """The ends of one socket, used by the thread that has it.  ``wake`` has that call :meth:`advance`."""

    def __init__(self, wanted: tuple[End, ...], wake: Callable[[], object]) -> None:
        self._wanted, self._wake = wanted, wake
        #: Where it is bound.
        self.bound: tuple[str, ...] = ()
        #: Where it is bound, and where it connects, with ``>`` in front.
        self.endpoints: tuple[str, ...] = ()
        self._reserve = DescriptorReserve(lambda: self.bound, _tell)
        self._watch: ConnectionWatch | None = None
        self._follower: NameFollower | None = None
        #: Moves that the follower has asked for, and where it waits for the answer.
        self._moves: deque[tuple[bytes, SimpleQueue[bytes | None]]] = deque()
        self._wanted_at: Counter[str] = Counter()
        self._ended = False
        #: Readable when there is news of connections; ``None`` while the follower reads that.
        self.monitor: zmq.Socket[bytes] | None = None

    @property
    def rejected(self) -> int:
        """Connections closed at once for want of descriptors."""
        return self._reserve.rejected

    def open(self, socket: zmq.Socket[bytes]) -> None:
        """Bind and connect.  Raises BindError and ConnectError."""
        kind = int(socket.type)
        followed = [
            Followed(0, kind, end.endpoint, False, "" if self._is_name(end) else end.endpoint)
            for end in self._wanted
            if end.connects and not end.endpoint.startswith("inproc://")
        ]
        if followed or not all(end.connects for end in self._wanted):
            self._watch = ConnectionWatch(socket, self._reserve, more=WATCHED)
        for end in self._wanted:
            self._attach(socket, end)
        if followed:
            assert self._watch is not None
            self._follower = NameFollower(followed, [self._watch], self._ask)
        elif self._watch is not None:
            self.monitor = self._watch.monitor

    def _is_name(self, end: End) -> bool:
        return end.connects and not is_numeric(end.endpoint)

    def _attach(self, socket: zmq.Socket[bytes], end: End) -> None:
        if end.connects:
            if not self._is_name(end):
                connect(socket, end.endpoint)
                self._wanted_at[end.endpoint] += 1
            self.endpoints += (CONNECT + end.endpoint,)
            return
        real = bind(socket, end.endpoint)
        self.bound += (real,)
        self.endpoints += (real,)

    def places(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Where it is bound, and to where it connects at the moment."""
        return self.bound, tuple(each for each, count in self._wanted_at.items() if count)

    def advance(self, socket: zmq.Socket[bytes]) -> None:
        """Do what the follower has asked for, and read what has happened to connections."""
        while self._moves:
            frame, answer = self._moves.popleft()
            answer.put(self._move(socket, frame))
        if self.monitor is not None and self._watch is not None:
            self._watch.read()

    def _ask(self, frame: bytes) -> bytes:
        """In the follower's thread."""
        answer: SimpleQueue[bytes | None] = SimpleQueue()
        self._moves.append((frame, answer))
        self._wake()
        found = None if self._ended else answer.get()
        if found is None:
            raise BrokerStopped("the publisher has ended")
        return found

    def _move(self, socket: zmq.Socket[bytes], frame: bytes) -> bytes:
        move = Move.unpacked(frame)
        if any(leads_to(move.new, real) for real in self.bound):
            return f"{move.new} is where this publisher itself is bound".encode()
        if move.old:
            self._wanted_at[move.old] -= 1
            if not self._wanted_at[move.old]:
                _leave(socket, move.old)
        try:
            if not self._wanted_at[move.new]:
                connect(socket, move.new)
        except ConnectError as error:
            return str(error.strerror or error).encode()
        self._wanted_at[move.new] += 1
        return b""

    def end(self) -> None:
        """No connection is moved any more."""
        self._ended = True
        while self._moves:
            self._moves.popleft()[1].put(None)
        if self._follower is not None:
            self._follower.end()

    def close(self) -> None:
        """To be called before the socket is closed."""
        self.monitor = None
        if self._watch is not None:
            self._watch.close()


def _leave(socket: zmq.Socket[bytes], address: str) -> None:
    with contextlib.suppress(zmq.ZMQError):  # libzmq has given it up
        disconnect(socket, address)


def _tell(notice: Notice) -> None:
    _log.warning("%s", describe(notice, Here((), (), Protocol(0))))
