"""Multithreaded server: ROUTER in front, worker threads behind, clients that know nothing of it.

``--bind`` serves REQ and DEALER clients of any language there; without, eight clients ask at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from brigantine import LazyPirateClient, ThreadedServer
from brigantine.examples._stage import ANY, options, said, until

_threads: set[int] = set()


def world(_: bytes) -> bytes:
    """Some work."""
    time.sleep(0.01)
    _threads.add(threading.get_ident())
    return b"World"


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=40)
    _threads.clear()
    with ThreadedServer(given.bind or ANY, world, threads=4) as server:
        said(f"Serving at {server.frontend} with 4 threads")
        if given.bind is None:
            with LazyPirateClient(server.frontend) as client, ThreadPoolExecutor(8) as clients:
                list(clients.map(client.request, [b"Hello"] * given.count))
        until(lambda: server.stats()["replied"] >= given.count, given.seconds)
        said(f"Answered {server.stats()['replied']} requests in {len(_threads)} threads")


if __name__ == "__main__":
    main()
