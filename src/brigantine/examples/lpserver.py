"""Lazy Pirate server: one that is overloaded now and then, and answers late.

``--bind`` serves clients of any language there; without, it starts a client that asks again.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from brigantine import LazyPirateClient, ThreadedServer
from brigantine.examples._stage import ANY, options, said, until

_overload = threading.Event()  # never set: waiting for it is being busy
_asked: list[bytes] = []


def serve(body: bytes) -> bytes:
    """Each fifth request meets an overload."""
    _asked.append(body)
    if len(_asked) % 5 == 3:
        said("Simulating CPU overload")
        _overload.wait(0.5)
    return body


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind", count=5)
    _asked.clear()
    with ThreadedServer(given.bind or ANY, serve, threads=1) as server:
        said(f"Serving at {server.frontend}")
        if given.bind is None:
            with LazyPirateClient(server.frontend, timeout=0.3, retries=5) as client:
                for number in range(given.count):
                    said(f"Reply: {client.request(b'%d' % number)!r}")
        until(lambda: len(_asked) >= given.count, given.seconds)
        said(f"Was asked {len(_asked)} times")


if __name__ == "__main__":
    main()
