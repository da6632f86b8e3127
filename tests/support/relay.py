"""A TCP relay between two peers that a test can cut, or make swallow everything."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from types import TracebackType

#: Bytes moved at once.
CHUNK = 65536


class Relay:
    """Listens on a free port and passes every connection on to ``target`` (``tcp://HOST:PORT``)."""

    def __init__(self, target: str) -> None:
        host, _, port = target.removeprefix("tcp://").rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._here = self._listener.getsockname()
        self.endpoint = f"tcp://127.0.0.1:{self._here[1]}"
        #: Connections accepted so far.
        self.accepted = 0
        self._lock = threading.Lock()
        self._other: dict[socket.socket, socket.socket] = {}
        #: Connections that were left open, but not listened to.
        self._swallowed: list[socket.socket] = []
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Close all connections of now; new ones are passed on again."""
        with self._lock:
            for each in list(self._other):
                self._drop(each)

    def swallow(self) -> None:
        """From now on keep connections open and lose what they carry, as if a cable were out.

        Connections made later are passed on.
        """
        with self._lock:
            for each in self._other:
                self._selector.unregister(each)
            self._swallowed += self._other
            self._other.clear()

    def half_cut(self) -> None:
        """Close the connections of now on this side only: the target goes on as if they were there."""
        with self._lock:
            for near in [each for each in self._other if each.getsockname() == self._here]:
                far = self._other.pop(near)
                del self._other[far]
                for each in (near, far):
                    self._selector.unregister(each)
                near.close()
                self._swallowed.append(far)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._woken:
                    return
                with self._lock:
                    if key.fileobj is self._listener:
                        self._accept()
                    elif isinstance(key.fileobj, socket.socket) and key.fileobj in self._other:
                        self._move(key.fileobj)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.socket()  # no name is looked up, whatever stands in for the resolver
        try:
            far.connect(self._target)
        except OSError:
            far.close()
            near.close()
            return
        self.accepted += 1
        self._other[near], self._other[far] = far, near
        for each in (near, far):
            self._selector.register(each, selectors.EVENT_READ)

    def _move(self, source: socket.socket) -> None:
        try:
            data = source.recv(CHUNK)
            if data:
                self._other[source].sendall(data)
                return
        except OSError:
            pass
        self._drop(source)

    def _drop(self, either: socket.socket) -> None:
        other = self._other.pop(either, None)
        if other is None:
            return
        self._other.pop(other)
        for each in (either, other):
            self._selector.unregister(each)
            each.close()

    def __enter__(self) -> Relay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._wake.send(b"\0")
        self._thread.join()
        self.cut()
        for each in (*self._swallowed, self._listener, self._wake, self._woken):
            with contextlib.suppress(OSError):
                each.close()
        self._selector.close()
