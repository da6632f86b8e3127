"""Lazy Pirate client: waits for a while, then asks again on a new socket, and gives up at last.

``--connect`` asks a server or broker there; without, it asks nobody first, then a server of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from brigantine import LazyPirateClient, NoReply, ThreadedServer
from brigantine.examples._stage import ANY, giving_up, options, said


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=5)
    with giving_up(), contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            with (
                LazyPirateClient("tcp://127.0.0.1:9", timeout=0.3, retries=2) as client,
                contextlib.suppress(NoReply),
            ):
                client.request(b"hello")
            said(f"Nobody there: gave up after {client.stats()['tries']} tries")
            endpoint = stack.enter_context(ThreadedServer(ANY, lambda body: body)).frontend
        client = stack.enter_context(LazyPirateClient(endpoint, timeout=2.5, retries=3))
        for number in range(given.count):
            reply = client.request(b"%d" % number)
            said(f"Server replied OK ({reply!r})")


if __name__ == "__main__":
    main()
