"""Simple Pirate worker: a REQ worker of an LRU queue; the function is all there is to write.

``--connect`` is the workers' side of an LRU broker, such as the guide's spqueue in any language; without,
it starts a queue and a client.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from brigantine import LazyPirateClient, LRUBroker, LRUWorker
from brigantine.examples._stage import ANY, options, said, until


def echo(body: bytes) -> bytes:
    """The work."""
    said(f"Normal reply: {body!r}")
    return body


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=5)
    with contextlib.ExitStack() as stack:
        queue = None if given.connect else stack.enter_context(LRUBroker(ANY, ANY))
        endpoint = given.connect if queue is None else queue.backend
        worker = stack.enter_context(LRUWorker(endpoint, echo))
        said("Worker ready")
        if queue is not None:
            client = stack.enter_context(LazyPirateClient(queue.frontend))
            for number in range(given.count):
                client.request(b"%d" % number)
        until(lambda: worker.stats()["replies"] >= given.count, given.seconds)
        said(f"Replied to {worker.stats()['replies']} requests")


if __name__ == "__main__":
    main()
