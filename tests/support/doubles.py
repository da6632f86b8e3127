"""Doubles for the tests of clients and workers: a raw broker, and Python programs of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import zmq
from harness import PATIENCE, Peers, wait_until

from brigantine import BindError, LRUBroker
from brigantine.clients.lazy_pirate import LazyPirateClient
from brigantine.workers.lru import LRUWorker

#: What stands between a peer's routing id and what it says.
EMPTY = b""
MMI_SERVICE = b"mmi.service"


class RawBroker:
    """A bound ROUTER that does what the test says, frame by frame."""

    def __init__(self, peers: Peers, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self.socket = peers.socket(zmq.ROUTER)
        self.socket.router_mandatory = 1
        wait_until(lambda: self._bind(endpoint), f"binding {endpoint}")
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _bind(self, endpoint: str) -> bool:
        """Not at once after another was closed there: libzmq closes in the background."""
        try:
            self.socket.bind(endpoint)
        except zmq.ZMQError as error:
            if error.errno == zmq.EADDRINUSE:
                return False
            raise
        return True

    def receive(self) -> tuple[bytes, list[bytes]]:
        """(routing id, the frames that its peer sent), the empty frame in front included.

        Not a client's question whether the service has workers, which it asks in its last try.
        """
        while True:
            peer, *frames = self.socket.recv_multipart()
            if MMI_SERVICE not in frames:
                return peer, frames

    def send(self, peer: bytes, *frames: bytes) -> None:
        """Exactly these frames; raises when no such peer is connected."""
        self.socket.send_multipart([peer, *frames])

    def request_of(self, body: bytes) -> bytes:
        """Receive a client's request that must be this body; the client's routing id."""
        peer, frames = self.receive()
        assert frames == [EMPTY, body]
        return peer

    def ready_worker(self) -> bytes:
        """Receive READY; the worker's routing id."""
        peer, frames = self.receive()
        assert frames == [EMPTY, b"READY"]
        return peer

    def ask(self, worker: bytes, body: bytes) -> list[bytes]:
        """Give a worker a request; the body of its reply."""
        self.send(worker, EMPTY, b"ticket", EMPTY, body)
        peer, frames = self.receive()
        assert peer == worker
        assert frames[:3] == [EMPTY, b"ticket", EMPTY]
        return frames[3:]

    def stop(self) -> None:
        """Close, so that another can be bound to the same endpoint."""
        self.socket.unbind(self.endpoint)
        self.socket.close(0)


@contextmanager
def client_maker() -> Iterator[Callable[..., LazyPirateClient]]:
    """A function that makes clients, patient ones unless told otherwise; all are closed at the end."""
    made: list[LazyPirateClient] = []

    def make(*arguments: Any, **options: Any) -> LazyPirateClient:
        made.append(LazyPirateClient(*arguments, **{"timeout": PATIENCE, **options}))
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            each.close()


@contextmanager
def worker_maker() -> Iterator[Callable[..., LRUWorker]]:
    """A function that makes workers and starts them; all are stopped at the end."""
    made: list[LRUWorker] = []

    def make(*arguments: Any, **options: Any) -> LRUWorker:
        made.append(LRUWorker(*arguments, **options))
        return made[-1].start()

    try:
        yield make
    finally:
        for each in made:
            each.stop()


def started_again(start: Callable[..., LRUBroker], *ends: str, **options: Any) -> LRUBroker:
    """Start a broker where one was just stopped in the same context, which lets go a bit later."""

    def attempt() -> LRUBroker | None:
        try:
            return start(*ends, **options)
        except BindError:
            return None

    broker: LRUBroker = wait_until(attempt, f"binding {ends}")
    return broker


def free_endpoint() -> str:
    """A tcp endpoint on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"tcp://127.0.0.1:{probe.getsockname()[1]}"


def open_files() -> int:
    """How many file descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


@contextmanager
def program(
    source: str, arguments: Sequence[str] = (), impl: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """Run Python ``source`` as a process of its own, with pipes; it never outlives the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    if impl:
        environment["BRIGANTINE_IMPL"] = impl
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def outcome(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for the end of a program: (exit code, standard output, standard error)."""
    output, errors = process.communicate(timeout=3 * PATIENCE)
    return process.returncode, output, errors


def settled(stats: dict[str, int]) -> bool:
    """Whether every request of a client at rest has ended in one of the ways there are."""
    ends = (
        "replies", "worker_failed", "no_reply", "no_service", "busy", "expired", "interrupted",
    )  # fmt: skip
    return stats["requests"] == sum(stats[end] for end in ends)
