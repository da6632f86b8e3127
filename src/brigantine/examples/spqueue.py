"""Simple Pirate queue: the LRU broker between Lazy Pirate clients and REQ workers that may crash.

``--frontend`` and ``--backend`` are where clients and workers of any language connect; without, one of two
workers crashes at work, and its request goes to the other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import zmq

from brigantine import LazyPirateClient, LRUBroker, LRUWorker
from brigantine.examples._stage import ANY, beside, options, said, until


def crash(backend: str, seconds: float) -> None:
    """A worker that takes one request and is gone, or is gone because none came for so long."""
    with zmq.Context() as context, context.socket(zmq.REQ) as socket:
        socket.linger, socket.rcvtimeo = 0, round(seconds * 1000)
        socket.connect(backend)
        socket.send(b"READY")
        with contextlib.suppress(zmq.Again):
            socket.recv_multipart()
            said("A worker crashes")


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "frontend", "backend", count=5)
    with LRUBroker(given.frontend or ANY, given.backend or ANY, retries=1) as queue:
        said(f"Clients connect to {queue.frontend}, workers to {queue.backend}")
        if not (given.frontend or given.backend):
            crashing = beside(lambda: crash(queue.backend, given.seconds))
            with crashing, LazyPirateClient(queue.frontend) as client:
                until(lambda: queue.stats()["workers"] == 1, given.seconds)
                with LRUWorker(queue.backend, lambda body: body):
                    for number in range(given.count):
                        said(f"Reply: {client.request(b'%d' % number)!r}")
        until(lambda: queue.stats()["replied"] >= given.count, given.seconds)
        said(f"Brought {queue.stats()['replied']} replies")


if __name__ == "__main__":
    main()
