"""Clients of both shells behind one face, and brokers that say what a test wants."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import zmq
from doubles import RawBroker
from harness import PATIENCE, Peers
from mdp_doubles import FINALS, HEADS

import brigantine
from brigantine import aio

EMPTY = b""
SERVICE = b"svc"
SHELLS = ("threads", "asyncio")
#: "plain" is that of REQ clients, the others are versions of Majordomo.
PROTOCOLS = ("plain", "0.1", "0.2")


class Face:
    """A client that is called the same whatever its shell and its protocol are."""

    def __init__(self, client: Any, shell: str, protocol: str, loop: Any) -> None:
        self.client, self._shell, self._protocol, self._loop = client, shell, protocol, loop

    def request(self, body: bytes, **options: Any) -> Any:
        words = (body,) if self._protocol == "plain" else (SERVICE, body)
        return self._call(self.client.request(*words, **options))

    def parts(self, body: bytes, got: Callable[[Any], None]) -> None:
        """Read a stream to its end; each part as it comes is told to ``got``."""

        async def read() -> None:
            async for part in self.client.stream(SERVICE, body):
                got(part)

        if self._shell == "threads":
            for part in self.client.stream(SERVICE, body):
                got(part)
        else:
            self._call(read())

    def stats(self) -> dict[str, int]:
        stats: dict[str, int] = self.client.stats()
        return stats

    def _call(self, what: Any) -> Any:
        if self._shell == "threads":
            return what
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(3 * PATIENCE)

    def close(self) -> None:
        self._call(self.client.close())


@contextmanager
def face(shell: str, protocol: str, brokers: str | Sequence[str], **options: Any) -> Iterator[Face]:
    """A patient client of that shell and protocol, unless told otherwise."""
    module: Any = brigantine if shell == "threads" else aio
    options = {"timeout": PATIENCE, **options}
    if protocol != "plain":
        options["version"] = protocol
    kind = module.LazyPirateClient if protocol == "plain" else module.MajordomoClient
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    made = Face(kind(brokers, **options), shell, protocol, loop)
    try:
        yield made
    finally:
        made.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def take(raw: RawBroker, protocol: str, *body: bytes) -> bytes:
    """Receive a request that must have this body; the client's routing id."""
    peer, frames = raw.receive()
    head = [EMPTY] if protocol == "plain" else [*HEADS[protocol], SERVICE]
    assert frames == [*head, *body]
    return peer


def give(raw: RawBroker, protocol: str, peer: bytes, *body: bytes) -> None:
    """Send the (last) reply."""
    head = [EMPTY] if protocol == "plain" else [*FINALS[protocol], SERVICE]
    raw.send(peer, *head, *body)


class EchoBroker:
    """A ROUTER in a thread that answers each request with its name and the body."""

    def __init__(self, peers: Peers, name: bytes, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self._raw = RawBroker(peers, endpoint)
        self._raw.socket.router_mandatory = 0
        self._name = name
        self.endpoint = self._raw.endpoint
        self._stop, stopped = peers.socket(zmq.PAIR), peers.socket(zmq.PAIR)
        address = f"inproc://{id(self)}"
        stopped.bind(address)
        self._stop.connect(address)
        self._thread = threading.Thread(target=self._run, args=(stopped,), daemon=True)
        self._thread.start()

    def _run(self, stopped: zmq.Socket[bytes]) -> None:
        poller = zmq.Poller()
        for source in (self._raw.socket, stopped):
            poller.register(source, zmq.POLLIN)
        while stopped not in dict(poller.poll()):
            peer, frames = self._raw.receive()
            self._raw.send(peer, EMPTY, self._name, *frames[1:])
        stopped.close()
        self._raw.stop()

    def stop(self) -> None:
        """As if it had died: nothing listens there any more when this returns."""
        self._stop.send(b"")
        self._thread.join(PATIENCE)
        self._stop.close()
