"""Hello World server: a plain function that answers "World".

``--bind`` serves REQ and DEALER clients of any language there; without, a REQ client of its own asks.
"""

from __future__ import annotations

from collections.abc import Sequence

from brigantine import LazyPirateClient, ThreadedServer
from brigantine.examples._stage import ANY, options, said, until


def world(body: bytes) -> bytes:
    """The answer to each request."""
    said(f"Received {body.decode()}")
    return b"World"


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "bind")
    with ThreadedServer(given.bind or ANY, world, threads=1) as server:
        said(f"Serving at {server.frontend}")
        if given.bind is None:
            with LazyPirateClient(server.frontend) as client:
                for _ in range(given.count):
                    client.request(b"Hello")
        until(lambda: server.stats()["replied"] >= given.count, given.seconds)
        said(f"Answered {server.stats()['replied']} requests")


if __name__ == "__main__":
    main()
