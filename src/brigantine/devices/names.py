"""What a device connects to: names are looked up and followed, and connections made, outside the loop."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import zmq

from ..errors import BrokerStopped
from ..net.descriptors import ConnectionWatch
from ..net.mismatch import LOOK, Question, told_no_more
from ..net.monitor import monitor_event
from ..net.named_end import NamedEnd
from ..net.names import name_in, port_in
from ..system.background import Background
from ..system.wakeup import Wakeup

__all__ = ["BUSY", "LATER", "Followed", "Move", "NameFollower"]

_log = logging.getLogger("brigantine.device")

#: Answers of the loop: what was received may be unread and nothing is read now; or it is being read.
LATER, BUSY = b"later", b"busy"
#: Seconds to the next question then, and how many times BUSY is taken for an answer.
ASK_AGAIN, MOST_BUSY = 0.3, 3
#: How a move is written into one frame: no endpoint has a NUL.
_BETWEEN = b"\0"


class Move(NamedTuple):
    """What the loop is asked for: a socket, by its side, is to leave one address for another.

    Where both are the same it is to be reconnected.
    """

    side: int
    old: str
    new: str
    #: Whether nothing that came from the old address can be unread.
    sure: bool

    def packed(self) -> bytes:
        """As :meth:`unpacked` takes it."""
        fields = (str(self.side), self.old, self.new, str(int(self.sure)))
        return _BETWEEN.join(each.encode() for each in fields)

    @classmethod
    def unpacked(cls, frame: bytes) -> Move:
        """As it was."""
        side, old, new, sure = (each.decode() for each in frame.split(_BETWEEN))
        return cls(int(side), old, new, sure == "1")


class Followed(NamedTuple):
    """An end, and where its socket has begun to connect already; see :class:`~.net.named_end.NamedEnd`."""

    side: int
    #: The type of its socket.
    kind: int
    endpoint: str
    once: bool
    address: str


class _Followed:
    """An end, and what the log has been told of it."""

    def __init__(self, what: Followed, wake: Callable[[], object]) -> None:
        self.side, self._kind = what.side, what.kind
        self.end = NamedEnd(what.endpoint, wake, once=what.once, address=what.address)
        self.busy = 0
        self.told: set[str] = set()
        #: Who is bound there, while that is asked.
        self._question: Question | None = None

    def heard(self, event: int, now: float) -> None:
        """One of WATCHED has happened to a connection to its address."""
        was_up = self.end.up
        self.end.heard(event, now)
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._question = None
            told_no_more(self._kind, self.end.endpoint)
        elif event == zmq.EVENT_DISCONNECTED and not was_up:
            self._question = Question(self._kind, self.end.endpoint, self.end.address)

    def due(self) -> float | None:
        """When something is to be done at the latest."""
        due = self.end.due()
        if self._question is None:
            return due
        look = time.monotonic() + LOOK
        return look if due is None else min(due, look)

    def tell(self) -> None:
        """Each trouble once, until a connection is established."""
        if self._question is not None:
            if not self._question.answered(time.monotonic()):
                return
            question, self._question = self._question, None
            if not self.end.up and question.tell():
                self.told.add(self.end.trouble)  # that says less
        trouble = self.end.trouble
        if trouble and trouble not in self.told:
            self.told.add(trouble)
            _log.warning("%s; trying again", trouble)
        elif not trouble and self.told and self.end.used:
            self.told.clear()
            _log.info("%s is reached at %s", self.end.endpoint, self.end.address)

    def shares(self, other: _Followed) -> bool:
        """Whether another end has the same connection, which is made here."""
        same = other.side == self.side and other.end.address == self.end.address
        return same and self.end.once and other is not self


class NameFollower:
    """A thread that looks up names among ``ends``, and has the loop connect to them all.

    ``watches`` tell of the connections of each side, and are read here.  ``ask`` gives the loop's answer
    to a packed :class:`Move`: empty when that is done, LATER, BUSY, or why it can't be.
    """

    def __init__(
        self,
        ends: Sequence[Followed],
        watches: Sequence[ConnectionWatch],
        ask: Callable[[bytes], bytes],
    ) -> None:
        self._watches, self._ask = watches, ask
        self._wakeup = Wakeup()
        self._followed = [_Followed(end, self._wakeup.set) for end in ends]
        self._ending = False
        self._thread = Background(self._serve, "brigantine-device-names")
        self._thread.start()

    def end(self) -> None:
        """End, and wait for that; nobody reads the monitors any more."""
        self._ending = True
        self._wakeup.set()
        self._thread.wait()
        for each in self._followed:
            each.end.close()
        self._wakeup.close()

    def _serve(self) -> None:
        poller = zmq.Poller()
        poller.register(self._wakeup.fileno(), zmq.POLLIN)
        for watch in self._watches:
            poller.register(watch.monitor, zmq.POLLIN)
        try:
            while not self._ending:
                self._turn(poller)
        except (BrokerStopped, zmq.ContextTerminated):
            pass

    def _turn(self, poller: zmq.Poller) -> None:
        for each in self._followed:
            now = time.monotonic()
            if (address := each.end.advance(now)) is not None:
                self._move(each, address, now)
            each.tell()
        dues = [due for each in self._followed if (due := each.due()) is not None]
        wait = int(max(0.0, min(dues) - time.monotonic()) * 1000) + 1 if dues else None
        ready = dict(poller.poll(wait))
        if self._wakeup.fileno() in ready:
            self._wakeup.clear()
        for side, watch in enumerate(self._watches):
            while watch.monitor in ready and watch.monitor.poll(0):
                self._hear(side, watch.monitor.recv_multipart())

    def _move(self, each: _Followed, address: str, now: float) -> None:
        # A socket that is reconnected has lost what was unread: libzmq throws it away by itself.
        sure = not each.end.used or each.end.once or each.busy >= MOST_BUSY
        answer = self._ask(Move(each.side, each.end.address, address, sure).packed())
        if answer in (LATER, BUSY):
            each.busy = each.busy + 1 if answer == BUSY else 0
            each.end.later(now + ASK_AGAIN)
            return
        each.busy = 0
        again = each.end.address == address
        each.end.moved(now, answer.decode())
        for other in filter(each.shares, self._followed):
            if again:
                other.end.follow(each.end)
            else:  # where the socket was connected already
                each.end.follow(other.end)

    def _hear(self, side: int, frames: list[bytes]) -> None:
        event, descriptor = monitor_event(frames)
        self._watches[side].hear(event, descriptor)
        where = frames[1].decode(errors="replace")
        for each in self._followed:
            if each.side == side and each.end.address and _same_place(each.end.address, where):
                each.heard(event, time.monotonic())
                each.tell()


def _same_place(one: str, other: str) -> bool:
    """Whether two TCP endpoints of numbers are the same address, however they are written."""
    return _place(one) == _place(other)


def _place(endpoint: str) -> tuple[object, str]:
    host = name_in(endpoint).strip("[]").partition("%")[0]
    try:
        return ipaddress.ip_address(host), port_in(endpoint)
    except ValueError:
        return host, port_in(endpoint)
