"""Paranoid Pirate queue: heartbeats both ways, so that a worker which hangs is noticed, too.

``--frontend`` and ``--backend`` are where clients and workers of any language connect; without, a worker
that falls silent is expired, and another one serves.
"""

from __future__ import annotations

from collections.abc import Sequence

import zmq

from brigantine import LazyPirateClient, ParanoidPirateBroker, ParanoidPirateWorker
from brigantine.examples._stage import ANY, options, said, until


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "frontend", "backend", count=5)
    alone = not (given.frontend or given.backend)
    interval = 0.2 if alone else 1.0  # the guide's workers beat once a second
    with ParanoidPirateBroker(
        given.frontend or ANY, given.backend or ANY, heartbeat_interval=interval
    ) as queue:
        said(f"Clients connect to {queue.frontend}, workers to {queue.backend}")
        if alone:
            with zmq.Context() as context, context.socket(zmq.DEALER) as silent:
                silent.connect(queue.backend)
                silent.send(b"\x01")  # READY, and never a heartbeat
                until(lambda: queue.stats()["workers"] == 1, given.seconds)
                until(lambda: queue.stats()["workers"] == 0, given.seconds)
                said("A worker was silent, and is not counted on")
            worker = ParanoidPirateWorker(queue.backend, lambda body: body, heartbeat_interval=0.2)
            with worker, LazyPirateClient(queue.frontend) as client:
                for number in range(given.count):
                    said(f"Reply: {client.request(b'%d' % number)!r}")
        until(lambda: queue.stats()["replied"] >= given.count, given.seconds)
        said(f"Brought {queue.stats()['replied']} replies")


if __name__ == "__main__":
    main()
