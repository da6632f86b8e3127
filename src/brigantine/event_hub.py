"""The thread that takes a broker's events off their inproc PAIR and hands them to every reader.

It starts with the first reader, and is the only reader of the PAIR, which holds a bounded number of
events: whatever the program does with them, the loop either finds room or counts the event as missed.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from typing import Any

import zmq

from .config import EVENTS_WAITING
from .events import Events
from .signals import leave_signals_to_main_thread

__all__ = ["END", "EventHub", "events_pair"]

#: Sent behind the last event.
END = b""


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
        #: Events for which a reader had no room, summed over the readers.
        self.missed = 0
        self._socket = events_pair(context)
        try:
            self._socket.connect(endpoint)
            self._thread = threading.Thread(target=self._run, name="brigantine-events", daemon=True)
            self._thread.start()
        except BaseException:
            self._socket.close()
            raise

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

    def join(self) -> None:
        """Wait until END has come and every reader was told."""
        self._thread.join()

    def _run(self) -> None:
        leave_signals_to_main_thread()
        try:
            while True:
                message = self._socket.recv()
                if message == END:
                    break
                self._hand_out(message)
        except zmq.ZMQError:
            pass  # the program has terminated the context, and with it the broker
        finally:
            self._socket.close()
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
