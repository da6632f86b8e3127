"""Two clients: one that would notice a reply too many, and one that must notice nothing."""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from types import TracebackType
from typing import Any

import zmq
from harness import PATIENCE, Peers, wait_until

__all__ = ["Bystander", "CountingClient", "round_trip", "who_got"]


class CountingClient:
    """Asks on a DEALER, where a REQ socket would hide a second reply, and counts every reply."""

    def __init__(self, peers: Peers, endpoint: str, **options: Any) -> None:
        self._socket = peers.dealer(endpoint, **options)
        #: How often a reply came, by its last frame (workers of these tests echo the body there).
        self.replies: Counter[bytes] = Counter()

    def ask(self, body: bytes) -> None:
        self._socket.send_multipart([b"", body])

    def answer(self) -> list[bytes]:
        """The body of the next reply."""
        delimiter, *body = self._socket.recv_multipart()
        assert delimiter == b""
        self.replies[body[-1]] += 1
        return body

    def delivered_twice(self) -> int:
        """Replies beyond the first to any request.

        Asks once more and takes replies up to that one's: replies to one client come in order, so
        none that the broker has sent before can be missed.
        """
        last = b"the last"
        self.ask(last)
        while self.answer()[-1] != last:
            pass
        return sum(count - 1 for count in self.replies.values())


class Bystander:
    """A well-behaved client in a thread: one round trip after the other, each reply checked.

    Leaving the ``with`` block ends it, and raises what went wrong.
    """

    def __init__(self, endpoint: str, patience: float = PATIENCE) -> None:
        self._endpoint = endpoint
        self._patience = patience
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        #: Seconds of each round trip.
        self.took: list[float] = []

    @property
    def longest_ms(self) -> float:
        return max(self.took) * 1000

    @property
    def p99_ms(self) -> float:
        return sorted(self.took)[len(self.took) * 99 // 100] * 1000

    def round_trips(self, count: int) -> None:
        """Wait for ``count`` more round trips."""
        wanted = len(self.took) + count
        wait_until(
            lambda: self._error or len(self.took) >= wanted,
            f"{count} more round trips",
            self._patience,
        )

    def __enter__(self) -> Bystander:
        self._thread.start()
        self.round_trips(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._thread.join()
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            with zmq.Context() as context, context.socket(zmq.REQ) as socket:
                socket.linger = 0
                socket.rcvtimeo = int(self._patience * 1000)
                socket.connect(self._endpoint)
                for number in itertools.count():
                    if self._leaving.is_set():
                        return
                    body = b"bystander %d" % number
                    began = time.monotonic()
                    socket.send(body)
                    reply = socket.recv_multipart()
                    self.took.append(time.monotonic() - began)
                    assert reply[-1] == body, f"asked {body!r}, got {reply!r}"
        except BaseException as error:
            self._error = error


def who_got(workers: list[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    """The worker that has a job; fails when it is not exactly one."""
    poller = zmq.Poller()
    for worker in workers:
        poller.register(worker, zmq.POLLIN)
    poller.poll(int(PATIENCE * 1000))
    (holder,) = (worker for worker in workers if worker.poll(0))
    return holder


def round_trip(client: zmq.Socket[bytes], workers: list[zmq.Socket[bytes]]) -> None:
    """One request and its reply, done by whichever worker gets it."""
    client.send(b"hello")
    worker = who_got(workers)
    worker.send_multipart(worker.recv_multipart())
    assert client.recv() == b"hello"
