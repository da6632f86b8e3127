"""Load-balancing broker: REQ clients, REQ workers, and the one that has waited longest is next.

``--frontend`` and ``--backend`` are where clients and workers of any language connect; without, ten
clients and three workers are started.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from brigantine import LazyPirateClient, LRUBroker, LRUWorker
from brigantine.examples._stage import ANY, options, said, until


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "frontend", "backend", count=30)
    alone = not (given.frontend or given.backend)
    with LRUBroker(given.frontend or ANY, given.backend or ANY) as broker:
        said(f"Clients connect to {broker.frontend}, workers to {broker.backend}")
        with contextlib.ExitStack() as stack:
            if alone:
                workers = [LRUWorker(broker.backend, lambda _: b"OK") for _ in range(3)]
                for each in workers:
                    stack.enter_context(each)
                client = stack.enter_context(LazyPirateClient(broker.frontend))
                with ThreadPoolExecutor(10) as clients:
                    list(clients.map(client.request, [b"HELLO"] * given.count))
                for number, each in enumerate(workers):
                    said(f"Worker {number} did {each.stats()['replies']}")
            until(lambda: broker.stats()["replied"] >= given.count, given.seconds)
            said(f"Brought {broker.stats()['replied']} replies")


if __name__ == "__main__":
    main()
