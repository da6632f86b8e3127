"""What the tests share: raw peers, and waiting for conditions."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import zmq

#: Seconds after which a peer that should have received something gives up.  Never waited for when
#: all is well.
PATIENCE = 10.0


def wait_until(
    condition: Callable[[], Any], what: str = "the condition", timeout: float = PATIENCE
) -> Any:
    """Poll until ``condition()`` is true, and return what it answered; fail after ``timeout``."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(0.002)


class Peers:
    """A context of its own and the raw sockets made in it."""

    def __init__(self) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.sockets: list[zmq.Socket[bytes]] = []

    def socket(
        self, kind: int, endpoint: str | None = None, identity: bytes | None = None, **options: Any
    ) -> zmq.Socket[bytes]:
        """A socket connected to ``endpoint``; receiving gives up after PATIENCE seconds."""
        made = self.context.socket(kind)
        self.sockets.append(made)
        made.linger = 0
        made.rcvtimeo = made.sndtimeo = int(PATIENCE * 1000)
        if identity is not None:
            made.setsockopt(zmq.IDENTITY, identity)
        for name, value in options.items():
            setattr(made, name, value)
        if endpoint is not None:
            made.connect(endpoint)
        return made

    def req(self, endpoint: str, **options: Any) -> zmq.Socket[bytes]:
        return self.socket(zmq.REQ, endpoint, **options)

    def dealer(self, endpoint: str, **options: Any) -> zmq.Socket[bytes]:
        return self.socket(zmq.DEALER, endpoint, **options)

    def worker(self, endpoint: str, word: bytes = b"READY", **options: Any) -> zmq.Socket[bytes]:
        """A REQ worker that has said it is ready."""
        made = self.req(endpoint, **options)
        made.send(word)
        return made

    def __enter__(self) -> Peers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for socket in self.sockets:
            with contextlib.suppress(zmq.ZMQError):
                socket.close(0)
        self.context.term()
