"""The handle's line to its loop: an inproc PAIR, for the words of :mod:`brigantine.wire.loop`."""

from __future__ import annotations

import os
import select
import threading
from typing import Any

import zmq

from ..config.limits import ANSWER_CHECK
from ..errors import BrokerStopped
from ..net.receiving import frame_if_there
from ..system.background import Background
from ..system.bell import Bell
from ..wire.loop import TAG_BYTES
from .reentrancy import ReentrancyGuard

__all__ = ["LoopLine"]


class LoopLine:
    """The handle's end is bound to ``endpoint``, the loop's connects to it; ``thread`` is the loop's.

    Any thread may tell and ask, but none of a forked child: it has neither the loop nor the right to
    its sockets.  A signal handler may tell, whatever it has interrupted.
    """

    def __init__(
        self,
        endpoint: str,
        thread: Background,
        what: str = "broker",
    ) -> None:
        self.endpoint = endpoint
        #: Whose loop it is, in the words of errors.
        self._what = what
        #: Guards the PAIR, and what must not change while it is looked at whether the loop has ended.
        self.lock = threading.RLock()
        #: Threads that may hold a lock which the loop's thread needs to end.
        self.guard = ReentrancyGuard()
        #: The loop answers no more.
        self.ended = False
        #: Set once the loop has connected, or has ended: before, nobody takes a word.
        self._there = False
        self._changed = Bell()
        self._pid = os.getpid()
        self._thread = thread
        #: Held by the thread that has asked the loop something; the tag of its question.
        self._asking = threading.Lock()
        self._askers = ReentrancyGuard()
        self._tag = 0
        self._socket: zmq.Socket[bytes]

    @property
    def in_child(self) -> bool:
        """Whether this process was forked off the broker's."""
        return os.getpid() != self._pid

    def refuse_in_child(self) -> None:
        """Raises :class:`~brigantine.errors.BrokerStopped` in a forked child."""
        if self.in_child:
            raise BrokerStopped(
                f"this {self._what} runs in process {self._pid}, of which this one was forked; "
                f"a child needs a {self._what} of its own"
            )

    def tell(self, word: bytes) -> None:
        """Send a word, if anybody is there to take it."""
        if self.in_child or not self._thread.running:
            return
        self._changed.wait(lambda: self._there)
        with self.guard.inside(), self.lock:
            if not self.ended:  # set before the loop's end of the PAIR is closed
                self._socket.send(word, zmq.DONTWAIT)

    def ask(self, word: bytes) -> bytes:
        """The answer to a question.

        Raises :class:`~brigantine.errors.BrokerStopped` when the loop has ended, or in a forked child,
        and ``RuntimeError`` in a signal handler that has interrupted another question of its thread.
        """
        self.refuse_in_child()
        if self._askers.mine:
            raise RuntimeError(
                f"a signal handler has interrupted a question to this {self._what} and can't ask "
                "another; let it set a flag, and ask where the flag is looked at"
            )
        with self.guard.inside(), self._askers.inside(), self._asking:
            self._tag += 1
            question = word + self._tag.to_bytes(TAG_BYTES, "big")
            poller = select.poll()
            with self.lock:
                if not self.ended:
                    self._socket.send(question, zmq.DONTWAIT)
                    poller.register(int(self._socket.fd), select.POLLIN)
            while True:
                with self.lock:
                    if self.ended:
                        raise BrokerStopped(f"the {self._what} has ended")
                    answer = self._answer_to(question)
                if answer is not None:
                    return answer
                # Readable when something has come, unless another thread's use of the socket has
                # noticed before: then the next look finds it.
                poller.poll(ANSWER_CHECK * 1000.0)

    def _answer_to(self, question: bytes) -> bytes | None:
        """The answer, if it is there; what an interrupted question has left comes first, and is dropped."""
        while (answer := frame_if_there(self._socket)) is not None:
            if answer.startswith(question):
                return answer[len(question) :]
        return None

    def open(self, context: zmq.Context[Any]) -> None:
        """Make the handle's end.  As all that follows, in the loop's thread."""
        with self.lock:
            self._socket = context.socket(zmq.PAIR)
            self._socket.linger = 0
            # Nothing that is told may be refused, or wait with the lock held.
            self._socket.sndhwm = 0
            self._socket.bind(self.endpoint)

    def begin(self) -> None:
        """The loop's end of the PAIR is connected."""
        self._there = True
        self._changed.ring()

    def end(self) -> None:
        """The loop has ended: who asks from now on is told so."""
        with self.lock:
            self.ended = True
        self.begin()

    def close(self) -> None:
        """Close the handle's end, after :meth:`end`."""
        with self.lock:
            self._socket.close()
