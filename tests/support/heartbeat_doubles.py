"""A raw broker for workers of PPP and MDP, written by hand from the RFCs, and handlers to hold."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from doubles import RawBroker
from harness import PATIENCE

from brigantine.workers.majordomo import MajordomoWorker
from brigantine.workers.paranoid_pirate import ParanoidPirateWorker

#: Seconds between heartbeats, where silence is to be noticed soon.
BEAT = 0.1
SERVICE = b"service"

#: What stands in front of ``ticket [] body...`` in each direction, and the single messages.
WIRES: dict[str, dict[str, Any]] = {
    "ppp": {
        "ready": [b"\x01"],
        "ready-3": [b"\x01\x03"],
        "heartbeat": [b"\x02"],
        "disconnect": None,
        "request": [],
        "reply": [],
    },
    "0.1": {
        "ready": [b"", b"MDPW01", b"\x01", SERVICE],
        "ready-3": [b"", b"MDPW01", b"\x01", SERVICE, b"\x03"],
        "heartbeat": [b"", b"MDPW01", b"\x04"],
        "disconnect": [b"", b"MDPW01", b"\x05"],
        "request": [b"", b"MDPW01", b"\x02"],
        "reply": [b"", b"MDPW01", b"\x03"],
    },
    "0.2": {
        "ready": [b"MDPW02", b"\x01", SERVICE],
        "ready-3": [b"MDPW02", b"\x01", SERVICE, b"\x03"],
        "heartbeat": [b"MDPW02", b"\x05"],
        "disconnect": [b"MDPW02", b"\x06"],
        "request": [b"MDPW02", b"\x02"],
        "reply": [b"MDPW02", b"\x04"],
        "partial": [b"MDPW02", b"\x03"],
    },
}


class HeartbeatBroker(RawBroker):
    """A bare ROUTER that knows the words of one protocol, and says them when told to."""

    def __init__(self, *arguments: Any, wire: str) -> None:
        super().__init__(*arguments)
        self.wire = WIRES[wire]

    def next(self) -> tuple[bytes, list[bytes]]:
        """The next message that is no heartbeat."""
        while True:
            peer, frames = self.receive()
            if frames != self.wire["heartbeat"]:
                return peer, frames

    def ready(self, word: str = "ready") -> bytes:
        """Receive READY; the worker's routing id."""
        peer, frames = self.next()
        assert frames == self.wire[word]
        return peer

    def say(self, peer: bytes, word: str) -> None:
        """Send ``heartbeat`` or ``disconnect``."""
        self.send(peer, *self.wire[word])

    def request(self, peer: bytes, *body: bytes, ticket: bytes = b"ticket") -> None:
        """Send a request."""
        self.send(peer, *self.wire["request"], ticket, b"", *body)

    def reply(self, peer: bytes, *, ticket: bytes = b"ticket", word: str = "reply") -> list[bytes]:
        """Receive a reply, or a part; its body."""
        sender, frames = self.next()
        head = [*self.wire[word], ticket, b""]
        assert (sender, frames[: len(head)]) == (peer, head)
        return frames[len(head) :]


class Gate:
    """A handler that says when it has begun, and ends when it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()
        self.seen: list[Any] = []

    def __call__(self, body: Any) -> Any:
        self.seen.append(body)
        self.begun.release()
        assert self.go.wait(PATIENCE)
        return body

    def entered(self, count: int = 1) -> None:
        """Wait until the handler was called ``count`` times more."""
        for _ in range(count):
            assert self.begun.acquire(timeout=PATIENCE)


def unstarted(wire: str, brokers: Any, handler: Any, **options: Any) -> Any:
    """A worker that speaks ``wire``; it has no reason to find its broker silent unless told."""
    options = {"liveness": 1000, "ready_timeout": 0, **options}
    if wire == "ppp":
        return ParanoidPirateWorker(brokers, handler, **options)
    return MajordomoWorker(brokers, SERVICE, handler, version=wire, **options)  # type: ignore[arg-type]


def mdp_worker(endpoints: Any, handler: Any = bytes.upper, **options: Any) -> MajordomoWorker:
    """A MajordomoWorker with a short interval."""
    options = {"heartbeat_interval": BEAT, "liveness": 10, "ready_timeout": 0, **options}
    return MajordomoWorker(endpoints, options.pop("service", SERVICE), handler, **options)


def only_yields(_: bytes) -> Any:
    """A generator handler that returns nothing."""
    yield b"a"
    yield [b"b", b""]
    yield b"c"


@contextmanager
def heartbeat_worker_maker() -> Iterator[Callable[..., Any]]:
    """``make(wire, brokers, handler, **options)`` starts workers; all are stopped at the end."""
    made: list[Any] = []

    def make(*arguments: Any, **options: Any) -> Any:
        made.append(unstarted(*arguments, **options))
        return made[-1].start()

    try:
        yield make
    finally:
        for each in made:
            each.stop()
