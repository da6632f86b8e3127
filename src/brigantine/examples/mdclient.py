"""Majordomo client: asks the service "echo", one request after the other.

``--connect`` is a Majordomo broker in any language (MDP 0.1, as the guide's mdbroker); without, it starts a
broker and a worker.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from brigantine import MajordomoBroker, MajordomoClient, MajordomoWorker
from brigantine.examples._stage import ANY, giving_up, options, said


def main(argv: Sequence[str] | None = None) -> None:
    given = options(argv, __doc__, "connect", count=10)
    with giving_up(), contextlib.ExitStack() as stack:
        endpoint = given.connect
        if endpoint is None:
            endpoint = stack.enter_context(MajordomoBroker(ANY)).frontend
            stack.enter_context(MajordomoWorker(endpoint, "echo", lambda body: body))
        client = stack.enter_context(
            MajordomoClient(endpoint, version="0.1", timeout=given.seconds)
        )
        for _ in range(given.count):
            client.request("echo", b"Hello world")
        said(f"{client.stats()['replies']} requests/replies processed")


if __name__ == "__main__":
    main()
