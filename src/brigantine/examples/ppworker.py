"""Paranoid Pirate worker: heartbeats while it works, and connects anew when its queue is gone.

``--connect`` is the workers' side of a Paranoid Pirate queue in any language; without, it starts one,
ends it, and starts it again.
"""

from __future__ import annotations

from collections.abc import Sequence

from brigantine import LazyPirateClient, ParanoidPirateBroker, ParanoidPirateWorker
from brigantine.examples._stage import ANY, options, said, until


def ask(queue: ParanoidPirateBroker, count: int) -> None:
    """Some requests."""
    with LazyPirateClient(queue.frontend) as client:
        for number in range(count):
            client.request(b"%d" % number)


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=6)
    if given.connect:
        with ParanoidPirateWorker(given.connect, lambda body: body) as worker:
            until(lambda: worker.stats()["replies"] >= given.count, given.seconds)
            said(f"Replied to {worker.stats()['replies']} requests")
        return
    queue = ParanoidPirateBroker(ANY, ANY)
    with ParanoidPirateWorker(queue.backend, lambda body: body, heartbeat_interval=0.2) as worker:
        with queue:
            ask(queue, given.count // 2)
        said("The queue ends")
        with ParanoidPirateBroker(ANY, queue.backend) as again:
            ask(again, given.count - given.count // 2)
        said(f"Connected {worker.stats()['connects']} times")
        said(f"Replied to {worker.stats()['replies']} requests")


if __name__ == "__main__":
    main()
