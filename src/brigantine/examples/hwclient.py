"""Hello World client: asks "Hello" ten times, and gives up on a silent server.

``--connect`` asks a REP or ROUTER server there; without, it starts one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from brigantine import LazyPirateClient, ThreadedServer
from brigantine.examples._stage import ANY, giving_up, options, said


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect")
    with giving_up(), contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            endpoint = stack.enter_context(ThreadedServer(ANY, lambda _: b"World")).frontend
        client = stack.enter_context(LazyPirateClient(endpoint, timeout=given.seconds, retries=0))
        for number in range(given.count):
            reply = client.request(b"Hello")
            said(f"Received reply {number}: {reply!r}")


if __name__ == "__main__":
    main()
