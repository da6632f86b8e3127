"""The thread that takes a broker's events off their inproc PAIR and hands them to every reader.

It starts with the first reader, makes its socket itself, and is the only reader of the PAIR, which
holds a bounded number of events: whatever the program does with them, the loop either finds room
or counts the event as missed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import zmq

from ..config.limits import EVENTS_WAITING
from ..system.background import Background
from ..system.bell import Bell
from ..system.signals import leave_signals_to_main_thread
from .event_reader import Events

__all__ = ["END", "EventHub", "events_pair"]

#: Sent after the last event.
END = b""

#: Seconds between tries to tell the end to a thread that has no room for it.
_TAKE_CHECK = 0.01


def events_pair(context: zmq.Context[Any]) -> zmq.Socket[bytes]:
    """One end of the way from the loop to the hub, neither bound nor connected."""
    socket: zmq.Socket[bytes] = context.socket(zmq.PAIR)
    socket.linger = 0
    # Over inproc the bounds of both ends add up.
    socket.sndhwm = socket.rcvhwm = EVENTS_WAITING // 2
    return socket


class EventHub:
    """Connects to ``endpoint``, which the loop has bound, and hands out what comes there until END.

    ``ignore()`` is called when the last reader has gone: it tells the loop to send no more.
    """

    def __init__(
        self, context: zmq.Context[Any], endpoint: str, ignore: Callable[[], None]
    ) -> None:
        self._ignore = ignore
        # Reentrant: a signal handler may close a reader in a thread that is just adding one.
        self._lock = threading.RLock()
        # Weak: a reader that was forgotten without close() must not be fed for ever.
        self._readers: weakref.WeakSet[Events] = weakref.WeakSet()
        self._ended = False
        self._context = context
        self._endpoint = endpoint
        self._connected = False
        #: Why it could not connect.
        self._error: BaseException | None = None
        self._changed = Bell()
        #: Events for which a reader had no room, summed over the readers.
        self.missed = 0
        self._thread = Background(self._run, "brigantine-events")

    def begin(self) -> None:
        """Start, and return when it is connected.  To be called again when an exception has left it.

        Raises what has kept it from connecting.
        """
        if not self._thread.started:
            self._thread.start()
        self._changed.wait(lambda: self._connected or not self._thread.running)
        if self._error is not None:
            raise self._error

    def add(self, reader: Events) -> None:
        """Hand events to a reader from now on."""
        with self._lock:
            self._readers.add(reader)
            ended = self._ended
        if ended:
            reader.end()

    def remove(self, reader: Events) -> None:
        """Hand it no more.  May be called again."""
        with self._lock:
            if reader in self._readers:
                self._readers.discard(reader)
                if not self._readers:
                    self._ignore()

    def end(self, socket: zmq.Socket[bytes]) -> None:
        """Send END from the loop's side, and wait until every reader was told.

        Where there is nobody to take it, none is told: what was left by an exception may have begun
        no thread.
        """
        while self._thread.running:
            try:
                socket.send(END, zmq.DONTWAIT)
                break
            except zmq.Again:  # it has not connected yet, or is far behind
                self._thread.wait(_TAKE_CHECK)
            except zmq.ZMQError:  # the context is terminated: that has ended it, too
                break
        self._thread.wait()

    def _run(self) -> None:
        leave_signals_to_main_thread()
        try:
            with events_pair(self._context) as socket:
                socket.connect(self._endpoint)
                self._connected = True
                self._changed.ring()
                while (message := socket.recv()) != END:
                    self._hand_out(message)
        except zmq.ZMQError as error:
            # After it has connected: the program has terminated the context, and with it the broker.
            if not self._connected:
                self._error = error
        finally:
            self._changed.ring()
            with self._lock:
                self._ended = True
                readers = list(self._readers)
            for reader in readers:
                reader.end()

    def _hand_out(self, message: bytes) -> None:
        with self._lock:
            readers = list(self._readers)
            if not readers:
                self._ignore()
        for reader in readers:
            if not reader.put(message):
                self.missed += 1
